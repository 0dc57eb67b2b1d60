//! Keys that change, and keys that nobody has.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{SECRET, front, mirror, now, patient};
use crate::support::keycloak::sign_with;
use crate::support::{Connection, get, keycloak};

/// Tokens of a new key work, within the ten seconds for which the keys are not fetched again; those of a key that was
/// taken away fail from then on.
#[test]
fn keys_are_rotated() {
    let realm = keycloak::shared().realm_of_its_own(|_| {});
    let mirror = mirror();
    let config = format!(
        "[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"viewer:viewer\"\n{}\
         allowed_client_ids = [\"cli\"]\n[basic]\ncache_ttl = \"0s\"\n",
        realm.section()
    );
    let airgate = patient(&mirror.url(), &config);
    let log_in = || realm.log_in_by("cli", "viewer", "viewer-pw").access;
    let status = |token: &str| airgate.send(get("/api/v2/pools").bearer(token)).status;
    let old = log_in();
    assert_eq!(status(&old), 200);
    realm.add_key(200);
    realm.remove_key(&realm.key("fixture-rsa"));
    let new = log_in();
    let began = std::time::Instant::now();
    airgate.until("a token of the new key works", |_| status(&new) == 200);
    assert!(began.elapsed().as_secs() <= 15, "{:?}", began.elapsed());
    assert_eq!(status(&old), 403);
}

/// Ten thousand tokens, each with a key of its own that nobody knows, have the keys fetched once in ten seconds at most.
#[test]
fn unknown_keys_are_seldom_looked_for() {
    let fetched: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let times = fetched.clone();
    let keycloak = front(keycloak::shared(), move |seen| {
        if seen.target.ends_with("/certs") {
            times.lock().unwrap().push(Instant::now());
        }
        None
    });
    let realm = keycloak::shared().airflow();
    let section = realm.section().replace(&keycloak::shared().url, &keycloak.url());
    let config = format!("auth_manager = \"keycloak\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{section}");
    let mirror = mirror();
    let airgate = patient(&mirror.url(), &config);
    let claims = json!({
        "iss": format!("{}/realms/airflow", keycloak.url()), "aud": "airflow", "azp": "airflow", "typ": "Bearer",
        "sub": "u", "preferred_username": "admin", "iat": now(), "exp": now() + 600,
    });
    let signed = sign_with("KID", &claims);
    let (_, rest) = signed.split_once('.').unwrap();
    let header = |number: usize| {
        let head = json!({ "alg": "RS256", "typ": "JWT", "kid": format!("unknown-{number}") });
        URL_SAFE_NO_PAD.encode(head.to_string())
    };
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (airgate, header) = (&airgate, &header);
            scope.spawn(move || {
                let mut connection = Connection::open(airgate.address()).unwrap();
                for number in (part * 2500)..(part + 1) * 2500 {
                    let ask = get("/api/v2/pools").bearer(&format!("{}.{rest}", header(number)));
                    connection.write(&ask.bytes(airgate.address())).unwrap();
                    assert_eq!(connection.read("GET").unwrap().status, 403);
                }
            });
        }
    });
    let fetched = fetched.lock().unwrap();
    assert!(!fetched.is_empty());
    for pair in fetched.windows(2) {
        // as the answers come, which the attempts are counted from
        assert!(pair[1] - pair[0] > Duration::from_millis(9500), "{:?}", pair[1] - pair[0]);
    }
}
