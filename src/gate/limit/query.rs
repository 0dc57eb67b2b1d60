//! A query, read as the upstream's server reads it.

use std::ops::Range;

use crate::gate::target::hex;

/// One `name=value` of a query, still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair<'q> {
    name: &'q str,
    value: &'q str,
    /// Where the value starts in the query; `None` where the pair has no `=`.
    value_at: Option<usize>,
}

/// Which characters the bytes outside ASCII stand for that come unencoded. RFC 3986 allows none,
/// and most servers refuse them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    /// Starlette, and so Airflow 3: each byte is one character.
    Latin1,
    /// Werkzeug, and so Airflow 2: UTF-8, as what is percent-encoded.
    Utf8,
}

/// Splits a query at `&`, and at nothing else: `;` separates neither in Starlette nor in Werkzeug.
/// Empty pairs are left out; a pair without `=` has an empty value.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    let mut next = 0;
    query.split('&').filter_map(move |pair| {
        let start = next;
        next += pair.len() + 1;
        let found = match pair.split_once('=') {
            Some((name, value)) => Pair { name, value, value_at: Some(start + name.len() + 1) },
            None => Pair { name: pair, value: "", value_at: None },
        };
        (!pair.is_empty()).then_some(found)
    })
}

impl<'q> Pair<'q> {
    /// Whether the decoded name is `name`, which must be ASCII without `+` and `%`.
    pub(super) fn is(&self, name: &str) -> bool {
        let mut wanted = name.bytes();
        let mut rest = self.name.as_bytes();
        while let Some((byte, after)) = decode_one(rest) {
            if wanted.next() != Some(byte) {
                return false;
            }
            rest = after;
        }
        wanted.next().is_none()
    }

    /// The value as it came.
    pub(super) fn raw_value(&self) -> &'q str {
        self.value
    }

    /// Where the value lies in the query; `None` where the pair has no `=`.
    pub(super) fn value_range(&self) -> Option<Range<usize>> {
        self.value_at.map(|at| at..at + self.value.len())
    }

    /// The value decoded, as `urllib.parse.parse_qsl` does: `+` is a space, a malformed escape
    /// stays as it is, and what is no UTF-8 becomes U+FFFD.
    pub(super) fn value(&self, raw: Raw) -> String {
        match raw {
            Raw::Utf8 => decode(self.value.as_bytes()),
            Raw::Latin1 => {
                self.value
                    .as_bytes()
                    .chunk_by(|a, b| a.is_ascii() == b.is_ascii())
                    .map(|run| {
                        if run.is_ascii() {
                            decode(run)
                        } else {
                            run.iter().copied().map(char::from).collect()
                        }
                    })
                    .collect()
            }
        }
    }
}

fn decode(mut encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    while let Some((byte, after)) = decode_one(encoded) {
        bytes.push(byte);
        encoded = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first byte that is meant, and what follows it.
fn decode_one(encoded: &[u8]) -> Option<(u8, &[u8])> {
    match encoded {
        [] => None,
        [b'%', high, low, rest @ ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, rest)),
            (_, None) | (None, _) => Some((b'%', &encoded[1..])),
        },
        [b'+', rest @ ..] => Some((b' ', rest)),
        [byte, rest @ ..] => Some((*byte, rest)),
    }
}
