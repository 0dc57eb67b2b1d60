//! Algorithms of the configuration, and what is no secret.

use jsonwebtoken::Algorithm;

/// The algorithms that may be named in `jwt_algorithm`: those of PyJWT 2.15 but for the curves P-521 and
/// secp256k1.
pub const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// A name in `jwt_algorithm` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// PyJWT knows it, airgate's cryptography does not.
    #[error("algorithm {0} is not supported here: it needs {1}, which is missing; use ES256, ES384 or EdDSA")]
    Unsupported(String, &'static str),
    /// `none` would accept every token.
    #[error("algorithm `none` accepts every token and is never allowed")]
    Nothing,
    /// Nobody knows it.
    #[error("unknown algorithm `{0}`; allowed are {list}, and GUESS alone", list = names())]
    Unknown(String),
}

/// Reads the name of an algorithm. Names are compared with regard to case, as by PyJWT.
///
/// # Errors
/// A name that is unknown, or known and not supported.
pub fn algorithm(name: &str) -> Result<Algorithm, AlgorithmError> {
    match name {
        "ES512" | "ES521" => Err(AlgorithmError::Unsupported(name.to_owned(), "the curve P-521")),
        "ES256K" => Err(AlgorithmError::Unsupported(name.to_owned(), "the curve secp256k1")),
        "none" => Err(AlgorithmError::Nothing),
        name => ALGORITHMS
            .iter()
            .find_map(|(known, algorithm)| (*known == name).then_some(*algorithm))
            .ok_or_else(|| AlgorithmError::Unknown(name.to_owned())),
    }
}

/// The name of an algorithm, as it stands in a token's header.
pub(super) fn algorithm_name(algorithm: Algorithm) -> &'static str {
    ALGORITHMS.iter().find_map(|(name, known)| (*known == algorithm).then_some(*name)).unwrap_or("?")
}

fn names() -> String {
    ALGORITHMS.map(|(name, _)| name).join(", ")
}

/// Whether a text meant as a secret is a key instead: whoever knows the public half could sign with it.
/// PyJWT refuses it too.
pub(super) fn is_a_key(secret: &str) -> bool {
    let ssh = ["ssh-ed25519", "ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp"];
    secret.contains("-----BEGIN ")
        || ssh.iter().any(|format| secret.starts_with(format))
        || (secret.contains("\"kty\"") && serde_json::from_str::<serde_json::Value>(secret).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms() {
        for (name, expected) in [
            ("HS512", Ok(Algorithm::HS512)),
            ("EdDSA", Ok(Algorithm::EdDSA)),
            ("hs512", Err(AlgorithmError::Unknown("hs512".into()))),
            ("none", Err(AlgorithmError::Nothing)),
            ("ES512", Err(AlgorithmError::Unsupported("ES512".into(), "the curve P-521"))),
            ("ES256K", Err(AlgorithmError::Unsupported("ES256K".into(), "the curve secp256k1"))),
        ] {
            assert_eq!(algorithm(name), expected, "{name}");
        }
    }

    #[test]
    fn a_key_is_no_secret() {
        for (name, secret, expected) in [
            ("a secret", "airgate-fixture", false),
            ("JSON that is no key", r#"{"a":1}"#, false),
            ("PEM", "-----BEGIN PUBLIC KEY-----\nMII", true),
            ("SSH", "ssh-rsa AAAA", true),
            ("JWK", r#"{"kty":"oct","k":"AA"}"#, true),
        ] {
            assert_eq!(is_a_key(secret), expected, "{name}");
        }
    }
}
