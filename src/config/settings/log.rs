//! `[log]`.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::config::location::Located;

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

/// `[log] level`: a word, and words for single modules, as in `warn,airgate::auth=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel {
    /// For airgate's own modules. Default info.
    pub general: LevelFilter,
    /// For these modules and what is in them, of whatever crate. Of two the longer name counts.
    pub modules: Vec<(String, LevelFilter)>,
}

/// `[log] access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// One line a request.
    On,
    /// None.
    Off,
}
