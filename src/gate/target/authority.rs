//! The absolute form of a request target, which every server has to accept (RFC 9112, section 3.2.2).

use super::InvalidTarget;

/// Takes scheme and authority off a target in absolute form. What is left begins with `/` or `?`, or
/// is empty.
///
/// Accepted only when the authority is that of `Host`: RFC 9112 lets the target win, while Airflow
/// answers for any host, so one of the two parties would be deceived.
pub(super) fn strip<'a>(target: &'a str, host: Option<&[u8]>) -> Result<&'a str, InvalidTarget> {
    let (scheme, rest) = target.split_once("://").ok_or(InvalidTarget::NotOriginForm)?;
    let scheme = Scheme::parse(scheme).ok_or(InvalidTarget::NotOriginForm)?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    match origin.as_bytes().first() {
        Some(b'#') => return Err(InvalidTarget::Fragment),
        Some(b'\\') => return Err(InvalidTarget::Backslash),
        Some(_) | None => {}
    }
    let host = host.and_then(|host| std::str::from_utf8(host).ok());
    let same = host.is_some_and(|host| {
        Authority::parse(scheme, authority)
            .is_some_and(|asked| Authority::parse(scheme, host).is_some_and(|host| asked.is(&host)))
    });
    if same { Ok(origin) } else { Err(InvalidTarget::OtherAuthority) }
}

#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else if text.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else {
            None
        }
    }

    fn default_port(self) -> &'static str {
        match self {
            Self::Http => "80",
            Self::Https => "443",
        }
    }
}

struct Authority<'a> {
    host: &'a str,
    port: &'a str,
}

impl<'a> Authority<'a> {
    /// `None` for an authority with user information (RFC 9110, section 4.2.4) or without a host.
    fn parse(scheme: Scheme, text: &'a str) -> Option<Self> {
        let after_brackets = text.find(']').unwrap_or(0);
        let (host, port) = match text[after_brackets..].find(':') {
            Some(at) => (&text[..after_brackets + at], &text[after_brackets + at + 1..]),
            None => (text, ""),
        };
        let port = if port.is_empty() { scheme.default_port() } else { port };
        let plain = !host.is_empty() && !text.contains('@') && port.bytes().all(|b| b.is_ascii_digit());
        plain.then_some(Self { host, port })
    }

    fn is(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
    }
}
