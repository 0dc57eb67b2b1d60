//! `[api]`.

use std::fmt;

use super::Scheme;
use crate::config::location::Located;

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
    /// `enable_stable_v1`. Default on.
    pub enable_stable_v1: bool,
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
    pub methods: Vec<Located<String>>,
    /// `access_control_allow_headers`; `*` is all. May be empty.
    pub headers: Vec<String>,
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
