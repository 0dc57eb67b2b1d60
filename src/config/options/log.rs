//! `[log]`.

use super::{BLANK, Opt, Shape};

options! {
    LOG_LEVEL {
        section: "log", key: "level", allowed: "error, warn, info, debug or trace", default: "info",
        help: "What is logged: error, warn, info, debug or trace"
    }
    LOG_FILE {
        section: "log", key: "file", allowed: "a path", example: "/var/log/airgate.log",
        help: "The file that the access log is appended to; opened anew on reload, so that it can be rotated. Default: standard output. The log itself goes to standard error"
    }
    LOG_ACCESS {
        section: "log", key: "access", shape: Shape::Boolean, allowed: "true or false", default: "true",
        help: "Whether each request gets a line, in JSON"
    }
}
