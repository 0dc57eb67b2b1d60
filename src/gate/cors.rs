//! Cross-origin resource sharing, as Airflow 3 does it: which pages of other origins may call the
//! API from a browser.
//!
//! Airflow 3 adds Starlette's `CORSMiddleware` with credentials allowed; status, headers, their
//! order and the texts here are that middleware's. One difference: without any origin there is no
//! policy at all, where Airflow with methods or headers alone still answers preflights, with 400.
//! Without a policy nothing is answered here and nothing is changed, so that CORS headers of an
//! upstream that has a policy of its own pass.

mod origin;

use std::collections::BTreeSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use origin::{InvalidOrigin, Origin};

/// Who may call the API from a browser, and how: `[api] access_control_allow_origins`, `_methods`
/// and `_headers`. Credentials are always allowed, as in Airflow 3.
#[derive(Debug, Clone)]
pub struct Policy {
    origins: Vec<Origin>,
    methods: Vec<Box<str>>,
    headers: Headers,
    /// What every answer to a preflight says, whatever was asked.
    preflight: HeaderMap,
}

/// Which request headers a page may set.
#[derive(Debug, Clone)]
enum Headers {
    /// `*`: whatever the preflight asks for is mirrored.
    Any,
    /// These.
    Listed(Vec<Box<str>>),
}

/// Why there can be no such policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// An entry of `access_control_allow_methods` is neither `*` nor a token (RFC 9110).
    #[error("`{0}` is not a method")]
    Method(Box<str>),
    /// An entry of `access_control_allow_headers` is neither `*` nor a token (RFC 9110).
    #[error("`{0}` is not the name of a header")]
    Header(Box<str>),
}

/// A whole answer to a preflight, but for `Content-Length`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// 200, or 400 where anything asked for is not allowed.
    pub status: StatusCode,
    /// All headers, in Airflow's order.
    pub headers: HeaderMap,
    /// `OK`, or what is not allowed.
    pub body: String,
}

/// What any other answer says. `Vary` comes besides, see [`vary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHeaders {
    /// `Access-Control-Allow-Origin`: the request's origin, where it is allowed.
    pub allow_origin: Option<HeaderValue>,
    /// `Access-Control-Allow-Credentials`: `true` for every request with an origin, allowed or not.
    pub allow_credentials: Option<HeaderValue>,
}

/// The headers to take out of an upstream's answer where there is a policy, so that none is doubled
/// or contradicts ours.
pub const REPLACED: [HeaderName; 7] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");

const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
                              Access-Control-Request-Private-Network";

/// What `*` among the methods stands for.
const ALL_METHODS: [&str; 8] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY"];

/// Request headers that are always allowed.
const SAFELISTED: [&str; 4] = ["Accept", "Accept-Language", "Content-Language", "Content-Type"];

impl Policy {
    /// Makes the policy. `None` where there are no origins: CORS is off. `*` among the methods or
    /// the headers stands for all. Methods are compared with regard to case, header names without.
    ///
    /// # Errors
    /// A method or header name that no request could carry.
    pub fn new<T: AsRef<str>>(
        origins: Vec<Origin>,
        methods: &[T],
        headers: &[T],
    ) -> Result<Option<Self>, InvalidPolicy> {
        let mut methods: Vec<&str> = methods.iter().map(AsRef::as_ref).collect();
        if methods.contains(&"*") {
            methods = ALL_METHODS.to_vec();
        }
        if let Some(bad) = methods.iter().find(|method| Method::from_bytes(method.as_bytes()).is_err()) {
            return Err(InvalidPolicy::Method((*bad).into()));
        }
        let headers: BTreeSet<&str> = headers.iter().map(AsRef::as_ref).collect();
        let listed = (!headers.contains("*")).then(|| headers.into_iter().chain(SAFELISTED).collect());
        let listed: Option<BTreeSet<&str>> = listed;
        if let Some(bad) =
            listed.iter().flatten().find(|name| HeaderName::from_bytes(name.as_bytes()).is_err())
        {
            return Err(InvalidPolicy::Header((*bad).into()));
        }

        let mut preflight = HeaderMap::new();
        preflight.insert(VARY, HeaderValue::from_static(PREFLIGHT_VARY));
        preflight.insert(ACCESS_CONTROL_ALLOW_METHODS, list(methods.iter().copied()));
        preflight.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(listed) = &listed {
            preflight.insert(ACCESS_CONTROL_ALLOW_HEADERS, list(listed.iter().copied()));
        }
        preflight.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));

        let policy = Self {
            methods: methods.into_iter().map(Into::into).collect(),
            headers: listed
                .map_or(Headers::Any, |listed| Headers::Listed(listed.into_iter().map(Into::into).collect())),
            origins,
            preflight,
        };
        Ok((!policy.origins.is_empty()).then_some(policy))
    }

    /// Whether pages of this origin may call the API. Compared byte for byte, so that `null` never
    /// is. Also decides on credentials that a browser sends by itself.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.allowed(origin).is_some()
    }

    fn allowed(&self, origin: &[u8]) -> Option<&Origin> {
        self.origins.iter().find(|allowed| allowed.header().as_bytes() == origin)
    }

    /// The reason of a refused preflight, for metrics and logs.
    pub const REFUSED: &'static str = "cors";

    /// Answers a preflight, see [`is_preflight`]. Where a header comes twice, the first counts.
    pub fn preflight(&self, request: &HeaderMap) -> Preflight {
        let mut headers = self.preflight.clone();
        let mut refused = Vec::new();

        match request.get(ORIGIN).and_then(|origin| self.allowed(origin.as_bytes())) {
            Some(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.header().clone());
            }
            None => refused.push("origin"),
        }
        let method = request.get(ACCESS_CONTROL_REQUEST_METHOD).map_or(&b""[..], HeaderValue::as_bytes);
        if !self.methods.iter().any(|allowed| allowed.as_bytes() == method) {
            refused.push("method");
        }
        match (&self.headers, request.get(ACCESS_CONTROL_REQUEST_HEADERS)) {
            (Headers::Any, Some(asked)) => {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            (Headers::Listed(listed), Some(asked)) => {
                let allowed = |name: &[u8]| listed.iter().any(|l| l.as_bytes().eq_ignore_ascii_case(name));
                if !asked.as_bytes().split(|&b| b == b',').all(|name| allowed(name.trim_ascii())) {
                    refused.push("headers");
                }
            }
            (Headers::Any | Headers::Listed(_), None) => {}
        }
        if request.contains_key(REQUEST_PRIVATE_NETWORK) {
            refused.push("private-network");
        }

        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if refused.is_empty() {
            Preflight { status: StatusCode::OK, headers, body: "OK".to_owned() }
        } else {
            let body = format!("Disallowed CORS {}", refused.join(", "));
            Preflight { status: StatusCode::BAD_REQUEST, headers, body }
        }
    }

    /// What an answer says to a request with this `Origin`, the first where there are several. It
    /// is for every answer but a preflight's, forwarded or made here, whatever its status; and each
    /// also gets [`vary`], with an `Origin` or without. Takes no memory.
    pub fn on_reply(&self, origin: Option<&HeaderValue>) -> ReplyHeaders {
        ReplyHeaders {
            allow_origin: origin
                .and_then(|origin| self.allowed(origin.as_bytes()))
                .map(|origin| origin.header().clone()),
            allow_credentials: origin.map(|_| HeaderValue::from_static("true")),
        }
    }
}

impl ReplyHeaders {
    /// The headers to set.
    pub fn into_headers(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let credentials = self.allow_credentials.map(|value| (ACCESS_CONTROL_ALLOW_CREDENTIALS, value));
        let origin = self.allow_origin.map(|value| (ACCESS_CONTROL_ALLOW_ORIGIN, value));
        credentials.into_iter().chain(origin)
    }
}

/// Whether a request is a preflight, which is answered before anybody is asked for credentials:
/// browsers send none with it.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The one `Vary` that stands for those of an answer and says `Origin` too. `None` where they say
/// so already, or `*`, which means more: leave them as they are.
pub fn vary<'a>(existing: impl IntoIterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let mut merged = Vec::new();
    for value in existing {
        let value = value.as_bytes().trim_ascii();
        let covers = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"origin");
        if value.split(|&b| b == b',').any(|name| covers(name.trim_ascii())) {
            return None;
        }
        if !value.is_empty() {
            merged.extend_from_slice(value);
            merged.extend_from_slice(b", ");
        }
    }
    if merged.is_empty() {
        return Some(HeaderValue::from_static("Origin"));
    }
    merged.extend_from_slice(b"Origin");
    // What is made of header values is one.
    Some(HeaderValue::try_from(merged).unwrap_or(HeaderValue::from_static("*")))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> HeaderValue {
    let names: Vec<&str> = names.collect();
    // Tokens and commas are a header value.
    HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
