//! Distinguished names in text (RFC 4514).

/// A value as it stands in a distinguished name: what would end it or begin another is escaped, so that
/// a name such as `x,ou=admins` stays one value.
///
/// Escapes what RFC 4514, section 2.4, asks for, and `=`, which it allows.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 8);
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => escaped.extend(['\\', c]),
            ' ' | '#' if at == 0 => escaped.extend(['\\', c]),
            ' ' if at == last => escaped.push_str("\\ "),
            '\0' => escaped.push_str("\\00"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The values of a name, attribute by attribute, unescaped. `None` if it is no distinguished name.
///
/// For what operators write and for tests. Two names may mean the same and be written differently, so
/// nothing is compared by it.
pub fn parse(name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let mut parts = Vec::new();
    let mut rest = name;
    if rest.trim().is_empty() {
        return Some(parts);
    }
    loop {
        let (kind, after) = rest.split_once('=')?;
        let kind = kind.trim();
        if !is_attribute(kind) {
            return None;
        }
        let (value, end) = value(after.trim_start_matches(' '))?;
        parts.push((kind.to_owned(), value));
        match end {
            Some(next) => rest = next,
            None => return Some(parts),
        }
    }
}

/// An attribute's name or OID, options included (RFC 4512, section 2.5).
pub fn is_attribute(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits)
}

/// A value up to the next `,` or `+`, and what follows that.
fn value(text: &str) -> Option<(Vec<u8>, Option<&str>)> {
    if let Some(hex) = text.strip_prefix('#') {
        let end = hex.find([',', '+', ' ']).unwrap_or(hex.len());
        let (digits, rest) = hex.split_at(end);
        let bytes = unhex(digits)?;
        let rest = rest.trim_start_matches(' ');
        return match rest.chars().next() {
            None => Some((bytes, None)),
            Some(',' | '+') => Some((bytes, rest.get(1..))),
            Some(_) => None,
        };
    }
    let mut bytes = Vec::new();
    let mut kept = 0;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ',' | '+' => {
                bytes.truncate(kept);
                return Some((bytes, text.get(at + 1..)));
            }
            '"' | ';' | '<' | '>' | '\0' => return None,
            '\\' => {
                let (_, next) = chars.next()?;
                if matches!(next, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' | ' ' | '#') {
                    bytes.push(u8::try_from(next).ok()?);
                } else {
                    let (_, low) = chars.next()?;
                    bytes.extend(unhex(&String::from_iter([next, low]))?);
                }
                kept = bytes.len();
            }
            ' ' => bytes.push(b' '),
            c => {
                bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                kept = bytes.len();
            }
        }
    }
    bytes.truncate(kept);
    Some((bytes, None))
}

/// Bytes from pairs of hexadecimal digits, at least one.
pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.bytes().all(|d| d.is_ascii_hexdigit())
    {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_rfc_4514_asks() {
        for (name, value, expected) in [
            ("plain", "alice", "alice"),
            ("UTF-8", "pässwörd✓", "pässwörd✓"),
            ("a comma", "x,ou=admins", r"x\,ou\=admins"),
            ("a plus", "a+uid=b", r"a\+uid\=b"),
            ("backslash and quote", r#"a\"b"#, r#"a\\\"b"#),
            ("angles and semicolon", "<a>;", r"\<a\>\;"),
            ("spaces at the ends", " a b ", r"\ a b\ "),
            ("one space", " ", r"\ "),
            ("a number sign first", "#a#", r"\#a#"),
            ("NUL", "a\0b", r"a\00b"),
            ("of filters only", "*()", "*()"),
        ] {
            assert_eq!(escape(value), expected, "{name}");
            let parsed = parse(&format!("uid={expected},dc=test")).unwrap();
            let expected = [("uid".to_owned(), value.into()), ("dc".to_owned(), b"test".to_vec())];
            assert_eq!(parsed, expected, "{name}");
        }
    }

    #[test]
    fn names_are_read() {
        let of = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(kind, value)| ((*kind).to_owned(), value.as_bytes().to_vec())).collect())
        };
        for (name, text, expected) in [
            ("empty", "", of(&[])),
            ("spaces around", "ou = people , dc= test", of(&[("ou", "people"), ("dc", "test")])),
            ("two in one", "cn=a+sn=b", of(&[("cn", "a"), ("sn", "b")])),
            ("hexadecimal pairs", r"cn=\c3\a4", of(&[("cn", "ä")])),
            ("encoded", "1.3.6=#6162", of(&[("1.3.6", "ab")])),
            ("an empty value", "cn=", of(&[("cn", "")])),
            ("no attribute", "alice", None),
            ("a bad attribute", "u id=alice", None),
            ("half an escape", r"cn=a\", None),
            ("a bad escape", r"cn=\zz", None),
            ("a bare quote", r#"cn="a""#, None),
            ("ends with a comma", "cn=a,", None),
            ("bad digits", "cn=#6g", None),
        ] {
            assert_eq!(parse(text), expected, "{name}");
        }
    }
}
