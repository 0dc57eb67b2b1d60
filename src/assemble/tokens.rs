//! `[api_auth]` and `[[jwt.issuers]]`: keys, and what verifies and signs with them.

use std::sync::Arc;

use super::Kept;
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
