//! Headers by which a client could claim to be somebody else.

use http::header::{AUTHORIZATION, CONNECTION};
use http::{HeaderMap, HeaderName};

use super::route::{Access, RouteKind};
use crate::request::Peer;

/// Whether a header tells the upstream who asks, or from where: what only a proxy in front may say.
///
/// `_` and `.` count as `-`, since WSGI servers make the same variable of `X_Forwarded_For` and
/// `X-Forwarded-For`, and others do so with dots. In full:
///
/// - `X-Forwarded-*`, `Forwarded` (RFC 7239), `X-Real-IP`: address, host, scheme and prefix. Airflow
///   believes them with `enable_proxy_fix` and uvicorn's `--proxy-headers`.
/// - `Remote-User`, `X-Remote-User`, `X-Auth-*`: the user, as authenticating proxies name it;
///   Flask-AppBuilder's `AUTH_REMOTE_USER` can be pointed at any of them.
/// - `X-Airgate-*`: ours.
///
/// Not among them: `Authorization` (see [`removed`]), `Proxy-Authorization` (for the proxy itself, RFC
/// 9110, section 11.7.2; no Airflow reads it), and what `Connection` names, which goes hop by hop.
pub fn is_identity_header(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    // The first letter rules out nearly every header.
    match name.first() {
        Some(b'x') => {
            [&b"x-forwarded-"[..], b"x-auth-", b"x-airgate-"].iter().any(|prefix| begins(name, prefix))
                || is(name, b"x-real-ip")
                || is(name, b"x-remote-user")
        }
        Some(b'r') => is(name, b"remote-user"),
        Some(b'f') => is(name, b"forwarded"),
        Some(_) | None => false,
    }
}

/// The headers to remove from a request before the chain sees it and before ours are set. Each name
/// comes once, however often the header is there.
///
/// Beyond [`is_identity_header`] that is `Authorization` on API routes: what the upstream is to see is
/// set afterwards. It stays on open routes, where nobody reads it here and Airflow's logout revokes the
/// token in it, and on other routes, where workers and browsers authenticate to Airflow with it. And
/// `Connection`, which is for this hop alone.
///
/// `X-Forwarded-*` of a trusted peer stays, but only where it is spelled like that: the peer sets that
/// spelling itself, and passes on the others from its client.
pub fn removed<'a>(
    headers: &'a HeaderMap,
    kind: &RouteKind,
    peer: &Peer,
) -> impl Iterator<Item = &'a HeaderName> {
    let authorization = replaces_authorization(kind);
    let trusted = peer.trusted;
    headers.keys().filter(move |name| {
        if *name == AUTHORIZATION {
            authorization
        } else {
            *name == CONNECTION || is_identity_header(name) && !(trusted && is_forwarded(name))
        }
    })
}

/// The headers by which a client claims to be somebody: [`is_identity_header`], save what a trusted peer has set.
pub fn claims<'a>(headers: &'a HeaderMap, peer: &Peer) -> impl Iterator<Item = &'a HeaderName> {
    let trusted = peer.trusted;
    headers.keys().filter(move |name| is_identity_header(name) && !(trusted && is_forwarded(name)))
}

fn replaces_authorization(kind: &RouteKind) -> bool {
    match kind {
        RouteKind::Api(operation) => match operation.access {
            Access::Authenticated => true,
            Access::Open => false,
        },
        RouteKind::Token(_) | RouteKind::Experimental(_) => true,
        RouteKind::Other(_) => false,
    }
}

/// Whether a header is one of `X-Forwarded-*` in its one right spelling.
fn is_forwarded(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") && !name.as_str().contains(['_', '.'])
}

fn begins(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| is(start, prefix))
}

/// Compares a name, which `HeaderName` has in lower case, with a known one.
fn is(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len() && name.iter().zip(known).all(|(&b, &k)| b == k || k == b'-' && is_hyphen(b))
}

fn is_hyphen(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::route::{Api, Effect, Operation, Paging, Passage};
    use crate::gate::token::Endpoint;
    use http::HeaderValue;

    #[test]
    fn identity_headers_are_known_in_every_spelling() {
        for (name, expected) in [
            ("X-Forwarded-For", true),
            ("x-forwarded-for", true),
            ("X_Forwarded_For", true),
            ("X-Forwarded.Host", true),
            ("x.forwarded_proto", true),
            ("X-Forwarded-User", true),
            ("X-Forwarded-", true),
            ("Forwarded", true),
            ("X-Real-IP", true),
            ("x_real.ip", true),
            ("Remote-User", true),
            ("REMOTE_USER", true),
            ("X-Remote-User", true),
            ("X-Auth-Request-Email", true),
            ("x_auth_user", true),
            ("X-Airgate-Page-Limit", true),
            ("x.airgate.user", true),
            // Near misses.
            ("X-Forwarded", false),
            ("X-Forwardedfor", false),
            ("X-ForwardedFor", false),
            ("XForwarded-For", false),
            ("X--Forwarded-For", false),
            ("Forwarded-For", false),
            ("X-Real-IPs", false),
            ("X-RealIP", false),
            ("Remote-Users", false),
            ("Remote", false),
            ("X-Author", false),
            ("X-Authorization", false),
            ("X-Airgates", false),
            ("Authorization", false),
            ("Proxy-Authorization", false),
            ("X-Request-ID", false),
            ("X-Requested-With", false),
            ("Cookie", false),
            ("Host", false),
            ("X", false),
        ] {
            let parsed = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(is_identity_header(&parsed), expected, "{name}");
        }
    }

    #[test]
    fn removed_by_route_and_peer() {
        let sent = [
            "authorization",
            "connection",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded-client_ip",
            "forwarded",
            "x-real-ip",
            "remote-user",
            "x-auth-user",
            "cookie",
            "proxy-authorization",
        ];
        let api = |access| {
            RouteKind::Api(Operation {
                api: Api::Public,
                access,
                effect: Effect::Reads,
                paging: Paging::None,
            })
        };
        let without = |kept: &[&str]| -> Vec<&str> {
            let always_kept = ["cookie", "proxy-authorization"];
            sent.into_iter().filter(|name| !kept.contains(name) && !always_kept.contains(name)).collect()
        };
        let forwarded = "x-forwarded-for";
        for (name, kind, trusted, expected) in [
            ("API", api(Access::Authenticated), false, without(&[])),
            ("API, trusted peer", api(Access::Authenticated), true, without(&[forwarded])),
            ("open", api(Access::Open), false, without(&["authorization"])),
            ("token", RouteKind::Token(Endpoint::Token), false, without(&[])),
            ("experimental", RouteKind::Experimental(Effect::Reads), false, without(&[])),
            ("other", RouteKind::Other(Passage::Allowed), false, without(&["authorization"])),
            (
                "other, trusted peer",
                RouteKind::Other(Passage::Allowed),
                true,
                without(&["authorization", forwarded]),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for header in sent {
                let header = HeaderName::from_bytes(header.as_bytes()).unwrap();
                headers.append(header.clone(), HeaderValue::from_static("1"));
                headers.append(header, HeaderValue::from_static("2"));
            }
            let peer = Peer { address: None, connection: None, tls: false, trusted };
            let mut names: Vec<_> = removed(&headers, &kind, &peer).map(HeaderName::as_str).collect();
            names.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            assert_eq!(names, expected, "{name}");
        }
    }
}
