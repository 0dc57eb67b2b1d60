//! `[basic]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    BASIC_SOURCES {
        section: "basic", key: "sources", shape: Shape::List, allowed: "upstream, file, database, ldap or keycloak", default: "upstream",
        help: "Who checks a name and password, tried in turn: upstream (Airflow's own token endpoint), file (users_file, else Airflow's simple users), database (ab_user in [database]), ldap (see [ldap]), keycloak (the realm of [keycloak_auth_manager])"
    }
    BASIC_CACHE_TTL {
        section: "basic", key: "cache_ttl", shape: Shape::Duration, allowed: SECONDS, default: "60s",
        help: "How long a password once verified is taken without asking again. A changed password may work that long. 0 is off"
    }
    BASIC_USERS_FILE {
        section: "basic", key: "users_file", allowed: "a path", example: "/etc/airgate/users.htpasswd",
        help: "A TOML or htpasswd file of bcrypt, scrypt or argon2 hashes for the source `file`. See `airgate hash-password`. Default: [core] simple_auth_manager_users with simple_auth_manager_passwords_file"
    }
}
