//! The configuration in force: typed, merged, with the place each value comes from.
//!
//! One struct a section. What needs checking against the outside world later (a key file, a users
//! file) is [`Located`], so that the complaint can name the line.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::location::{Located, Location};
use super::table::Table;
use crate::secret::Secret;

/// Everything that can be configured, all sources merged.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[server]`: where and how we listen.
    pub server: Server,
    /// `[admin]`: metrics, health, status page.
    pub admin: Admin,
    /// `[upstream]`: the Airflow behind us.
    pub upstream: Upstream,
    /// `[basic]`: who checks a name and password.
    pub basic: Basic,
    /// `[ldap]`: the source `ldap`.
    pub ldap: Ldap,
    /// `[gate]`: what is neither API nor token.
    pub gate: Gate,
    /// `[core]`: the simple auth manager's users.
    pub core: Core,
    /// `[api]`: the API itself.
    pub api: Api,
    /// `[api_auth]`: Airflow's own tokens.
    pub api_auth: ApiAuth,
    /// `[kerberos]`: the backend `kerberos_auth`.
    pub kerberos: Kerberos,
    /// `[[jwt.issuers]]`: foreign issuers, in the order written.
    pub jwt_issuers: Vec<Located<JwtIssuer>>,
    /// `[callout.NAME]`: services of the operator's own, by name.
    pub callouts: Vec<Callout>,
    /// `[backend.NAME]`: what backends registered in Rust read, by name.
    pub backends: BTreeMap<String, Table>,
    /// `[database]`: Airflow's metadata database. `None` when it is not to be used.
    pub database: Option<Database>,
    /// `[lockout]`: what failures lead to. `None` when `attempts = 0` turns it off.
    pub lockout: Option<Lockout>,
    /// `[redis]`: what replicas share. `None` without `url`.
    pub redis: Option<Redis>,
    /// `[limits]`: what one client may take.
    pub limits: Limits,
    /// `[log]`: what is written down, and where.
    pub log: Log,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// `listen`: where requests are taken, at least one place. Default `127.0.0.1:8081`.
    pub listen: Vec<Located<Listen>>,
    /// `threads` that serve requests. `None` (0, the default) is one per core.
    pub threads: Option<NonZeroUsize>,
    /// `grace_period`: how long a drain may last at most. Default 20 s.
    pub grace_period: Duration,
    /// `drain_delay`: still accepting, already not ready. Default 0 s.
    pub drain_delay: Duration,
    /// `trusted_proxies`, whose `X-Forwarded-*` are believed. Default none. A single address is a
    /// network of one.
    pub trusted_proxies: Vec<IpNet>,
}

/// A place to listen. Port 0 lets the system choose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// `127.0.0.1:8081`, `[::1]:8081`.
    Tcp(SocketAddr),
    /// `unix:/run/airgate.sock`; the path is absolute.
    Unix(PathBuf),
}

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// `listen`. Default `127.0.0.1:9091`.
    pub listen: Located<Listen>,
}

/// `[upstream]`.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `url`, at least one; several are balanced. Default `http://127.0.0.1:8080`.
    pub urls: Vec<Located<UpstreamUrl>>,
    /// `airflow`: its major version. Default 3.
    pub airflow: Release,
    /// `identity`: how the upstream learns who calls. Default auto.
    pub identity: Located<IdentityMode>,
    /// `auth_manager`, else what `[core] auth_manager` names. Default simple.
    pub auth_manager: Located<AuthManager>,
    /// `ca_file`: PEM certificates that the upstream's certificate must chain to. Default: the
    /// system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// `server_name`: the name in the upstream's certificate. Never empty. Default: each URL's host.
    pub server_name: Option<Located<String>>,
    /// `connect_timeout`, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// `read_timeout`: the longest silence of the upstream, the wait for the first byte included.
    /// Default 60 s.
    pub read_timeout: Duration,
    /// `idle_timeout`: how long an unused connection is kept. Default 4 s: below the 5 s after which
    /// uvicorn closes it.
    pub idle_timeout: Duration,
}

/// `[upstream] airflow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 2.x: takes passwords, Kerberos and Flask's session on the API, and no tokens.
    Airflow2,
    /// 3.x: takes its own tokens and nothing else.
    Airflow3,
}

/// An upstream's URL: scheme, host and port, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamUrl {
    /// Whether the connection is encrypted.
    pub scheme: Scheme,
    /// Name or address. An IPv6 address comes without its brackets. Never empty.
    pub host: String,
    /// The port; the scheme's own where none is written.
    pub port: u16,
}

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Encrypted.
    Https,
}

/// `[upstream] identity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityMode {
    /// Mint with a signing key, else exchange.
    Auto,
    /// A short-lived token signed here. Checked on load: there is a signing key.
    Mint,
    /// A token that the upstream issued for the client's password.
    Exchange,
    /// The client's own header.
    Passthrough,
}

/// The auth manager of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthManager {
    /// Airflow's simple auth manager.
    Simple,
    /// Flask-AppBuilder's.
    Fab,
}

/// `[basic]`.
#[derive(Debug, Clone)]
pub struct Basic {
    /// `sources`, tried in turn, at least one, each once. Default `upstream`.
    pub sources: Vec<Located<BasicSource>>,
    /// `cache_ttl`: how long a verified password is remembered. `None` (0) is not at all. Default
    /// 60 s.
    pub cache_ttl: Option<Duration>,
    /// `users_file`: a TOML or htpasswd file of hashes for the source `file`. Default: the simple
    /// auth manager's users and passwords.
    pub users_file: Option<Located<PathBuf>>,
}

/// One of `[basic] sources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BasicSource {
    /// The upstream's own `/auth/token`.
    Upstream,
    /// A users file.
    File,
    /// A directory.
    Ldap,
    /// The users in Airflow's metadata database.
    Database,
}

/// `[ldap]`. What stands in it may be anything while no source asks for it.
#[derive(Debug, Clone)]
pub struct Ldap {
    /// `server`, tried in turn. Empty by default.
    pub servers: Vec<Located<LdapUrl>>,
    /// `use_tls`: StartTLS. Default off.
    pub use_tls: Located<bool>,
    /// `tls_cacertfile`: whom to trust. Default: the system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// `tls_certfile`: a certificate of our own.
    pub certificate_file: Option<Located<PathBuf>>,
    /// `tls_keyfile`: its key.
    pub key_file: Option<Located<PathBuf>>,
    /// `search`: where users are.
    pub search: Option<Located<String>>,
    /// `search_filter`: who of them.
    pub search_filter: Option<Located<String>>,
    /// `uid_field`. Default `uid`.
    pub uid_field: Located<String>,
    /// `bind_user`: the account that searches.
    pub bind_user: Option<Located<String>>,
    /// `bind_password`. Not empty.
    pub bind_password: Option<Located<Secret>>,
    /// `username_format`.
    pub username_format: Option<Located<String>>,
    /// `append_domain`.
    pub append_domain: Option<Located<String>>,
    /// `connect_timeout`, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// `read_timeout` of one answer. Default 5 s.
    pub read_timeout: Duration,
}

/// A directory's URL: scheme, host and port, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LdapUrl {
    /// Whether it is `ldaps`.
    pub tls: bool,
    /// Name or address. An IPv6 address comes without its brackets. Never empty.
    pub host: String,
    /// The port: 389, or 636 for `ldaps`, where none is written.
    pub port: u16,
}

/// `[gate]`.
#[derive(Debug, Clone)]
pub struct Gate {
    /// `other_routes`. Default deny.
    pub other_routes: OtherRoutes,
}

/// `[gate] other_routes`: what becomes of a request that is neither for the API nor for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherRoutes {
    /// 404.
    Deny,
    /// The user interface's are forwarded.
    Ui,
    /// All are forwarded, `/execution` included.
    All,
}

/// `[core]`.
#[derive(Debug, Clone)]
pub struct Core {
    /// `simple_auth_manager_users`, each name once. `None` when nobody wrote it: Airflow's own
    /// default, `admin:admin`, is not assumed.
    pub simple_users: Option<Located<Vec<SimpleUser>>>,
    /// `simple_auth_manager_passwords_file`. Default
    /// `$AIRFLOW_HOME/simple_auth_manager_passwords.json.generated`; `None` without `AIRFLOW_HOME`.
    pub simple_passwords_file: Option<Located<PathBuf>>,
}

/// A user of the simple auth manager, `name:role` or `name:role:team|team`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleUser {
    /// The name. Not empty.
    pub name: String,
    /// The role as written, e.g. `admin`: Airflow compares it in upper case.
    pub role: String,
    /// Its teams; `None` when no third part is written, as in Airflow.
    pub teams: Option<Vec<String>>,
}

/// `[api]`.
#[derive(Debug, Clone)]
pub struct Api {
    /// `base_url`: where clients find Airflow. Its path is a second prefix of every route.
    pub base_url: Option<Located<BaseUrl>>,
    /// `auth_backends`, in the order tried, at least one, each once. Default
    /// `session, jwt, basic_auth`.
    pub auth_backends: Vec<Located<BackendName>>,
    /// `anonymous_user`: who the backend `default` lets through. Set when `default` is in the list.
    pub anonymous_user: Option<Located<String>>,
    /// `maximum_page_limit`. Default 100. At least 1.
    pub maximum_page_limit: Located<u32>,
    /// `fallback_page_limit`. Default 50. At least 1, at most `maximum_page_limit`.
    pub fallback_page_limit: Located<u32>,
    /// `access_control_allow_*`. `None` when there is no origin: CORS is off.
    pub cors: Option<Cors>,
    /// `enable_experimental_api`. Default off.
    pub enable_experimental_api: bool,
}

/// `[api] base_url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Scheme.
    pub scheme: Scheme,
    /// Host, and port where one is written, as in a `Host` header.
    pub authority: String,
    /// The path without a slash at its end: `/airflow`, or empty.
    pub path: String,
}

/// One of `[api] auth_backends`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackendName {
    /// Bearer tokens.
    Jwt,
    /// Airflow's `_token` cookie.
    Session,
    /// Name and password.
    BasicAuth,
    /// Kerberos tickets.
    KerberosAuth,
    /// Anonymous, on the experimental API.
    Default,
    /// Nobody.
    DenyAll,
    /// A service of the operator's own, by its name.
    Callout(String),
    /// A backend registered in Rust, by its name.
    Custom(&'static str),
}

/// `[api] access_control_allow_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// `access_control_allow_origins`: at least one, `scheme://host[:port]`, never `*` or `null`.
    pub origins: Vec<Located<String>>,
    /// `access_control_allow_methods`; `*` is all. May be empty.
    pub methods: Vec<String>,
    /// `access_control_allow_headers`; `*` is all. May be empty.
    pub headers: Vec<String>,
}

/// `[api_auth]`: the tokens of Airflow itself.
#[derive(Debug, Clone)]
pub struct ApiAuth {
    /// `jwt_secret`: all verify, the first signs. Empty when there is none; none of them is empty.
    pub jwt_secrets: Vec<Located<Secret>>,
    /// `jwt_private_key_path`: a PEM file. Goes before the secrets.
    pub jwt_private_key_path: Option<Located<PathBuf>>,
    /// `jwt_algorithm`: the first signs, all verify. Empty (the default, and `GUESS`) is Airflow's
    /// guess: HS512 with a secret, by the key otherwise.
    pub jwt_algorithms: Vec<Located<JwtAlgorithm>>,
    /// `jwt_kid` of tokens minted here. Default: Airflow's own.
    pub jwt_kid: Option<String>,
    /// `jwt_issuer`: the first is written, all are accepted. Empty (the default): not checked.
    pub jwt_issuers: Vec<String>,
    /// `jwt_audience`: the first is written, all are accepted. From Airflow's own sources one
    /// literal text, commas included. Never empty. Default `apache-airflow`.
    pub jwt_audiences: Vec<String>,
    /// `jwt_leeway`: how far clocks may differ. Default 10 s.
    pub jwt_leeway: Duration,
    /// `trusted_jwks_url`: keys that verify. Goes before the private key and the secrets.
    pub trusted_jwks_url: Option<Located<JwksSource>>,
    /// `jwt_expiration_time` of a token from `/auth/token`. Default 86400 s.
    pub jwt_expiration_time: Duration,
    /// `jwt_cli_expiration_time` of a token from `/auth/token/cli`. Default 3600 s.
    pub jwt_cli_expiration_time: Duration,
}

impl ApiAuth {
    /// Whether tokens can be signed here. With a key set, a secret signs nothing that Airflow accepts.
    pub fn can_sign(&self) -> bool {
        self.jwt_private_key_path.is_some()
            || (self.trusted_jwks_url.is_none() && !self.jwt_secrets.is_empty())
    }
}

/// Where a set of keys (RFC 7517) is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// `http://` or `https://`.
    Url(String),
    /// A file, as Airflow takes everything else.
    File(PathBuf),
}

/// A signature algorithm (RFC 7518 and RFC 8037) that can be verified here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// One of `[[jwt.issuers]]`.
#[derive(Debug, Clone)]
pub struct JwtIssuer {
    /// `issuer`: the exact `iss`. Required.
    pub issuer: String,
    /// `jwks_url`: its keys. Required.
    pub jwks: Located<JwksSource>,
    /// `audience`: one of these must be in `aud`. Required, at least one.
    pub audiences: Vec<String>,
    /// `algorithms`. Default RS256. Never an HMAC: its key would be public.
    pub algorithms: Vec<JwtAlgorithm>,
    /// `username_claim`. Default `sub`.
    pub username_claim: String,
    /// `username_prefix` of the names it vouches for. Required, since a foreign `admin` is not
    /// ours; may be empty.
    pub username_prefix: String,
}

/// `[database]`.
#[derive(Debug, Clone)]
pub struct Database {
    /// `sql_alchemy_conn`, as it was written. Not empty.
    pub url: Located<Secret>,
    /// `sql_alchemy_schema`. Default: the database's own.
    pub schema: Option<Located<String>>,
}

/// `[kerberos]`.
#[derive(Debug, Clone)]
pub struct Kerberos {
    /// `keytab`. Default: the library's own choice.
    pub keytab: Option<Located<PathBuf>>,
    /// `principal`. Default: any of the keytab.
    pub principal: Option<Located<ServicePrincipal>>,
    /// `local_realms`, whose names lose the realm. None by default.
    pub local_realms: Vec<String>,
    /// `replay_cache`: a folder. Default: the library's own choice.
    pub replay_cache: Option<Located<PathBuf>>,
}

/// `[kerberos] principal`: what clients must have asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServicePrincipal {
    /// `service/host` or `service/host@REALM`, as written.
    Exact(String),
    /// `service/_HOST`: the service, on any host of the keytab.
    AnyHost(String),
    /// A name without a host: of Airflow's ticket renewer, and no limit.
    Renewer,
}

/// One of `[callout.NAME]`.
#[derive(Debug, Clone)]
pub struct Callout {
    /// NAME: letters, digits, `-` and `_`.
    pub name: String,
    /// Where it is written.
    pub at: Location,
    /// `url`: where it is asked. Required.
    pub url: Located<String>,
    /// `headers` that go out, names in lower case, at least one. Default `authorization`.
    pub headers: Vec<String>,
    /// `timeout`. Default 5 s.
    pub timeout: Duration,
    /// `ca_file`: PEM certificates besides the system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// `cache_ttl` of an acceptance. `None` (0, the default) is not at all.
    pub cache_ttl: Option<Duration>,
    /// `ambient`. Default auto.
    pub ambient: Ambient,
    /// `challenge`: printable ASCII.
    pub challenge: Option<String>,
}

/// `[callout.NAME] ambient`: whether browsers send the credential by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambient {
    /// Told by the request.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// `[lockout]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// `attempts` that may fail within the window. Default 10. At least 1.
    pub attempts: u32,
    /// `window` in which failures are counted. Default 5 min.
    pub window: Duration,
    /// `duration` of the lock-out. Default 5 min.
    pub duration: Duration,
    /// `when_redis_is_down`. Default open.
    pub when_redis_is_down: WhenRedisIsDown,
}

/// `[lockout] when_redis_is_down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenRedisIsDown {
    /// Each replica counts by itself.
    Open,
    /// 503.
    Closed,
}

/// `[redis]`.
#[derive(Debug, Clone)]
pub struct Redis {
    /// `url`.
    pub url: Located<RedisUrl>,
    /// `ca_file`: PEM certificates. Default: the system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// `secret` for what is hashed; else what else replicas share. Never empty.
    pub secret: Secret,
    /// `timeout` of one call. Default 50 ms.
    pub timeout: Duration,
}

/// `[redis] url`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Where it listens.
    pub place: RedisPlace,
    /// The user of its access lists. Never empty.
    pub username: Option<String>,
    /// The password. Never empty.
    pub password: Option<Secret>,
    /// The number of the database. Default 0.
    pub database: u32,
}

/// Where Redis listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// `redis://` or `rediss://`.
    Tcp {
        /// Whether it is `rediss://`.
        tls: bool,
        /// Name or address. An IPv6 address comes without its brackets. Never empty.
        host: String,
        /// The port. Default 6379.
        port: u16,
    },
    /// `unix://`; the path is absolute.
    Unix(PathBuf),
}

/// `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `header_timeout`: the whole request head must have come by then. Default 10 s.
    pub header_timeout: Duration,
    /// `max_headers`: header lines of a request. Default 100. 1 to 256.
    pub max_headers: usize,
    /// `max_body`: bytes of a body that is read here. Default 128 KiB. What is only forwarded streams
    /// and has no limit.
    pub max_body: usize,
    /// `max_connections` at a time. `None` (0) is no limit. Default 10,000.
    pub max_connections: Option<NonZeroUsize>,
    /// `max_connections_per_address` at a time. `None` (0, the default) is no limit: behind a proxy
    /// all connections have its address.
    pub max_connections_per_address: Option<NonZeroUsize>,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// `level`. Default info.
    pub level: LogLevel,
    /// `file` that the access log is appended to. Default: standard output.
    pub file: Option<Located<PathBuf>>,
    /// `access`: one line a request. Default on.
    pub access: AccessLog,
}

/// `[log] level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usual five")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `[log] access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// One line a request.
    On,
    /// None.
    Off,
}

impl JwtAlgorithm {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name, as `alg` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for BackendName {
    /// The short name, as in metrics and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jwt => "jwt",
            Self::Session => "session",
            Self::BasicAuth => "basic_auth",
            Self::KerberosAuth => "kerberos_auth",
            Self::Default => "default",
            Self::DenyAll => "deny_all",
            Self::Callout(name) => return write!(f, "callout:{name}"),
            Self::Custom(name) => name,
        })
    }
}

impl Settings {
    /// Whether the upstream is given the client's own credential, and judges it again.
    pub fn passes_on(&self) -> bool {
        match self.upstream.airflow {
            Release::Airflow2 => true,
            Release::Airflow3 => self.upstream.identity.value == IdentityMode::Passthrough,
        }
    }

    /// Whether tokens for the upstream are minted here: asked for, or possible and not ruled out.
    /// For the fab auth manager it takes the ids in its database.
    pub fn mints(&self) -> bool {
        match self.upstream.airflow {
            Release::Airflow2 => return false,
            Release::Airflow3 => {}
        }
        let ids = self.database.is_some();
        match (self.upstream.identity.value, self.upstream.auth_manager.value) {
            (IdentityMode::Mint, AuthManager::Simple) => true,
            (IdentityMode::Auto, AuthManager::Simple) => self.api_auth.can_sign(),
            (IdentityMode::Mint, AuthManager::Fab) => ids,
            (IdentityMode::Auto, AuthManager::Fab) => ids && self.api_auth.can_sign(),
            (IdentityMode::Exchange | IdentityMode::Passthrough, AuthManager::Simple | AuthManager::Fab) => {
                false
            }
        }
    }
}
