//! `[log]`.

use super::parse;
use super::reader::{Reader, Resolved};
use crate::config::location::Located;
use crate::config::options::{self as o, Opt};
use crate::config::settings::{AccessLog, Log, LogFile};

impl Reader<'_> {
    pub(super) fn log(&mut self) -> Resolved<Log> {
        let level = self.one(&o::LOG_LEVEL, parse::level);
        let file = self.log_file(&o::LOG_FILE);
        let audit_file = self.log_file(&o::LOG_AUDIT_FILE);
        let access = self.one(&o::LOG_ACCESS, parse::boolean);
        let access = if access?.value { AccessLog::On } else { AccessLog::Off };
        let file = file?.unwrap_or(Located::default_value(LogFile::Stdout));
        Ok(Log { level: level?.value, file, audit_file: audit_file?, access })
    }

    fn log_file(&mut self, option: &Opt) -> Resolved<Option<Located<LogFile>>> {
        let given = self.optional(option, parse::log_file)?;
        Ok(given.map(|given| match &*given.value {
            "stdout" | "/dev/stdout" => given.map(|_| LogFile::Stdout),
            "stderr" | "/dev/stderr" => given.map(|_| LogFile::Stderr),
            _ => {
                let folder = self.folders.of(&given.at);
                given.map(|text| LogFile::Path(folder.join(text)))
            }
        }))
    }
}
