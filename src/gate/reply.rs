//! Answers of airgate's own. The only place that knows status codes.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, LINK as LINK_HEADER, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::cors::Preflight;
use super::cross_site::CrossSite;
use super::target::InvalidTarget;
use crate::auth::chain::{Cause, Refusal};
use crate::auth::{Reason, credentials::InvalidCredentials};

/// An answer, complete but for what every answer gets (CORS, `X-Request-ID`, `Content-Length`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// Headers, in order; a name may come more than once.
    pub headers: SmallVec<[(HeaderName, HeaderValue); 4]>,
    /// The body, sent unless the request was `HEAD`.
    pub body: Bytes,
}

/// Why a request is not forwarded. Each has one status and one text; the text never holds a cause,
/// an address or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The request target is ambiguous.
    Target(InvalidTarget),
    /// The credentials cannot be looked at.
    Credentials(InvalidCredentials),
    /// More than one way to find the end of the body, such as by Content-Length and by
    /// Transfer-Encoding.
    Framing,
    /// The head cannot be passed on: it has no `Host`, or its `Connection` names what is not for one hop.
    Head,
    /// More header fields than `[limits] max_headers`.
    TooManyHeaders,
    /// Neither API nor token, and `[gate] other_routes` does not let it through.
    NoRoute,
    /// The experimental API, which `[api] enable_experimental_api` does not turn on.
    ExperimentalOff,
    /// Nobody accepted the credentials.
    Refused(Box<Refusal>),
    /// A change asked for by a foreign page, with a credential that the browser sent by itself.
    CrossSite(CrossSite),
    /// Accepted here, but unknown to Airflow, or not to be given an identity there.
    UnknownToAirflow,
    /// More requests of one user than `[limits] requests_per_user`; when there may be another.
    TooManyRequests(Duration),
    /// The body did not come in time.
    SlowBody,
    /// The body is longer than what is read here.
    LargeBody,
    /// There is no room for the body among those that are read at the moment.
    NoRoom(Full),
    /// The body ended early or cannot be read.
    BrokenBody,
    /// No upstream answers.
    UpstreamDown,
    /// The upstream took too long.
    UpstreamSlow,
    /// The upstream answered what cannot be translated: what is odd about it, in words of our own.
    UpstreamOdd(&'static str),
    /// A fault of our own.
    Internal,
}

/// Whose bodies take as much room as is left for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Those of the same user.
    #[error("the bodies of this user would take more room than they leave for others")]
    User,
    /// Those of log-ins, of clients without a name, and of tokens that only the upstream can judge, from the same
    /// address.
    #[error(
        "the bodies of this address, of nobody who is known, would take more room than they leave for others"
    )]
    Unknown,
}

impl Problem {
    /// A bounded label, for metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Target(_) => "ambiguous_target",
            Self::Credentials(InvalidCredentials::Repeated) => "repeated_authorization",
            Self::Framing => "ambiguous_framing",
            Self::Head => "malformed_head",
            Self::TooManyHeaders => "too_many_headers",
            Self::NoRoute | Self::ExperimentalOff => "no_route",
            Self::Refused(refusal) => match &refusal.cause {
                Cause::Unauthorized(None) => "no_credential",
                Cause::Unauthorized(Some(reason)) | Cause::Forbidden(reason) => match reason {
                    Reason::TokenExpired => "token_expired",
                    Reason::TokenInvalid(_) => "token_invalid",
                    Reason::WrongPassword => "wrong_password",
                    Reason::WrongClient => "wrong_client",
                    Reason::WrongAssertion(_) => "wrong_assertion",
                    Reason::TicketRefused(_) => "ticket_refused",
                    Reason::Malformed(_) => "malformed_credential",
                    Reason::Denied => "denied",
                    Reason::Refused => "refused",
                    Reason::Forbidden => "forbidden",
                },
                Cause::Throttled(_) => "locked_out",
                Cause::Unavailable { .. } => "backend_unavailable",
            },
            Self::CrossSite(_) => "cross_site",
            Self::UnknownToAirflow => "unknown_to_airflow",
            Self::TooManyRequests(_) => "too_many_requests",
            Self::SlowBody => "slow_body",
            Self::LargeBody => "large_body",
            Self::NoRoom(_) => "no_room",
            Self::BrokenBody => "broken_body",
            Self::UpstreamDown => "upstream_down",
            Self::UpstreamSlow => "upstream_slow",
            Self::UpstreamOdd(_) => "upstream_odd",
            Self::Internal => "internal",
        }
    }
}

impl Reply {
    /// `{"detail": …}`, the form of Airflow 3's errors.
    pub fn detail(status: StatusCode, detail: &str) -> Self {
        Self::json(status, json!({ "detail": detail }).to_string())
    }

    /// A JSON body.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut headers = SmallVec::new();
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        Self { status, headers, body: body.into() }
    }

    /// A token or something else that no cache may keep (RFC 6749, section 5.1).
    pub fn no_store(self) -> Self {
        self.with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// Adds a header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer to a problem.
    pub fn problem(problem: &Problem) -> Self {
        use StatusCode as S;
        match problem {
            Problem::Target(invalid) => Self::detail(S::BAD_REQUEST, &invalid.to_string()),
            Problem::Credentials(invalid) => Self::detail(S::BAD_REQUEST, &invalid.to_string()),
            Problem::Framing => {
                Self::detail(S::BAD_REQUEST, "The request's body ends in more than one place")
            }
            Problem::Head => Self::detail(S::BAD_REQUEST, "The request's head is malformed"),
            Problem::TooManyHeaders => {
                Self::detail(S::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many header fields")
            }
            Problem::NoRoute => Self::detail(
                S::NOT_FOUND,
                "Not a route of the API. Set [gate] other_routes to forward other routes to Airflow",
            ),
            Problem::ExperimentalOff => Self::detail(
                S::NOT_FOUND,
                "The experimental API is not enabled. Set [api] enable_experimental_api = true to have it answered",
            ),
            Problem::Refused(refusal) => Self::refused(refusal),
            Problem::CrossSite(_) => {
                Self::detail(S::FORBIDDEN, "A change that another site asks for needs a Bearer token")
            }
            Problem::UnknownToAirflow => Self::detail(S::FORBIDDEN, "The user is not known to Airflow"),
            Problem::TooManyRequests(wait) => {
                Self::detail(S::TOO_MANY_REQUESTS, "Too many requests").retry_after(*wait)
            }
            Problem::SlowBody => Self::detail(S::REQUEST_TIMEOUT, "The request body did not arrive in time"),
            Problem::LargeBody => Self::detail(S::PAYLOAD_TOO_LARGE, "The request body is too large"),
            Problem::NoRoom(_) => Self::detail(S::SERVICE_UNAVAILABLE, "Too many large bodies at a time")
                .retry_after(Duration::from_secs(1)),
            Problem::BrokenBody => Self::detail(S::BAD_REQUEST, "The request body is incomplete"),
            Problem::UpstreamDown => Self::detail(S::BAD_GATEWAY, "Airflow cannot be reached"),
            Problem::UpstreamSlow => Self::detail(S::GATEWAY_TIMEOUT, "Airflow did not answer in time"),
            Problem::UpstreamOdd(what) => {
                Self::detail(S::BAD_GATEWAY, &format!("Airflow's answer cannot be translated: {what}"))
            }
            Problem::Internal => Self::detail(S::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }

    /// The answer to a problem in the form of Airflow 2's errors (RFC 7807). Like Airflow 2 it has no `detail`
    /// where the credential is at fault.
    pub fn problem_json(problem: &Problem) -> Self {
        let mut reply = Self::problem(problem);
        let told: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let blames =
            |refusal: &Refusal| matches!(refusal.cause, Cause::Unauthorized(_) | Cause::Forbidden(_));
        let silent = matches!(problem, Problem::Refused(refusal) if blames(refusal));
        let body = json!({
            "detail": told.as_ref().filter(|_| !silent).and_then(|told| told.get("detail")),
            "status": reply.status.as_u16(),
            "title": reply.status.canonical_reason(),
            "type": problem_type(reply.status),
        });
        reply.body = body.to_string().into();
        for (name, value) in &mut reply.headers {
            if *name == CONTENT_TYPE {
                *value = HeaderValue::from_static("application/problem+json");
            }
        }
        reply
    }

    /// An error of Airflow 2's stable API (RFC 7807). `documented`: its type is that of the status in Airflow's
    /// manual, rather than `about:blank`.
    pub fn titled(status: StatusCode, title: Option<&str>, detail: Option<&str>, documented: bool) -> Self {
        let kind = if documented { problem_type(status) } else { "about:blank".into() };
        let body = json!({ "detail": detail, "status": status.as_u16(), "title": title, "type": kind });
        let mut reply = Self::json(status, body.to_string());
        for (name, value) in &mut reply.headers {
            if *name == CONTENT_TYPE {
                *value = HeaderValue::from_static("application/problem+json");
            }
        }
        reply
    }

    /// The answer to a problem in the form of the experimental API's errors.
    pub fn problem_error(problem: &Problem) -> Self {
        let mut reply = Self::problem(problem);
        let told: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let error = told.as_ref().and_then(|told| told.get("detail")).and_then(Value::as_str);
        reply.body = json!({ "error": error.unwrap_or_default() }).to_string().into();
        reply.deprecated()
    }

    /// An error of the experimental API.
    pub fn error(status: StatusCode, error: &str) -> Self {
        Self::json(status, json!({ "error": error }).to_string()).deprecated()
    }

    /// Says that the API is deprecated, as Airflow 2 does with each answer of the experimental one.
    pub fn deprecated(self) -> Self {
        const LINK: &str = "<https://airflow.apache.org/docs/apache-airflow/2.11.2/upgrading-to-2.html#migration-guide-from-experimental-api-to-stable-api-v1>; rel=\"deprecation\"; type=\"text/html\"";
        self.with(HeaderName::from_static("deprecation"), HeaderValue::from_static("true"))
            .with(LINK_HEADER, HeaderValue::from_static(LINK))
    }

    fn refused(refusal: &Refusal) -> Self {
        let mut reply = match &refusal.cause {
            Cause::Unauthorized(reason) => {
                Self::detail(StatusCode::UNAUTHORIZED, reason.as_ref().map_or("Not authenticated", detail))
            }
            Cause::Forbidden(reason) => Self::detail(StatusCode::FORBIDDEN, detail(reason)),
            Cause::Throttled(wait) => {
                Self::detail(StatusCode::TOO_MANY_REQUESTS, "Too many failed log-ins").retry_after(*wait)
            }
            Cause::Unavailable { retry_after, .. } => {
                Self::detail(StatusCode::SERVICE_UNAVAILABLE, "Credentials cannot be checked at the moment")
                    .retry_after(*retry_after)
            }
        };
        for challenge in &refusal.challenges {
            reply = reply.with(WWW_AUTHENTICATE, challenge.clone());
        }
        if refusal.clear_cookie {
            reply = reply.clear_cookie("/");
        }
        reply
    }

    /// Takes back a `_token` cookie with this path, in Airflow 3's own words.
    pub fn clear_cookie(self, path: &str) -> Self {
        let cookie = format!("_token=\"\"; HttpOnly; Max-Age=0; Path={path}; SameSite=lax");
        match HeaderValue::try_from(cookie) {
            Ok(cookie) => self.with(SET_COOKIE, cookie),
            Err(_) => self,
        }
    }

    fn retry_after(self, wait: Duration) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }
}

impl From<Preflight> for Reply {
    fn from(preflight: Preflight) -> Self {
        let headers = preflight.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        Self { status: preflight.status, headers: headers.collect(), body: preflight.body.into() }
    }
}

/// What Airflow 2 names a status (`EXCEPTIONS_LINK_MAP`).
fn problem_type(status: StatusCode) -> String {
    let section = match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthenticated",
        StatusCode::FORBIDDEN => "PermissionDenied",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "AlreadyExists",
        StatusCode::INTERNAL_SERVER_ERROR => "Unknown",
        _ => return "about:blank".into(),
    };
    format!(
        "https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html#section/Errors/{section}"
    )
}

/// Airflow's own words for what is wrong with a credential.
fn detail(reason: &Reason) -> &'static str {
    match reason {
        Reason::TokenExpired => "Token Expired",
        Reason::TokenInvalid(_) => "Invalid JWT token",
        Reason::WrongPassword | Reason::Refused => "Invalid credentials",
        Reason::WrongClient => "Client credentials authentication failed",
        Reason::WrongAssertion(_) => "Invalid Keycloak assertion",
        Reason::TicketRefused(_) => "Invalid Kerberos ticket",
        Reason::Malformed(text) => text,
        Reason::Denied | Reason::Forbidden => "Forbidden",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    fn refused(cause: Cause) -> Problem {
        let challenges = smallvec![HeaderValue::from_static("Basic")];
        Problem::Refused(Box::new(Refusal { cause, challenges, clear_cookie: false }))
    }

    #[test]
    fn problems_as_airflow_2_tells_them() {
        let link =
            "https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html#section/Errors/";
        let wait = Duration::from_secs(3);
        let rows = [
            ("nobody", refused(Cause::Unauthorized(None)), 401, None, "Unauthenticated"),
            (
                "a wrong password",
                refused(Cause::Unauthorized(Some(Reason::WrongPassword))),
                401,
                None,
                "Unauthenticated",
            ),
            ("denied", refused(Cause::Forbidden(Reason::Denied)), 403, None, "PermissionDenied"),
            ("locked out", refused(Cause::Throttled(wait)), 429, Some("Too many failed log-ins"), ""),
            (
                "an outage",
                refused(Cause::Unavailable { retry_after: wait, outages: SmallVec::new() }),
                503,
                Some("Credentials cannot be checked at the moment"),
                "",
            ),
            ("down", Problem::UpstreamDown, 502, Some("Airflow cannot be reached"), ""),
            (
                "an odd answer",
                Problem::UpstreamOdd("no run"),
                502,
                Some("Airflow's answer cannot be translated: no run"),
                "",
            ),
            (
                "two headers",
                Problem::Credentials(InvalidCredentials::Repeated),
                400,
                Some("More than one Authorization header"),
                "BadRequest",
            ),
        ];
        for (name, problem, status, detail, section) in rows {
            let (reply, usual) = (Reply::problem_json(&problem), Reply::problem(&problem));
            assert_eq!((reply.status, reply.status.as_u16()), (usual.status, status), "{name}");
            assert_eq!(reply.headers.len(), usual.headers.len(), "{name}");
            assert_eq!(reply.headers[0].1, "application/problem+json", "{name}");
            assert_eq!(reply.headers[1..], usual.headers[1..], "{name}");
            let kind = if section.is_empty() { "about:blank".into() } else { format!("{link}{section}") };
            let title = usual.status.canonical_reason();
            let expected = json!({ "detail": detail, "status": status, "title": title, "type": kind });
            assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap(), expected, "{name}");
        }
    }
}
