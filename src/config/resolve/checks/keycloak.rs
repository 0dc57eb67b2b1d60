//! Keycloak: what is missing, and what contradicts.

use super::{is_loopback, lacks_users, mintable};
use crate::config::layer::Findings;
use crate::config::options as o;
use crate::config::settings::*;

/// Why what Keycloak does not vouch for cannot be given to Airflow's keycloak auth manager.
pub const NOT_OF_KEYCLOAK: &str = "cannot work with the auth manager keycloak: Airflow asks Keycloak for each right, with a live \
     token of that very user, and only Keycloak gives one";

pub fn check(settings: &Settings, findings: &mut Findings) {
    let keycloak = &settings.keycloak;
    airflow_2(settings, findings);
    missing(settings, findings);
    source(settings, findings);
    if keycloak.client().is_some() && !settings.asks_keycloak() {
        if let Some(url) = &keycloak.server_url {
            let manager = o::UPSTREAM_AUTH_MANAGER.title();
            let message = format!(
                "{} has no effect: {manager} is not keycloak, and no token is signed here",
                o::KEYCLOAK_SERVER_URL.title()
            );
            findings.warn(&url.at, message);
        }
        return;
    }
    tls(keycloak, findings);
}

fn airflow_2(settings: &Settings, findings: &mut Findings) {
    let manager = &settings.upstream.auth_manager;
    match (settings.release(), manager.value) {
        (Release::Airflow2, AuthManager::Keycloak) => {
            let (title, version) = (o::UPSTREAM_AUTH_MANAGER.title(), o::UPSTREAM_AIRFLOW.title());
            let message = format!("{title}: keycloak is for Airflow from version 3 on, and {version} is 2");
            findings.errors.push(&manager.at, message);
        }
        (Release::Airflow2 | Release::Airflow3, _) => {}
    }
}

/// The source `keycloak`: a client to ask by, and a way to tell Airflow who it is.
fn source(settings: &Settings, findings: &mut Findings) {
    let sources = &settings.basic.sources;
    let Some(source) = sources.iter().find(|source| source.value == BasicSource::Keycloak) else { return };
    let title = o::BASIC_SOURCES.title();
    let mut refuse = |why: &str| findings.errors.push(&source.at, format!("{title}: keycloak {why}"));
    match (settings.release(), settings.upstream.auth_manager.value) {
        (Release::Airflow2, _) => {
            let version = o::UPSTREAM_AIRFLOW.title();
            refuse(&format!("cannot work with Airflow 2, which takes no tokens, and {version} is 2"));
        }
        (Release::Airflow3, _) if settings.keycloak.client().is_none() => {
            refuse("needs [keycloak_auth_manager] server_url, realm, client_id and client_secret")
        }
        (Release::Airflow3, AuthManager::Keycloak) if !settings.mints() => {
            let (key, identity) = (super::SIGNING_KEY, o::UPSTREAM_IDENTITY.title());
            refuse(&format!("needs {key}, and {identity} auto or mint"));
        }
        (Release::Airflow3, AuthManager::Keycloak) => {}
        (Release::Airflow3, AuthManager::Simple | AuthManager::Fab) => match mintable(settings) {
            Err(reason) => refuse(&reason),
            Ok(()) if lacks_users(settings) => {
                let users = o::CORE_SIMPLE_AUTH_MANAGER_USERS.title();
                refuse(&format!("needs {users}, which says who there is and with which role"));
            }
            Ok(()) => {}
        },
    }
}

/// All or nothing; and with a key, so that tokens are issued here, all.
fn missing(settings: &Settings, findings: &mut Findings) {
    let keycloak = &settings.keycloak;
    let parts = [
        (&o::KEYCLOAK_SERVER_URL, keycloak.server_url.as_ref().map(|value| &value.at)),
        (&o::KEYCLOAK_REALM, keycloak.realm.as_ref().map(|value| &value.at)),
        (&o::KEYCLOAK_CLIENT_ID, keycloak.client_id.as_ref().map(|value| &value.at)),
        (&o::KEYCLOAK_CLIENT_SECRET, keycloak.client_secret.as_ref().map(|value| &value.at)),
    ];
    let lacking: Vec<_> = parts.iter().filter(|(_, at)| at.is_none()).map(|(option, _)| option.key).collect();
    if lacking.is_empty() {
        return;
    }
    let manager = &settings.upstream.auth_manager;
    let title = o::UPSTREAM_AUTH_MANAGER.title();
    let lacking = lacking.join(", ");
    match (manager.value, settings.upstream.identity.value) {
        (AuthManager::Keycloak, IdentityMode::Mint | IdentityMode::Auto) if settings.api_auth.can_sign() => {
            let message = format!(
                "{title}: keycloak needs [keycloak_auth_manager] {lacking}, as Airflow has them, or {} exchange",
                o::UPSTREAM_IDENTITY.title()
            );
            findings.errors.push(&manager.at, message);
        }
        (AuthManager::Keycloak | AuthManager::Simple | AuthManager::Fab, _) => {
            if let Some(at) = parts.iter().find_map(|(_, at)| *at).filter(|_| settings.asks_keycloak()) {
                findings.errors.push(at, format!("[keycloak_auth_manager] lacks {lacking}"));
            }
        }
    }
}

fn tls(keycloak: &Keycloak, findings: &mut Findings) {
    let Some(url) = &keycloak.server_url else { return };
    let (title, verify) = (o::KEYCLOAK_SERVER_URL.title(), o::KEYCLOAK_VERIFY.title());
    if !url.value.tls && !is_loopback(&url.value.host) {
        let message = format!("{title}: http: passwords and tokens cross the network in the clear");
        findings.warn(&url.at, message);
    }
    if let Some(file) = &keycloak.ca_file {
        let reason = match (url.value.tls, keycloak.verify.value) {
            (false, _) => Some(format!("{title} is not https")),
            (true, false) => Some(format!("{verify} is false")),
            (true, true) => None,
        };
        if let Some(reason) = reason {
            findings.warn(&file.at, format!("{} has no effect: {reason}", o::KEYCLOAK_CA_FILE.title()));
        }
    }
    if url.value.tls && !keycloak.verify.value {
        let message = format!(
            "{verify} = false: THE CERTIFICATE OF KEYCLOAK IS NOT VERIFIED. Whoever sits in between reads every \
             password, and can let in anybody. Name its authority in {} instead",
            o::KEYCLOAK_CA_FILE.title()
        );
        findings.warn(&keycloak.verify.at, message);
    }
}
