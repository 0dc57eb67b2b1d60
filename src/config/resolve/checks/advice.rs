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

/// The shortest secret, in bytes, of which nothing is said. RFC 7518, section 3.2, asks for as many as the hash has; but
/// the one that Airflow writes into the `airflow.cfg` that it makes has 24, from 16 random ones, which nobody guesses.
const SHORTEST_SECRET: usize = 16;

/// Secrets that can be guessed. Nothing of a secret is told, its length neither.
fn short_secrets(settings: &Settings, findings: &mut Findings) {
    let auth = &settings.api_auth;
    let is_used = auth.jwt_private_key_path.is_none() && auth.trusted_jwks_url.is_none();
    match settings.release() {
        Release::Airflow3 if is_used => {}
        Release::Airflow2 | Release::Airflow3 => return,
    }
    for secret in auth.jwt_secrets.iter().filter(|secret| secret.expose().len() < SHORTEST_SECRET) {
        let message = format!(
            "{}: shorter than {SHORTEST_SECRET} bytes. Whoever has a token can try to guess it: take 64 random ones",
            o::API_AUTH_JWT_SECRET.title()
        );
        findings.warn(&secret.at, message);
    }
}

/// How long Airflow 3's `api-server` keeps an unused connection, unless it is told otherwise.
const WORKER_TIMEOUT: Duration = Duration::from_secs(120);

/// Connections that are kept for longer than Airflow keeps them.
fn idle_timeout(settings: &Settings, findings: &mut Findings) {
    match settings.release() {
        Release::Airflow3 => {}
        // Its webserver closes each at once, and says so.
        Release::Airflow2 => return,
    }
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
