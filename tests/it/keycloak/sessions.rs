//! Tokens of Airflow's that go on working when the Keycloak token inside them has ended.

use std::collections::HashSet;

use serde_json::json;

use super::{SECRET, altered, before_keycloak, clients, mirror, now, patient, with_ended_inside};
use crate::support::keycloak::Keycloak;
use crate::support::{Airgate, airflow, get, keycloak, post, redis, token};

const POOLS: &str = "/api/v2/pools";

/// Airflow answers 403 from the end of the Keycloak token on. Through airgate the token works, with the rights that the
/// user has by then, until the session ends.
#[test]
fn a_token_works_for_as_long_as_its_session_lives() {
    let (airflow, realm) = (airflow::keycloak(), keycloak::shared().airflow());
    let name = format!("kept-{}", std::process::id());
    let id = realm.new_user(&name, &["Viewer"]);
    let password = format!("{name}-pw");
    let token = with_ended_inside(&realm, &realm.log_in(&name, &password));
    assert_eq!(get(POOLS).bearer(&token).send(airflow.address()).status, 403, "Airflow alone");

    let airgate = before_keycloak("");
    let reads = || airgate.send(get(POOLS).bearer(&token)).status;
    let writes = |token: &str| {
        let pool = json!({ "name": format!("{name}-{}", now()), "slots": 1, "include_deferred": false });
        airgate.send(post(POOLS).bearer(token).json(pool)).status
    };
    assert_eq!((reads(), writes(&token)), (200, 403));
    assert_eq!(airgate.metric("airgate_keycloak_renewals_total{result=\"renewed\"}"), 1.0);
    assert_eq!(airgate.metric("airgate_keycloak_sessions"), 1.0);
    // another session of the same user, renewed after the user was given more
    let later = with_ended_inside(&realm, &realm.log_in(&name, &password));
    realm.grant(&id, &["Op"]);
    assert_eq!(writes(&later), 201);

    // Airflow asks Keycloak, which knows that the sessions have ended; and nothing renews one that has.
    let third = with_ended_inside(&realm, &realm.log_in(&name, &password));
    realm.log_out(&id);
    assert_eq!(reads(), 403);
    let ended = airgate.send(get(POOLS).bearer(&third));
    assert_eq!(ended.told(), (401, r#"{"detail":"Token Expired"}"#.to_owned()));
    assert_eq!(ended.all("www-authenticate"), [r#"Bearer realm="Airflow", error="invalid_token""#]);

    let fourth = with_ended_inside(&realm, &realm.log_in(&name, &password));
    realm.api("PUT", &format!("/users/{id}"), Some(json!({ "enabled": false })));
    assert_eq!(airgate.send(get(POOLS).bearer(&fourth)).status, 401, "a user who is disabled");
    assert!(!airgate.everything().contains("eyJ"), "{}", airgate.everything());
    realm.api("DELETE", &format!("/users/{id}"), None);
}

/// Airflow's own token, for as long as it is good as it is, passes as it came.
#[test]
fn what_lives_passes_unchanged() {
    let realm = keycloak::shared().airflow();
    let mirror = mirror();
    let tokens = realm.log_in("viewer", "viewer-pw");
    let claims = token::read(&tokens.access);
    let token = clients(claims["sub"].as_str().unwrap(), "viewer", &tokens.access, tokens.refresh.as_deref());
    let airgate = airgate(&mirror.url(), &realm.section(), "");
    airgate.send(get(POOLS).bearer(&token));
    let seen = mirror.only();
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()));
}

/// A client's own grant is run again for the configured client, and for no other.
#[test]
fn a_token_without_a_refresh_token() {
    let realm = keycloak::shared().airflow();
    let airgate = before_keycloak("");
    let ended = |client: &str| {
        let access = realm.service_account(client).access;
        let claims = token::read(&access);
        let old = altered(&realm, &access, json!({ "iat": now() - 900, "exp": now() - 600 }));
        let text = |name: &str| claims[name].as_str().unwrap().to_owned();
        clients(&text("sub"), &text("preferred_username"), &old, None)
    };
    for (client, status) in [("airflow", 200), ("ci", 401)] {
        let answered = airgate.send(get(POOLS).bearer(&ended(client)));
        assert_eq!(answered.status, status, "{client}: {}", answered.text());
    }
    // somebody else's name on the client's token
    let access = realm.service_account("airflow").access;
    let old = altered(&realm, &access, json!({ "iat": now() - 900, "exp": now() - 600 }));
    let forged = clients("00000000-0000-4000-8000-000000000002", "viewer", &old, None);
    assert_eq!(airgate.send(get(POOLS).bearer(&forged)).status, 401);
}

/// An airgate with Keycloak's auth manager in front of whatever, with this realm.
fn airgate(upstream: &str, section: &str, more: &str) -> Airgate {
    let config =
        format!("auth_manager = \"keycloak\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{section}{more}");
    patient(upstream, &config)
}

/// The access token that the upstream is given for a client's token.
fn inside(airgate: &Airgate, token: &str) -> String {
    let answered = airgate.send(get(POOLS).bearer(token));
    assert_eq!(answered.status, 200, "{}\n{}", answered.text(), airgate.log());
    answered.json()["access_token"].as_str().unwrap().to_owned()
}

/// A reload forgets no session, and so a refresh token that counts once is not used again.
#[test]
fn sessions_survive_a_reload() {
    let realm = keycloak::shared().realm_of_its_own(|realm| realm["revokeRefreshToken"] = json!(true));
    let mirror = mirror();
    let airgate = airgate(&mirror.url(), &realm.section(), "");
    let token = with_ended_inside(&realm, &realm.log_in("viewer", "viewer-pw"));
    let first = inside(&airgate, &token);
    let config = std::fs::read_to_string(airgate.config()).unwrap();
    std::fs::write(airgate.config(), format!("{config}[gate]\nother_routes = \"all\"\n")).unwrap();
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    assert_eq!(inside(&airgate, &token), first);
    assert_eq!(airgate.metric("airgate_keycloak_renewals_total{result=\"renewed\"}"), 1.0);
    // and what was minted for the upstream has no refresh token, and the client's jti
    let seen = mirror.seen().pop().unwrap();
    let minted = token::read(seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap());
    assert_eq!(minted["refresh_token"], json!(null));
    assert_eq!((&minted["jti"], &minted["name"]), (&token::read(&token)["jti"], &json!("viewer")));
}

/// Two airgates, one session, and a refresh token that counts once.
#[test]
fn replicas_renew_a_session_by_turns() {
    by_turns(keycloak::shared());
}

#[test]
#[ignore = "needs Keycloak 26.5.6: make test-all"]
fn replicas_renew_a_session_of_the_older_keycloak_by_turns() {
    by_turns(keycloak::older());
}

fn by_turns(keycloak: &Keycloak) {
    let realm = keycloak.realm_of_its_own(|realm| {
        realm["revokeRefreshToken"] = json!(true);
        realm["accessTokenLifespan"] = json!(3);
    });
    let mirror = mirror();
    let shared = format!(
        "[redis]\nurl = \"{}\"\nsecret = \"keycloak sessions {}, which no other test has\"\n",
        redis::shared().url(),
        realm.name
    );
    let replicas = [0, 1].map(|_| airgate(&mirror.url(), &realm.section(), &shared));
    for airgate in &replicas {
        airgate.logs("redis is connected");
    }
    let token = with_ended_inside(&realm, &realm.log_in("viewer", "viewer-pw"));
    let mut seen = HashSet::new();
    while seen.len() < 4 {
        // at the same time
        let given = std::thread::scope(|scope| {
            replicas
                .each_ref()
                .map(|airgate| scope.spawn(|| inside(airgate, &token)))
                .map(|one| one.join().unwrap())
        });
        seen.extend(given);
    }
    let renewed = |airgate: &Airgate| airgate.metric("airgate_keycloak_renewals_total{result=\"ended\"}");
    assert_eq!(replicas.each_ref().map(renewed), [0.0, 0.0]);
    let newest = inside(&replicas[0], &token);
    assert_eq!(realm.user_info(&newest).status, 200);
}
