//! Keycloak's sessions, and its own tokens as credentials.

use std::sync::Arc;

use super::Kept;
use super::keycloak::Keycloak;
use crate::auth::basic::keycloak::Keeps;
use crate::auth::jwt::Inside;
use crate::auth::keycloak::bearer::{RealmTokens, RealmTokensSettings};
use crate::auth::keycloak::sessions::{Client, Sessions};
use crate::auth::keycloak::shared::SharedSessions;
use crate::config::Errors;
use crate::config::settings::{AuthManager, Settings};
use crate::ports::redis::Redis;

/// What an upstream with this auth manager needs of a log-in at Keycloak.
pub(super) fn keeps(settings: &Settings) -> Keeps {
    match settings.upstream.auth_manager.value {
        AuthManager::Keycloak => Keeps::Tokens,
        AuthManager::Simple | AuthManager::Fab => Keeps::Name,
    }
}

/// What Airflow's own tokens have inside.
pub(super) fn inside(settings: &Settings) -> Inside {
    match settings.upstream.auth_manager.value {
        AuthManager::Keycloak => Inside::Keycloak,
        AuthManager::Simple | AuthManager::Fab => Inside::Nothing,
    }
}

/// The sessions that keep tokens alive, for an upstream that needs them.
pub(super) fn sessions(
    settings: &Settings,
    kept: &Kept,
    keycloak: Option<&Keycloak>,
    redis: Option<&Arc<Redis>>,
    errors: &mut Errors,
) -> Option<Arc<Sessions>> {
    let keycloak = keycloak.filter(|_| keeps(settings) == Keeps::Tokens)?;
    let configured = settings.keycloak.client()?;
    let client = Client { id: configured.client_id.into(), secret: configured.client_secret.clone() };
    let shared = match (redis, &settings.redis) {
        (Some(redis), Some(from)) => {
            let keep = settings.api_auth.jwt_expiration_time.max(settings.api_auth.jwt_cli_expiration_time);
            let made = SharedSessions::new(redis.clone(), &from.secret, keep, settings.keycloak.timeout);
            match made {
                Ok(shared) => Some(shared),
                Err(error) => {
                    errors.push(&from.url.at, error.to_string());
                    None
                }
            }
        }
        (Some(_) | None, _) => None,
    };
    let memory = kept.sessions(&format!("{} of {}", configured.client_id, keycloak.name));
    Some(Sessions::new(keycloak.realm.clone(), client, memory, shared, kept.runtime.clone()))
}

/// The realm's access tokens as credentials.
pub(super) fn realm_tokens(
    settings: &Settings,
    kept: &Kept,
    keycloak: Option<&Keycloak>,
) -> Option<RealmTokens> {
    let keycloak = keycloak.filter(|_| settings.mints())?;
    let from = &settings.keycloak;
    let configured = from.client()?.client_id;
    let listed = from.federated_clients.iter().chain(&from.allowed_clients).map(String::as_str);
    let tokens = RealmTokensSettings {
        issuer: keycloak.name.as_str().into(),
        verifier: keycloak.tokens.clone(),
        clients: std::iter::once(configured).chain(listed).map(Box::from).collect(),
        keeps: keeps(settings),
        ttl: settings.basic.cache_ttl.unwrap_or_default(),
    };
    Some(RealmTokens::new(tokens, keycloak.realm.clone(), kept.cache.clone(), kept.runtime.clone()))
}
