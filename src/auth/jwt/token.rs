//! The compact form of a JSON Web Token, read as PyJWT 2.15 reads it (`api_jws.py`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// A token taken apart, nothing of it verified (RFC 7515, section 3.1).
pub struct Token<'a> {
    /// `alg` of the header. Only ever compared with what the configuration allows.
    pub algorithm: Option<String>,
    /// `kid` of the header.
    pub kid: Option<String>,
    /// What the signature is made over.
    pub signed: &'a [u8],
    /// The signature, still in base64url, without padding.
    pub signature: &'a str,
    /// The decoded payload. JSON, if the signature is good.
    pub payload: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Longest token looked at, in bytes. An HTTP header of Airflow's server is no longer either.
    pub const MAX: usize = 64 * 1024;

    /// Takes a token apart.
    ///
    /// Strict where PyJWT is strict (the base64url alphabet, unused bits, `kid` as text, `crit`), and
    /// lenient where it is lenient (padding, unknown header fields, `typ`). JSON is RFC 8259: Python
    /// would also take `NaN` and lone surrogates, which no issuer writes.
    ///
    /// # Errors
    /// What is wrong, for the log.
    pub fn parse(token: &'a [u8]) -> Result<Self, &'static str> {
        if token.len() > Self::MAX {
            return Err("longer than 64 KiB");
        }
        let last = token.iter().rposition(|&b| b == b'.').ok_or("not three segments")?;
        let (signed, signature) = (&token[..last], &token[last + 1..]);
        let first = signed.iter().position(|&b| b == b'.').ok_or("not three segments")?;
        let (header, payload) = (&signed[..first], &signed[first + 1..]);

        let header = decode(header).ok_or("header is not base64url")?.1;
        let header: Map<String, Value> =
            serde_json::from_slice(&header).map_err(|_| "header is not a JSON object")?;
        if header.get("b64") == Some(&Value::Bool(false)) {
            return Err("detached payload");
        }
        let payload = decode(payload).ok_or("payload is not base64url")?.1;
        let (signature, _) = decode(signature).ok_or("signature is not base64url")?;

        check_critical(&header)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err("kid is not a string"),
        };
        let algorithm = header.get("alg").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { algorithm, kid, signed, signature, payload })
    }

    /// `iss` of the payload, unverified: good for choosing who verifies, and for nothing else.
    pub fn claimed_issuer(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Claimed {
            iss: String,
        }
        serde_json::from_slice::<Claimed>(&self.payload).ok().map(|claimed| claimed.iss)
    }
}

/// RFC 7515, section 4.1.11: what is critical must be understood. Only `b64` is (RFC 7797).
fn check_critical(header: &Map<String, Value>) -> Result<(), &'static str> {
    let Some(critical) = header.get("crit") else { return Ok(()) };
    let names = critical.as_array().filter(|names| !names.is_empty()).ok_or("crit is not a list")?;
    let known = names.iter().all(|name| name == "b64" && header.contains_key("b64"));
    if known { Ok(()) } else { Err("unknown critical extension") }
}

/// Decodes a segment, and returns it without its padding too. Padding is allowed where it is right;
/// bits that no byte uses must be zero, so that one token has one spelling.
fn decode(segment: &[u8]) -> Option<(&str, Vec<u8>)> {
    let padding = segment.iter().rev().take_while(|&&b| b == b'=').count();
    if padding > 2 || (padding > 0 && !segment.len().is_multiple_of(4)) {
        return None;
    }
    let bare = &segment[..segment.len() - padding];
    let bytes = URL_SAFE_NO_PAD.decode(bare).ok()?;
    Some((std::str::from_utf8(bare).ok()?, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> Vec<u8> {
        format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header)).into_bytes()
    }

    #[test]
    fn headers() {
        for (name, header, expected) in [
            ("plain", r#"{"alg":"HS512","kid":"k"}"#, Ok(())),
            ("without anything", "{}", Ok(())),
            ("the last of two counts", r#"{"kid":1,"kid":"k"}"#, Ok(())),
            ("an array", "[]", Err("header is not a JSON object")),
            ("not JSON", "{", Err("header is not a JSON object")),
            ("too deep", &"[".repeat(4096), Err("header is not a JSON object")),
            ("kid null", r#"{"kid":null}"#, Err("kid is not a string")),
            ("kid number", r#"{"kid":5}"#, Err("kid is not a string")),
            ("crit empty", r#"{"crit":[]}"#, Err("crit is not a list")),
            ("crit text", r#"{"crit":"b64","b64":true}"#, Err("crit is not a list")),
            ("crit unknown", r#"{"crit":["exp"],"exp":1}"#, Err("unknown critical extension")),
            ("crit number", r#"{"crit":[1]}"#, Err("unknown critical extension")),
            ("crit b64 absent", r#"{"crit":["b64"]}"#, Err("unknown critical extension")),
            ("crit b64", r#"{"crit":["b64"],"b64":true}"#, Ok(())),
            ("b64 false", r#"{"crit":["b64"],"b64":false}"#, Err("detached payload")),
        ] {
            assert_eq!(Token::parse(&token(header)).map(|_| ()), expected, "{name}");
        }
    }

    #[test]
    fn segments() {
        for (name, text, expected) in [
            ("three", "e30.e30.AA", Ok("AA")),
            ("empty signature", "e30.e30.", Ok("")),
            ("right padding", "e30=.e30=.AA==", Ok("AA")),
            ("padding too short", "e30.e30.AA=", Err("signature is not base64url")),
            ("padding too long", "e30.e30.AA===", Err("signature is not base64url")),
            ("padding where none belongs", "e30.e30.AAAA=", Err("signature is not base64url")),
            ("unused bits", "e30.e30.AB", Err("signature is not base64url")),
            ("standard alphabet", "e30.e30.+/==", Err("signature is not base64url")),
            ("length no base64 has", "e30.e30.AAAAA", Err("signature is not base64url")),
            ("space", "e30.e 30.AA", Err("payload is not base64url")),
            ("four", "e30.e30.e30.AA", Err("payload is not base64url")),
            ("two", "e30.e30", Err("not three segments")),
            ("none", "", Err("not three segments")),
            ("dots", "..", Err("header is not a JSON object")),
        ] {
            assert_eq!(Token::parse(text.as_bytes()).map(|t| t.signature), expected, "{name}");
        }
    }

    #[test]
    fn a_token_is_bounded() {
        let long = format!("e30.{}.AA", "A".repeat(Token::MAX));
        assert_eq!(Token::parse(long.as_bytes()).err(), Some("longer than 64 KiB"));
    }
}
