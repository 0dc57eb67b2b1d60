//! `[basic]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::location::Located;

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
    /// The realm of `[keycloak_auth_manager]`.
    Keycloak,
}
