//! `[core]`.

use super::{BLANK, Opt, Shape};

options! {
    CORE_AUTH_MANAGER {
        section: "core", key: "auth_manager", allowed: "simple, fab, keycloak, or the class of one of them", airflow: true,
        default: "simple",
        help: "Airflow's auth manager, as in airflow.cfg. [upstream] auth_manager goes before it"
    }
    CORE_SIMPLE_AUTH_MANAGER_USERS {
        section: "core", key: "simple_auth_manager_users", shape: Shape::CommaList, airflow: true,
        allowed: "name:role or name:role:team|team", example: "admin:admin, viewer:viewer",
        help: "The simple auth manager's users and their roles. Tokens are minted for these names only. Unlike in Airflow the default is nobody"
    }
    CORE_SIMPLE_AUTH_MANAGER_PASSWORDS_FILE {
        section: "core", key: "simple_auth_manager_passwords_file", allowed: "a path", airflow: true,
        example: "/opt/airflow/simple_auth_manager_passwords.json.generated",
        help: "The simple auth manager's passwords. Default: $AIRFLOW_HOME/simple_auth_manager_passwords.json.generated"
    }
}
