//! What a service is told of a request.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::Ambient;
use crate::auth::hearsay::expiry;
use crate::auth::{Attempt, Scope};

/// The question: the client's credentials, and what it asks for.
pub(super) struct Ask {
    /// Of the client's, in the order of the configuration.
    credentials: Vec<(HeaderName, HeaderValue)>,
    /// What is said of the request itself.
    described: Vec<(HeaderName, HeaderValue)>,
    id: HeaderValue,
}

/// What a browser sends by itself, or lets any page set without asking (Fetch, "CORS-safelisted
/// request-header" and "forbidden request-header"): no sign that the page was allowed to.
const UNGUARDED: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "content-language",
    "content-type",
    "cookie",
    "date",
    "dnt",
    "origin",
    "range",
    "referer",
    "user-agent",
    "via",
];
/// Likewise, what begins like this.
const UNGUARDED_PREFIXES: &[&str] = &["sec-", "proxy-"];

impl Ask {
    /// The question about a request; `None` if it has none of these headers, or all are empty. A cookie is
    /// not looked at where a credential is exchanged for a token.
    pub(super) fn about(attempt: &Attempt<'_>, headers: &[HeaderName]) -> Option<Self> {
        let request = attempt.request;
        let sent = &request.head.headers;
        let looked_at = |name: &HeaderName| match attempt.scope {
            Scope::Token => *name != COOKIE,
            Scope::Api | Scope::Experimental => true,
        };
        let values = |name: &'_ HeaderName| {
            let name = name.clone();
            let there = sent.get_all(&name).iter().filter(|value| !value.as_bytes().trim_ascii().is_empty());
            there.map(|value| (name.clone(), value.clone())).collect::<Vec<_>>()
        };
        let credentials: Vec<_> = headers.iter().filter(|name| looked_at(name)).flat_map(values).collect();
        if credentials.is_empty() {
            return None;
        }
        let mut described = Vec::with_capacity(7);
        let mut say = |name: &'static str, value: &[u8]| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                described.push((HeaderName::from_static(name), value));
            }
        };
        let (method, target) = (request.head.method.as_str().as_bytes(), attempt.target.as_bytes());
        say("x-forwarded-method", method);
        say("x-original-method", method);
        say("x-forwarded-uri", target);
        say("x-original-uri", target);
        say("x-forwarded-proto", if request.peer.tls { b"https" } else { b"http" });
        if let Some(host) = request.authority() {
            say("x-forwarded-host", host);
        }
        if let Some(address) = request.peer.address {
            say("x-forwarded-for", address.to_string().as_bytes());
        }
        Some(Self { credentials, described, id: request.id.header().clone() })
    }

    /// All that the service may go by, for the key of what is remembered.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let both = self.credentials.iter().chain(&self.described);
        both.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
    }

    /// Whether a browser may have sent the credentials by itself.
    pub(super) fn is_ambient(&self, ambient: Ambient) -> bool {
        match ambient {
            Ambient::Yes => true,
            Ambient::No => false,
            Ambient::Auto => {
                let by_itself = |(name, value): &(HeaderName, HeaderValue)| {
                    *name == COOKIE || (*name == AUTHORIZATION && is_remembered(value))
                };
                let guarded = |(name, value): &(HeaderName, HeaderValue)| {
                    let name = name.as_str();
                    let open = UNGUARDED.contains(&name)
                        || UNGUARDED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
                    !(open || (name == AUTHORIZATION.as_str() && is_remembered(value)))
                };
                self.credentials.iter().any(by_itself) || !self.credentials.iter().any(guarded)
            }
        }
    }

    /// When a Bearer token that is a JWT ends by its own word, so that no token got for it lives longer.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        let (_, value) = self.credentials.iter().find(|(name, _)| *name == AUTHORIZATION)?;
        let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| expiry(token.trim()))?
    }

    /// The request that asks it.
    pub(super) fn into_request(self, url: &Uri) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(HeaderName::from_static("x-request-id"), self.id);
        for (name, mut value) in self.credentials {
            value.set_sensitive(true);
            headers.append(name, value);
        }
        for (name, value) in self.described {
            headers.insert(name, value);
        }
        request
    }
}

/// Whether `Authorization` is of a scheme that a browser remembers, and sends by itself.
fn is_remembered(value: &HeaderValue) -> bool {
    const SCHEMES: [&[u8]; 4] = [b"basic", b"digest", b"negotiate", b"ntlm"];
    let value = value.as_bytes().trim_ascii();
    let scheme = value.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    SCHEMES.iter().any(|remembered| scheme.eq_ignore_ascii_case(remembered))
}
