//! `[log]`.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::config::location::Located;

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// `level`. Default info.
    pub level: LogLevel,
    /// `file`: where the access log goes. Default: standard output.
    pub file: Located<LogFile>,
    /// `audit_file`: where the audit log goes. Default: standard error, among the lines of the log.
    pub audit_file: Option<Located<LogFile>>,
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

/// `[log] file` and `audit_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFile {
    /// `stdout`.
    Stdout,
    /// `stderr`, where the log itself goes.
    Stderr,
    /// A file that lines are appended to.
    Path(PathBuf),
}

/// `[log] access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// One line a request.
    On,
    /// None.
    Off,
}
