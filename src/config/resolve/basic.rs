//! `[basic]`.

use super::parse;
use super::reader::{Reader, Resolved};
use crate::config::options as o;
use crate::config::settings::Basic;

impl Reader<'_> {
    pub(super) fn basic(&mut self) -> Resolved<Basic> {
        let sources = self.some(&o::BASIC_SOURCES, parse::basic_source);
        let cache_ttl = self.one(&o::BASIC_CACHE_TTL, parse::duration_or_off);
        let users_file = self.path(&o::BASIC_USERS_FILE);
        let sources = self.once(&o::BASIC_SOURCES, sources?);
        Ok(Basic { sources, cache_ttl: cache_ttl?.value, users_file: users_file? })
    }
}
