//! `[upstream]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::location::Located;

/// `[upstream]`.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `url`, at least one; several are balanced. Default `http://127.0.0.1:8080`.
    pub urls: Vec<Located<UpstreamUrl>>,
    /// `airflow`: its major version. Default: it is asked.
    pub airflow: Airflow,
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
    /// uvicorn by itself closes it, and the 120 s of Airflow's `api-server`.
    pub idle_timeout: Located<Duration>,
}

/// `[upstream] airflow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Airflow {
    /// As it is written.
    Set(Release),
    /// As it has said itself.
    Found(Release),
    /// It has not said anything yet.
    Unknown,
}

impl Airflow {
    /// Which one the settings are for. While nothing is known, 3.
    pub fn release(self) -> Release {
        match self {
            Self::Set(release) | Self::Found(release) => release,
            Self::Unknown => Release::Airflow3,
        }
    }

    /// Which one, if that is known.
    pub fn known(self) -> Option<Release> {
        match self {
            Self::Set(release) | Self::Found(release) => Some(release),
            Self::Unknown => None,
        }
    }
}

/// Which Airflow it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 2.x: takes passwords, Kerberos and Flask's session on the API, and no tokens.
    Airflow2,
    /// 3.x: takes its own tokens and nothing else.
    Airflow3,
}

/// Where an upstream listens: scheme, host and port, nothing else, or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamUrl {
    /// `http://` or `https://`.
    Tcp {
        /// Whether the connection is encrypted.
        scheme: Scheme,
        /// Name or address. An IPv6 address comes without its brackets. Never empty.
        host: String,
        /// The port; the scheme's own where none is written.
        port: u16,
    },
    /// `unix:/run/airflow.sock`; the path is absolute.
    Unix(PathBuf),
}

impl Release {
    /// As people say it.
    pub fn number(self) -> u8 {
        match self {
            Self::Airflow2 => 2,
            Self::Airflow3 => 3,
        }
    }
}

impl UpstreamUrl {
    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        match self {
            Self::Tcp { scheme, .. } => *scheme == Scheme::Https,
            Self::Unix(_) => false,
        }
    }
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
    /// The Keycloak provider's.
    Keycloak,
}

impl AuthManager {
    /// As `[upstream] auth_manager` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Fab => "fab",
            Self::Keycloak => "keycloak",
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Tcp { scheme: Scheme::Http, host, port } => ("http", host, port),
            Self::Tcp { scheme: Scheme::Https, host, port } => ("https", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}
