//! The headers of a forwarded request and of its answer.
//!
//! First everything goes that the client may not say; then ours is set.

use http::header::{AUTHORIZATION, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::decision::Edits;
use super::headers;
use super::mint::Presented;
use super::route::RouteKind;
use crate::auth::credentials;
use crate::request::{Request, push_address};

/// Airflow's own cookies: its token, Keycloak's two, Flask's session. Never seen together with an
/// `Authorization` of the gate's, so that gate and Airflow cannot mean two users.
const AIRFLOW_COOKIES: [&[u8]; 4] = [b"_token", b"_access_token", b"_refresh_token", b"session"];

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What the upstream is told of a request beside the credential, by the gate or, where that may be believed, by who
/// sent it.
pub static VOUCHED: [&HeaderName; 6] =
    [&FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST, &REQUEST_ID, &TRACEPARENT, &TRACESTATE];

/// The changes to a request's headers. `presented` is `None` where the gate knows nobody: routes that
/// are open, and those that are not the API's.
pub fn request(request: &Request<'_>, kind: &RouteKind, presented: Option<&Presented>) -> Edits {
    let sent = &request.head.headers;
    let mut edits = Edits { set: Vec::with_capacity(8), ..Edits::default() };
    let keeps_header = matches!(presented, Some(Presented::Header));
    let removed = headers::removed(sent, kind, request.peer);
    edits.remove.extend(removed.filter(|name| !(keeps_header && *name == AUTHORIZATION)).cloned());
    match presented {
        Some(Presented::Header) => drop_airflow_cookies(sent, &mut edits),
        Some(Presented::Replaced(header)) => {
            drop_airflow_cookies(sent, &mut edits);
            edits.set.push((AUTHORIZATION, header.clone()));
        }
        Some(Presented::Cookies) | None => {}
    }
    vouch(request, &mut edits);
    edits
}

/// Tells the upstream who called, and under which id.
fn vouch(request: &Request<'_>, edits: &mut Edits) {
    let (sent, peer) = (&request.head.headers, request.peer);
    if let Some(address) = peer.connection {
        let mut value = Vec::with_capacity(48);
        if peer.trusted {
            // A list may be in several lines, of which the last one is the nearest.
            let lines = sent.get_all(&FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default());
            for entry in lines.filter(|line| !line.is_empty()) {
                value.extend_from_slice(entry.as_bytes());
                value.extend_from_slice(b", ");
            }
        }
        push_address(&mut value, address);
        if let Ok(value) = HeaderValue::try_from(value) {
            edits.set.push((FORWARDED_FOR.clone(), value));
        }
    }
    if !(peer.trusted && sent.contains_key(&FORWARDED_PROTO)) {
        let scheme = HeaderValue::from_static(if peer.tls { "https" } else { "http" });
        edits.set.push((FORWARDED_PROTO.clone(), scheme));
    }
    if !(peer.trusted && sent.contains_key(&FORWARDED_HOST))
        && let Some(host) = sent.get(HOST)
    {
        edits.set.push((FORWARDED_HOST.clone(), host.clone()));
    }
    edits.set.push((REQUEST_ID.clone(), request.id.header().clone()));
    if !sent.get(&TRACEPARENT).is_some_and(|v| is_traceparent(v.as_bytes())) {
        edits.set.push((TRACEPARENT.clone(), request.id.traceparent()));
        // It belongs to the trace that was replaced (W3C Trace Context, section 3.3.1.1).
        if sent.contains_key(&TRACESTATE) {
            edits.remove.push(TRACESTATE.clone());
        }
    }
}

/// W3C Trace Context, version 00 and later: `vv-<32>-<16>-ff` in lower-case hexadecimal digits.
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|&b| b == b'0');
    value.len() >= 55
        && (value.len() == 55 || value[55] == b'-')
        && [2, 35, 52].iter().all(|&at| value[at] == b'-')
        && hex(&value[..2])
        && &value[..2] != b"ff"
        && (&value[..2] != b"00" || value.len() == 55)
        && hex(&value[3..35])
        && !zero(&value[3..35])
        && hex(&value[36..52])
        && !zero(&value[36..52])
        && hex(&value[53..55])
}

/// Takes Airflow's own cookies out of the request's `Cookie`.
fn drop_airflow_cookies(sent: &HeaderMap, edits: &mut Edits) {
    let pairs = || {
        sent.get_all(COOKIE).iter().flat_map(|h| h.as_bytes().split(|&b| b == b';')).map(<[u8]>::trim_ascii)
    };
    if !pairs().any(is_airflow_cookie) {
        return;
    }
    let kept: Vec<&[u8]> = pairs().filter(|pair| !pair.is_empty() && !is_airflow_cookie(pair)).collect();
    edits.remove.push(COOKIE);
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&kept.join(&b"; "[..]))
    {
        edits.set.push((COOKIE, value));
    }
}

/// The `Set-Cookie` headers of an answer that reach the client: all but Airflow's own.
pub fn kept_cookies(answered: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let all = || answered.get_all(SET_COOKIE).iter();
    all()
        .any(|v| is_airflow_cookie(v.as_bytes()))
        .then(|| all().filter(|v| !is_airflow_cookie(v.as_bytes())).cloned().collect())
}

fn is_airflow_cookie(pair: &[u8]) -> bool {
    let name = pair.split(|&b| b == b'=').next().unwrap_or(pair);
    AIRFLOW_COOKIES.contains(&credentials::trimmed(name))
}
