//! JSON Web Tokens and their keys. Input: a token, the payload of one, a key set, a key file.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airgate::auth::jwt::{AuthManager, KeySet, PrivateKey, Settings, Token, Verified, Verifier};
use airgate::secret::Secret;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const SECRET: &[u8] = b"nobody knows this one, 64 bytes long, good for HS512 and no more";

static VERIFIERS: LazyLock<Vec<Arc<Verifier>>> = LazyLock::new(|| {
    [AuthManager::Simple, AuthManager::Fab, AuthManager::Keycloak]
        .map(|auth_manager| {
            let secrets = vec![Secret::new(String::from_utf8_lossy(SECRET))];
            let settings = Settings { secrets, auth_manager, ..Settings::default() };
            settings.build(|_| unreachable!("no key set")).unwrap().verifier.unwrap()
        })
        .into()
});

/// Any bytes are taken apart or refused, and a token taken apart can be put together again; no token
/// that was not signed with the secret is good; and of those that were, none that has expired.
pub fn holds(input: &[u8]) {
    let now = UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    if let Ok(token) = Token::parse(input) {
        let whole = [token.signed, b".", token.signature.as_bytes()].concat();
        let again = Token::parse(&whole).unwrap();
        assert_eq!(
            (token.algorithm.as_deref(), token.kid.as_deref(), &token.payload, token.signature),
            (again.algorithm.as_deref(), again.kid.as_deref(), &again.payload, again.signature)
        );
        assert!(input.len() <= Token::MAX && !token.signature.contains('='));
        let _ = token.claimed_issuer();
    }
    for verifier in &*VERIFIERS {
        assert!(verifier.verify(input, now).is_err(), "a forged token is good");
    }

    let _ = KeySet::parse(input);
    let _ = PrivateKey::parse(Path::new("key.pem"), input);

    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","kid":"not-used","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(input)
    );
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, SECRET), signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    for verifier in &*VERIFIERS {
        if let Ok(verified) = verifier.verify(token.as_bytes(), now) {
            is_plausible(input, &verified, now);
        }
    }
}

fn is_plausible(payload: &[u8], verified: &Verified, now: SystemTime) {
    let claims: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let audience = &claims["aud"];
    let named = |name: &serde_json::Value| name == "apache-airflow";
    assert!(named(audience) || audience.as_array().is_some_and(|names| names.iter().any(named)));
    assert!(["exp", "iat", "nbf"].iter().all(|claim| !claims[claim].is_null()));
    if let Some(expires) = verified.expires {
        assert!(expires + Duration::from_secs(10) > now, "expired");
    }
    for (claim, sign) in [("exp", 1.0), ("nbf", -1.0), ("iat", -1.0)] {
        // PyJWT also takes numbers in text.
        if let Some(seconds) = claims[claim].as_f64() {
            assert!((seconds.trunc() - 1_750_000_000.0) * sign > -11.0, "{claim}");
        }
    }
}
