//! Pingora's session ↔ the core's types.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use pingora::ErrorType;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::room::Place;
use crate::gate::decision::Edits;
use crate::gate::reply::Problem;
use crate::request::Peer;

/// What `Connection` may name and Pingora sees to: it speaks some of it, and refuses the rest.
const PINGORAS: [&str; 8] = [
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Whose `X-Forwarded-*` are believed. Default nobody's.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// Whoever connects from there.
    pub networks: Vec<IpNet>,
    /// Whoever connects to a Unix socket.
    pub unix_sockets: bool,
}

impl TrustedProxies {
    fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Who is at the other end. The address that a trusted proxy vouches for is the last one of
/// `X-Forwarded-For`, read from the right, that is not itself trusted.
pub fn peer(session: &Session, proxies: &TrustedProxies) -> Peer {
    let connection = session.client_addr().and_then(|a| a.as_inet()).map(|a| a.ip().to_canonical());
    let tls = session.digest().is_some_and(|d| d.ssl_digest.is_some());
    let trusted = match connection {
        Some(address) => proxies.contains(address),
        // The other end of a Unix socket has no name. Nor has a TCP connection that is gone already.
        None => proxies.unix_sockets && session.server_addr().is_some_and(|own| own.as_unix().is_some()),
    };
    if !trusted {
        return Peer { address: connection, connection, tls, trusted: false };
    }
    let headers = &session.req_header().headers;
    let address = forwarded_for(headers, proxies).or(connection);
    let tls = headers.get("x-forwarded-proto").map_or(tls, |v| v.as_bytes() == b"https");
    Peer { address, connection, tls, trusted: true }
}

fn forwarded_for(headers: &HeaderMap, proxies: &TrustedProxies) -> Option<IpAddr> {
    let mut leftmost = None;
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    for entry in lines.iter().rev().flat_map(|v| v.as_bytes().rsplit(|&b| b == b',')) {
        let address = address(std::str::from_utf8(entry.trim_ascii()).ok()?)?;
        leftmost = Some(address);
        if !proxies.contains(address) {
            break;
        }
    }
    leftmost
}

/// An address of `X-Forwarded-For`. Some gateways write the port, too.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().or_else(|_| entry.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Whether everybody on the way reads the same in a head: there is a `Host` (RFC 9112, section 3.2), and the method
/// is in capitals, into which some servers raise every method.
pub fn is_read_alike(head: &RequestHeader) -> bool {
    (head.version != http::Version::HTTP_11 || head.headers.contains_key(HOST))
        && !head.method.as_str().bytes().any(|b| b.is_ascii_lowercase())
}

/// Takes out what `Connection` names, which is for this hop alone (RFC 9110, section 7.6.1). Pingora does so too, but
/// after the request was judged, and Airflow must see what the gate has judged. Left to Pingora: what it speaks
/// itself, and what it refuses to see named.
pub fn end_hop(request: &mut RequestHeader) {
    let options = request.headers.get_all(CONNECTION).iter().flat_map(|v| v.as_bytes().split(|&b| b == b','));
    let named = options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok());
    let named: Vec<_> = named.filter(|name| !PINGORAS.contains(&name.as_str())).collect();
    for name in named {
        request.remove_header(&name);
    }
}

/// Whether the end of the body can be found in one way only: by one `Content-Length`, with one
/// number, or by `Transfer-Encoding: chunked`. Pingora takes more than that, and drops
/// `Content-Length` where there is `Transfer-Encoding` too, so the head is looked at as it came.
pub fn is_framed_once(session: &Session) -> bool {
    let head = session.req_header();
    if !is_framed(head) {
        return true;
    }
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let mut encodings = head.headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), encodings.next()) {
        (None, None) => true,
        (Some(length), None) => length.as_bytes().iter().all(u8::is_ascii_digit) && lengths.next().is_none(),
        (None, Some(encoding)) => {
            encoding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && encodings.next().is_none()
                && head.version == http::Version::HTTP_11
                && !has_raw_length(session)
        }
        (Some(_), Some(_)) => false,
    }
}

/// Whether a head says anything of a body. Most do not, and to walk through their few names takes less time than to
/// look two up.
fn is_framed(head: &RequestHeader) -> bool {
    head.headers.keys().any(|name| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING)
}

fn has_raw_length(session: &Session) -> bool {
    let raw = session.as_http1().map(|h1| h1.get_headers_raw_bytes()).unwrap_or_default();
    let name = CONTENT_LENGTH.as_str().as_bytes();
    raw.split(|&b| b == b'\n')
        .any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// How many bytes a request's body has, by its head. `None` where its end alone says so: in chunks, and in HTTP/2, which
/// need not even say that there is one.
pub fn body_length(head: &RequestHeader) -> Option<u64> {
    if head.version < http::Version::HTTP_2 && !is_framed(head) {
        return Some(0);
    }
    match (head.headers.get(TRANSFER_ENCODING), head.headers.get(CONTENT_LENGTH)) {
        (None, Some(length)) => length.to_str().ok()?.parse().ok(),
        (None, None) | (Some(_), _) => None,
    }
}

/// Reads the whole body, within bounds. It takes room as it comes, whatever its head says.
pub async fn read_body(
    session: &mut Session,
    max: usize,
    timeout: Duration,
    place: &mut Place,
) -> Result<Bytes, Problem> {
    if body_length(session.req_header()).is_some_and(|length| length > max as u64) {
        return Err(Problem::LargeBody);
    }
    if session.get_header(EXPECT).is_some() {
        session.write_continue_response().await.map_err(|_| Problem::BrokenBody)?;
    }
    tokio::time::timeout(timeout, read_all(session, max, place)).await.unwrap_or(Err(Problem::SlowBody))
}

async fn read_all(session: &mut Session, max: usize, place: &mut Place) -> Result<Bytes, Problem> {
    let whole =
        body_length(session.req_header()).and_then(|length| usize::try_from(length).ok()).unwrap_or(max);
    let mut body = Vec::new();
    while let Some(chunk) = session.read_request_body().await.map_err(|e| match e.etype() {
        ErrorType::ReadTimedout => Problem::SlowBody,
        _ => Problem::BrokenBody,
    })? {
        let length = body.len() + chunk.len();
        if length > max {
            return Err(Problem::LargeBody);
        }
        if length > body.capacity() {
            // Twice as much each time, so that what is there is moved a few times only; hardly more than it needs where
            // the room is short; at its end, what it has.
            let at_most = |capacity: usize| capacity.min(whole).max(length);
            let mut capacity = at_most(2 * body.capacity());
            if place.grow(capacity).is_err() {
                capacity = at_most(length + length / 8);
                place.grow(capacity).map_err(Problem::NoRoom)?;
            }
            body.reserve_exact(capacity - body.len());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// Awaits something while the client stays. `None` once it has left; the work is given up then. What is still to come
/// of the request's body is read meanwhile, and given up: nobody needs it, and behind it alone is seen who leaves.
pub async fn while_client_stays<T>(session: &mut Session, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return Some(done),
        left = client_leaves(session) => match left {
            Err(error) if !is_gone(error.etype()) => {
                // Its body does not come, or has no end that could be found: no request can come behind it.
                session.set_keepalive(None);
            }
            Ok(()) | Err(_) => return None,
        },
    }
    Some(work.await)
}

/// The body is looked for first: Pingora keeps a byte of the next request only once it knows where that begins.
async fn client_leaves(session: &mut Session) -> pingora::Result<()> {
    while session.read_request_body().await?.is_some() {}
    session.as_downstream_mut().read_body_or_idle(true).await.map(drop)
}

fn is_gone(error: &ErrorType) -> bool {
    matches!(error, ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::H2Error)
}

/// Whether a request has a header that is meant for one hop only (RFC 9110, section 7.6.1), or names one.
pub fn has_hop_headers(request: &RequestHeader) -> bool {
    request.headers.keys().any(|name| {
        matches!(
            name.as_str(),
            "connection"
                | "http2-settings"
                | "keep-alive"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
    })
}

/// Gives a request of HTTP/2 the headers that one of HTTP/1 has: `Host` in place of `:authority` (RFC 9113,
/// section 8.3.1), and one `Cookie` in place of several (section 8.2.3).
pub fn say_as_http1(request: &mut RequestHeader) {
    let cookies = || request.headers.get_all(COOKIE).iter();
    let cookie = match cookies().nth(1) {
        Some(_) => {
            let all: Vec<_> = cookies().map(HeaderValue::as_bytes).collect();
            HeaderValue::from_bytes(&all.join(&b"; "[..])).ok()
        }
        None => None,
    };
    let authority = request.uri.authority().filter(|_| !request.headers.contains_key(HOST));
    let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if cookie.is_none() && host.is_none() {
        return;
    }
    let mut head = take_request(request);
    if let Some(cookie) = cookie {
        head.headers.insert(COOKIE, cookie);
    }
    if let Some(host) = host {
        head.headers.insert(HOST, host);
    }
    *request = head.into();
}

/// Gives up how the names of a request's headers were spelled.
///
/// Pingora keeps that in a second map, and copies and changes it along with the first: this costs more
/// than all that is done to a request here. Names are the same in any case (RFC 9110, section 5.1). Of the
/// target nothing is lost: what is forwarded is a path, and its URI holds all of it.
pub fn forget_spelling(request: &mut RequestHeader) {
    *request = take_request(request).into();
}

/// Changes a request's headers: first what goes, then what is set.
pub fn edit_request(request: &mut RequestHeader, edits: &Edits) {
    let mut head = take_request(request);
    let headers = &mut head.headers;
    for name in &edits.remove {
        headers.remove(name);
    }
    headers.reserve(edits.set.len() + edits.append.len());
    for (name, value) in &edits.set {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in &edits.append {
        headers.append(name.clone(), value.clone());
    }
    *request = head.into();
}

/// Changes an answer's headers, likewise.
pub fn edit_response(answer: &mut ResponseHeader, edits: Edits) -> pingora::Result<()> {
    let reason =
        answer.get_reason_phrase().filter(|reason| Some(*reason) != answer.status.canonical_reason());
    let reason = reason.map(str::to_owned);
    let empty = ResponseHeader::from(http::Response::new(()).into_parts().0);
    let mut head = http::response::Parts::from(std::mem::replace(answer, empty));
    let headers = &mut head.headers;
    for name in &edits.remove {
        headers.remove(name);
    }
    // Two of Pingora's own come after these.
    headers.reserve(edits.set.len() + edits.append.len() + 2);
    for (name, value) in edits.set {
        headers.insert(name, value);
    }
    for (name, value) in edits.append {
        headers.append(name, value);
    }
    *answer = head.into();
    match reason {
        Some(reason) => answer.set_reason_phrase(Some(&reason)),
        None => Ok(()),
    }
}

fn take_request(request: &mut RequestHeader) -> http::request::Parts {
    let empty = RequestHeader::from(http::Request::new(()).into_parts().0);
    std::mem::replace(request, empty).into()
}
