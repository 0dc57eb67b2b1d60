//! `[ldap]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::location::Located;
use crate::secret::Secret;

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
