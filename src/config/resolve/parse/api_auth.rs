//! `[api_auth]` and `[[jwt.issuers]]`.

use std::path::PathBuf;

use super::url::url;
use super::{Fault, Parsed, because};
use crate::config::settings::{JwksSource, JwtAlgorithm};

/// Where a set of keys is found. A path is as it was written.
pub fn jwks(text: &str) -> Parsed<JwksSource> {
    if !text.contains("://") {
        return Ok(JwksSource::File(PathBuf::from(text)));
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    url(&text[..end])?;
    match text.parse::<http::Uri>() {
        Ok(_) => Ok(JwksSource::Url(text.to_owned())),
        Err(_) => Err(Fault::Expected),
    }
}

/// An algorithm. `GUESS` is `None`.
pub fn algorithm(text: &str) -> Parsed<Option<JwtAlgorithm>> {
    if text == "GUESS" {
        return Ok(None);
    }
    let known = JwtAlgorithm::ALL.iter().find(|a| a.as_str() == text);
    match (known, text) {
        (Some(algorithm), _) => Ok(Some(*algorithm)),
        (None, "none") => because("`none` is refused: anybody can write a token that nobody signed"),
        (None, "ES512" | "ES521" | "ES256K") => {
            because(format!("{text} cannot be verified here; Airflow can, so choose another one for both"))
        }
        (None, _) => Err(Fault::Expected),
    }
}

/// An algorithm of a foreign issuer.
pub fn issuer_algorithm(text: &str) -> Parsed<JwtAlgorithm> {
    match algorithm(text)? {
        Some(JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512) => {
            because(format!("{text} is refused: with keys that are public, anybody could sign"))
        }
        Some(algorithm) => Ok(algorithm),
        None => Err(Fault::Expected),
    }
}
