//! `[keycloak_auth_manager]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    KEYCLOAK_SERVER_URL {
        section: "keycloak_auth_manager", key: "server_url", airflow: true, example: "https://sso.example.com",
        allowed: "a URL such as \"https://sso.example.com\", without user, query or fragment",
        help: "Keycloak, as Airflow names it: tokens say who issued them by this URL"
    }
    KEYCLOAK_REALM {
        section: "keycloak_auth_manager", key: "realm", airflow: true, example: "airflow",
        help: "The realm with Airflow's users"
    }
    KEYCLOAK_CLIENT_ID {
        section: "keycloak_auth_manager", key: "client_id", airflow: true, example: "airflow",
        help: "Airflow's client in the realm"
    }
    KEYCLOAK_CLIENT_SECRET {
        section: "keycloak_auth_manager", key: "client_secret", airflow: true, secret: true, example: "a-long-random-text",
        help: "The secret of client_id"
    }
    KEYCLOAK_JWT_FEDERATED_CLIENT_IDS {
        section: "keycloak_auth_manager", key: "jwt_federated_client_ids", shape: Shape::CommaList, airflow: true, example: "ci",
        allowed: "ids of clients",
        help: "Clients whose access tokens may be exchanged by the grant urn:ietf:params:oauth:grant-type:jwt-bearer. None by default"
    }
    KEYCLOAK_ALLOWED_CLIENT_IDS {
        section: "keycloak_auth_manager", key: "allowed_client_ids", shape: Shape::CommaList, example: "robots",
        allowed: "ids of clients",
        help: "Clients that may log in by the grant client_credentials besides client_id. Airflow has no such list. None by default"
    }
    KEYCLOAK_CA_FILE {
        section: "keycloak_auth_manager", key: "ca_file", allowed: "a path", example: "/etc/airgate/keycloak-ca.pem",
        help: "PEM certificates of the authorities that may vouch for Keycloak. Default: the system's"
    }
    KEYCLOAK_VERIFY {
        section: "keycloak_auth_manager", key: "verify", shape: Shape::Boolean, allowed: "true or false", default: "true",
        help: "Whether Keycloak's certificate is verified. false hands every password to whoever sits in between, and says so at each start"
    }
    KEYCLOAK_TIMEOUT {
        section: "keycloak_auth_manager", key: "timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long Keycloak may take for a log-in. Then 503. Airflow itself waits for 20 s and more"
    }
}
