//! `[upstream]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    UPSTREAM_URL {
        section: "upstream", key: "url", shape: Shape::List, allowed: "a URL such as \"http://127.0.0.1:8080\", without user, path, query or fragment, or \"unix:\" and an absolute path", default: "http://127.0.0.1:8080",
        help: "The Airflow behind airgate: scheme, host and port, or unix:/run/airflow/api.sock. Several are balanced, with health checks; names are resolved again and again"
    }
    UPSTREAM_AIRFLOW {
        section: "upstream", key: "airflow", shape: Shape::WordOrInteger, allowed: "auto, 2 or 3", default: "auto",
        help: "Airflow's major version. auto: Airflow is asked, at the start and whenever its health route answers otherwise; until it has said so, requests are treated as for 3, and Airflow 2's APIs get 502. Airflow 2 takes no tokens: it is given the client's own credential, and judges it again. There are no token endpoints then, and `jwt` is not in the default of [api] auth_backends"
    }
    UPSTREAM_IDENTITY {
        section: "upstream", key: "identity", allowed: "auto, mint, exchange or passthrough", default: "auto",
        help: "How Airflow learns who calls: mint (a short-lived token signed with the key of [api_auth]), exchange (a token that Airflow issued for the client's password), passthrough (the client's own header), auto (mint with a signing key, else exchange)"
    }
    UPSTREAM_AUTH_MANAGER {
        section: "upstream", key: "auth_manager", allowed: "simple, fab or keycloak", example: "simple",
        help: "Airflow's auth manager: simple, fab or keycloak. Default: what [core] auth_manager names"
    }
    UPSTREAM_CA_FILE {
        section: "upstream", key: "ca_file", allowed: "a path", example: "/etc/airgate/upstream-ca.pem",
        help: "PEM certificates of the authorities that may vouch for an https upstream. Default: the system's"
    }
    UPSTREAM_SERVER_NAME {
        section: "upstream", key: "server_name", allowed: "a host name", example: "airflow.example.com",
        help: "The name that the certificate of an https upstream must have. Default: the host of its URL"
    }
    UPSTREAM_CONNECT_TIMEOUT {
        section: "upstream", key: "connect_timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long connecting to the upstream may take, TLS included. It is tried twice, then 504"
    }
    UPSTREAM_READ_TIMEOUT {
        section: "upstream", key: "read_timeout", shape: Shape::Duration, allowed: SECONDS, default: "60s",
        help: "How long the upstream may be silent, before the first byte or between two. Then 504"
    }
    UPSTREAM_IDLE_TIMEOUT {
        section: "upstream", key: "idle_timeout", shape: Shape::Duration, allowed: SECONDS, default: "4s",
        help: "How long an unused connection to the upstream is kept. Must be below the time after which the upstream closes it: [api] worker_timeout (120 s) for Airflow 3's api-server, 5 s for a uvicorn started without it"
    }
}
