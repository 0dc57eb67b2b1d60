//! `[kerberos]`.

use std::path::PathBuf;

use crate::config::location::Located;

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
