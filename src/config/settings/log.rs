//! `[log]`.

use std::path::PathBuf;

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
