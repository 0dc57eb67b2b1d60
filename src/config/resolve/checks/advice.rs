//! What is allowed, and seldom what was meant.

use std::time::Duration;

use crate::config::layer::Findings;
use crate::config::options as o;
use crate::config::settings::*;

/// Adds a warning for each.
pub fn check(settings: &Settings, findings: &mut Findings) {
    cors(settings, findings);
    short_secrets(settings, findings);
    idle_timeout(settings, findings);
}

/// Origins whose pages can ask for next to nothing, as in Airflow.
fn cors(settings: &Settings, findings: &mut Findings) {
    let Some(cors) = &settings.api.cors else { return };
    let Some(origin) = cors.origins.first() else { return };
    let (origins, methods, headers) = (
        o::API_ACCESS_CONTROL_ALLOW_ORIGINS.title(),
        o::API_ACCESS_CONTROL_ALLOW_METHODS.title(),
        o::API_ACCESS_CONTROL_ALLOW_HEADERS.title(),
    );
    if cors.methods.is_empty() {
        let message = format!(
            "{origins}: {methods} is empty, so every preflight gets 400, for GET too, as from Airflow"
        );
        findings.warn(&origin.at, message);
    }
    if cors.headers.is_empty() {
        let message = format!(
            "{origins}: {headers} is empty, so a preflight that asks for Authorization gets 400, as from Airflow"
        );
        findings.warn(&origin.at, message);
    }
    for method in cors.methods.iter().filter(|method| method.bytes().any(|byte| byte.is_ascii_lowercase())) {
        let message = format!(
            "{methods}: {:?} allows nothing: methods are compared letter by letter, and are in upper case",
            method.value
        );
        findings.warn(&method.at, message);
    }
}

/// Secrets that are shorter than what they are hashed to (RFC 7518, section 3.2). PyJWT in Airflow warns of the
/// same ones. Nothing of a secret is told, its length neither.
fn short_secrets(settings: &Settings, findings: &mut Findings) {
    let auth = &settings.api_auth;
    let is_used = auth.jwt_private_key_path.is_none() && auth.trusted_jwks_url.is_none();
    match settings.release() {
        Release::Airflow3 if is_used => {}
        Release::Airflow2 | Release::Airflow3 => return,
    }
    // Without any, what Airflow guesses.
    let guess = auth.jwt_algorithms.is_empty().then_some(JwtAlgorithm::Hs512);
    let hashes = auth.jwt_algorithms.iter().map(|algorithm| algorithm.value).chain(guess);
    let needed = hashes.filter_map(|algorithm| Some((shortest_secret(algorithm)?, algorithm)));
    let Some((bytes, algorithm)) = needed.max_by_key(|(bytes, _)| *bytes) else { return };
    for secret in auth.jwt_secrets.iter().filter(|secret| secret.expose().len() < bytes) {
        let message = format!(
            "{}: shorter than the {bytes} bytes that {} asks for (RFC 7518, section 3.2). Whoever has a token can \
             try to guess a short one",
            o::API_AUTH_JWT_SECRET.title(),
            algorithm.as_str()
        );
        findings.warn(&secret.at, message);
    }
}

/// How long a secret must be, in bytes. None for what takes no secret.
fn shortest_secret(algorithm: JwtAlgorithm) -> Option<usize> {
    match algorithm {
        JwtAlgorithm::Hs256 => Some(32),
        JwtAlgorithm::Hs384 => Some(48),
        JwtAlgorithm::Hs512 => Some(64),
        JwtAlgorithm::Rs256
        | JwtAlgorithm::Rs384
        | JwtAlgorithm::Rs512
        | JwtAlgorithm::Ps256
        | JwtAlgorithm::Ps384
        | JwtAlgorithm::Ps512
        | JwtAlgorithm::Es256
        | JwtAlgorithm::Es384
        | JwtAlgorithm::EdDsa => None,
    }
}

/// How long Airflow 3's `api-server` keeps an unused connection, unless it is told otherwise.
const WORKER_TIMEOUT: Duration = Duration::from_secs(120);

/// Connections that are kept for longer than Airflow keeps them.
fn idle_timeout(settings: &Settings, findings: &mut Findings) {
    let idle = &settings.upstream.idle_timeout;
    if idle.value >= WORKER_TIMEOUT {
        let message = format!(
            "{}: Airflow's api-server closes unused connections after [api] worker_timeout, {} s by default. A \
             change that is sent on one that is being closed gets 502: stay below",
            o::UPSTREAM_IDLE_TIMEOUT.title(),
            WORKER_TIMEOUT.as_secs()
        );
        findings.warn(&idle.at, message);
    }
}
