//! `[redis]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::location::Located;
use crate::secret::Secret;

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
