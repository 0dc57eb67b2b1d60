//! `[limits]`.

use super::parse;
use super::reader::{Reader, Resolved};
use crate::config::options as o;
use crate::config::settings::{LARGEST_BODY, Limits};

impl Reader<'_> {
    pub(super) fn limits(&mut self) -> Resolved<Limits> {
        let header_timeout = self.one(&o::LIMITS_HEADER_TIMEOUT, parse::some_duration);
        let max_headers = self.one(&o::LIMITS_MAX_HEADERS, parse::number::<usize>(1, 256));
        let max_body = self.one(&o::LIMITS_MAX_BODY, parse::number::<usize>(1, LARGEST_BODY as i128));
        let max_translated_body =
            self.one(&o::LIMITS_MAX_TRANSLATED_BODY, parse::number::<usize>(1, LARGEST_BODY as i128));
        let connections = self.one(&o::LIMITS_MAX_CONNECTIONS, parse::number_or_none(10_000_000));
        let per_address = self.one(&o::LIMITS_MAX_CONNECTIONS_PER_ADDRESS, parse::number_or_none(10_000_000));
        let requests_per_user = self.optional(&o::LIMITS_REQUESTS_PER_USER, parse::request_rate);
        Ok(Limits {
            header_timeout: header_timeout?.value,
            max_headers: max_headers?.value,
            max_body: max_body?.value,
            max_translated_body: max_translated_body?.value,
            max_connections: connections?.value,
            max_connections_per_address: per_address?.value,
            requests_per_user: requests_per_user?.map(|rate| rate.value),
        })
    }
}
