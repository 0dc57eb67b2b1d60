//! Minted tokens against those of a real Airflow.

use super::*;

const TEAMS: &[String] = &[];

fn admin() -> Principal<'static> {
    Principal::Simple { name: "admin", role: "admin", teams: TEAMS }
}

fn mint(settings: &Settings, principal: Principal<'_>, jti: Option<&str>, valid_for: u64) -> String {
    let signer = settings.build(no_store).unwrap().signer.unwrap();
    let token = signer.sign(principal, jti, Duration::from_secs(valid_for), now()).unwrap();
    token.expose().to_owned()
}

fn parts(token: &str) -> (Value, Value) {
    let header = token.split('.').next().unwrap();
    let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
    let payload = Token::parse(token.as_bytes()).unwrap().payload;
    (serde_json::from_slice(&header).unwrap(), serde_json::from_slice(&payload).unwrap())
}

#[test]
fn the_same_claims_give_airflows_own_token_byte_by_byte() {
    let row = std::fs::read_to_string(file("goldens/af3-simple.jsonl")).unwrap();
    let row: Value = row
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|row: &Value| row["name"] == "token.success-viewer" && row["variant"] == "default")
        .unwrap();
    let claims = &row["derived"]["jwt_claims"];
    let signer = secrets(&[SECRET]).build(no_store).unwrap().signer.unwrap();
    let viewer = Principal::Simple { name: "viewer", role: "viewer", teams: TEAMS };
    let issued = at(claims["iat"].as_u64().unwrap()) + Duration::from_millis(900);
    let token = signer.sign(viewer, claims["jti"].as_str(), Duration::from_secs(3600), issued).unwrap();
    assert_eq!(token.expose(), row["response"]["body"]["access_token"].as_str().unwrap());

    let jti = Some("0123456789abcdef0123456789abcdef");
    for (key, principal) in [("rsa.pem", admin()), ("ed25519.pem", Principal::Fab { id: 7 })] {
        let settings = Settings {
            private_key: Some(private_key(key)),
            issuers: vec!["https://one.example".into(), "https://two.example".into()],
            ..Settings::default()
        };
        assert_eq!(
            mint(&settings, principal, jti, 3600),
            vectors()["minted"][key].as_str().unwrap(),
            "{key}"
        );
    }
}

#[test]
fn headers_and_claims() {
    let set = |change: fn(&mut Settings)| {
        let mut settings = secrets(&[SECRET, "former"]);
        change(&mut settings);
        settings
    };
    for (name, settings, header, iss, aud) in [
        (
            "default",
            set(|_| {}),
            r#"{"alg":"HS512","kid":"not-used","typ":"JWT"}"#,
            Value::Null,
            Value::from("apache-airflow"),
        ),
        (
            "the first of each list",
            set(|s| {
                s.algorithms = vec!["HS256".into(), "HS384".into()];
                s.issuers = vec!["a".into(), "b".into()];
                s.audience = vec!["x".into(), "y".into()];
            }),
            r#"{"alg":"HS256","kid":"not-used","typ":"JWT"}"#,
            Value::from("a"),
            Value::from("x"),
        ),
        (
            "a configured kid, no audience",
            set(|s| {
                s.kid = Some("k\"1".into());
                s.audience = vec![String::new()];
            }),
            r#"{"alg":"HS512","kid":"k\"1","typ":"JWT"}"#,
            Value::Null,
            Value::Null,
        ),
    ] {
        let (found, claims) = parts(&mint(&settings, admin(), None, 60));
        assert_eq!(found, serde_json::from_str::<Value>(header).unwrap(), "{name}");
        assert_eq!((&claims["iss"], &claims["aud"]), (&iss, &aud), "{name}");
        assert_eq!(claims["exp"], NOW + 60, "{name}");
        let jti = claims["jti"].as_str().unwrap();
        assert!(jti.len() == 32 && jti.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {jti}");
    }
}

#[test]
fn what_is_minted_is_accepted() {
    let teams = ["a".to_owned(), "b".to_owned()];
    for (name, settings, principal, expected) in [
        ("HS512", secrets(&[SECRET]), Principal::Simple { name: "ü", role: "Op", teams: &teams }, "ü"),
        (
            "RS256",
            Settings { private_key: Some(private_key("rsa-pkcs1.pem")), ..Settings::default() },
            admin(),
            "admin",
        ),
        (
            "PS384",
            Settings {
                private_key: Some(private_key("rsa.pem")),
                algorithms: vec!["PS384".into()],
                ..Settings::default()
            },
            admin(),
            "admin",
        ),
        (
            "EdDSA, fab",
            Settings {
                private_key: Some(private_key("ed25519.pem")),
                auth_manager: AuthManager::Fab,
                ..Settings::default()
            },
            Principal::Fab { id: 7 },
            "7",
        ),
    ] {
        let token = mint(&settings, principal, Some("j"), 60);
        let verified = verifier(&settings).verify(token.as_bytes(), now()).unwrap();
        assert_eq!((&*verified.name, verified.jti.as_deref()), (expected, Some("j")), "{name}");
    }
}

#[test]
fn elliptic_curves_sign_for_a_key_set() {
    for (key, algorithm) in [("p256.pem", "ES256"), ("p256-sec1.pem", "ES256"), ("p384.pem", "ES384")] {
        let store = store::set_of(&vectors()["jwks"]);
        let settings = Settings {
            private_key: Some(private_key(key)),
            jwks: Some(store.source().clone()),
            algorithms: vec![algorithm.into()],
            kid: Some(algorithm.into()),
            ..Settings::default()
        };
        let built = settings.build(|_| store).unwrap();
        let token = built.signer.unwrap().sign(admin(), None, Duration::from_secs(60), now()).unwrap();
        let verified = built.verifier.unwrap().verify(token.expose().as_bytes(), now());
        assert_eq!(verified.map(|verified| verified.name.to_string()), Ok("admin".into()), "{key}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let built = secrets(&["hunter2"]).build(no_store).unwrap();
    assert_eq!(
        format!("{:?} {:?}", built.signer.unwrap(), built.verifier.unwrap().keys),
        "Signer(HS512) 1 secrets"
    );
}
