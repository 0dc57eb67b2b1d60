//! What a real Airflow 3.3.2 answered to each token.

use super::*;

/// What a golden says, or what we say instead, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Expired,
    Invalid,
    Nobody,
    Malformed,
}

const DEVIATIONS: [(&str, Outcome); 11] = [
    // Airflow answers 500.
    ("af3-simple bearer.role-unknown", Outcome::Invalid),
    // Only Airflow's database can tell, and the token goes on to Airflow.
    ("af3-fab bearer.sub-inactive-user", Outcome::Accepted),
    // Two parties might each read another one.
    ("af3-simple bearer.header-twice-valid-first", Outcome::Malformed),
    ("af3-simple bearer.header-twice-invalid-first", Outcome::Malformed),
    ("af3-fab bearer.header-twice-valid-first", Outcome::Malformed),
    ("af3-fab bearer.header-twice-basic-first", Outcome::Malformed),
    // Airflow answers before it authenticates.
    ("af3-simple bearer.401-method-not-allowed", Outcome::Nobody),
    ("af3-fab bearer.401-method-not-allowed", Outcome::Nobody),
    ("af3-simple bearer.401-post-invalid-json", Outcome::Nobody),
    // An open route: the cookie is judged all the same, and cleared.
    ("af3-simple bearer.cookie-invalid-public-endpoint", Outcome::Invalid),
    // Airflow clears an empty cookie; we take it for none.
    ("af3-simple bearer.cookie-empty", Outcome::Nobody),
];

fn rows(file_name: &str, variant: &str, groups: &[&str]) -> Vec<Value> {
    golden_text(file_name)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|row| {
            let name = row["name"].as_str().unwrap();
            row["variant"] == variant
                && row["request"]["path"].as_str().is_some_and(|path| !path.starts_with("/auth/token"))
                && groups.contains(&name.split('.').next().unwrap())
        })
        .collect()
}

fn golden_text(name: &str) -> String {
    std::fs::read_to_string(file("goldens").join(name)).unwrap()
}

/// A token that Airflow itself minted, when the recording was made.
fn minted(variant: &str, name: &str) -> (String, SystemTime) {
    let row = golden_text("af3-simple.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|row| row["variant"] == variant && row["name"] == name)
        .unwrap();
    let token = row["response"]["body"]["access_token"].as_str().unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&Token::parse(token.as_bytes()).unwrap().payload).unwrap();
    (token, at(claims["iat"].as_u64().unwrap()))
}

fn expected(key: &str, row: &Value) -> Outcome {
    if let Some((_, outcome)) = DEVIATIONS.iter().find(|(name, _)| *name == key) {
        return *outcome;
    }
    let answer = &row["response"];
    match (answer["status"].as_u64().unwrap(), answer["body"]["detail"].as_str()) {
        (401, Some("Not authenticated")) => Outcome::Nobody,
        (401, Some("Token Expired")) => Outcome::Expired,
        (403, Some("Invalid JWT token")) => Outcome::Invalid,
        _ => Outcome::Accepted,
    }
}

/// The time of the recording, for tokens whose name tells how far they were from it.
fn clock(key: &str, request: &HeaderMap) -> SystemTime {
    let claim = |name: &str| {
        let Authorization::Bearer(token) = Credentials::read(request).unwrap().authorization else {
            panic!()
        };
        let claims: Value = serde_json::from_slice(&Token::parse(token).unwrap().payload).unwrap();
        claims[name].as_u64().unwrap()
    };
    match key.split("bearer.").last() {
        Some("expired-5s-ago") => at(claim("exp") + 5),
        Some("expired-15s-ago") => at(claim("exp") + 15),
        Some("nbf-in-5s") => at(claim("nbf") - 5),
        Some("iat-in-5s") => at(claim("iat") - 5),
        _ => now(),
    }
}

async fn outcome(session: &Session, jwt: &Jwt, request: &HeaderMap, now: SystemTime) -> (Outcome, bool) {
    if Credentials::read(request).is_err() {
        return (Outcome::Malformed, false);
    }
    let mut found = (Outcome::Nobody, false);
    for backend in [session as &dyn Backend, jwt] {
        match ask(backend, request, now).await.0 {
            Verdict::Accepted(_) => return (Outcome::Accepted, found.1),
            Verdict::Rejected(rejection) => {
                let outcome = match rejection.reason {
                    Reason::TokenExpired => Outcome::Expired,
                    Reason::TokenInvalid(_) => Outcome::Invalid,
                    other => panic!("{other:?}"),
                };
                found = (outcome, found.1 || rejection.clear_cookie);
            }
            Verdict::NotMine => {}
            other => panic!("{other:?}"),
        }
    }
    found
}

async fn check(file_name: &str, variant: &str, groups: &[&str], settings: Settings, count: usize) {
    let verifier = verifier(&settings);
    let (session, jwt) = (Session::new(Some(Arc::clone(&verifier))), Jwt::new(Some(verifier), vec![]));
    let rows = rows(file_name, variant, groups);
    assert_eq!(rows.len(), count, "{variant}");
    for row in rows {
        let key = format!("{} {}", row["system"].as_str().unwrap(), row["name"].as_str().unwrap());
        let list = row["request"]["headers"].as_array().unwrap();
        let list: Vec<_> =
            list.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect();
        let request = headers(
            &list
                .iter()
                .map(|(name, value)| (name.to_lowercase(), *value))
                .collect::<Vec<_>>()
                .iter()
                .map(|(name, value)| (name.as_str(), *value))
                .collect::<Vec<_>>(),
        );
        let found = outcome(&session, &jwt, &request, clock(&key, &request)).await;
        let cleared = row["response"]["headers"]["set-cookie"].is_array() && !key.ends_with("cookie-empty");
        assert_eq!(found, (expected(&key, &row), cleared), "{key}");
    }
}

#[tokio::test]
async fn simple() {
    check("af3-simple.jsonl", "default", &["bearer"], secrets(&[SECRET]), 85).await;
}

#[tokio::test]
async fn fab() {
    let settings = Settings { auth_manager: AuthManager::Fab, ..secrets(&[SECRET]) };
    check("af3-fab.jsonl", "default", &["bearer"], settings, 81).await;
}

#[tokio::test]
async fn audience_and_issuer() {
    let settings = Settings {
        audience: vec!["urn:fx".into()],
        issuers: vec!["https://fx.example".into()],
        ..secrets(&[SECRET])
    };
    let (token, issued) = minted("jwt-audience-issuer", "jwt-conf.token");
    let verified = verifier(&settings).verify(token.as_bytes(), issued).unwrap();
    assert_eq!(&*verified.name, "admin");
    check("af3-simple.jsonl", "jwt-audience-issuer", &["jwt-conf"], settings, 10).await;
}

#[tokio::test]
async fn audience_with_a_comma_and_two_issuers() {
    let settings = Settings {
        audience: vec!["urn:fx,second".into()],
        issuers: vec!["https://fx.example".into(), "https://second.example".into()],
        ..secrets(&[SECRET])
    };
    check("af3-simple.jsonl", "jwt-audience-issuer-lists", &["jwt-conf"], settings, 10).await;
}

/// The recording's private key is not known, its public half is.
#[tokio::test]
async fn rs256() {
    let all = golden_text("af3-simple.jsonl");
    let keys = all
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|row| row["name"] == "keys");
    let keys = keys.unwrap();
    let mut jwk = keys["jwk"].clone();
    jwk["kid"] = keys["airflow_kid"].clone();
    let store = store::set_of(&serde_json::json!({"keys": [jwk]}));
    let settings = Settings { jwks: Some(store.source().clone()), ..Settings::default() };
    let verifier = settings.build(|_| store).unwrap().verifier.unwrap();

    let (token, issued) = minted("jwt-rs256", "jwt-rs256.token");
    assert_eq!(&*verifier.verify(token.as_bytes(), issued).unwrap().name, "admin");
    let rows = rows("af3-simple.jsonl", "jwt-rs256", &["jwt-rs256"]);
    assert_eq!(rows.len(), 5);
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let token = row["request"]["headers"][0][1].as_str().unwrap().strip_prefix("Bearer ").unwrap();
        // Airflow is its own source of keys, so that to it an unknown key is an invalid token.
        let found =
            verifier.verify(token.as_bytes(), at(1_795_300_735)).map(|verified| verified.name.to_string());
        let expected = match name {
            "jwt-rs256.no-kid" => Err(Fault::Invalid("kid is missing")),
            "jwt-rs256.unknown-kid" | "jwt-rs256.rfc7638-kid" => Err(Fault::UnknownKey),
            "jwt-rs256.rs512" | "jwt-rs256.ps256" => Err(Fault::Invalid("algorithm is not allowed")),
            other => panic!("{other}"),
        };
        assert_eq!(found, expected, "{name}");
    }
}
