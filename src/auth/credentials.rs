//! `Authorization` and `Cookie`, read once.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

/// The credentials of one request, borrowed from its headers.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The `Authorization` header.
    pub authorization: Authorization<'a>,
    headers: &'a HeaderMap,
}

/// An `Authorization` header, split into scheme and the rest (RFC 9110, section 11.6.2). Schemes
/// are compared without regard to case; only spaces separate, as in Airflow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authorization<'a> {
    /// There is none, or it is empty, or it is `Bearer` or `Basic` alone, which Airflow too takes for
    /// nothing.
    Absent,
    /// RFC 6750, a token. May hold spaces and bytes that no token has: the verifier refuses them.
    Bearer(&'a [u8]),
    /// RFC 7617, still in base64.
    Basic(&'a [u8]),
    /// RFC 4559, still in base64. Empty for the scheme alone.
    Negotiate(&'a [u8]),
    /// A scheme that nobody here knows.
    Other,
}

/// Why credentials cannot even be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// Two parties might each read another one.
    #[error("More than one Authorization header")]
    Repeated,
}

impl<'a> Credentials<'a> {
    /// Reads the credentials of a request.
    ///
    /// # Errors
    /// More than one `Authorization` header: the upstream might read another one than the gate.
    pub fn read(headers: &'a HeaderMap) -> Result<Self, InvalidCredentials> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(InvalidCredentials::Repeated);
        }
        let authorization = first.map_or(Authorization::Absent, |v| Authorization::parse(v.as_bytes()));
        Ok(Self { authorization, headers })
    }

    /// The value of a cookie. Where a name comes more than once the last one counts, as in
    /// Airflow 3; quotes around a value are not part of it (RFC 6265, section 4.1.1).
    pub fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|&b| b == b';'))
            .filter_map(|pair| {
                let at = pair.iter().position(|&b| b == b'=')?;
                (trimmed(&pair[..at]) == name.as_bytes()).then(|| unquote(trimmed(&pair[at + 1..])))
            })
            .next_back()
    }
}

impl<'a> Authorization<'a> {
    fn parse(value: &'a [u8]) -> Self {
        let value = value.trim_ascii();
        let Some(space) = value.iter().position(|&b| b == b' ') else {
            // A negotiation that begins with nothing is one that fails, where a client's library has failed.
            return if value.eq_ignore_ascii_case(b"negotiate") {
                Self::Negotiate(b"")
            } else if value.is_empty() || is_known(value) {
                Self::Absent
            } else {
                Self::Other
            };
        };
        let (scheme, rest) = (&value[..space], value[space..].trim_ascii_start());
        if scheme.eq_ignore_ascii_case(b"bearer") {
            Self::Bearer(rest)
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            Self::Basic(rest)
        } else if scheme.eq_ignore_ascii_case(b"negotiate") {
            Self::Negotiate(rest)
        } else {
            Self::Other
        }
    }
}

fn is_known(scheme: &[u8]) -> bool {
    [&b"bearer"[..], b"basic"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// A cookie's name or value without the white space around it, as Starlette takes it off: it reads the header as
/// Latin-1, of which more is white space than of ASCII.
pub fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |b: &u8| b.is_ascii_whitespace() || matches!(b, 0x0b | 0x1c..=0x1f | 0x85 | 0xa0);
    let begin = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !blank(b)).map_or(begin, |last| last + 1);
    text.get(begin..end).unwrap_or_default()
}

fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: http::HeaderName, values: &[&[u8]]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(&name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn authorization_is_split_as_airflow_splits_it() {
        let rows: &[(&str, &[u8], Authorization<'_>)] = &[
            ("bearer", b"Bearer a.b.c", Authorization::Bearer(b"a.b.c")),
            ("any case", b"BEARER a.b.c", Authorization::Bearer(b"a.b.c")),
            ("white space around", b"  Bearer a.b.c ", Authorization::Bearer(b"a.b.c")),
            ("several words stay one", b"Bearer a b", Authorization::Bearer(b"a b")),
            ("basic", b"Basic dTpw", Authorization::Basic(b"dTpw")),
            ("negotiate", b"Negotiate YII=", Authorization::Negotiate(b"YII=")),
            ("scheme alone", b"Bearer", Authorization::Absent),
            ("negotiate alone", b"Negotiate", Authorization::Negotiate(b"")),
            ("negotiate and spaces", b"negotiate  ", Authorization::Negotiate(b"")),
            ("scheme and space", b"Basic ", Authorization::Absent),
            ("empty", b"", Authorization::Absent),
            ("a tab separates nothing", b"Bearer\ta.b.c", Authorization::Other),
            ("no separator", b"Bearera.b.c", Authorization::Other),
            ("unknown scheme", b"Token a.b.c", Authorization::Other),
            ("not ASCII", b"Bearer \xff\xfe", Authorization::Bearer(b"\xff\xfe")),
        ];
        for (name, value, expected) in rows {
            let map = headers(AUTHORIZATION, &[value]);
            assert!(Credentials::read(&map).unwrap().authorization == *expected, "{name}");
        }
    }

    #[test]
    fn a_second_authorization_header_is_refused() {
        let map = headers(AUTHORIZATION, &[b"Bearer a", b"Bearer a"]);
        assert_eq!(Credentials::read(&map).err(), Some(InvalidCredentials::Repeated));
    }

    /// A name, `Cookie` headers, and the value of `_token` in them.
    type Row<'a> = (&'a str, &'a [&'a [u8]], Option<&'a [u8]>);

    #[test]
    fn cookies() {
        let rows: &[Row<'_>] = &[
            ("alone", &[b"_token=x"], Some(b"x")),
            ("among others", &[b"a=b; _token=x; c=d"], Some(b"x")),
            ("twice, the last", &[b"_token=x; _token=y"], Some(b"y")),
            ("two headers, the last", &[b"_token=x", b"_token=y"], Some(b"y")),
            ("quoted", &[b"_token=\"x\""], Some(b"x")),
            ("white space of Latin-1", &[b"_token=x;\xa0_token\x85=\ty\xa0"], Some(b"y")),
            ("empty", &[b"_token="], Some(b"")),
            ("a longer name", &[b"my_token=x"], None),
            ("no value at all", &[b"_token"], None),
            ("none", &[], None),
        ];
        for (name, values, expected) in rows {
            let map = headers(COOKIE, values);
            assert_eq!(Credentials::read(&map).unwrap().cookie("_token"), *expected, "{name}");
        }
    }
}
