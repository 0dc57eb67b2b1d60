//! The request target, parsed once; what could be read in two ways is refused.
//!
//! uvicorn and gunicorn decode the whole path, `%2F` included, before Airflow routes it. So the gate
//! matches on the decoded path too, and forwards a spelling that decodes to the same path.

mod authority;
#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;

/// Where a request goes: path and query of its request line.
///
/// An ordinary target (nothing encoded, one slash at the start) is borrowed and costs no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// The path to forward: one slash at the start, needless encoding undone.
    path: Cow<'a, str>,
    /// The path decoded once, where that differs from how it was written.
    decoded: Option<String>,
    /// How many bytes at the start of the path were written without encoding. They are the same in
    /// the path as it came, as it is forwarded, and as it is decoded.
    plain: usize,
    /// What follows the first `?`.
    query: Option<&'a str>,
    /// The target as it came, if path and query, joined, are that byte for byte.
    verbatim: Option<&'a str>,
}

/// A request target that is refused with 400, because the gate and the upstream might read it in
/// two ways. The text is meant for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidTarget {
    /// `*`, `host:port`, a scheme other than http and https, nothing at all.
    #[error("The request target must be a path that begins with \"/\"")]
    NotOriginForm,
    /// The absolute form, for another authority than `Host`.
    #[error("The authority of the request target is not that of the Host header")]
    OtherAuthority,
    /// A `%` without two hexadecimal digits.
    #[error("The request target has a \"%\" that is not followed by two hexadecimal digits")]
    PercentEncoding,
    /// `//` behind the start of the path.
    #[error("The request target has an empty segment (\"//\")")]
    EmptySegment,
    /// A raw `;`: some servers cut parameters off there.
    #[error("The request target has a \";\", which must be written as %3B")]
    Semicolon,
    /// A raw `#`: a fragment is not part of a request target (RFC 9112, section 3.2).
    #[error("The request target has a \"#\", which must be written as %23")]
    Fragment,
    /// A space, `<`, `>`, a backtick, or a byte outside of ASCII, not encoded. uvicorn refuses the latter too.
    #[error("The request target has a character that must be percent-encoded")]
    Unencoded,
    /// The decoded path is not UTF-8.
    #[error("The request target does not decode to UTF-8")]
    NotUtf8,
    /// A segment `.` or `..`, encoded or not.
    #[error("The request target has a \".\" or \"..\" segment")]
    DotSegment,
    /// A backslash, encoded or not: some servers take it for a slash.
    #[error("The request target has a backslash")]
    Backslash,
    /// NUL, a line break or another control character, encoded or not.
    #[error("The request target has a control character")]
    Control,
    /// What decodes to an API or token path without being written as one, such as `/api/v2%2Fpools`.
    #[error("The request target has percent-encoding in a part that must be written without")]
    EncodedPrefix,
    /// Longer than a URI may be here (65 534 bytes).
    #[error("The request target is too long")]
    TooLong,
}

impl<'a> Target<'a> {
    /// Parses a request target as it stands in the request line, or the `:path` of HTTP/2.
    ///
    /// `host` is the value of `Host`, or `:authority`; it is looked at only where the target is in
    /// absolute form. Slashes at the start count as one: Airflow's own documentation writes
    /// `ENDPOINT_URL="http://localhost:8080/"` and then `${ENDPOINT_URL}/auth/token`.
    ///
    /// # Errors
    /// [`InvalidTarget`]: answer with 400.
    pub fn parse(raw: &'a [u8], host: Option<&[u8]>) -> Result<Self, InvalidTarget> {
        let target = std::str::from_utf8(raw).map_err(|_| InvalidTarget::Unencoded)?;
        let origin = if target.starts_with('/') { target } else { authority::strip(target, host)? };
        let slashes = origin.bytes().take_while(|&byte| byte == b'/').count();
        let (path, query) = if slashes == 0 {
            ("/", origin.strip_prefix('?'))
        } else {
            let from_last_slash = &origin[slashes - 1..];
            match from_last_slash.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (from_last_slash, None),
            }
        };
        query.map_or(Ok(()), check_query)?;
        let verbatim = (slashes == 1 && origin.len() == target.len()).then_some(target);
        Ok(match check_path(path)? {
            None => Self { path: Cow::Borrowed(path), decoded: None, plain: path.len(), query, verbatim },
            Some(plain) => {
                let Decoded { text, canonical } = decode(path, plain)?;
                let verbatim = verbatim.filter(|_| canonical.is_none());
                let path = canonical.map_or(Cow::Borrowed(path), Cow::Owned);
                Self { path, decoded: Some(text), plain, query, verbatim }
            }
        })
    }

    /// The path to forward. What is encoded in it has to be.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path decoded once, which is what the upstream routes by.
    pub fn decoded(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.path)
    }

    /// Whether anything in the path was written with percent-encoding, needlessly or not.
    pub fn is_encoded(&self) -> bool {
        self.decoded.is_some()
    }

    /// How many bytes at the start of [`Target::decoded`] were written as they are.
    pub fn plain_length(&self) -> usize {
        self.plain
    }

    /// The query as it came, without its `?`. Only checked for characters that may not be there: its
    /// percent-encoding may be malformed. `Some("")` where the target ends with `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Whether the target as it came is what is to be forwarded, so that nothing needs rewriting.
    pub fn is_verbatim(&self) -> bool {
        self.verbatim.is_some()
    }

    /// The target as it came, if that is what is to be forwarded.
    pub fn verbatim(&self) -> Option<&'a str> {
        self.verbatim
    }

    /// The URI to forward, with this query in place of the client's.
    ///
    /// # Errors
    /// The query has characters that may not be in one, or the whole is longer than a URI may be.
    pub fn uri(&self, query: Option<&str>) -> Result<Uri, InvalidTarget> {
        let text = match query {
            Some(query) => {
                check_query(query)?;
                let mut text = String::with_capacity(self.path.len() + 1 + query.len());
                text.push_str(&self.path);
                text.push('?');
                text.push_str(query);
                text
            }
            None => self.path.clone().into_owned(),
        };
        PathAndQuery::from_maybe_shared(Bytes::from(text)).map(Uri::from).map_err(|_| InvalidTarget::TooLong)
    }
}

/// Checks a path that begins with exactly one slash. Answers where its first `%` is.
fn check_path(path: &str) -> Result<Option<usize>, InvalidTarget> {
    let bytes = path.as_bytes();
    let mut encoded = None;
    let mut segment = 1;
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match CLASSES[usize::from(byte)] {
            Class::Plain => {}
            Class::Slash if at == segment => return Err(InvalidTarget::EmptySegment),
            Class::Slash => {
                refuse_dots(&bytes[segment..at])?;
                segment = at + 1;
            }
            Class::Percent => encoded = encoded.or(Some(at)),
            Class::Refused(reason) => return Err(reason),
        }
    }
    refuse_dots(&bytes[segment..])?;
    Ok(encoded)
}

fn refuse_dots(segment: &[u8]) -> Result<(), InvalidTarget> {
    match segment {
        b"." | b".." => Err(InvalidTarget::DotSegment),
        _ => Ok(()),
    }
}

/// Checks that a query has nothing that ends it early or does not belong in a request line.
fn check_query(query: &str) -> Result<(), InvalidTarget> {
    for byte in query.bytes() {
        match byte {
            b'#' => return Err(InvalidTarget::Fragment),
            0..=0x1f | 0x7f => return Err(InvalidTarget::Control),
            b' ' | b'"' | b'<' | b'>' | 0x80.. => return Err(InvalidTarget::Unencoded),
            _ => {}
        }
    }
    Ok(())
}

/// A path with percent-encoding, decoded.
struct Decoded {
    text: String,
    /// The path with needless encoding undone, where there is any.
    canonical: Option<String>,
}

/// Decodes a path whose first `%` is at `plain`.
fn decode(path: &str, plain: usize) -> Result<Decoded, InvalidTarget> {
    let mut text = Vec::with_capacity(path.len());
    let mut canonical = String::with_capacity(path.len());
    let (head, mut rest) = path.split_at(plain);
    text.extend_from_slice(head.as_bytes());
    canonical.push_str(head);
    while let Some(at) = rest.find('%') {
        let (before, encoded) = rest.split_at(at);
        let byte = match encoded.as_bytes() {
            [_, high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let byte = byte.ok_or(InvalidTarget::PercentEncoding)?;
        text.extend_from_slice(before.as_bytes());
        text.push(byte);
        canonical.push_str(before);
        if is_unreserved(byte) {
            canonical.push(char::from(byte));
        } else {
            canonical.push_str(&encoded[..3]);
        }
        rest = &encoded[3..];
    }
    text.extend_from_slice(rest.as_bytes());
    canonical.push_str(rest);

    let text = String::from_utf8(text).map_err(|_| InvalidTarget::NotUtf8)?;
    if text.contains(char::is_control) {
        return Err(InvalidTarget::Control);
    }
    if text.contains('\\') {
        return Err(InvalidTarget::Backslash);
    }
    text.split('/').try_for_each(|segment| refuse_dots(segment.as_bytes()))?;
    let canonical = (canonical.len() != path.len()).then_some(canonical);
    Ok(Decoded { text, canonical })
}

/// The value of a hexadecimal digit.
pub(in crate::gate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Characters that never need encoding (RFC 3986, section 2.3). Only these are decoded in what is
/// forwarded: of any other, somebody might make something else.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a raw byte of a path is.
#[derive(Clone, Copy)]
enum Class {
    Plain,
    Slash,
    Percent,
    Refused(InvalidTarget),
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b';' => Class::Refused(InvalidTarget::Semicolon),
            b'#' => Class::Refused(InvalidTarget::Fragment),
            b'\\' => Class::Refused(InvalidTarget::Backslash),
            0..=0x1f | 0x7f => Class::Refused(InvalidTarget::Control),
            b' ' | b'<' | b'>' | b'`' | 0x80.. => Class::Refused(InvalidTarget::Unencoded),
            _ => Class::Plain,
        };
        byte += 1;
    }
    classes
};
