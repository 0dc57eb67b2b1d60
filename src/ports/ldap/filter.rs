//! Search filters in text (RFC 4515), and on the wire (RFC 4511, section 4.5.1.7).

use super::ber::{OCTETS, SEQUENCE, Writer};
use super::dn::{is_attribute, unhex};

/// A search filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// `(&...)`: all of them. None of them is true (RFC 4526).
    And(Vec<Filter>),
    /// `(|...)`: one of them. None of them is false.
    Or(Vec<Filter>),
    /// `(!...)`.
    Not(Box<Filter>),
    /// `(attribute=value)`.
    Equal(Box<str>, Box<[u8]>),
    /// `(attribute>=value)`.
    AtLeast(Box<str>, Box<[u8]>),
    /// `(attribute<=value)`.
    AtMost(Box<str>, Box<[u8]>),
    /// `(attribute~=value)`.
    Like(Box<str>, Box<[u8]>),
    /// `(attribute=*)`.
    Present(Box<str>),
    /// `(attribute=first*middle*last)`: what stands between the asterisks. The first and the last of
    /// them may be empty, and there are at least two.
    Substrings(Box<str>, Vec<Box<[u8]>>),
    /// `(attribute:dn:rule:=value)`.
    Extensible {
        /// The attribute.
        attribute: Option<Box<str>>,
        /// The matching rule.
        rule: Option<Box<str>>,
        /// The value.
        value: Box<[u8]>,
        /// Whether the parts of the entry's name count too.
        dn: bool,
    },
}

/// A text that is no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Not as RFC 4515 writes it.
    #[error("expected a search filter (RFC 4515) such as \"(objectClass=person)\"")]
    Syntax,
    /// More brackets within brackets than anybody needs.
    #[error("the search filter is nested too deeply")]
    TooDeep,
}

impl Filter {
    /// Filters within filters, at most.
    const DEPTH: usize = 16;

    /// Reads a filter, brackets included.
    ///
    /// # Errors
    /// It is none: [`InvalidFilter`].
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        match filter(text.trim(), Self::DEPTH)? {
            (filter, "") => Ok(filter),
            (_, _) => Err(InvalidFilter::Syntax),
        }
    }

    /// `(attribute=value)` for any value: as it is not written as text it needs no escaping, and no
    /// value can become a part of the filter.
    pub fn equal(attribute: &str, value: &str) -> Self {
        Self::Equal(attribute.into(), value.as_bytes().into())
    }

    /// `(objectClass=*)`: every entry.
    pub fn any() -> Self {
        Self::Present("objectClass".into())
    }

    /// Writes it as LDAP sends it.
    pub(super) fn encode(&self, writer: &mut Writer) {
        let assertion = |writer: &mut Writer, tag, attribute: &str, value: &[u8]| {
            writer.open(tag, |writer| {
                writer.bytes(OCTETS, attribute.as_bytes());
                writer.bytes(OCTETS, value);
            });
        };
        match self {
            Self::And(filters) => {
                writer.open(0xa0, |writer| filters.iter().for_each(|filter| filter.encode(writer)));
            }
            Self::Or(filters) => {
                writer.open(0xa1, |writer| filters.iter().for_each(|filter| filter.encode(writer)));
            }
            Self::Not(filter) => writer.open(0xa2, |writer| filter.encode(writer)),
            Self::Equal(attribute, value) => assertion(writer, 0xa3, attribute, value),
            Self::Substrings(attribute, parts) => writer.open(0xa4, |writer| {
                writer.bytes(OCTETS, attribute.as_bytes());
                writer.open(SEQUENCE, |writer| {
                    let last = parts.len().saturating_sub(1);
                    for (at, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
                        match at {
                            0 => writer.bytes(0x80, part),
                            _ if at == last => writer.bytes(0x82, part),
                            _ => writer.bytes(0x81, part),
                        }
                    }
                });
            }),
            Self::AtLeast(attribute, value) => assertion(writer, 0xa5, attribute, value),
            Self::AtMost(attribute, value) => assertion(writer, 0xa6, attribute, value),
            Self::Present(attribute) => writer.bytes(0x87, attribute.as_bytes()),
            Self::Like(attribute, value) => assertion(writer, 0xa8, attribute, value),
            Self::Extensible { attribute, rule, value, dn } => writer.open(0xa9, |writer| {
                if let Some(rule) = rule {
                    writer.bytes(0x81, rule.as_bytes());
                }
                if let Some(attribute) = attribute {
                    writer.bytes(0x82, attribute.as_bytes());
                }
                writer.bytes(0x83, value);
                if *dn {
                    writer.bytes(0x84, &[0xff]);
                }
            }),
        }
    }
}

/// A value as it stands in a filter (RFC 4515, section 3).
pub fn escape(value: &[u8]) -> String {
    let mut escaped = String::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'*' | b'(' | b')' | b'\\' | 0 | 0x80.. => escaped.push_str(&format!("\\{byte:02x}")),
            byte => escaped.push(char::from(byte)),
        }
    }
    escaped
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = |f: &mut std::fmt::Formatter<'_>, sign, filters: &[Filter]| {
            write!(f, "({sign}")?;
            filters.iter().try_for_each(|filter| write!(f, "{filter}"))?;
            f.write_str(")")
        };
        match self {
            Self::And(filters) => all(f, '&', filters),
            Self::Or(filters) => all(f, '|', filters),
            Self::Not(filter) => write!(f, "(!{filter})"),
            Self::Equal(attribute, value) => write!(f, "({attribute}={})", escape(value)),
            Self::AtLeast(attribute, value) => write!(f, "({attribute}>={})", escape(value)),
            Self::AtMost(attribute, value) => write!(f, "({attribute}<={})", escape(value)),
            Self::Like(attribute, value) => write!(f, "({attribute}~={})", escape(value)),
            Self::Present(attribute) => write!(f, "({attribute}=*)"),
            Self::Substrings(attribute, parts) => {
                let parts: Vec<String> = parts.iter().map(|part| escape(part)).collect();
                write!(f, "({attribute}={})", parts.join("*"))
            }
            Self::Extensible { attribute, rule, value, dn } => {
                let attribute = attribute.as_deref().unwrap_or_default();
                let dn = if *dn { ":dn" } else { "" };
                let rule = rule.as_deref().map(|rule| format!(":{rule}")).unwrap_or_default();
                write!(f, "({attribute}{dn}{rule}:={})", escape(value))
            }
        }
    }
}

/// One filter, and what follows it.
fn filter(text: &str, depth: usize) -> Result<(Filter, &str), InvalidFilter> {
    let depth = depth.checked_sub(1).ok_or(InvalidFilter::TooDeep)?;
    let inner = text.strip_prefix('(').ok_or(InvalidFilter::Syntax)?;
    let (found, rest) = match inner.chars().next() {
        Some('&') => {
            let (filters, rest) = many(&inner[1..], depth)?;
            (Filter::And(filters), rest)
        }
        Some('|') => {
            let (filters, rest) = many(&inner[1..], depth)?;
            (Filter::Or(filters), rest)
        }
        Some('!') => {
            let (negated, rest) = filter(&inner[1..], depth)?;
            (Filter::Not(Box::new(negated)), rest)
        }
        Some(_) => {
            let end = inner.find(')').ok_or(InvalidFilter::Syntax)?;
            let (text, rest) = inner.split_at(end);
            (item(text).ok_or(InvalidFilter::Syntax)?, rest)
        }
        None => return Err(InvalidFilter::Syntax),
    };
    Ok((found, rest.strip_prefix(')').ok_or(InvalidFilter::Syntax)?))
}

fn many(mut text: &str, depth: usize) -> Result<(Vec<Filter>, &str), InvalidFilter> {
    let mut filters = Vec::new();
    while text.starts_with('(') {
        let (found, rest) = filter(text, depth)?;
        filters.push(found);
        text = rest;
    }
    Ok((filters, text))
}

/// What stands between two brackets.
fn item(text: &str) -> Option<Filter> {
    let (left, right) = text.split_once('=')?;
    if let Some(left) = left.strip_suffix(':') {
        return extensible(left, unescape(right)?);
    }
    let (attribute, sign) = match left.char_indices().next_back()? {
        (at, sign @ ('>' | '<' | '~')) => (left.get(..at)?, Some(sign)),
        (_, _) => (left, None),
    };
    let attribute: Box<str> = Some(attribute).filter(|text| is_attribute(text))?.into();
    match sign {
        Some('>') => Some(Filter::AtLeast(attribute, unescape(right)?)),
        Some('<') => Some(Filter::AtMost(attribute, unescape(right)?)),
        Some(_) => Some(Filter::Like(attribute, unescape(right)?)),
        None if right == "*" => Some(Filter::Present(attribute)),
        None => {
            let parts: Vec<_> = right.split('*').map(unescape).collect::<Option<_>>()?;
            match <[Box<[u8]>; 1]>::try_from(parts) {
                Ok([value]) => Some(Filter::Equal(attribute, value)),
                // Only the ends may be empty.
                Err(parts) if parts.iter().skip(1).rev().skip(1).any(|part| part.is_empty()) => None,
                Err(parts) => Some(Filter::Substrings(attribute, parts)),
            }
        }
    }
}

fn extensible(left: &str, value: Box<[u8]>) -> Option<Filter> {
    let mut parts = left.split(':');
    let attribute = parts.next().filter(|text| !text.is_empty());
    let mut rest: Vec<&str> = parts.collect();
    let dn = rest.first().is_some_and(|part| part.eq_ignore_ascii_case("dn"));
    if dn {
        rest.remove(0);
    }
    let rule = match rest.as_slice() {
        [] => None,
        [rule] => Some(*rule),
        [_, _, ..] => return None,
    };
    let fits = [attribute, rule].into_iter().flatten().all(is_attribute);
    (fits && (attribute.is_some() || rule.is_some())).then(|| Filter::Extensible {
        attribute: attribute.map(Into::into),
        rule: rule.map(Into::into),
        value,
        dn,
    })
}

/// A value without its escapes.
fn unescape(text: &str) -> Option<Box<[u8]>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.extend(unhex(after.get(..2)?)?);
        rest = after.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    let plain = !text.contains(['(', ')', '*', '\0']);
    plain.then(|| bytes.into())
}

#[cfg(test)]
mod tests;
