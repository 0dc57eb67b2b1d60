//! What the core knows of a request: its head, its peer, the time, its id.

use std::net::IpAddr;
use std::time::SystemTime;

use http::HeaderValue;

/// One request, as the core sees it. The body is not part of it: a step that needs the body says
/// so, and gets it afterwards.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Request line and headers, as they came.
    pub head: &'a http::request::Parts,
    /// The request target as it came, byte for byte: `head.uri` may have lost some of it.
    pub target: &'a [u8],
    /// Who sent it.
    pub peer: &'a Peer,
    /// The time that every decision on this request goes by.
    pub now: SystemTime,
    /// Names the request in log lines, error answers and at the upstream.
    pub id: &'a RequestId,
}

impl Request<'_> {
    /// The host, and port if there is one, that the request names: `Host`, or `:authority`.
    pub fn host(&self) -> Option<&[u8]> {
        let host = self.head.headers.get(http::header::HOST).map(HeaderValue::as_bytes);
        host.or_else(|| self.head.uri.authority().map(|a| a.as_str().as_bytes()))
    }

    /// The host that the client asked for: [`Request::host`], or what a trusted proxy says that it was.
    pub fn authority(&self) -> Option<&[u8]> {
        let said = self.head.headers.get_all("x-forwarded-host").iter().next_back();
        said.filter(|_| self.peer.trusted).map(HeaderValue::as_bytes).or_else(|| self.host())
    }
}

/// The other end of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The client's address: that of the connection, or the one a trusted proxy vouches for.
    /// `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// The other end of this very connection. `None` on a Unix socket.
    pub connection: Option<IpAddr>,
    /// Whether the client's connection is encrypted, here or at a trusted proxy.
    pub tls: bool,
    /// Whether the connection comes from `[server] trusted_proxies`, so that its `X-Forwarded-*`
    /// are believed and kept.
    pub trusted: bool,
}

/// Whom connections and failures are counted by: an IPv4 address, or the /64 of an IPv6 address, of which one client
/// commonly has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Site {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl Site {
    /// The site of an address. An IPv4 address written as IPv6 (`::ffff:…`) counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Appends an address as text. Is done for every request, and by `std::fmt` costs ten times as much.
pub fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (n, octet) in address.octets().into_iter().enumerate() {
                if n > 0 {
                    out.push(b'.');
                }
                if octet >= 100 {
                    out.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    out.push(b'0' + octet / 10 % 10);
                }
                out.push(b'0' + octet % 10);
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

/// The value of `X-Request-ID`: kept when the client sent a printable one, made otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    value: HeaderValue,
    /// 128 random bits in hexadecimal digits, and not what a client sent.
    made: bool,
}

impl RequestId {
    /// Longest id taken over from a client, in bytes. A longer one is replaced: it goes into every
    /// log line.
    pub const MAX: usize = 128;

    /// Takes over the client's id, if it is short and printable ASCII without quotes or spaces.
    pub fn from_client(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let fits = !bytes.is_empty() && bytes.len() <= Self::MAX;
        let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'<' | b'>');
        (fits && bytes.iter().all(plain)).then(|| Self { value: value.clone(), made: false })
    }

    /// No id yet.
    pub fn none() -> Self {
        Self { value: HeaderValue::from_static("-"), made: false }
    }

    /// Makes a new id: 128 random bits, in hexadecimal digits.
    pub fn random() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text = uuid::Uuid::new_v4().simple().encode_lower(&mut buffer);
        HeaderValue::from_str(text).map_or_else(|_| Self::none(), |value| Self { value, made: true })
    }

    /// A W3C Trace Context for a request that came without one. A made id is its trace id, so that
    /// traces and log lines can be matched.
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        match <&[u8; 32]>::try_from(self.value.as_bytes()) {
            Ok(id) if self.made || is_trace(id) => text[3..35].copy_from_slice(id),
            _ => _ = uuid::Uuid::new_v4().simple().encode_lower(&mut text[3..35]),
        }
        let mut span = [0; 32];
        uuid::Uuid::new_v4().simple().encode_lower(&mut span);
        text[36..52].copy_from_slice(&span[..16]);
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    /// The id as a header value.
    pub fn header(&self) -> &HeaderValue {
        &self.value
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.value.to_str().unwrap_or("-")
    }
}

/// Whether an id may be W3C Trace Context's `trace-id`.
fn is_trace(id: &[u8; 32]) -> bool {
    id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) && id.iter().any(|&b| b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_is_kept_only_if_it_is_short_and_plain() {
        for (name, value, kept) in [
            ("plain", "abc-123", true),
            ("longest", &"x".repeat(RequestId::MAX), true),
            ("too long", &"x".repeat(RequestId::MAX + 1), false),
            ("empty", "", false),
            ("a space", "a b", false),
            ("a quote", "a\"b", false),
        ] {
            let id = RequestId::from_client(&HeaderValue::from_str(value).unwrap());
            assert_eq!(id.is_some(), kept, "{name}");
        }
    }

    #[test]
    fn addresses_are_written_as_ever() {
        for text in ["0.0.0.0", "9.10.99.100", "255.200.109.1", "127.0.0.1", "::1", "2001:db8::ff:0"] {
            let mut out = Vec::new();
            push_address(&mut out, text.parse().unwrap());
            assert_eq!(std::str::from_utf8(&out), Ok(text));
        }
    }

    #[test]
    fn made_ids_differ() {
        assert_ne!(RequestId::random(), RequestId::random());
        assert_eq!(RequestId::random().as_str().len(), 32);
    }
}
