//! JSON as Python's `json.loads` reads bytes: what it accepts, what it refuses, where and why.
//!
//! Airflow accepts a byte order mark, UTF-16 and UTF-32, `NaN`, lone surrogates and repeated keys
//! (the last one counts), and its error answers quote Python's messages and positions. A standard
//! reader agrees on none of these. Follows CPython 3.11, `Lib/json` and `Modules/_json.c`.

pub(in crate::gate) mod decode;
pub(in crate::gate) mod number;
mod reader;

use std::hash::{Hash, Hasher};

use zeroize::Zeroizing;

/// A value as Python holds it. Has no `Debug`: it may hold a password.
#[derive(Clone)]
pub(super) enum Value {
    /// `None`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`, of any size, in decimal digits.
    Int(Box<str>),
    /// `float`, `nan` and the infinities included.
    Float(f64),
    /// `str`
    Text(Text),
    /// `list`
    List(Vec<Value>),
    /// `dict`, each key once, in the order of their first appearance.
    Dict(Vec<(Text, Value)>),
}

/// A string as Python holds it: code points, lone surrogates among them. Overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text(Zeroizing<Vec<u32>>);

/// Why bytes are not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidJson {
    /// Python's `JSONDecodeError`.
    #[error("{message}")]
    Syntax {
        /// Python's words.
        message: &'static str,
        /// Where, counted in characters from 0, a byte order mark not included.
        position: usize,
    },
    /// Not in the encoding that the first bytes announce: Python's `UnicodeDecodeError`.
    #[error("not valid text")]
    Encoding,
    /// More nested containers than Python can read: its `RecursionError`.
    #[error("too deeply nested")]
    Depth,
    /// An integer of more digits than Python converts: its `ValueError`.
    #[error("too long an integer")]
    Digits,
}

impl Text {
    /// The text, unless it holds a lone surrogate, which no UTF-8 can carry.
    pub(super) fn to_utf8(&self) -> Option<String> {
        // Sized once, so that growing leaves no copy behind.
        let length = self.chars().try_fold(0, |sum, c| Some(sum + c?.len_utf8()))?;
        let mut text = String::with_capacity(length);
        text.extend(self.chars().flatten());
        Some(text)
    }

    /// The characters; `None` stands for a lone surrogate.
    pub(super) fn chars(&self) -> impl Iterator<Item = Option<char>> {
        self.0.iter().map(|&c| char::from_u32(c))
    }

    /// The code points.
    pub(super) fn code_points(&self) -> &[u32] {
        &self.0
    }

    /// Whether it is `""`.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `str.startswith`.
    pub(super) fn starts_with(&self, prefix: &str) -> bool {
        self.0.iter().copied().take(prefix.len()).eq(prefix.chars().map(u32::from))
    }

    /// Whether it holds a lone surrogate.
    pub(super) fn has_lone_surrogate(&self) -> bool {
        self.chars().any(|c| c.is_none())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.chars().map(u32::from).collect()))
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_slice().hash(state);
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0.iter().copied().eq(other.chars().map(u32::from))
    }
}

impl Value {
    /// The value of a key, if this is a `dict` that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Dict(members) => members.iter().find(|(k, _)| k == key).map(|(_, value)| value),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) | Self::List(_) => {
                None
            }
        }
    }
}

/// Reads a whole document: `json.loads(body)`.
///
/// # Errors
/// See [`InvalidJson`]. The first error counts, in Python's order of reading.
pub(super) fn read(body: &[u8]) -> Result<Value, InvalidJson> {
    let text = decode::decode(body).ok_or(InvalidJson::Encoding)?;
    reader::read(&text)
}

#[cfg(test)]
mod tests {
    use super::super::python::repr;
    use super::super::tests::{body_of, json_vectors};
    use super::reader::MAX_DEPTH;
    use super::*;

    #[test]
    fn reads_as_python_does() {
        for (number, row) in json_vectors().iter().enumerate() {
            let name = format!("row {}: {row}", number + 1);
            let position = || row["position"].as_u64().unwrap() as usize;
            match (read(&body_of(row)), row["error"].as_str()) {
                (Ok(value), None) => assert_eq!(repr(&value), row["repr"].as_str().unwrap(), "{name}"),
                (Ok(value), Some(_)) => panic!("read as {} {name}", repr(&value)),
                (Err(InvalidJson::Encoding), error) => {
                    assert_eq!(error, Some("UnicodeDecodeError"), "{name}")
                }
                (Err(InvalidJson::Digits), error) => assert_eq!(error, Some("ValueError"), "{name}"),
                (Err(InvalidJson::Depth), error) => assert_eq!(error, Some("RecursionError"), "{name}"),
                (Err(InvalidJson::Syntax { message, position: at }), error) => {
                    assert_eq!((Some(message), at), (error, position()), "{name}");
                }
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| {
                let inner = if open == "[" { "" } else { "1" };
                format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
            };
            assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok(), "{open}");
            assert_eq!(read(nested(MAX_DEPTH + 1).as_bytes()).err(), Some(InvalidJson::Depth), "{open}");
        }
    }

    #[test]
    fn a_key_that_comes_often_costs_no_more_than_others() {
        let many = format!("{{{}\"z\":0}}", "\"a\":1,".repeat(10_000));
        let value = read(many.as_bytes()).ok().unwrap();
        assert_eq!(repr(&value), "{'a': 1, 'z': 0}");
    }
}
