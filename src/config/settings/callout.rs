//! `[callout.NAME]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::location::{Located, Location};

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
