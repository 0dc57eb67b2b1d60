//! What Keycloak's answers mean. 26.5 and 26.7 give a wrong password different statuses, so that `error`
//! decides, and not the status.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Fault, KeycloakError, RETRY, TokenUser, Tokens, UserInfo, form, odd};
use crate::secret::Secret;

/// The longest life of a token that is believed, ten years: what it is added to remains a time.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The answer of the token endpoint.
pub(super) fn tokens(answer: &Response<Bytes>) -> Result<Tokens, KeycloakError> {
    #[derive(Deserialize)]
    struct Body {
        access_token: String,
        #[serde(default)]
        refresh_token: Option<String>,
        #[serde(default)]
        id_token: Option<String>,
        #[serde(default)]
        session_state: Option<Box<str>>,
        #[serde(default)]
        expires_in: u64,
    }
    if answer.status() != StatusCode::OK {
        return Err(refusal(answer));
    }
    let body: Body = read(answer.body()).ok_or_else(|| odd("keycloak: no tokens in the answer"))?;
    let access: Claims = claims(&body.access_token).unwrap_or_default();
    let id: Claims = body.id_token.as_deref().and_then(claims).unwrap_or_default();
    let sid = id.sid.or(access.sid).or(body.session_state).filter(|sid| !sid.is_empty());
    let user =
        TokenUser { id: id.sub.or(access.sub), name: id.preferred_username.or(access.preferred_username) };
    Ok(Tokens {
        access: Secret::new(body.access_token),
        refresh: body.refresh_token.filter(|token| !token.is_empty()).map(Secret::new),
        user,
        sid,
        expires_in: Duration::from_secs(body.expires_in).min(LONGEST),
    })
}

/// The answer of userinfo.
pub(super) fn user_info(answer: &Response<Bytes>) -> Result<UserInfo, KeycloakError> {
    #[derive(Deserialize)]
    struct Body {
        sub: Box<str>,
        #[serde(default)]
        preferred_username: Option<Box<str>>,
        #[serde(default, rename = "clientId")]
        client: Option<Box<str>>,
    }
    match answer.status() {
        StatusCode::OK => {
            let body: Body = read(answer.body()).ok_or_else(|| odd("keycloak: userinfo names nobody"))?;
            Ok(UserInfo { id: body.sub, name: body.preferred_username.or(body.client) })
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let why = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            Err(KeycloakError::Refused(printable(why.unwrap_or("userinfo gives no reason"))))
        }
        _ => Err(refusal(answer)),
    }
}

/// Whether it is the discovery document of this realm. On which host is left open: Keycloak's own idea of its name may be
/// another.
pub(super) fn names_realm(answer: &Response<Bytes>, realm: &str) -> bool {
    #[derive(Deserialize)]
    struct Body {
        issuer: String,
    }
    let body: Option<Body> = read(answer.body()).filter(|_| answer.status().is_success());
    let path = body.as_ref().and_then(|body| body.issuer.rsplit_once("/realms/"));
    path.is_some_and(|(_, named)| named == realm || named == form::encoded(realm))
}

/// Why there are no tokens (RFC 6749, section 5.2).
fn refusal(answer: &Response<Bytes>) -> KeycloakError {
    #[derive(Deserialize)]
    struct Body {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let status = answer.status();
    let body: Option<Body> = read(answer.body());
    let said = body.as_ref().map(|body| printable(&format!("{}: {}", body.error, body.error_description)));
    let asked = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match (body.as_ref().map(|body| body.error.as_str()), said) {
        (Some("invalid_grant"), Some(said)) if asked => KeycloakError::Refused(said),
        (Some("invalid_client" | "unauthorized_client"), Some(said)) if asked => KeycloakError::Client(said),
        (_, said) => {
            let said = said.map(|said| format!(", {said}")).unwrap_or_default();
            KeycloakError::Unavailable {
                fault: if status.is_server_error() { Fault::ServerError } else { Fault::Odd },
                cause: format!("keycloak: answered {}{said}", status.as_u16()),
                retry_after: wait(answer.headers()),
            }
        }
    }
}

#[derive(Default, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: Option<Box<str>>,
    #[serde(default)]
    preferred_username: Option<Box<str>>,
    #[serde(default)]
    sid: Option<Box<str>>,
}

/// The claims of a token that Keycloak itself has just handed over, so that its signature need not be
/// looked at (OpenID Connect Core, section 3.1.3.7).
fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    read(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// Seconds of `Retry-After`, within reason.
fn wait(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    seconds.map_or(RETRY, |seconds| Duration::from_secs(seconds.clamp(1, 3600)))
}

/// A text of Keycloak's for a line of the log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    /// A token with these claims, which nobody signed.
    fn token(claims: &str) -> String {
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims))
    }

    fn verdict<T>(result: Result<T, KeycloakError>) -> &'static str {
        match result {
            Ok(_) => "given",
            Err(KeycloakError::Refused(_)) => "refused",
            Err(KeycloakError::Client(_)) => "client",
            Err(KeycloakError::Unavailable { fault: Fault::NoAnswer, .. }) => "no answer",
            Err(KeycloakError::Unavailable { fault: Fault::ServerError, .. }) => "server error",
            Err(KeycloakError::Unavailable { fault: Fault::Odd, .. }) => "odd",
        }
    }

    /// What both releases of Keycloak answered.
    #[test]
    fn recorded_answers() {
        let path = format!("{}/tests/goldens/keycloak.jsonl", env!("CARGO_MANIFEST_DIR"));
        let mut seen: BTreeMap<(String, String), &str> = BTreeMap::new();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let (name, said) = (row["name"].as_str().unwrap(), &row["response"]);
            let headers: Vec<_> = said["headers"].as_object().unwrap().iter().collect();
            let headers: Vec<_> =
                headers.iter().map(|(name, values)| (name.as_str(), values[0].as_str().unwrap())).collect();
            let status = u16::try_from(said["status"].as_u64().unwrap()).unwrap();
            let body = if said["body"].is_null() { String::new() } else { said["body"].to_string() };
            let recorded = answer(status, &headers, &body);
            let was = match name.split('.').next() {
                Some("token") => verdict(tokens(&recorded)),
                Some("userinfo") => verdict(user_info(&recorded)),
                _ => continue,
            };
            seen.insert((row["variant"].as_str().unwrap().into(), name.into()), was);
        }
        assert_eq!(seen.len(), 2 * 46, "{seen:#?}");
        for ((release, name), was) in seen {
            let expected = match name.as_str() {
                "token.password.ok"
                | "token.password.no-scope"
                | "token.password.uppercase"
                | "token.password.unicode"
                | "token.password.public-client"
                | "token.password.as-the-provider-sends-it"
                | "token.client-credentials.ok"
                | "token.client-credentials.ci"
                | "token.client-credentials.basic"
                | "token.refresh.ok"
                | "userinfo.ok"
                | "userinfo.live"
                | "userinfo.service-account" => "given",
                "token.password.client-wrong-secret"
                | "token.password.client-missing-secret"
                | "token.password.client-unknown"
                | "token.client-credentials.wrong-secret"
                | "token.client-credentials.public-client" => "client",
                // A request that is not one of ours.
                "token.password.missing-username"
                | "token.unknown-grant"
                | "token.missing-grant"
                | "token.get"
                | "token.json-body"
                | "token.exchange"
                | "token.unknown-realm" => "odd",
                "token.jwt-bearer" if release == "26.5" => "odd",
                _ => "refused",
            };
            assert_eq!(was, expected, "{release} {name}");
        }
    }

    #[test]
    fn whom_tokens_name() {
        let full = r#"{"sub":"id-1","preferred_username":"admin","sid":"s-1"}"#;
        let of = |id: Option<&str>, name: Option<&str>| TokenUser {
            id: id.map(Box::from),
            name: name.map(Box::from),
        };
        for (name, access, id, state, user, sid) in [
            ("the ID token", "{}", Some(full), None, of(Some("id-1"), Some("admin")), Some("s-1")),
            ("the access token", full, None, None, of(Some("id-1"), Some("admin")), Some("s-1")),
            ("no token", "{}", Some("{}"), Some("s-2"), of(None, None), Some("s-2")),
            ("another type", r#"{"sub":5}"#, None, Some(""), of(None, None), None),
        ] {
            let mut body = serde_json::json!({"access_token": token(access), "expires_in": 300});
            body["id_token"] = id.map(token).into();
            body["session_state"] = state.into();
            let read = tokens(&answer(200, &[], &body.to_string())).unwrap();
            assert_eq!((read.user, read.sid.as_deref()), (user, sid), "{name}");
            assert_eq!((read.refresh, read.expires_in.as_secs()), (None, 300), "{name}");
        }
        let endless = serde_json::json!({"access_token": "a", "expires_in": u64::MAX});
        assert_eq!(tokens(&answer(200, &[], &endless.to_string())).unwrap().expires_in, LONGEST);
    }

    #[test]
    fn what_is_the_realms_discovery_document() {
        let issuer = |issuer: &str| format!(r#"{{"issuer":"{issuer}","token_endpoint":"x"}}"#);
        for (name, status, body, realm, expected) in [
            ("its own", 200, issuer("http://k/realms/airflow"), "airflow", true),
            ("under another name", 200, issuer("https://sso.example/auth/realms/airflow"), "airflow", true),
            ("encoded", 200, issuer("http://k/realms/my%20realm"), "my realm", true),
            ("another realm's", 200, issuer("http://k/realms/other"), "airflow", false),
            ("another server's", 200, issuer("https://accounts.example"), "airflow", false),
            ("a page", 200, "<html>realms/airflow</html>".to_owned(), "airflow", false),
            ("no issuer", 200, "{}".to_owned(), "airflow", false),
            ("an error", 502, issuer("http://k/realms/airflow"), "airflow", false),
        ] {
            assert_eq!(names_realm(&answer(status, &[], &body), realm), expected, "{name}");
        }
    }

    #[test]
    fn what_makes_no_sense() {
        let page = [("content-type", "text/html")];
        let denied = r#"{"error":"access_denied","error_description":"Access denied"}"#;
        for (name, said, wait, expected) in [
            ("no JSON", answer(200, &[], "<html>"), 5, Fault::Odd),
            ("no token", answer(200, &[], "{}"), 5, Fault::Odd),
            ("too busy", answer(503, &[("retry-after", "17")], ""), 17, Fault::ServerError),
            ("too busy for ever", answer(429, &[("retry-after", "99999999")], "{}"), 3600, Fault::Odd),
            ("a fault of its own", answer(500, &[], r#"{"error":"invalid_grant"}"#), 5, Fault::ServerError),
            ("a redirect", answer(302, &[("location", "/")], ""), 5, Fault::Odd),
            ("401 HTML", answer(401, &page, "<html>"), 5, Fault::Odd),
            ("403 access_denied", answer(403, &[], denied), 5, Fault::Odd),
            ("404 of a proxy", answer(404, &page, "<html>"), 5, Fault::Odd),
        ] {
            match tokens(&said) {
                Err(KeycloakError::Unavailable { fault, retry_after, .. }) => {
                    assert_eq!((retry_after.as_secs(), fault), (wait, expected), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
