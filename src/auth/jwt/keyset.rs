//! A set of public keys: the content of a JWKS document (RFC 7517), read as PyJWT 2.15 reads it
//! (`api_jwk.py`).

use std::collections::HashMap;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::algorithm;

/// Keys by their `kid`.
pub struct KeySet {
    keys: HashMap<Box<str>, Key>,
    document: Value,
    skipped: Vec<String>,
}

/// A public key, and the one algorithm it verifies. The algorithm is the key's, never the token's.
pub(super) struct Key {
    pub algorithm: Algorithm,
    pub verifying: DecodingKey,
}

/// Why a document is no key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or JSON without `keys`.
    #[error("not a JWKS document: a JSON object with a list `keys` is needed")]
    NotAKeySet,
    /// No key of the set can be used.
    #[error("no usable key in the JWKS document{}", reasons(.0))]
    NoUsableKey(Vec<String>),
}

fn reasons(skipped: &[String]) -> String {
    skipped.iter().map(|reason| format!("; {reason}")).collect()
}

impl KeySet {
    /// Largest document, in bytes.
    pub const MAX: usize = 1024 * 1024;

    /// Reads a document. Keys that cannot be used are skipped, as by PyJWT: a set often also holds keys
    /// for other purposes. A key without `alg` is for RS256, ES256, ES384 or EdDSA, by its kind.
    ///
    /// # Errors
    /// It is no key set, or none of its keys can be used.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Value = serde_json::from_slice(document).map_err(|_| KeySetError::NotAKeySet)?;
        let list = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::NotAKeySet)?;
        let (mut keys, mut skipped) = (HashMap::new(), Vec::new());
        for jwk in list {
            let kid = jwk.get("kid").and_then(Value::as_str);
            match (kid, Key::parse(jwk)) {
                // Of two keys by one name the first counts.
                (Some(kid), Ok(key)) => {
                    keys.entry(kid.into()).or_insert(key);
                }
                (None, Ok(_)) => skipped.push("a key has no `kid`".to_owned()),
                (kid, Err(why)) => skipped.push(format!("key {}: {why}", kid.unwrap_or("without kid"))),
            }
        }
        if keys.is_empty() {
            skipped.truncate(8);
            return Err(KeySetError::NoUsableKey(skipped));
        }
        Ok(Self { keys, document, skipped })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none. Never so for a set that was read.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Why the other keys of the document cannot be used, for the log.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Whether both come from the same document, but for its layout.
    pub fn same_as(&self, other: &Self) -> bool {
        self.document == other.document
    }

    pub(super) fn key(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid)
    }
}

impl Key {
    fn parse(jwk: &Value) -> Result<Self, &'static str> {
        let text = |field: &str| jwk.get(field).and_then(Value::as_str);
        let bytes = |field: &str| text(field).and_then(|value| LENIENT.decode(value).ok());
        if text("use") == Some("enc") {
            return Err("is for encryption");
        }
        let (kind, default) = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => (Algorithm::RS256, Algorithm::RS256),
            (Some("EC"), Some("P-256")) => (Algorithm::ES256, Algorithm::ES256),
            (Some("EC"), Some("P-384")) => (Algorithm::ES384, Algorithm::ES384),
            (Some("EC"), _) => return Err("is of a curve that is not supported"),
            (Some("OKP"), Some("Ed25519")) => (Algorithm::EdDSA, Algorithm::EdDSA),
            (Some("OKP"), _) => return Err("is of a curve that is not supported"),
            (Some("oct"), _) => return Err("is a shared secret, which belongs in `jwt_secret`"),
            (Some(_), _) | (None, _) => return Err("has no known `kty`"),
        };
        let algorithm = match text("alg").filter(|name| !name.is_empty()) {
            Some(name) => {
                algorithm::algorithm(name).map_err(|_| "is for an algorithm that is not supported")?
            }
            None => default,
        };
        let fits = match kind.family() {
            jsonwebtoken::AlgorithmFamily::Rsa => algorithm.family() == kind.family(),
            jsonwebtoken::AlgorithmFamily::Ec
            | jsonwebtoken::AlgorithmFamily::Ed
            | jsonwebtoken::AlgorithmFamily::Hmac => algorithm == kind,
        };
        if !fits {
            return Err("is not of the kind that its `alg` needs");
        }
        let verifying = match kind.family() {
            jsonwebtoken::AlgorithmFamily::Rsa => {
                let (n, e) = bytes("n").zip(bytes("e")).ok_or("lacks `n` or `e`")?;
                let n = without_leading_zeroes(&n);
                if !(256..=1024).contains(&n.len()) {
                    return Err("is not of 2048 to 8192 bits");
                }
                DecodingKey::from_rsa_raw_components(n, without_leading_zeroes(&e))
            }
            jsonwebtoken::AlgorithmFamily::Ec => {
                let (x, y) = bytes("x").zip(bytes("y")).ok_or("lacks `x` or `y`")?;
                let size = if kind == Algorithm::ES256 { 32 } else { 48 };
                if x.len() != size || y.len() != size {
                    return Err("has coordinates of the wrong length");
                }
                DecodingKey::from_ec_der(&[&[4], &x[..], &y[..]].concat())
            }
            jsonwebtoken::AlgorithmFamily::Ed | jsonwebtoken::AlgorithmFamily::Hmac => {
                let x = bytes("x").filter(|x| x.len() == 32).ok_or("lacks `x` of 32 bytes")?;
                DecodingKey::from_ed_der(&x)
            }
        };
        Ok(Self { algorithm, verifying })
    }
}

/// Keys are written with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn without_leading_zeroes(number: &[u8]) -> &[u8] {
    let zeroes = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeroes..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vectors() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jwt/vectors.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn keys_as_pyjwt_reads_them() {
        let good = vectors()["jwks"]["keys"].clone();
        let rsa = |changes: &[(&str, Value)]| {
            let mut jwk = good[0].clone();
            for (field, value) in changes {
                jwk[*field] = value.clone();
            }
            jwk
        };
        for (name, jwk, expected) in [
            ("RSA", rsa(&[]), Ok(Algorithm::RS256)),
            ("RSA with alg", rsa(&[("alg", json!("RS512"))]), Ok(Algorithm::RS512)),
            ("alg empty", rsa(&[("alg", json!(""))]), Ok(Algorithm::RS256)),
            ("PS256", good[1].clone(), Ok(Algorithm::PS256)),
            ("P-256", good[2].clone(), Ok(Algorithm::ES256)),
            ("P-384", good[3].clone(), Ok(Algorithm::ES384)),
            ("Ed25519", good[4].clone(), Ok(Algorithm::EdDSA)),
            ("for encryption", rsa(&[("use", json!("enc"))]), Err("is for encryption")),
            (
                "another algorithm",
                rsa(&[("alg", json!("RSA-OAEP"))]),
                Err("is for an algorithm that is not supported"),
            ),
            (
                "an algorithm of another kind",
                rsa(&[("alg", json!("HS256"))]),
                Err("is not of the kind that its `alg` needs"),
            ),
            ("short modulus", rsa(&[("n", json!("AQAB"))]), Err("is not of 2048 to 8192 bits")),
            ("no modulus", rsa(&[("n", json!(5))]), Err("lacks `n` or `e`")),
            (
                "a secret",
                json!({"kty": "oct", "k": "AA"}),
                Err("is a shared secret, which belongs in `jwt_secret`"),
            ),
            ("P-521", json!({"kty": "EC", "crv": "P-521"}), Err("is of a curve that is not supported")),
            ("no kind", json!({}), Err("has no known `kty`")),
            ("not an object", json!(1), Err("has no known `kty`")),
        ] {
            assert_eq!(Key::parse(&jwk).map(|key| key.algorithm), expected, "{name}");
        }
    }

    #[test]
    fn documents() {
        let none = |reasons: &[&str]| {
            Err(KeySetError::NoUsableKey(reasons.iter().map(|&reason| reason.to_owned()).collect()))
        };
        for (name, document, expected) in [
            ("five keys", vectors()["jwks"].to_string(), Ok(5)),
            ("one good, one bad", json!({"keys": [vectors()["jwks"]["keys"][0], 1]}).to_string(), Ok(1)),
            ("no keys", r#"{"keys":[]}"#.to_owned(), none(&[])),
            (
                "no kid",
                r#"{"keys":[{"kty":"x"}]}"#.to_owned(),
                none(&["key without kid: has no known `kty`"]),
            ),
            ("a list", "[]".to_owned(), Err(KeySetError::NotAKeySet)),
            ("HTML", "<html>".to_owned(), Err(KeySetError::NotAKeySet)),
        ] {
            assert_eq!(KeySet::parse(document.as_bytes()).map(|set| set.len()), expected, "{name}");
        }
    }

    #[test]
    fn layout_makes_no_difference() {
        let compact = KeySet::parse(vectors()["jwks"].to_string().as_bytes()).unwrap();
        let spaced = KeySet::parse(format!("{:#}", vectors()["jwks"]).as_bytes()).unwrap();
        let fewer = json!({"keys": [vectors()["jwks"]["keys"][0]]}).to_string();
        assert!(compact.same_as(&spaced));
        assert!(!compact.same_as(&KeySet::parse(fewer.as_bytes()).unwrap()));
    }
}
