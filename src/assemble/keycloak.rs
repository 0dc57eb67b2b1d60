//! `[keycloak_auth_manager]`: a client of the realm, and what verifies its tokens.

use std::sync::Arc;

use super::Kept;
use crate::auth::basic::check::{PasswordCheck, Source};
use crate::auth::basic::keycloak::{Keeps, KeycloakPasswords};
use crate::auth::jwt::{IssuerSettings, JwksSource, Verifier};
use crate::auth::keycloak::Realm;
use crate::auth::keycloak::grants::{Assertions, Clients, Grants, Steady};
use crate::config::Errors;
use crate::config::settings::{AuthManager, Settings};
use crate::ports::keycloak as port;
use crate::ports::upstream::Ca;

/// What concerns the realm.
pub(super) struct Keycloak {
    /// The realm, asked on connections that survive a reload.
    pub realm: Arc<Realm>,
    /// Verifies its access tokens as the provider does: RS256, `iss` the realm, `aud` the client.
    pub tokens: Arc<Verifier>,
    /// Its issuer.
    pub name: String,
}

impl Keycloak {
    /// The source of passwords of its users, whose refusals all take the same time.
    pub fn passwords(&self, settings: &Settings) -> Arc<dyn Source> {
        let keeps = match settings.upstream.auth_manager.value {
            AuthManager::Keycloak => Keeps::Tokens,
            AuthManager::Simple | AuthManager::Fab => Keeps::Name,
        };
        let client = settings.keycloak.client_id.as_ref().map_or("", |id| &id.value);
        let name = format!("{client} of {}", self.name);
        steady(KeycloakPasswords::new(self.realm.clone(), &name, keeps), settings)
    }

    /// The grants of the token endpoints. `check` makes what counts failures and remembers log-ins.
    pub fn grants(
        &self,
        settings: &Settings,
        kept: &Kept,
        check: impl Fn(Arc<dyn Source>) -> PasswordCheck,
    ) -> Grants {
        let from = &settings.keycloak;
        let configured = from.client_id.as_ref().map_or("", |id| &id.value);
        let clients = Clients::new(self.realm.clone(), &self.name, configured, &from.allowed_clients);
        let assertions =
            Assertions::new(self.realm.clone(), self.tokens.clone(), &from.federated_clients, from.timeout);
        Grants::new(
            check(self.passwords(settings)),
            check(steady(clients, settings)),
            assertions,
            kept.cache.clone(),
            kept.runtime.clone(),
        )
    }
}

fn steady(source: impl Source + 'static, settings: &Settings) -> Arc<dyn Source> {
    Arc::new(Steady::new(Arc::new(source), settings.keycloak.timeout))
}

/// The realm, if anything asks it.
pub(super) fn keycloak(settings: &Settings, kept: &Kept, errors: &mut Errors) -> Option<Keycloak> {
    let from = &settings.keycloak;
    let client = from.client().filter(|_| settings.asks_keycloak())?;
    let ca = match &from.ca_file {
        Some(path) => {
            let read = || {
                let pem = std::fs::read(&path.value)?;
                Ca::parse(&pem).map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(pem)
            };
            match read() {
                Ok(pem) => Some(pem),
                Err(error) => {
                    errors.push(&path.at, format!("{}: {error}", path.value.display()));
                    return None;
                }
            }
        }
        None => None,
    };
    let built = kept.keycloak(port::Settings {
        server_url: client.server_url.value.text.clone(),
        realm: client.realm.to_owned(),
        client_id: client.client_id.to_owned(),
        client_secret: client.client_secret.clone(),
        ca,
        verify: from.verify.value,
        // Leaves a tenth for what is around it, so that it is known who did not answer.
        timeout: from.timeout * 9 / 10,
    });
    let at = &client.server_url.at;
    let built = built.and_then(|port| Ok((port.settings().certs()?, port)));
    let (certs, port) = built.map_err(|error| errors.push(at, error.to_string())).ok()?;
    let tokens = IssuerSettings {
        issuer: port.settings().issuer(),
        jwks: JwksSource::Url(certs),
        audience: vec![client.client_id.to_owned()],
        algorithms: vec!["RS256".to_owned()],
        username_claim: "sub".to_owned(),
        username_prefix: String::new(),
        leeway: std::time::Duration::ZERO,
    }
    .build(|source| kept.realm_keys(source, &port));
    match tokens {
        Ok(tokens) => {
            let name = port.settings().issuer();
            Some(Keycloak { realm: Realm::new(port, &name), name, tokens })
        }
        Err(found) => {
            for error in found {
                errors.push(at, error.to_string());
            }
            None
        }
    }
}
