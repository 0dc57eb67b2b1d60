//! Tokens as Airflow would issue them, made without the code under test.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A secret that is long enough for HS512, for tests that share one with the gate.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Claims of a good token of the simple auth manager.
pub fn claims(user: &str) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    json!({
        "sub": user, "role": "ADMIN", "teams": [], "aud": "apache-airflow",
        "iat": now, "nbf": now, "exp": now + 600, "jti": "0123456789abcdef0123456789abcdef",
    })
}

/// A good token for a user, signed with [`SECRET`].
pub fn good(user: &str) -> String {
    hs512(SECRET, &claims(user))
}

/// A token signed with HS512.
pub fn hs512(secret: &str, claims: &Value) -> String {
    let signed = signed_part(&json!({ "alg": "HS512", "typ": "JWT", "kid": "not-used" }), claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", base64(tag.as_ref()))
}

/// A key of an issuer whose keys are public.
pub struct Issuer {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Issuer {
    /// A new key.
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.into(), pair: Ed25519KeyPair::generate().unwrap() }
    }

    /// The key set (RFC 7517) that has these keys.
    pub fn set(keys: &[&Self]) -> String {
        let jwk = |key: &&Self| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid,
                "x": base64(key.pair.public_key().as_ref()),
            })
        };
        json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()
    }

    /// A token that this key signs.
    pub fn token(&self, claims: &Value) -> String {
        let signed = signed_part(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid }), claims);
        format!("{signed}.{}", base64(self.pair.sign(signed.as_bytes()).as_ref()))
    }
}

/// Likewise, one that signs as most issuers do.
pub struct RsaIssuer {
    kid: String,
    pair: RsaKeyPair,
}

impl RsaIssuer {
    /// A new key.
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.into(), pair: RsaKeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    /// The key set that has this key.
    pub fn set(&self) -> String {
        let key = self.pair.public_key();
        let (n, e) = (key.modulus(), key.exponent());
        let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
        let (n, e) = (base64(n), base64(e));
        json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e }] })
            .to_string()
    }

    /// A token that this key signs.
    pub fn token(&self, claims: &Value) -> String {
        let signed = signed_part(&json!({ "alg": "RS256", "kid": self.kid }), claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", base64(&signature))
    }
}

fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a token, unverified.
pub fn read(token: &str) -> Value {
    part(token.split('.').nth(1).unwrap())
}

/// The header of a token.
pub fn header(token: &str) -> Value {
    part(token.split('.').next().unwrap())
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
