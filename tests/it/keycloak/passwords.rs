//! `--user` with a name and password of Keycloak's.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{before, before_keycloak};
use crate::support::{Airgate, airflow, get, keycloak, post};

const POOLS: &str = "/api/v2/pools";

fn check(airgate: &Airgate, rows: &[(&str, &str, u16, u16)]) {
    for (user, password, reads, makes) in rows {
        let read = airgate.send(get(POOLS).basic(user, password));
        assert_eq!(read.status, *reads, "{user}: {}", read.text());
        let made = airgate.send(post(POOLS).basic(user, password).json(json!({})));
        assert_eq!(made.status, *makes, "{user}: {}", made.text());
    }
}

#[test]
fn with_keycloaks_auth_manager() {
    let airgate = before_keycloak("[basic]\nsources = [\"keycloak\"]\n[lockout]\nattempts = 0\n");
    check(
        &airgate,
        &[
            ("admin", "admin-pw", 200, 422),
            ("viewer", "viewer-pw", 200, 403),
            ("uni", "pässwörd✓", 200, 403),
            ("colon", "pa:ss:word", 200, 403),
            ("norole", "norole-pw", 403, 403),
            ("viewer", "wrong", 401, 401),
            ("nobody", "viewer-pw", 401, 401),
            ("disabled", "disabled-pw", 401, 401),
            ("action", "action-pw", 401, 401),
        ],
    );
    let line = airgate.access("keycloak:admin");
    assert_eq!((&line["user"], &line["backend"]), (&json!("keycloak:admin"), &json!("basic_auth")), "{line}");
}

#[test]
fn with_simple_and_fab() {
    let realm = keycloak::shared().airflow();
    let more = format!("{}[basic]\nsources = [\"keycloak\"]\n[lockout]\nattempts = 0\n", realm.section());
    for (airflow, unknown) in [(airflow::simple(), "leaver"), (airflow::fab(), "op")] {
        let airgate = before(airflow, &more);
        let password = format!("{unknown}-pw");
        check(
            &airgate,
            &[
                ("admin", "admin-pw", 200, 422),
                ("viewer", "viewer-pw", 200, 403),
                (unknown, &password, 403, 403),
                ("viewer", "wrong", 401, 401),
                ("disabled", "disabled-pw", 401, 401),
            ],
        );
    }
}

/// Wrong passwords in a header are counted and slowed down as those of any other source, at the gate: Keycloak is not
/// asked about who is locked out.
#[test]
fn wrong_passwords_lock_out() {
    let realm = keycloak::shared().airflow();
    let section = realm.section();
    let airgate = before(
        airflow::simple(),
        &format!("{section}[basic]\nsources = [\"keycloak\"]\n[lockout]\nattempts = 3\nduration = \"50m\"\n"),
    );
    let status = |user: &str, word: &str| airgate.send(get(POOLS).basic(user, word)).status;
    assert_eq!(status("viewer", "viewer-pw"), 200);
    for word in ["one", "two", "three"] {
        let begun = Instant::now();
        assert_eq!(status("viewer", word), 401);
        assert!(begun.elapsed() >= Duration::from_millis(250), "in steps: {:?}", begun.elapsed());
    }
    let answer = airgate.send(get(POOLS).basic("viewer", "four"));
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (429, true));
    assert_eq!(status("viewer", "viewer-pw"), 200, "known from the cache");
    let body = json!({ "username": "viewer", "password": "five" });
    assert_eq!(airgate.send(post("/auth/token").json(body)).status, 429, "the token endpoint counts with it");
    assert_eq!(status("admin", "admin-pw"), 200, "another user");
}

/// A log-out at Keycloak ends the session that a password began. The password is still right, and begins another.
#[test]
fn a_password_outlives_its_session() {
    let realm = keycloak::shared().airflow();
    let name = format!("robot-{}", std::process::id());
    let id = realm.new_user(&name, &["Viewer"]);
    let airgate = before_keycloak("[basic]\nsources = [\"keycloak\"]\ncache_ttl = \"0s\"\n");
    let reads = || airgate.send(get(POOLS).basic(&name, &format!("{name}-pw"))).status;
    assert_eq!(reads(), 200);
    realm.log_out(&id);
    assert_eq!(reads(), 200);
    realm.api("PUT", &format!("/users/{id}"), Some(json!({ "enabled": false })));
    assert_eq!(reads(), 401);
    realm.api("DELETE", &format!("/users/{id}"), None);
}
