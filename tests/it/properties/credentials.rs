//! `Authorization` and `Cookie`. Input: header lines.

use airgate::auth::basic::Scratch;
use airgate::auth::credentials::{Authorization, Credentials};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Of two `Authorization` headers none counts; a scheme means the same in any case; what Basic
/// credentials are read as is what was encoded; a cookie is a part of one `Cookie` header.
pub fn holds(input: &[u8]) {
    let headers = headers(input);
    let sent = headers.get_all(AUTHORIZATION).iter().count();
    let Ok(credentials) = Credentials::read(&headers) else {
        assert!(sent > 1);
        return;
    };
    assert!(sent <= 1);
    let (rest, scheme) = match credentials.authorization {
        Authorization::Bearer(rest) => (Some(rest), "bEARER"),
        Authorization::Basic(rest) => (Some(rest), "bASIC"),
        Authorization::Negotiate(rest) => (Some(rest), "nEGOTIATE"),
        Authorization::Absent | Authorization::Other => (None, ""),
    };
    if let Some(rest) = rest {
        let may_be_empty = matches!(credentials.authorization, Authorization::Negotiate(_));
        assert!((may_be_empty || !rest.is_empty()) && rest.trim_ascii() == rest);
        assert!(is_part(rest, headers[AUTHORIZATION].as_bytes()));
        let mut respelled = HeaderMap::new();
        let value = [scheme.as_bytes(), b" ", rest].concat();
        respelled.insert(AUTHORIZATION, HeaderValue::from_bytes(&value).unwrap());
        assert!(Credentials::read(&respelled).unwrap().authorization == credentials.authorization);
    }
    if let Some(login) = Scratch::new().login(&credentials) {
        let decoded = STANDARD.decode(rest.unwrap()).unwrap();
        let username = login.username();
        assert!(!username.is_empty() && !username.contains(|c: char| c == ':' || c.is_control()));
        assert_eq!(&decoded[..username.len()], username.as_bytes());
        assert_eq!(decoded[username.len()], b':');
        assert!(decoded.len() > username.len() + 1, "an empty password");
    }
    for name in ["_token", "session", "a"] {
        if let Some(value) = credentials.cookie(name) {
            assert!(!value.contains(&b';'));
            assert!(headers.get_all(COOKIE).iter().any(|header| is_part(value, header.as_bytes())));
        }
    }
}

fn is_part(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

/// The headers of a request's head, those that can be headers.
pub fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|&b| b == b'\n') {
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}
