//! `[server]` and `[admin]`.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::location::Located;

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
    /// `trusted_proxies`, whose `X-Forwarded-*` are believed. Default none.
    pub trusted_proxies: Vec<Located<TrustedProxy>>,
    /// `[server.tls]`. `None` without a certificate: clients come without TLS.
    pub tls: Option<ServerTls>,
}

/// `[server.tls]`.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// `certificate` and `key`, at least one pair. The first is for who asks for no name.
    pub certificates: Vec<CertificateFiles>,
    /// `client_ca`: who must vouch for clients. Default: they need no certificate.
    pub client_ca: Option<Located<PathBuf>>,
}

/// A certificate and its private key.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The chain, in PEM.
    pub certificate: Located<PathBuf>,
    /// The key, in PEM.
    pub key: Located<PathBuf>,
}

/// A place to listen. Port 0 lets the system choose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// `127.0.0.1:8081`, `[::1]:8081`.
    Tcp(SocketAddr),
    /// `unix:/run/airgate.sock`; the path is absolute.
    Unix(PathBuf),
}

/// One of `[server] trusted_proxies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedProxy {
    /// `unix`: whoever connects to a Unix socket of `listen`.
    Unix,
    /// Whoever connects from there. A single address is a network of one.
    Network(IpNet),
}

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// `listen`. Default `127.0.0.1:9091`.
    pub listen: Located<Listen>,
    /// `page`: who sees the status page. Default `loopback`.
    pub page: StatusPage,
    /// `hosts`: names that it may be asked for by. Default none.
    pub hosts: Vec<String>,
}

/// `[admin] page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPage {
    /// Nobody sees it.
    Off,
    /// Who asks from this machine.
    Loopback,
    /// Whoever reaches the port.
    All,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
