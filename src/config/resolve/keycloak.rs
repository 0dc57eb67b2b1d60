//! `[keycloak_auth_manager]`.

use super::parse;
use super::reader::{Reader, Resolved, values};
use crate::config::options as o;
use crate::config::settings::Keycloak;
use crate::secret::Secret;

impl Reader<'_> {
    pub(super) fn keycloak(&mut self) -> Resolved<Keycloak> {
        let server_url = self.optional(&o::KEYCLOAK_SERVER_URL, parse::keycloak_url);
        let realm = self.optional(&o::KEYCLOAK_REALM, parse::text);
        let client_id = self.optional(&o::KEYCLOAK_CLIENT_ID, parse::text);
        let client_secret = self.optional(&o::KEYCLOAK_CLIENT_SECRET, parse::text);
        let federated = self.list(&o::KEYCLOAK_JWT_FEDERATED_CLIENT_IDS, parse::text);
        let allowed = self.list(&o::KEYCLOAK_ALLOWED_CLIENT_IDS, parse::text);
        let ca_file = self.file_read_once(&o::KEYCLOAK_CA_FILE);
        let verify = self.one(&o::KEYCLOAK_VERIFY, parse::boolean);
        let timeout = self.one(&o::KEYCLOAK_TIMEOUT, parse::some_duration);
        Ok(Keycloak {
            server_url: server_url?,
            realm: realm?,
            client_id: client_id?,
            client_secret: client_secret?.map(|secret| secret.map(Secret::new)),
            federated_clients: values(federated?),
            allowed_clients: values(allowed?),
            ca_file: ca_file?,
            verify: verify?,
            timeout: timeout?.value,
        })
    }
}
