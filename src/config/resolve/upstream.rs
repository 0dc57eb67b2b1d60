//! `[upstream]`.

use super::parse;
use super::reader::{Reader, Resolved};
use crate::config::options as o;
use crate::config::settings::{IdentityMode, Release, Upstream};

const IDENTITIES: &[(&str, IdentityMode)] = &[
    ("auto", IdentityMode::Auto),
    ("mint", IdentityMode::Mint),
    ("exchange", IdentityMode::Exchange),
    ("passthrough", IdentityMode::Passthrough),
];

impl Reader<'_> {
    /// `found` is which Airflow it has said to be.
    pub(super) fn upstream(&mut self, found: Option<Release>) -> Resolved<Upstream> {
        let urls = self.some(&o::UPSTREAM_URL, parse::upstream_url);
        let airflow = self.one(&o::UPSTREAM_AIRFLOW, |text| parse::airflow(text, found));
        let identity = self.one(&o::UPSTREAM_IDENTITY, parse::word(IDENTITIES));
        let auth_manager = match self.optional(&o::UPSTREAM_AUTH_MANAGER, parse::auth_manager) {
            Ok(Some(manager)) => Ok(manager),
            Ok(None) => self.one(&o::CORE_AUTH_MANAGER, parse::auth_manager),
            Err(failed) => Err(failed),
        };
        let ca_file = self.file_read_once(&o::UPSTREAM_CA_FILE);
        let server_name = match self.given(&o::UPSTREAM_SERVER_NAME) {
            Ok(Some(given)) => self.parsed(&o::UPSTREAM_SERVER_NAME, given, &parse::server_name).map(Some),
            Ok(None) => Ok(None),
            Err(failed) => Err(failed),
        };
        let connect_timeout = self.one(&o::UPSTREAM_CONNECT_TIMEOUT, parse::some_duration);
        let read_timeout = self.one(&o::UPSTREAM_READ_TIMEOUT, parse::some_duration);
        let idle_timeout = self.one(&o::UPSTREAM_IDLE_TIMEOUT, parse::some_duration);
        Ok(Upstream {
            urls: urls?,
            airflow: airflow?.value,
            identity: identity?,
            auth_manager: auth_manager?,
            ca_file: ca_file?,
            server_name: server_name?,
            connect_timeout: connect_timeout?.value,
            read_timeout: read_timeout?.value,
            idle_timeout: idle_timeout?,
        })
    }
}
