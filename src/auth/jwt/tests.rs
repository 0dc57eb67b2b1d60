//! The backends, from the request's headers to the verdict.

mod goldens;
mod issuers;
mod settings;
mod signer;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::*;
use crate::auth::Scope;
use crate::auth::credentials::Credentials;
use crate::auth::session::Session;
use crate::request::{Peer, Request, RequestId};
use crate::secret::Secret;

/// 2026-11-22T00:00:00Z.
const NOW: u64 = 1_795_305_600;
const SECRET: &str = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789";

fn now() -> SystemTime {
    at(NOW)
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Signed by PyJWT and Airflow's own code: see `vectors.py` there.
fn vectors() -> Value {
    serde_json::from_slice(&std::fs::read(file("jwt/vectors.json")).unwrap()).unwrap()
}

fn vector(algorithm: &str) -> String {
    vectors()["signed"][algorithm].as_str().unwrap().to_owned()
}

fn private_key(name: &str) -> PrivateKey {
    PrivateKey::read(&file("jwt").join(name)).unwrap()
}

fn secrets(secrets: &[&str]) -> Settings {
    Settings { secrets: secrets.iter().map(|&secret| Secret::new(secret)).collect(), ..Settings::default() }
}

fn no_store(_: &JwksSource) -> Arc<JwksStore> {
    panic!("no source of keys is configured")
}

fn verifier(settings: &Settings) -> Arc<Verifier> {
    settings.build(no_store).unwrap().verifier.unwrap()
}

fn bearer(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        // Goldens hold bytes as the characters of Latin-1.
        let bytes: Vec<u8> = value.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(&bytes).unwrap());
    }
    map
}

/// Asks a backend as the chain does: what it recalls, else what it finds. Says whether it recalled.
async fn ask(backend: &dyn Backend, headers: &HeaderMap, now: SystemTime) -> (Verdict, bool) {
    let mut head = http::Request::new(()).into_parts().0;
    head.headers = headers.clone();
    let peer = Peer { address: None, connection: None, tls: false, trusted: false };
    let id = RequestId::random();
    let request = Request { head: &head, target: b"/", peer: &peer, now, id: &id };
    let credentials = Credentials::read(&head.headers).unwrap();
    let attempt = Attempt { request: &request, credentials, target: "/", scope: Scope::Api };
    match backend.recall(&attempt) {
        Some(verdict) => (verdict, true),
        None => (backend.authenticate(&attempt).await, false),
    }
}

/// A verdict in a few words, for tables.
fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted(grant) => {
            let onward = match &grant.onward {
                Onward::Unchanged => "unchanged".to_owned(),
                Onward::Cookies => "cookies".to_owned(),
                Onward::Issued(_) => "issued".to_owned(),
                Onward::Minted { jti } => format!("minted {}", jti.as_deref().unwrap_or("-")),
                Onward::Keycloak(held) => format!("keycloak {}", held.user_id),
            };
            let ambient = if grant.ambient { ", ambient" } else { "" };
            let identity = &grant.identity;
            format!("{} {}, {onward}{ambient}", identity.origin.as_str(), identity.name)
        }
        Verdict::Mutual(..) => "mutual".to_owned(),
        Verdict::NotMine => "not mine".to_owned(),
        Verdict::Rejected(rejection) => {
            let cookie = if rejection.clear_cookie { ", cookie cleared" } else { "" };
            format!("{:?}{cookie}", rejection.reason)
        }
        Verdict::Throttled(_) => "throttled".to_owned(),
        Verdict::Unavailable(outage) => format!("unavailable: {}", outage.cause),
    }
}

#[tokio::test]
async fn jwt_verdicts() {
    let own = || Some(verifier(&secrets(&["new", SECRET])));
    let token = vector("HS512");
    for (name, own, headers, expected) in [
        ("no credential", own(), headers(&[]), "not mine"),
        ("a cookie is the session's", own(), headers(&[("cookie", &format!("_token={token}"))]), "not mine"),
        ("another scheme", own(), headers(&[("authorization", "Basic dTpw")]), "not mine"),
        ("signed with a former secret", own(), bearer(&token), "airflow admin, minted vector"),
        (
            "signed with the current secret",
            Some(verifier(&secrets(&[SECRET]))),
            bearer(&token),
            "airflow admin, unchanged",
        ),
        (
            "signed with none",
            Some(verifier(&secrets(&["new"]))),
            bearer(&token),
            "TokenInvalid(\"wrong signature\")",
        ),
        ("garbage", own(), bearer("garbage"), "TokenInvalid(\"not three segments\")"),
        ("no key", None, bearer(&token), "unverified unverified, unchanged"),
        ("no key, garbage", None, bearer("garbage"), "unverified unverified, unchanged"),
    ] {
        let backend = Jwt::new(own, vec![]);
        assert_eq!(words(&ask(&backend, &headers, now()).await.0), expected, "{name}");
    }
}

#[tokio::test]
async fn session_verdicts() {
    let own = || Some(verifier(&secrets(&["new", SECRET])));
    let token = vector("HS512");
    let cookie = format!("a=b; _token={token}");
    for (name, own, headers, when, expected) in [
        ("no credential", own(), headers(&[]), now(), "not mine"),
        ("empty", own(), headers(&[("cookie", "_token=")]), now(), "not mine"),
        ("valid", own(), headers(&[("cookie", &cookie)]), now(), "airflow admin, cookies, ambient"),
        (
            "garbage",
            own(),
            headers(&[("cookie", "_token=x")]),
            now(),
            "TokenInvalid(\"not three segments\"), cookie cleared",
        ),
        ("expired", own(), headers(&[("cookie", &cookie)]), at(NOW + 3610), "TokenExpired, cookie cleared"),
        (
            "a Bearer wins",
            own(),
            headers(&[("cookie", &cookie), ("authorization", "Bearer x")]),
            now(),
            "not mine",
        ),
        (
            "a Basic does not",
            own(),
            headers(&[("cookie", &cookie), ("authorization", "Basic dTpw")]),
            now(),
            "airflow admin, cookies, ambient",
        ),
        ("no key", None, headers(&[("cookie", &cookie)]), now(), "unverified unverified, cookies, ambient"),
    ] {
        let backend = Session::new(own);
        assert_eq!(words(&ask(&backend, &headers, when).await.0), expected, "{name}");
    }
}

#[tokio::test]
async fn a_verified_token_is_recalled_while_it_is_good() {
    let jwt = Jwt::new(Some(verifier(&secrets(&[SECRET]))), vec![]);
    let token = bearer(&vector("HS512"));
    for (name, when, recalled, expected) in [
        ("first", now(), false, "airflow admin, unchanged"),
        ("again", now(), true, "airflow admin, unchanged"),
        ("in its leeway", at(NOW + 3609), true, "airflow admin, unchanged"),
        ("expired", at(NOW + 3610), false, "TokenExpired"),
        ("the clock set back", at(NOW - 11), false, "TokenInvalid(\"issued in the future\")"),
        ("set back within the leeway", at(NOW - 10), true, "airflow admin, unchanged"),
    ] {
        let (verdict, was_recalled) = ask(&jwt, &token, when).await;
        assert_eq!((words(&verdict).as_str(), was_recalled), (expected, recalled), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_verified_is_not_remembered() {
    let unknowing = Jwt::new(None, vec![]);
    let knowing = Jwt::new(Some(verifier(&secrets(&["other"]))), vec![]);
    for backend in [&unknowing, &knowing] {
        for _ in 0..2 {
            assert!(!ask(backend, &bearer(&vector("HS512")), now()).await.1);
        }
        assert_eq!(backend.cache.len(), 0);
    }
}

#[tokio::test]
async fn a_grant_says_when_the_token_ends() {
    let jwt = Jwt::new(Some(verifier(&secrets(&[SECRET]))), vec![]);
    let Verdict::Accepted(grant) = ask(&jwt, &bearer(&vector("HS512")), now()).await.0 else { panic!() };
    assert_eq!(grant.expires, Some(at(NOW + 3600)));
}

#[tokio::test]
async fn challenges() {
    let jwt = Jwt::new(Some(verifier(&secrets(&[SECRET]))), vec![]);
    assert_eq!(jwt.challenge().unwrap(), "Bearer realm=\"Airflow\"");
    let Verdict::Rejected(rejection) = ask(&jwt, &bearer("x"), now()).await.0 else { panic!() };
    assert_eq!(rejection.challenge.unwrap().to_vec(), ["Bearer realm=\"Airflow\", error=\"invalid_token\""]);
    assert!(!rejection.clear_cookie);
    assert_eq!(Session::new(None).challenge(), None);
}

#[test]
fn every_algorithm_of_pyjwt_that_works_here() {
    let keys = vectors()["jwks"]["keys"].clone();
    for (name, _) in ALGORITHMS {
        let settings = Settings { algorithms: vec![name.into()], ..secrets(&[SECRET]) };
        let verifier = if name.starts_with("HS") {
            verifier(&settings)
        } else {
            // The key set, with the key of this algorithm's kind named and marked for it.
            let family = if name.starts_with("PS") { "RS256" } else { name };
            let family = if name.starts_with("RS") { "RS256" } else { family };
            let mut jwk = keys.as_array().unwrap().iter().find(|jwk| jwk["kid"] == family).unwrap().clone();
            (jwk["kid"], jwk["alg"]) = (name.into(), name.into());
            let store = store::set_of(&serde_json::json!({"keys": [jwk]}));
            let settings = Settings { jwks: Some(store.source().clone()), ..settings };
            settings.build(|_| store).unwrap().verifier.unwrap()
        };
        let verified = verifier.verify(vector(name).as_bytes(), now());
        assert_eq!(verified.map(|verified| verified.name.to_string()), Ok("admin".to_owned()), "{name}");
        // The same token when another algorithm is configured.
        let other = vector(if name == "HS256" { "HS384" } else { "HS256" });
        assert!(matches!(
            verifier.verify(other.as_bytes(), now()),
            Err(Fault::Invalid(_) | Fault::UnknownKey)
        ));
    }
}
