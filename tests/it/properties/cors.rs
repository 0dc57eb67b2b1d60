//! CORS. Input: header lines of a request.

use airgate::gate::cors::{Origin, Policy, vary};
use http::header::*;
use http::{HeaderMap, StatusCode};

use super::credentials::headers;

const ORIGINS: [&str; 2] = ["https://ui.example.com", "https://grafana.example.com:8443"];
const METHODS: [&str; 3] = ["GET", "POST", "OPTIONS"];

/// A preflight succeeds only for an origin and a method that are allowed; an origin is repeated to
/// nobody but itself; and every answer varies by origin.
pub fn holds(input: &[u8]) {
    let request = headers(input);
    let origins = || ORIGINS.map(|origin| Origin::parse(origin).unwrap()).into();
    let origin = request.get(ORIGIN).map(|v| v.as_bytes());
    let allowed = ORIGINS.iter().any(|o| Some(o.as_bytes()) == origin);
    for names in [&["x-a", "authorization"][..], &["*"]] {
        let policy = Policy::new(origins(), &METHODS, &names_of(names)).unwrap().unwrap();
        let answer = policy.preflight(&request);
        let method = request.get(ACCESS_CONTROL_REQUEST_METHOD).map(|v| v.as_bytes());
        if answer.status == StatusCode::OK {
            assert!(allowed && METHODS.iter().any(|m| Some(m.as_bytes()) == method));
        } else {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        }
        says_origin(&answer.headers, origin.filter(|_| allowed));
        assert!(vary(answer.headers.get_all(VARY)).is_none());

        let mut reply = HeaderMap::new();
        reply.extend(policy.on_reply(request.get(ORIGIN)).into_headers().map(|(n, v)| (Some(n), v)));
        says_origin(&reply, origin.filter(|_| allowed));
    }
    if let Some(merged) = vary(request.get_all(VARY)) {
        assert!(merged.as_bytes().ends_with(b"Origin") || merged == "*");
        assert!(vary([&merged]).is_none(), "{merged:?} is not the end of it");
    }
}

fn says_origin(answer: &HeaderMap, expected: Option<&[u8]>) {
    let said: Vec<_> = answer.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().map(|v| v.as_bytes()).collect();
    assert_eq!(said, expected.into_iter().collect::<Vec<_>>());
}

fn names_of<'a>(names: &[&'a str]) -> Vec<&'a str> {
    names.to_vec()
}
