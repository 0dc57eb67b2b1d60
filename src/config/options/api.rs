//! `[api]`.

use super::{BLANK, Opt, Shape, current, old};

options! {
    API_BASE_URL {
        section: "api", key: "base_url", airflow: true, aliases: &[current("webserver", "base_url")],
        allowed: "a URL such as \"https://host/airflow\", without user, query or fragment", example: "https://airflow.example.com/airflow",
        help: "Where clients find Airflow. Its path is a prefix that every route also has"
    }
    API_AUTH_BACKENDS {
        section: "api", key: "auth_backends", shape: Shape::List, airflow: true,
        aliases: &[current("fab", "auth_backends"), old("api", "auth_backend")],
        allowed: "session, jwt, basic_auth, kerberos_auth, default, deny_all, callout:NAME, or Airflow's module path of one of them", default: "session, jwt, basic_auth",
        help: "Who may accept a request, tried in turn; the first success wins. session (Airflow's cookie), jwt (Bearer), basic_auth, kerberos_auth (Negotiate), default (anonymous, experimental API only), deny_all, callout:NAME (a service of one's own, see [callout.NAME]). From Airflow's own configuration it names what there is besides jwt"
    }
    API_ANONYMOUS_USER {
        section: "api", key: "anonymous_user", allowed: "a user's name", example: "anonymous",
        help: "Who a request without credentials counts as with the backend `default`. Required with it"
    }
    API_MAXIMUM_PAGE_LIMIT {
        section: "api", key: "maximum_page_limit", shape: Shape::Integer, allowed: "a whole number from 1 to 4294967295", airflow: true, default: "100",
        help: "Caps `limit` in queries and `page_limit` in the bodies of lists, so that one call cannot read a whole table"
    }
    API_FALLBACK_PAGE_LIMIT {
        section: "api", key: "fallback_page_limit", shape: Shape::Integer, allowed: "a whole number from 1 to 4294967295", airflow: true,
        aliases: &[old("api", "page_size")], default: "50",
        help: "The page size of a list that is asked for without `limit`. At most maximum_page_limit"
    }
    API_ACCESS_CONTROL_ALLOW_ORIGINS {
        section: "api", key: "access_control_allow_origins", shape: Shape::List, airflow: true,
        aliases: &[old("api", "access_control_allow_origin")],
        allowed: "an origin such as \"https://example.com\", scheme, host and port alone", example: "https://example.com, https://grafana.example.com",
        help: "Origins whose pages may call the API (CORS), compared exactly. None by default: CORS is off. `*` is refused"
    }
    API_ACCESS_CONTROL_ALLOW_METHODS {
        section: "api", key: "access_control_allow_methods", shape: Shape::List, allowed: "a method such as GET, or *", airflow: true, example: "GET, POST, OPTIONS",
        help: "Methods that such a page may use, in upper case. `*` is all. None by default, and then every preflight is refused, as by Airflow"
    }
    API_ACCESS_CONTROL_ALLOW_HEADERS {
        section: "api", key: "access_control_allow_headers", shape: Shape::List, allowed: "a header's name, or *", airflow: true, example: "authorization, content-type",
        help: "Headers that such a page may send, such as authorization. `*` is all. None by default but Accept, Accept-Language, Content-Language and Content-Type"
    }
    API_ENABLE_EXPERIMENTAL_API {
        section: "api", key: "enable_experimental_api", shape: Shape::Boolean, allowed: "true or false", airflow: true, default: "false",
        help: "Whether requests for /api/experimental, the API of Airflow 1.10 and 2, are answered: in front of Airflow 3 by translation to /api/v2, as the caller"
    }
    API_ENABLE_STABLE_V1 {
        section: "api", key: "enable_stable_v1", shape: Shape::Boolean, allowed: "true or false", default: "true",
        help: "Whether requests for /api/v1, the stable API of Airflow 2, are answered in front of Airflow 3, by translation to /api/v2, as the caller. Off, they are forwarded, and Airflow 3 answers 404. An Airflow 2 answers them itself, whatever this says"
    }
}
