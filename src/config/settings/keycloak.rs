//! `[keycloak_auth_manager]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::location::Located;
use crate::secret::Secret;

/// `[keycloak_auth_manager]`. What stands in it may be anything while nothing asks for it.
#[derive(Debug, Clone)]
pub struct Keycloak {
    /// `server_url`, without slashes at its end.
    pub server_url: Option<Located<KeycloakUrl>>,
    /// `realm`.
    pub realm: Option<Located<String>>,
    /// `client_id`: Airflow's client there.
    pub client_id: Option<Located<String>>,
    /// `client_secret`. Not empty.
    pub client_secret: Option<Located<Secret>>,
    /// `jwt_federated_client_ids`: whose access tokens are exchanged. None by default.
    pub federated_clients: Vec<String>,
    /// `allowed_client_ids`: who may use `client_credentials` besides `client_id`. None by default.
    pub allowed_clients: Vec<String>,
    /// `ca_file`: whom to trust. Default: the system's.
    pub ca_file: Option<Located<PathBuf>>,
    /// `verify`: whether the server's certificate is looked at. Default on.
    pub verify: Located<bool>,
    /// `timeout` of one question. Default 5 s.
    pub timeout: Duration,
}

/// `server_url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeycloakUrl {
    /// As it was written, without slashes at its end: tokens name it in `iss`.
    pub text: String,
    /// Whether it is `https`.
    pub tls: bool,
    /// Name or address. An IPv6 address comes without its brackets.
    pub host: String,
}

/// The settings that nothing works without, all there.
#[derive(Debug, Clone, Copy)]
pub struct KeycloakClient<'a> {
    /// `server_url`.
    pub server_url: &'a Located<KeycloakUrl>,
    /// `realm`.
    pub realm: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// `client_secret`.
    pub client_secret: &'a Secret,
}

impl Keycloak {
    /// The client, if it is configured as a whole.
    pub fn client(&self) -> Option<KeycloakClient<'_>> {
        Some(KeycloakClient {
            server_url: self.server_url.as_ref()?,
            realm: &self.realm.as_ref()?.value,
            client_id: &self.client_id.as_ref()?.value,
            client_secret: &self.client_secret.as_ref()?.value,
        })
    }
}
