//! `[log]`.

use super::{BLANK, Opt, Shape};

options! {
    LOG_LEVEL {
        section: "log", key: "level", default: "info",
        allowed: "error, warn, info, debug, trace or off, or a list such as warn,airgate::auth=debug",
        help: "What is logged: a level for airgate, and levels of single modules, such as `warn,airgate::auth=debug`. Other crates speak at warn and above, unless they are named. The audit log is not part of it, unless `airgate::audit` is named"
    }
    LOG_FILE {
        section: "log", key: "file", allowed: "stdout, stderr or a path", default: "stdout",
        help: "Where the access log goes: stdout, stderr, or a file that it is appended to; opened anew on reload, so that it can be rotated. The log itself goes to standard error"
    }
    LOG_AUDIT_FILE {
        section: "log", key: "audit_file", allowed: "stdout, stderr or a path", example: "/var/log/airgate/audit.log",
        help: "Where the audit log goes, likewise. Default: standard error, among the lines of the log"
    }
    LOG_ACCESS {
        section: "log", key: "access", shape: Shape::Boolean, allowed: "true or false", default: "true",
        help: "Whether each request gets a line, in JSON"
    }
}
