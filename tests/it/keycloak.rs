//! Keycloak: its servers, and what airgate does with it.

mod bearer;
mod browser;
pub mod latency;
mod log_in;
mod manual;
mod outages;
mod passwords;
mod rotation;
mod server;
mod sessions;
mod translated;

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::airflow::Airflow;
use crate::support::keycloak::{Keycloak, Realm, Tokens};
use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Upstream, airflow, ask, token};

/// The secret of all Airflows of the tests that have one.
const SECRET: &str = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789";

/// An airgate in front of an Airflow, with that Airflow's own configuration and more.
#[track_caller]
fn before(airflow: &Airflow, more: &str) -> Airgate {
    let cfg = airflow.config();
    patient(&airflow.url, &format!("[gate]\nairflow_cfg = \"{}\"\n{more}", cfg.display()))
}

/// An airgate that waits for a Keycloak that shares its cores with a compiler, say.
#[track_caller]
fn patient(upstream: &str, config: &str) -> Airgate {
    let setup = Airgate::with(format!("[upstream]\nurl = \"{upstream}\"\n{config}"));
    setup.arg("--set").arg("keycloak_auth_manager.timeout=25s").start()
}

/// Likewise, in front of the one with Keycloak's auth manager.
#[track_caller]
fn before_keycloak(more: &str) -> Airgate {
    before(airflow::keycloak(), more)
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A token as the Airflow of a realm issues it, with these tokens inside.
fn clients(user_id: &str, name: &str, access: &str, refresh: Option<&str>) -> String {
    let claims = json!({
        "user_id": user_id, "name": name, "access_token": access, "refresh_token": refresh,
        "jti": uuid(), "aud": "apache-airflow", "nbf": now() - 1000, "iat": now() - 1000, "exp": now() + 3600,
    });
    token::hs512(SECRET, &claims)
}

fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{:032x}",
        u128::from(std::process::id()) << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
    )
}

/// The claims of an access token with some changed, signed by the realm's own key.
fn altered(realm: &Realm<'_>, access: &str, changes: Value) -> String {
    let mut claims = token::read(access);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    realm.sign(&claims)
}

/// A client's token whose session lives, and whose access token ended ten minutes ago.
fn with_ended_inside(realm: &Realm<'_>, tokens: &Tokens) -> String {
    let claims = token::read(&tokens.access);
    let ended = altered(realm, &tokens.access, json!({ "iat": now() - 900, "exp": now() - 600 }));
    let text = |name: &str| claims[name].as_str().unwrap();
    clients(text("sub"), text("preferred_username"), &ended, tokens.refresh.as_deref())
}

/// In front of a Keycloak: answers some questions itself, and passes the others on.
fn front(keycloak: &Keycloak, itself: impl Fn(&Seen) -> Option<Vec<u8>> + Send + Sync + 'static) -> Upstream {
    let to = keycloak.address();
    Upstream::answering(move |seen| itself(seen).unwrap_or_else(|| passed_on(seen, to)))
}

fn passed_on(seen: &Seen, to: SocketAddr) -> Vec<u8> {
    let mut asked = ask(&seen.method, &seen.target);
    for (name, value) in &seen.headers {
        if !matches!(name.as_str(), "connection" | "content-length" | "transfer-encoding" | "accept-encoding")
        {
            asked = asked.with(name, value);
        }
    }
    if !seen.body.is_empty() {
        asked = asked.body(&seen.body);
    }
    let given = asked.send(to);
    let told = ["content-type", "www-authenticate"];
    let headers: Vec<_> = told.iter().filter_map(|name| Some((*name, given.header(name)?))).collect();
    answer(given.status, &headers, &given.text())
}

/// An upstream that answers with the claims of the token that it is given.
fn mirror() -> Upstream {
    Upstream::answering(|seen: &Seen| {
        let claims = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        answer(200, &[], &claims.map_or(Value::Null, token::read).to_string())
    })
}
