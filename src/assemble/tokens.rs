//! `[api_auth]` and `[[jwt.issuers]]`: keys, and what verifies and signs with them.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::Kept;
use super::kept::Basis;
use crate::auth::database::AirflowDatabase;
use crate::auth::jwt::{
    AuthManager as Claims, IssuerSettings, JwksSource, PrivateKey, Settings as JwtSettings, SettingsError,
    Tokens, Verifier,
};
use crate::config::settings::{self, Settings};
use crate::config::{Errors, Located, Location};

pub(super) fn tokens(
    settings: &Settings,
    kept: &Kept,
    database: Option<&AirflowDatabase>,
    errors: &mut Errors,
) -> Tokens {
    let auth = &settings.api_auth;
    let private_key = auth.jwt_private_key_path.as_ref().and_then(|path| {
        PrivateKey::read(path).map_err(|error| errors.push(&path.at, error.to_string())).ok()
    });
    if auth.jwt_private_key_path.is_some() && private_key.is_none() {
        return Tokens { verifier: None, signer: None };
    }
    let place = auth
        .jwt_private_key_path
        .as_ref()
        .map(|p| &p.at)
        .or_else(|| auth.trusted_jwks_url.as_ref().map(|u| &u.at))
        .or_else(|| auth.jwt_secrets.first().map(|s| &s.at))
        .unwrap_or(&Location::Default)
        .clone();
    let built = JwtSettings {
        secrets: auth.jwt_secrets.iter().map(|secret| secret.value.clone()).collect(),
        private_key,
        jwks: auth.trusted_jwks_url.as_ref().and_then(|source| keys_source(source, errors)),
        algorithms: auth.jwt_algorithms.iter().map(|a| a.value.as_str().to_owned()).collect(),
        kid: auth.jwt_kid.clone(),
        issuers: auth.jwt_issuers.clone(),
        audience: auth.jwt_audiences.clone(),
        leeway: auth.jwt_leeway,
        auth_manager: match settings.upstream.auth_manager.value {
            settings::AuthManager::Simple => Claims::Simple,
            settings::AuthManager::Fab => Claims::Fab,
            settings::AuthManager::Keycloak => Claims::Keycloak,
        },
        revoked: database.map(|database| database.revoked().clone()),
    }
    .build(|source| kept.store(source));
    built.unwrap_or_else(|found| {
        say(&found, &place, errors);
        Tokens { verifier: None, signer: None }
    })
}

/// What tokens are judged by and signed with: keys, rules, and whose list of revoked ones is followed. Where two
/// are equal, what was found out about a token on the one holds on the other. Places in files play no part.
pub(super) fn basis(settings: &Settings, database: Option<&AirflowDatabase>) -> Basis {
    let auth = &settings.api_auth;
    let mut digest = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        digest.update(&part.len().to_be_bytes());
        digest.update(part);
    };
    for secret in &auth.jwt_secrets {
        add(secret.value.expose().as_bytes());
    }
    // Read once more: what cannot be read is an error elsewhere.
    let key = auth.jwt_private_key_path.as_ref().map(|path| std::fs::read(&path.value).unwrap_or_default());
    add(&key.unwrap_or_default());
    let algorithms: Vec<_> = auth.jwt_algorithms.iter().map(|algorithm| algorithm.value).collect();
    let jwks = auth.trusted_jwks_url.as_ref().map(|source| &source.value);
    let rules = (&auth.jwt_kid, &auth.jwt_issuers, &auth.jwt_audiences, auth.jwt_leeway);
    let manager = (settings.upstream.auth_manager.value, settings.release());
    add(format!("{jwks:?} {algorithms:?} {rules:?} {manager:?}").as_bytes());
    for issuer in &settings.jwt_issuers {
        let rules = (&issuer.algorithms, &issuer.username_claim, &issuer.username_prefix);
        add(format!("{} {:?} {:?} {rules:?}", issuer.issuer, issuer.jwks.value, issuer.audiences).as_bytes());
    }
    let realm = &settings.keycloak;
    let place = realm.server_url.as_ref().map(|url| &url.value.text);
    let client =
        (&realm.realm.as_ref().map(|name| &name.value), &realm.client_id.as_ref().map(|id| &id.value));
    let clients = (&realm.federated_clients, &realm.allowed_clients);
    let asked = (settings.upstream.identity.value, settings.basic.cache_ttl);
    add(format!("{place:?} {client:?} {clients:?} {asked:?}").as_bytes());
    add(realm.client_secret.as_ref().map_or(&[][..], |secret| secret.value.expose().as_bytes()));
    // The same list is the same place in memory: what is remembered keeps it there.
    add(format!("{:?}", database.map(|database| Arc::as_ptr(database.revoked()))).as_bytes());
    let mut basis = Basis::default();
    basis.copy_from_slice(digest.finish().as_ref());
    basis
}

pub(super) fn issuers(
    settings: &Settings,
    kept: &Kept,
    errors: &mut Errors,
) -> Vec<(Arc<str>, Arc<Verifier>)> {
    let mut verifiers = Vec::new();
    for issuer in &settings.jwt_issuers {
        let Some(jwks) = keys_source(&issuer.jwks, errors) else { continue };
        let built = IssuerSettings {
            issuer: issuer.issuer.clone(),
            jwks,
            audience: issuer.audiences.clone(),
            algorithms: issuer.algorithms.iter().map(|a| a.as_str().to_owned()).collect(),
            username_claim: issuer.username_claim.clone(),
            username_prefix: issuer.username_prefix.clone(),
            leeway: settings.api_auth.jwt_leeway,
        }
        .build(|source| kept.store(source));
        match built {
            Ok(verifier) => verifiers.push((issuer.issuer.as_str().into(), verifier)),
            Err(found) => say(&found, &issuer.at, errors),
        }
    }
    verifiers
}

fn keys_source(source: &Located<settings::JwksSource>, errors: &mut Errors) -> Option<JwksSource> {
    match &source.value {
        settings::JwksSource::Url(url) => {
            JwksSource::parse(url).map_err(|error| errors.push(&source.at, error.to_string())).ok()
        }
        settings::JwksSource::File(path) => Some(JwksSource::File(path.clone())),
    }
}

fn say(found: &[SettingsError], at: &Location, errors: &mut Errors) {
    for error in found {
        errors.push(at, error.to_string());
    }
}
