//! `[log]`.

use super::parse;
use super::reader::{Reader, Resolved};
use crate::config::options as o;
use crate::config::settings::{AccessLog, Log};

impl Reader<'_> {
    pub(super) fn log(&mut self) -> Resolved<Log> {
        let level = self.one(&o::LOG_LEVEL, parse::level);
        let file = self.path(&o::LOG_FILE);
        let access = self.one(&o::LOG_ACCESS, parse::boolean);
        let access = if access?.value { AccessLog::On } else { AccessLog::Off };
        Ok(Log { level: level?.value, file: file?, access })
    }
}
