//! `[redis]`.

use super::parse;
use super::reader::{Failed, Reader, Resolved};
use crate::config::options as o;
use crate::config::settings::{ApiAuth, Redis};
use crate::secret::Secret;

impl Reader<'_> {
    pub(super) fn redis(&mut self, api_auth: Option<&ApiAuth>) -> Resolved<Option<Redis>> {
        let url = self.optional(&o::REDIS_URL, parse::redis_url);
        let ca_file = self.file_read_once(&o::REDIS_CA_FILE);
        let secret = self.optional(&o::REDIS_SECRET, parse::text);
        let timeout = self.one(&o::REDIS_TIMEOUT, parse::some_duration);
        let (url, ca_file, secret, timeout) = (url?, ca_file?, secret?, timeout?);
        let Some(url) = url else { return Ok(None) };
        let own = secret.map(|secret| Secret::new(secret.value));
        let airflows = api_auth.and_then(|api_auth| api_auth.jwt_secrets.first()).map(|s| s.value.clone());
        let found = own.or(airflows).or_else(|| url.value.password.clone());
        let Some(secret) = found else {
            let message = format!(
                "{}: names are hashed before Redis gets them, for which replicas need something in common that is \
                 secret: {}, {}, or a password in the URL",
                o::REDIS_URL.title(),
                o::REDIS_SECRET.title(),
                o::API_AUTH_JWT_SECRET.title()
            );
            self.findings.errors.push(&url.at, message);
            return Err(Failed);
        };
        Ok(Some(Redis { url, ca_file, secret, timeout: timeout.value }))
    }
}
