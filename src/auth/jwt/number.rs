//! Numbers as Python reads them.

use serde_json::Value;

/// A claim as Python's `int()` reads it: numbers lose their fraction, `true` is 1, and text may hold a
/// number. `None` where Python raises.
pub(super) fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Bool(value) => Some(i128::from(*value)),
        // A float beyond the range saturates, and is far enough in the future or past for that.
        Value::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| number.as_f64().map(|float| float as i128)),
        Value::String(text) => python_int(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text as Python's `int()` reads it: white space around it, a sign, decimal digits of any script, single
/// underscores between them. Saturates; more than 4300 digits are refused, as by Python.
pub(super) fn python_int(text: &str) -> Option<i128> {
    // Beyond ASCII, Python also counts the information separators as white space.
    let ascii = text.is_ascii();
    let is_space = |c: char| c.is_whitespace() || (!ascii && ('\x1c'..='\x1f').contains(&c));
    let text = text.trim_matches(is_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mut value, mut count, mut after_digit) = (0_i128, 0, false);
    for c in digits.chars() {
        if c == '_' && after_digit {
            after_digit = false;
            continue;
        }
        value = value.saturating_mul(10).saturating_add(i128::from(digit(c)?));
        (count, after_digit) = (count + 1, true);
    }
    (after_digit && count <= 4300).then_some(if negative { -value } else { value })
}

fn digit(c: char) -> Option<u32> {
    if let Some(value) = c.to_digit(10) {
        return Some(value);
    }
    let at = ZEROES.partition_point(|&zero| zero <= c).checked_sub(1)?;
    let value = u32::from(c) - u32::from(*ZEROES.get(at)?);
    (value < 10).then_some(value)
}

/// The zeroes of all scripts beyond ASCII (general category Nd of Unicode 14, as in Python 3.11), sorted.
/// The other nine digits follow each.
#[rustfmt::skip]
const ZEROES: [char; 65] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{1090}',
    '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1a90}', '\u{1b50}', '\u{1bb0}',
    '\u{1c40}', '\u{1c50}', '\u{a620}', '\u{a8d0}', '\u{a900}', '\u{a9d0}', '\u{a9f0}', '\u{aa50}',
    '\u{abf0}', '\u{ff10}', '\u{104a0}', '\u{10d30}', '\u{11066}', '\u{110f0}', '\u{11136}', '\u{111d0}',
    '\u{112f0}', '\u{11450}', '\u{114d0}', '\u{11650}', '\u{116c0}', '\u{11730}', '\u{118e0}',
    '\u{11950}', '\u{11c50}', '\u{11d50}', '\u{11da0}', '\u{16a60}', '\u{16ac0}', '\u{16b50}',
    '\u{1d7ce}', '\u{1d7d8}', '\u{1d7e2}', '\u{1d7ec}', '\u{1d7f6}', '\u{1e140}', '\u{1e2f0}',
    '\u{1e950}', '\u{1fbf0}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_python_reads_them() {
        for (text, expected) in [
            ("7", Some(7)),
            ("+7", Some(7)),
            ("-7", Some(-7)),
            ("\x1c 7\u{a0}", Some(7)),
            ("\x0b7\x0c", Some(7)),
            ("\x1c7", None),
            ("1_000", Some(1000)),
            ("１０", Some(10)),
            ("\u{1fbf9}", Some(9)),
            ("", None),
            ("+", None),
            ("+-7", None),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("7.0", None),
            ("1e3", None),
            ("0x7", None),
            ("²", None),
            (&"9".repeat(4300), Some(i128::MAX)),
            (&"9".repeat(4301), None),
        ] {
            assert_eq!(python_int(text), expected, "{text:?}");
        }
    }
}
