//! Every option there is, in one table: `check`, `config get-value`, `--help`, the nearest-key
//! suggestions, `conf/airgate.toml` and the table of `docs/configuration.md` all come from it.

pub mod reference;

/// One option of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// Section, e.g. `api`. `jwt.issuers` is an array of tables.
    pub section: &'static str,
    /// Key within the section.
    pub key: &'static str,
    /// What a value looks like.
    pub shape: Shape,
    /// What is allowed, for error messages: "expected …".
    pub allowed: &'static str,
    /// The default as one would write it on a command line. Empty: not set.
    pub default: &'static str,
    /// A value to show where there is no default.
    pub example: &'static str,
    /// Never printed, and a `_CMD` variant exists, as in Airflow.
    pub secret: bool,
    /// Whether Airflow has it: then `airflow.cfg` and `AIRFLOW__SECTION__KEY` are read too.
    pub airflow: bool,
    /// Other names, first is preferred.
    pub aliases: &'static [Alias],
    /// The effect, in a sentence or two.
    pub help: &'static str,
}

/// What a value looks like, and how a list is cut out of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A text such as `20s`, or a whole number of seconds.
    Duration,
    /// `true` or `false`.
    Boolean,
    /// An array, or a text with commas or white space between the items.
    List,
    /// An array, or a text with commas between the items.
    CommaList,
    /// An array, or one text that is one item whatever it holds.
    ArrayList,
}

/// Another name of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// Its section.
    pub section: &'static str,
    /// Its key.
    pub key: &'static str,
    /// What the name is.
    pub age: Age,
}

/// What another name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// A name that some release of Airflow still uses properly: no warning where Airflow's own
    /// sources use it.
    Current,
    /// A name that Airflow has left behind: always a warning.
    Old,
}

const fn current(section: &'static str, key: &'static str) -> Alias {
    Alias { section, key, age: Age::Current }
}

const fn old(section: &'static str, key: &'static str) -> Alias {
    Alias { section, key, age: Age::Old }
}

const BLANK: Opt = Opt {
    section: "",
    key: "",
    shape: Shape::Text,
    allowed: "a text",
    default: "",
    example: "",
    secret: false,
    airflow: false,
    aliases: &[],
    help: "",
};

const SECONDS: &str = "a duration such as \"20s\" or \"5m\", or a whole number of seconds";
const ADDRESSES: &str = "an address and port such as \"127.0.0.1:8081\", or \"unix:\" and an absolute path";

macro_rules! options {
    ($($name:ident { $($body:tt)* })*) => {
        $(
            #[doc = concat!("See [`ALL`].")]
            pub const $name: Opt = Opt { $($body)*, ..BLANK };
        )*
        /// All options, section by section.
        pub const ALL: &[Opt] = &[$($name),*];
    };
}

options! {
    SERVER_LISTEN {
        section: "server", key: "listen", shape: Shape::List, allowed: ADDRESSES, default: "127.0.0.1:8081",
        help: "Where requests are taken: address and port, or unix:/run/airgate.sock. Port 0 lets the system choose"
    }
    SERVER_THREADS {
        section: "server", key: "threads", shape: Shape::Integer, allowed: "a whole number from 0 to 1024", default: "0",
        help: "Threads that serve requests. 0 is one per core"
    }
    SERVER_GRACE_PERIOD {
        section: "server", key: "grace_period", shape: Shape::Duration, allowed: SECONDS, default: "20s",
        help: "How long a shutdown waits for running requests, at most: it ends with the last one"
    }
    SERVER_DRAIN_DELAY {
        section: "server", key: "drain_delay", shape: Shape::Duration, allowed: SECONDS, default: "0s",
        help: "On SIGTERM: how long requests are still accepted while /readyz already says no. Kubernetes needs a few seconds until it has taken the pod out of its endpoints"
    }
    SERVER_TRUSTED_PROXIES {
        section: "server", key: "trusted_proxies", shape: Shape::List, allowed: "an address such as \"10.0.0.7\" or a network such as \"10.0.0.0/8\"",
        example: "10.0.0.0/8",
        help: "Proxies in front whose X-Forwarded-For, -Proto and -Host are believed, read from the right. None by default"
    }
    ADMIN_LISTEN {
        section: "admin", key: "listen", allowed: ADDRESSES, default: "127.0.0.1:9091",
        help: "Where /metrics, /healthz and /readyz are served. Whoever reaches it may read them"
    }
    UPSTREAM_URL {
        section: "upstream", key: "url", shape: Shape::List, allowed: "a URL such as \"http://127.0.0.1:8080\", without user, path, query or fragment", default: "http://127.0.0.1:8080",
        help: "The Airflow behind airgate: scheme, host and port. Several are balanced, with health checks; names are resolved again and again"
    }
    UPSTREAM_AIRFLOW {
        section: "upstream", key: "airflow", shape: Shape::Integer, allowed: "2 or 3", default: "3",
        help: "Airflow's major version. Airflow 2 takes no tokens: it is given the client's own credential, and judges it again. There are no token endpoints then, and `jwt` is not in the default of [api] auth_backends"
    }
    UPSTREAM_IDENTITY {
        section: "upstream", key: "identity", allowed: "auto, mint, exchange or passthrough", default: "auto",
        help: "How Airflow learns who calls: mint (a short-lived token signed with the key of [api_auth]), exchange (a token that Airflow issued for the client's password), passthrough (the client's own header), auto (mint with a signing key, else exchange)"
    }
    UPSTREAM_AUTH_MANAGER {
        section: "upstream", key: "auth_manager", allowed: "simple or fab", example: "simple",
        help: "Airflow's auth manager: simple or fab. Default: what [core] auth_manager names"
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
        help: "How long an unused connection to the upstream is kept. Must be below the upstream's own keep-alive, which is 5 s in Airflow 3"
    }
    BASIC_SOURCES {
        section: "basic", key: "sources", shape: Shape::List, allowed: "upstream, file, database or ldap", default: "upstream",
        help: "Who checks a name and password, tried in turn: upstream (Airflow's own token endpoint), file (users_file, else Airflow's simple users), database (ab_user in [database]), ldap (see [ldap])"
    }
    BASIC_CACHE_TTL {
        section: "basic", key: "cache_ttl", shape: Shape::Duration, allowed: SECONDS, default: "60s",
        help: "How long a password once verified is taken without asking again. A changed password may work that long. 0 is off"
    }
    BASIC_USERS_FILE {
        section: "basic", key: "users_file", allowed: "a path", example: "/etc/airgate/users.htpasswd",
        help: "A TOML or htpasswd file of bcrypt, scrypt or argon2 hashes for the source `file`. See `airgate hash-password`. Default: [core] simple_auth_manager_users with simple_auth_manager_passwords_file"
    }
    LDAP_SERVER {
        section: "ldap", key: "server", shape: Shape::List, allowed: "a URL such as \"ldap://ldap.example.com\" or \"ldaps://ldap.example.com:636\"", example: "ldaps://ldap.example.com",
        help: "The directory: ldap:// (port 389) or ldaps:// (port 636). Several hold the same and are tried in turn. Required with the source ldap"
    }
    LDAP_USE_TLS {
        section: "ldap", key: "use_tls", shape: Shape::Boolean, allowed: "true or false", default: "false",
        help: "Whether TLS begins by StartTLS, over ldap://. A server that refuses it is not used"
    }
    LDAP_TLS_CACERTFILE {
        section: "ldap", key: "tls_cacertfile", allowed: "a path", example: "/etc/airgate/ldap-ca.pem",
        help: "PEM certificates of the authorities that may vouch for the server, or the server's own self-signed one. Default: the system's. Certificates are always verified"
    }
    LDAP_TLS_CERTFILE {
        section: "ldap", key: "tls_certfile", allowed: "a path", example: "/etc/airgate/ldap-client.pem",
        help: "A PEM certificate to show to a server that asks for one. Needs tls_keyfile"
    }
    LDAP_TLS_KEYFILE {
        section: "ldap", key: "tls_keyfile", allowed: "a path", example: "/etc/airgate/ldap-client-key.pem",
        help: "The PEM private key of tls_certfile"
    }
    LDAP_SEARCH {
        section: "ldap", key: "search", allowed: "a distinguished name", example: "ou=people,dc=example,dc=com",
        help: "Where users are searched for. Exactly one entry must match"
    }
    LDAP_SEARCH_FILTER {
        section: "ldap", key: "search_filter", allowed: "a search filter in brackets (RFC 4515)", example: "(memberOf=cn=airflow,ou=groups,dc=example,dc=com)",
        help: "What an entry must match besides the name"
    }
    LDAP_UID_FIELD {
        section: "ldap", key: "uid_field", allowed: "an attribute's name", default: "uid",
        help: "The attribute that holds the user's name: what is searched for, and who the user is in Airflow, as the directory spells it. In Active Directory sAMAccountName. No user may be able to change it"
    }
    LDAP_BIND_USER {
        section: "ldap", key: "bind_user", allowed: "a distinguished name", example: "cn=airgate,dc=example,dc=com",
        help: "The account that searches for the user, whose entry is then bound with the password. Without it the user's own name is bound, made by username_format and append_domain"
    }
    LDAP_BIND_PASSWORD {
        section: "ldap", key: "bind_password", secret: true, example: "{ file = \"/run/secrets/ldap_password\" }",
        help: "The password of bind_user"
    }
    LDAP_USERNAME_FORMAT {
        section: "ldap", key: "username_format", allowed: "a text with %s in it", example: "uid=%s,ou=people,dc=example,dc=com",
        help: "Without bind_user: the name to bind, with %s for the user's, which is escaped in a distinguished name. Other names, such as EXAMPLE\\%s, need search"
    }
    LDAP_APPEND_DOMAIN {
        section: "ldap", key: "append_domain", allowed: "a domain", example: "example.com",
        help: "Without bind_user: put behind the user's name with an @ before it is bound, for Active Directory"
    }
    LDAP_CONNECT_TIMEOUT {
        section: "ldap", key: "connect_timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long connecting to one server may take, TLS included. Then the next is tried. A whole check takes at most 25 s"
    }
    LDAP_READ_TIMEOUT {
        section: "ldap", key: "read_timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long a server may take for one answer"
    }
    GATE_AIRFLOW_CFG {
        section: "gate", key: "airflow_cfg", allowed: "a path", example: "/opt/airflow/airflow.cfg",
        help: "The airflow.cfg that is read too (the options that have an Airflow name in the manual, [core], [api], [api_auth], [database] and [kerberos] among them), below everything written here. Default: $AIRFLOW_CONFIG or $AIRFLOW_HOME/airflow.cfg, if there is one. \"\" reads none"
    }
    GATE_OTHER_ROUTES {
        section: "gate", key: "other_routes", allowed: "deny, ui or all", default: "deny",
        help: "What is neither API nor token: deny (404), ui (forwarded, but not /execution), all (forwarded, /execution included)"
    }
    CORE_AUTH_MANAGER {
        section: "core", key: "auth_manager", allowed: "simple, fab, or the class of one of them", airflow: true,
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
        help: "Caps `limit` in queries, so that one call cannot read a whole table. `page_limit` in a JSON body is not capped in this release"
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
        help: "Methods that such a page may use. `*` is all"
    }
    API_ACCESS_CONTROL_ALLOW_HEADERS {
        section: "api", key: "access_control_allow_headers", shape: Shape::List, allowed: "a header's name, or *", airflow: true, example: "authorization, content-type",
        help: "Headers that such a page may send. `*` is all"
    }
    API_ENABLE_EXPERIMENTAL_API {
        section: "api", key: "enable_experimental_api", shape: Shape::Boolean, allowed: "true or false", airflow: true, default: "false",
        help: "Whether requests for /api/experimental are authenticated and forwarded. Airflow 3 answers them with 404: this release does not translate them"
    }
    API_AUTH_JWT_SECRET {
        section: "api_auth", key: "jwt_secret", shape: Shape::ArrayList, allowed: "a text, or an array of texts", secret: true, airflow: true,
        example: "{ file = \"/run/secrets/jwt_secret\" }",
        help: "The key that Airflow signs its tokens with. In an array the first signs and all verify, for rotation"
    }
    API_AUTH_JWT_PRIVATE_KEY_PATH {
        section: "api_auth", key: "jwt_private_key_path", allowed: "a path", airflow: true, example: "/run/secrets/jwt.pem",
        help: "A PEM private key (RSA or Ed25519) that signs in place of jwt_secret"
    }
    API_AUTH_JWT_ALGORITHM {
        section: "api_auth", key: "jwt_algorithm", shape: Shape::CommaList, airflow: true,
        allowed: "one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, or GUESS", default: "GUESS",
        help: "The first signs, all verify. GUESS is Airflow's own: HS512 with a secret, else by the key"
    }
    API_AUTH_JWT_KID {
        section: "api_auth", key: "jwt_kid", airflow: true, example: "my-key",
        help: "The `kid` of tokens signed here. Default: Airflow's own, `not-used` with a secret, else the key's thumbprint"
    }
    API_AUTH_JWT_ISSUER {
        section: "api_auth", key: "jwt_issuer", shape: Shape::CommaList, airflow: true, example: "https://airflow.example.com",
        help: "The `iss` of tokens: the first is written, all are accepted. Not checked by default"
    }
    API_AUTH_JWT_AUDIENCE {
        section: "api_auth", key: "jwt_audience", shape: Shape::ArrayList, airflow: true, allowed: "a text, or an array of texts",
        aliases: &[old("api", "jwt_audience")], default: "apache-airflow",
        help: "The `aud` of tokens. A text is one audience, commas included, as in Airflow; in an array the first is written and all are accepted"
    }
    API_AUTH_JWT_LEEWAY {
        section: "api_auth", key: "jwt_leeway", shape: Shape::Duration, allowed: SECONDS, airflow: true, default: "10",
        help: "How far the clocks of issuer and gate may differ"
    }
    API_AUTH_TRUSTED_JWKS_URL {
        section: "api_auth", key: "trusted_jwks_url", airflow: true, allowed: "an http or https URL, or a path", example: "https://airflow.example.com/jwks.json",
        help: "A URL or file of the public keys that tokens may be signed with. Goes before jwt_private_key_path and jwt_secret when tokens are verified"
    }
    API_AUTH_JWT_EXPIRATION_TIME {
        section: "api_auth", key: "jwt_expiration_time", shape: Shape::Duration, allowed: SECONDS, airflow: true, default: "86400",
        help: "How long a token from /auth/token lives"
    }
    API_AUTH_JWT_CLI_EXPIRATION_TIME {
        section: "api_auth", key: "jwt_cli_expiration_time", shape: Shape::Duration, allowed: SECONDS, airflow: true, default: "3600",
        help: "How long a token from /auth/token/cli lives"
    }
    DATABASE_SQL_ALCHEMY_CONN {
        section: "database", key: "sql_alchemy_conn", secret: true, airflow: true, aliases: &[old("core", "sql_alchemy_conn")],
        allowed: "a URL such as \"postgresql+psycopg2://user:password@host/airflow\"",
        example: "{ file = \"/run/secrets/sql_alchemy_conn\" }",
        help: "Airflow's metadata database, as Airflow writes it: PostgreSQL, MySQL, MariaDB or SQLite, with any driver. It is only read: users for the source `database`, ids for tokens of the fab auth manager, and revoked tokens. \"\" uses none"
    }
    DATABASE_SQL_ALCHEMY_SCHEMA {
        section: "database", key: "sql_alchemy_schema", airflow: true, aliases: &[old("core", "sql_alchemy_schema")],
        allowed: "a schema's name", example: "airflow",
        help: "The schema that has Airflow's tables. Default: the database's own"
    }
    LOCKOUT_ATTEMPTS {
        section: "lockout", key: "attempts", shape: Shape::Integer, allowed: "a whole number from 0 to 1000000", default: "10",
        help: "Failed log-ins of one user from one network (/24 or /64) within the window before it is locked out. 0 is off"
    }
    LOCKOUT_WINDOW {
        section: "lockout", key: "window", shape: Shape::Duration, allowed: SECONDS, default: "5m",
        help: "The time within which failures are counted"
    }
    LOCKOUT_DURATION {
        section: "lockout", key: "duration", shape: Shape::Duration, allowed: SECONDS, default: "5m",
        help: "How long a lock-out lasts"
    }
    LOCKOUT_WHEN_REDIS_IS_DOWN {
        section: "lockout", key: "when_redis_is_down", allowed: "open or closed", default: "open",
        help: "With [redis] url, what becomes of log-ins while Redis does not answer. open: each replica counts by itself, so a guesser has as many tries at each of them, and nobody else notices. closed: 503; what is cached, and tokens, go on working"
    }
    REDIS_URL {
        section: "redis", key: "url", secret: true, example: "rediss://airgate:password@redis.example.com:6379/0",
        allowed: "redis://[[user]:password@]host[:port][/database], the same with rediss:// for TLS, or unix:///path[?db=0&user=…&password=…]",
        help: "A Redis (5 or newer) that all replicas use: what is guessed at one counts at all. Without it, each counts by itself. What is not plain in user or password is written as %XX"
    }
    REDIS_CA_FILE {
        section: "redis", key: "ca_file", allowed: "a path", example: "/etc/ssl/redis-ca.pem",
        help: "PEM certificates that the certificate of Redis must chain to. Default: the system's"
    }
    REDIS_SECRET {
        section: "redis", key: "secret", secret: true, example: "a-long-random-text",
        help: "What names and addresses are hashed with before Redis gets them. The same for all replicas. Default: the first [api_auth] jwt_secret, else the password of url"
    }
    REDIS_TIMEOUT {
        section: "redis", key: "timeout", shape: Shape::Duration, allowed: SECONDS, default: "50ms",
        help: "The longest time that one question to Redis may take. A log-in asks two"
    }
    LIMITS_HEADER_TIMEOUT {
        section: "limits", key: "header_timeout", shape: Shape::Duration, allowed: SECONDS, default: "10s",
        help: "The head of a request must be complete by then, else the connection is closed. A body that airgate itself reads has as long again, then 408"
    }
    LIMITS_MAX_HEADERS {
        section: "limits", key: "max_headers", shape: Shape::Integer, allowed: "a whole number from 1 to 256", default: "100",
        help: "Header lines of a request. More is 431"
    }
    LIMITS_MAX_BODY {
        section: "limits", key: "max_body", shape: Shape::Integer, allowed: "a whole number from 1 to 1073741824", default: "131072",
        help: "Bytes of a request body that airgate itself reads, such as a token request. More is 413. Other bodies stream, without limit"
    }
    LIMITS_MAX_CONNECTIONS {
        section: "limits", key: "max_connections", shape: Shape::Integer, allowed: "a whole number from 0 to 10000000", default: "10000",
        help: "Connections at a time. 0 is no limit"
    }
    LIMITS_MAX_CONNECTIONS_PER_ADDRESS {
        section: "limits", key: "max_connections_per_address", shape: Shape::Integer, allowed: "a whole number from 0 to 10000000", default: "0",
        help: "Connections at a time from one address. 0 is no limit, which is right behind a proxy: there all connections have its address"
    }
    LOG_LEVEL {
        section: "log", key: "level", allowed: "error, warn, info, debug or trace", default: "info",
        help: "What is logged: error, warn, info, debug or trace"
    }
    LOG_FILE {
        section: "log", key: "file", allowed: "a path", example: "/var/log/airgate.log",
        help: "The file that the access log is appended to; opened anew on reload, so that it can be rotated. Default: standard output. The log itself goes to standard error"
    }
    LOG_ACCESS {
        section: "log", key: "access", shape: Shape::Boolean, allowed: "true or false", default: "true",
        help: "Whether each request gets a line, in JSON"
    }
    KERBEROS_KEYTAB {
        section: "kerberos", key: "keytab", allowed: "a path", example: "/etc/airflow/airflow.keytab", airflow: true,
        help: "The keytab with the keys of the service that clients ask for, airflow/fqdn@REALM or HTTP/fqdn@REALM. It is read for each token, so one that was replaced is used at once. Default: what KRB5_KTNAME or krb5.conf names"
    }
    KERBEROS_PRINCIPAL {
        section: "kerberos", key: "principal", allowed: "service/host@REALM, service/host or service/_HOST", example: "airflow/airflow.example.com@EXAMPLE.COM", airflow: true,
        help: "The only entry of the keytab that is used; with _HOST for the host, all of that service. A name without a host, such as Airflow's own default, is that of its ticket renewer and limits nothing. Default: any entry"
    }
    KERBEROS_LOCAL_REALMS {
        section: "kerberos", key: "local_realms", shape: Shape::List, allowed: "a realm such as EXAMPLE.COM", example: "EXAMPLE.COM",
        help: "Realms whose users are named without their realm: alice instead of alice@EXAMPLE.COM. None by default, as Airflow asks users to be named user@REALM"
    }
    KERBEROS_REPLAY_CACHE {
        section: "kerberos", key: "replay_cache", allowed: "a path", example: "/var/cache/airgate",
        help: "The folder in which used tokens are remembered. It must be there and writable. Default: what KRB5RCACHENAME or krb5.conf names, else /var/tmp"
    }
    ISSUER_ISSUER {
        section: "jwt.issuers", key: "issuer", example: "https://login.example.com",
        help: "The exact `iss` of the issuer's tokens. Required"
    }
    ISSUER_JWKS_URL {
        section: "jwt.issuers", key: "jwks_url", allowed: "an http or https URL, or a path", example: "https://login.example.com/jwks.json",
        help: "A URL or file of its public keys. Required"
    }
    ISSUER_AUDIENCE {
        section: "jwt.issuers", key: "audience", shape: Shape::ArrayList, allowed: "a text, or an array of texts", example: "airflow",
        help: "One of these must be in `aud`. Required: a token meant for someone else must not work here"
    }
    ISSUER_ALGORITHMS {
        section: "jwt.issuers", key: "algorithms", shape: Shape::List, default: "RS256",
        allowed: "one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        help: "Algorithms that its tokens may be signed with"
    }
    ISSUER_USERNAME_CLAIM {
        section: "jwt.issuers", key: "username_claim", allowed: "a claim's name", default: "sub",
        help: "The claim that holds the user's name"
    }
    ISSUER_USERNAME_PREFIX {
        section: "jwt.issuers", key: "username_prefix", example: "login/",
        help: "Put before each of its names, so that its `admin` is not ours. Required; \"\" says that its names are ours"
    }
    CALLOUT_URL {
        section: "callout.NAME", key: "url", allowed: "an http or https URL, without user or fragment", example: "http://127.0.0.1:9000/verify",
        help: "Where the service is asked: GET, without a body. Redirects are not followed. Required"
    }
    CALLOUT_HEADERS {
        section: "callout.NAME", key: "headers", shape: Shape::List, allowed: "the name of a request header that holds a credential", default: "Authorization",
        help: "The client's headers that go out, and no others. A request that has none of them is not for this service"
    }
    CALLOUT_TIMEOUT {
        section: "callout.NAME", key: "timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long an answer may take, connecting included. Then it cannot be told whether the credential is good"
    }
    CALLOUT_CA_FILE {
        section: "callout.NAME", key: "ca_file", allowed: "a path", example: "/etc/airgate/auth-ca.pem",
        help: "PEM certificates of authorities that may vouch for an https service, besides the system's"
    }
    CALLOUT_CACHE_TTL {
        section: "callout.NAME", key: "cache_ttl", shape: Shape::Duration, allowed: SECONDS, default: "0s",
        help: "How long an acceptance is taken for requests that look the same to the service: headers, method, target and address. What the service has taken back may work that long. 0 is off"
    }
    CALLOUT_AMBIENT {
        section: "callout.NAME", key: "ambient", allowed: "auto, yes or no", default: "auto",
        help: "Whether browsers send the credential by themselves, so that foreign pages must be kept from changing anything with it: auto (yes for a cookie, for Basic, Digest, Negotiate and NTLM, and for headers that any page may set), yes, no"
    }
    CALLOUT_CHALLENGE {
        section: "callout.NAME", key: "challenge", allowed: "printable ASCII", example: "Basic realm=\"example\"",
        help: "The WWW-Authenticate for who shows nothing to this service. One that the service itself sends goes before it. None by default"
    }
}

/// The array of tables, whose options repeat.
pub const ISSUERS: &str = "jwt.issuers";

/// The tables of services of one's own, whose options repeat under the name of each.
pub const CALLOUTS: &str = "callout.NAME";

/// What the introduction of a section says, in the order of the sections.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "Where and how airgate listens."),
    ("admin", "Metrics and health: a port of its own."),
    ("upstream", "The Airflow behind airgate."),
    ("basic", "Name and password, on the API and on the token endpoints."),
    ("ldap", "The source ldap: the AUTH_LDAP_* options of Flask-AppBuilder, lower case, without the prefix."),
    ("gate", "What passes."),
    ("core", "As in airflow.cfg."),
    ("api", "As in airflow.cfg, with the options of Airflow 2 that Airflow 3 left behind."),
    ("api_auth", "As in airflow.cfg: the tokens of Airflow itself. The values must be Airflow's own."),
    ("database", "As in airflow.cfg: Airflow's metadata database, read and never written."),
    ("kerberos", "As in airflow.cfg: the backend kerberos_auth."),
    ("lockout", "What too many wrong passwords lead to."),
    ("redis", "What replicas share."),
    ("limits", "What one client may take."),
    ("log", "What is written down, and where."),
    (ISSUERS, "Foreign issuers of tokens. Repeat the whole table for each."),
    (
        CALLOUTS,
        "A service of one's own that judges credentials, as nginx's auth_request asks one. NAME is what `callout:NAME` in auth_backends names.",
    ),
];

/// The option of this section and key, if there is one.
pub fn find(section: &str, key: &str) -> Option<&'static Opt> {
    ALL.iter().find(|o| o.section == section && o.key == key)
}

impl Opt {
    /// The option as error messages write it: `[api] auth_backends`.
    pub fn title(&self) -> String {
        format!("[{}] {}", self.section, self.key)
    }

    /// The option as `--set` writes it: `api.auth_backends`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// Whether there may be several of it: in an array of tables, where no environment variable reaches, or
    /// in tables with names.
    pub fn repeats(&self) -> bool {
        self.section == ISSUERS || self.section == CALLOUTS
    }
}
