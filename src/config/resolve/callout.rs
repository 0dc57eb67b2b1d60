//! `[callout.NAME]`.

use super::parse;
use super::reader::{Failed, Reader, Resolved, values};
use crate::config::location::Location;
use crate::config::options as o;
use crate::config::settings::{Ambient, Callout};

const AMBIENT: &[(&str, Ambient)] = &[
    ("auto", Ambient::Auto),
    ("yes", Ambient::Yes),
    ("true", Ambient::Yes),
    ("no", Ambient::No),
    ("false", Ambient::No),
];

impl Reader<'_> {
    pub(super) fn callout(&mut self, name: &str, at: &Location) -> Resolved<Callout> {
        let url = match self.entry(&o::CALLOUT_URL) {
            Some(_) => self.one(&o::CALLOUT_URL, parse::callout_url),
            None => {
                self.findings.errors.push(at, format!("[callout.{name}]: url is missing"));
                Err(Failed)
            }
        };
        let headers = self.some(&o::CALLOUT_HEADERS, parse::callout_header);
        let timeout = self.one(&o::CALLOUT_TIMEOUT, parse::some_duration);
        let ca_file = self.file_read_once(&o::CALLOUT_CA_FILE);
        let cache_ttl = self.one(&o::CALLOUT_CACHE_TTL, parse::duration_or_off);
        let ambient = self.one(&o::CALLOUT_AMBIENT, parse::word(AMBIENT));
        let challenge = self.optional(&o::CALLOUT_CHALLENGE, parse::printable);
        let headers = self.once(&o::CALLOUT_HEADERS, headers?);
        Ok(Callout {
            name: name.to_owned(),
            at: at.clone(),
            url: url?,
            headers: values(headers),
            timeout: timeout?.value,
            ca_file: ca_file?,
            cache_ttl: cache_ttl?.value,
            ambient: ambient?.value,
            challenge: challenge?.map(|challenge| challenge.value),
        })
    }
}
