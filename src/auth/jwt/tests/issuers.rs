//! Tokens of foreign issuers.

use serde_json::json;

use super::*;

const CORP: &str = "https://corp.example";

fn corp() -> IssuerSettings {
    IssuerSettings {
        issuer: CORP.into(),
        jwks: JwksSource::File("/nowhere".into()),
        audience: vec!["airflow".into()],
        algorithms: vec![],
        username_claim: "email".into(),
        username_prefix: "corp:".into(),
        leeway: Duration::from_secs(10),
    }
}

/// A token signed with a key of the vectors, under the name that the key set has for it.
fn signed(claims: Value, key: &str, algorithm: jsonwebtoken::Algorithm, kid: &str) -> String {
    let mut header = jsonwebtoken::Header::new(algorithm);
    header.kid = Some(kid.into());
    jsonwebtoken::encode(&header, &claims, &private_key(key).signing).unwrap()
}

fn claims(changes: Value) -> Value {
    let mut claims = json!({"iss": CORP, "aud": "airflow", "exp": NOW + 60, "email": "ann@corp", "jti": "j"});
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims
}

#[tokio::test(start_paused = true)]
async fn a_foreign_token_is_judged_by_its_issuer() {
    use jsonwebtoken::Algorithm::{EdDSA, RS256};
    let foreign = store::set_of(&json!({"keys": [vectors()["jwks"]["keys"][0]]}));
    let corp = corp().build(|_| foreign).unwrap();
    let own =
        Some(verifier(&Settings { private_key: Some(private_key("ed25519.pem")), ..Settings::default() }));
    let own_kid = private_key("ed25519.pem").thumbprint().unwrap().to_owned();
    let rs256 = |changes| signed(claims(changes), "rsa.pem", RS256, "RS256");
    let airflow = json!({
        "iss": "anyone", "aud": "apache-airflow", "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        "sub": "bob", "role": "op", "email": "x",
    });
    let as_corp = {
        let mut claims = airflow.clone();
        claims["iss"] = CORP.into();
        claims["aud"] = json!(["apache-airflow", "airflow"]);
        claims
    };
    let jwt = Jwt::new(own, vec![(CORP.into(), corp)]);
    for (name, token, expected) in [
        ("good", rs256(json!({})), "issuer corp:ann@corp, minted j"),
        ("without jti", rs256(json!({"jti": "", "nbf": NOW + 10})), "issuer corp:ann@corp, minted "),
        ("another audience", rs256(json!({"aud": "grafana"})), "TokenInvalid(\"wrong audience\")"),
        ("expired", rs256(json!({"exp": NOW - 10})), "TokenExpired"),
        ("not valid yet", rs256(json!({"nbf": NOW + 11})), "TokenInvalid(\"not valid yet\")"),
        ("without exp", rs256(json!({"exp": null})), "TokenInvalid(\"a required claim is missing\")"),
        ("without name", rs256(json!({"email": null})), "TokenInvalid(\"the username claim is missing\")"),
        ("unknown issuer", rs256(json!({"iss": "x"})), "TokenInvalid(\"unknown kid\")"),
        ("Airflow's own", signed(airflow, "ed25519.pem", EdDSA, &own_kid), "airflow bob, unchanged"),
        (
            "signed by Airflow in the issuer's name",
            signed(as_corp, "ed25519.pem", EdDSA, &own_kid),
            "TokenInvalid(\"unknown kid\")",
        ),
    ] {
        assert_eq!(words(&ask(&jwt, &bearer(&token), now()).await.0), expected, "{name}");
    }
    let again = ask(&jwt, &bearer(&rs256(json!({}))), now()).await;
    assert!(again.1, "recalled");
    assert_eq!(words(&again.0), "issuer corp:ann@corp, minted j");
}

#[test]
fn an_issuer_needs_a_name_and_an_audience() {
    let settings = IssuerSettings {
        issuer: String::new(),
        audience: vec![],
        algorithms: vec!["HS256".into()],
        ..corp()
    };
    let errors = settings.build(no_store).unwrap_err();
    assert_eq!(
        errors,
        [
            SettingsError::Unfit("HS256", "a key set".into()),
            SettingsError::NoIssuer,
            SettingsError::NoAudience
        ]
    );
}
