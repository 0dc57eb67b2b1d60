//! Keycloak's own access tokens on the API.

use serde_json::{Value, json};

use super::{SECRET, altered, before, before_keycloak, mirror, now, patient};
use crate::support::keycloak::Keycloak;
use crate::support::{Airgate, airflow, get, keycloak, post, token};

const POOLS: &str = "/api/v2/pools";

#[test]
fn an_access_token_is_its_user() {
    let (airflow, realm) = (airflow::keycloak(), keycloak::shared().airflow());
    let airgate = before_keycloak("[keycloak_auth_manager]\nallowed_client_ids = [\"cli\"]\n");
    for (user, reads, makes) in [("admin", 200, 422), ("viewer", 200, 403), ("norole", 403, 403)] {
        let raw = realm.log_in_by("cli", user, &format!("{user}-pw")).access;
        assert_eq!(get(POOLS).bearer(&raw).send(airflow.address()).status, 403, "Airflow alone");
        let read = airgate.send(get(POOLS).bearer(&raw));
        assert_eq!(read.status, reads, "{user}: {}", read.text());
        assert_eq!(airgate.send(post(POOLS).bearer(&raw).json(json!({}))).status, makes, "{user}");
    }
    let robot = realm.service_account("ci").access;
    assert_eq!(airgate.send(get(POOLS).bearer(&robot)).status, 200);
    let line = airgate.access("service-account-ci");
    assert_eq!(
        (&line["user"], &line["backend"]),
        (&json!("keycloak:service-account-ci"), &json!("jwt")),
        "{line}"
    );
}

/// What is signed by the realm and not meant for this Airflow, or no access token.
#[test]
fn what_is_no_access_token_for_airflow() {
    let realm = keycloak::shared().airflow();
    let airgate = before_keycloak(
        "[keycloak_auth_manager]\nallowed_client_ids = [\"cli\"]\n[basic]\ncache_ttl = \"0s\"\n",
    );
    let given = realm.ask_token(&[
        ("grant_type", "password"),
        ("client_id", "cli"),
        ("username", "viewer"),
        ("password", "viewer-pw"),
        ("scope", "openid"),
    ]);
    let given = given.json();
    let text = |name: &str| given[name].as_str().unwrap().to_owned();
    let raw = text("access_token");
    let alter = |changes: Value| altered(&realm, &raw, changes);
    let mut broken = raw.clone();
    broken.truncate(raw.len() - 8);
    broken.push_str("AAAAAAAA");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", raw.split('.').nth(1).unwrap());
    for (name, token, status, detail) in [
        ("as it is", raw.clone(), 200, ""),
        ("signed anew", alter(json!({})), 200, ""),
        ("the ID token", text("id_token"), 403, "Invalid JWT token"),
        ("the refresh token", text("refresh_token"), 403, "Invalid JWT token"),
        ("for another audience", realm.service_account("ci-noaud").access, 403, "Invalid JWT token"),
        ("of a client on no list", realm.service_account("partner").access, 403, "Invalid JWT token"),
        ("azp a list", alter(json!({"azp": ["cli"]})), 403, "Invalid JWT token"),
        ("no azp", alter(json!({"azp": null})), 403, "Invalid JWT token"),
        ("no typ", alter(json!({"typ": null})), 403, "Invalid JWT token"),
        ("bound to a key", alter(json!({"cnf": {"jkt": "x"}})), 403, "Invalid JWT token"),
        ("no exp", alter(json!({"exp": null})), 403, "Invalid JWT token"),
        ("expired", alter(json!({"exp": now() - 1})), 401, "Token Expired"),
        ("not yet", alter(json!({"nbf": now() + 600})), 403, "Invalid JWT token"),
        (
            "another issuer",
            alter(json!({"iss": "http://127.0.0.1:1/realms/airflow"})),
            403,
            "Invalid JWT token",
        ),
        (
            "a user who is not there",
            alter(json!({"sub": "00000000-0000-4000-8000-999999999999"})),
            403,
            "Invalid JWT token",
        ),
        (
            "a session that is not there",
            alter(json!({"sid": "x", "jti": "onrtac:x"})),
            403,
            "Invalid JWT token",
        ),
        ("another signature", broken, 403, "Invalid JWT token"),
        ("no signature", unsigned, 403, "Invalid JWT token"),
    ] {
        let answered = airgate.send(get(POOLS).bearer(&token));
        assert_eq!(answered.status, status, "{name}: {}", answered.text());
        if status != 200 {
            assert_eq!(answered.detail(), detail, "{name}");
        }
    }
}

/// With another auth manager Airflow is told the name.
#[test]
fn by_name_with_simple_and_fab() {
    let realm = keycloak::shared().airflow();
    let section = format!("{}allowed_client_ids = [\"cli\"]\n", realm.section());
    let raw = |user: &str| realm.log_in_by("cli", user, &format!("{user}-pw")).access;
    for (name, airflow, unknown) in [("simple", airflow::simple(), "leaver"), ("fab", airflow::fab(), "op")] {
        let airgate = before(airflow, &section);
        for (user, reads, makes) in [("admin", 200, 422), ("viewer", 200, 403), (unknown, 403, 403)] {
            let raw = raw(user);
            let read = airgate.send(get(POOLS).bearer(&raw));
            assert_eq!(read.status, reads, "{name} {user}: {}", read.text());
            assert_eq!(airgate.send(post(POOLS).bearer(&raw).json(json!({}))).status, makes, "{name} {user}");
        }
    }
}

/// Log-outs and users who are disabled are noticed within the cache time, and each token is asked about once in it.
#[test]
fn a_session_that_ends() {
    ends(keycloak::shared());
}

#[test]
#[ignore = "needs Keycloak 26.5.6: make test-all"]
fn a_session_of_the_older_keycloak_that_ends() {
    ends(keycloak::older());
}

fn ends(keycloak: &Keycloak) {
    let realm = keycloak.realm_of_its_own(|_| {});
    let mirror = mirror();
    let config = |ttl: &str| {
        format!(
            "[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"viewer:viewer\"\n{}\
             allowed_client_ids = [\"cli\"]\n[basic]\ncache_ttl = \"{ttl}\"\n",
            realm.section()
        )
    };
    let [cached, soon, asks] = ["60s", "1s", "0s"].map(|ttl| patient(&mirror.url(), &config(ttl)));
    let raw = realm.log_in_by("cli", "viewer", "viewer-pw").access;
    let of = |airgate: &Airgate, raw: &str| airgate.send(get(POOLS).bearer(raw)).status;
    let status = |airgate: &Airgate| of(airgate, &raw);
    assert_eq!((status(&cached), status(&soon), status(&asks)), (200, 200, 200));
    let seen = mirror.seen().pop().unwrap();
    let minted = token::read(seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap());
    assert_eq!((&minted["sub"], &minted["role"]), (&json!("viewer"), &json!("viewer")));
    let id = realm.user_id("viewer");
    realm.log_out(&id);
    assert_eq!((status(&cached), status(&asks)), (200, 403));
    soon.until("the cache time is over", |soon| status(soon) == 403);

    let another = realm.log_in_by("cli", "viewer", "viewer-pw").access;
    assert_eq!((of(&soon, &another), of(&asks, &another)), (200, 200));
    realm.api("PUT", &format!("/users/{id}"), Some(json!({ "enabled": false })));
    assert_eq!(of(&asks, &another), 403, "a user who is disabled");
    soon.until("the cache time is over", |soon| of(soon, &another) == 403);
}
