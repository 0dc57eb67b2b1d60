//! What Airflow's validators take for an integer.

/// What a validator makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Not an integer for this validator.
    Refused,
    /// An integer below zero.
    Negative,
    /// An integer from zero; one past 64 bits counts as [`u64::MAX`].
    Number(u64),
}

/// Longest integer that pydantic reads, in digits without leading zeros.
const MAX_DIGITS: usize = 4300;

/// Reads as pydantic 2 reads a string for an `int` in lax mode, which is how Airflow 3 reads its
/// query parameters: white space around is dropped, leading zeros too, single underscores between
/// digits and a fraction of zeros are allowed (`7.0`), exponents and digits other than ASCII's are
/// not.
///
/// Pydantic takes some more, which is followed here because it is what Airflow does: any mix of
/// zeros and underscores before the first other digit (`0__7`), and a minus after leading zeros
/// (`0-7` is -7). `tests/goldens/limit-readings.jsonl` holds what pydantic itself answered.
pub(super) fn pydantic(text: &str) -> Reading {
    let text = text.trim().as_bytes();
    let (minus, body) = match text {
        [b'+', rest @ ..] => (false, rest),
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (late_minus, body) = match strip_zeros(body) {
        [b'-', rest @ ..] if body.first() == Some(&b'0') && !minus => {
            (true, rest.strip_prefix(b"_").unwrap_or(rest))
        }
        stripped => (false, stripped),
    };
    let Some(whole) = strip_fraction(body) else { return Reading::Refused };
    let Some(Digits { value, count }) = digits(whole.iter().map(|b| char::from(*b)), ascii_digit) else {
        return Reading::Refused;
    };
    if count > MAX_DIGITS || (late_minus && count > 1 && whole.first() == Some(&b'0')) {
        return Reading::Refused;
    }
    signed(minus || late_minus, value)
}

/// Reads as Python's `int(text)`, which is how Airflow 2 reads its query parameters: white space
/// around is dropped, single underscores between digits are allowed, and digits may be those of any
/// script, mixed (`１０`, `٣`). Fractions are refused.
///
/// Python refuses more than 4300 digits, since some release of each version; that limit is not
/// followed, so that a longer number is lowered rather than passed on.
pub(super) fn python_int(text: &str) -> Reading {
    let text = text.trim();
    let (minus, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    digits(body.chars(), any_digit).map_or(Reading::Refused, |digits| signed(minus, digits.value))
}

/// Reads digits, with a minus or without, as JSON has them.
///
/// Python refuses more than 4300 of them, unless it is told otherwise, and pydantic takes any number; a longer
/// one is lowered rather than passed on.
pub(super) fn integer(text: &str) -> Reading {
    let (minus, body) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    digits(body.chars(), ascii_digit).map_or(Reading::Refused, |digits| signed(minus, digits.value))
}

/// Reads as pydantic 2 reads a Python `float` for an `int` in lax mode: without a fraction, and within 64 bits.
pub(super) fn float(text: &str) -> Reading {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    match text.parse::<f64>() {
        Ok(number) if number.fract() != 0.0 || number.abs() >= TOO_LARGE => Reading::Refused,
        Ok(number) if number < 0.0 => Reading::Negative,
        // In range, and whole, by what stands above.
        Ok(number) => Reading::Number(number as u64),
        Err(_) => Reading::Refused,
    }
}

fn signed(minus: bool, value: u64) -> Reading {
    if minus && value > 0 { Reading::Negative } else { Reading::Number(value) }
}

/// Drops zeros, and underscores among them, from the front of what starts with a zero. A zero
/// stays where nothing else is left of the number; where an underscore ends such a text it stays
/// instead, and makes the text no number.
fn strip_zeros(body: &[u8]) -> &[u8] {
    if body.first() != Some(&b'0') {
        return body;
    }
    match body.iter().position(|b| !matches!(b, b'0' | b'_')) {
        None => &body[body.len() - 1..],
        Some(at) if body[at] == b'.' => &body[at - 1..],
        Some(at) => &body[at..],
    }
}

/// Drops a fraction of zeros. `None` where the fraction is anything else, or empty.
fn strip_fraction(body: &[u8]) -> Option<&[u8]> {
    let Some(point) = body.iter().position(|&b| b == b'.') else { return Some(body) };
    let fraction = &body[point + 1..];
    (!fraction.is_empty() && fraction.iter().all(|&b| b == b'0')).then_some(&body[..point])
}

struct Digits {
    value: u64,
    count: usize,
}

/// Reads digits with single underscores between them, and nothing else.
fn digits(text: impl Iterator<Item = char>, digit: impl Fn(char) -> Option<u32>) -> Option<Digits> {
    let mut read = Digits { value: 0, count: 0 };
    let mut after_digit = false;
    for c in text {
        if let Some(digit) = digit(c) {
            read.value = read.value.saturating_mul(10).saturating_add(digit.into());
            read.count += 1;
            after_digit = true;
        } else if c == '_' && after_digit {
            after_digit = false;
        } else {
            return None;
        }
    }
    after_digit.then_some(read)
}

fn ascii_digit(c: char) -> Option<u32> {
    c.to_digit(10)
}

/// A decimal digit of any script (Unicode 16, general category `Nd`). Python follows the version of
/// Unicode it was built with; a script that it does not know yet is refused there, so that reading
/// more here does no harm.
fn any_digit(c: char) -> Option<u32> {
    if c.is_ascii() {
        return ascii_digit(c);
    }
    let after = ZEROS.partition_point(|&zero| zero <= c);
    let zero = ZEROS.get(after.checked_sub(1)?)?;
    let value = u32::from(c) - u32::from(*zero);
    (value < 10).then_some(value)
}

/// The zeros of every script but ASCII's, in order; each is followed by its nine other digits.
#[rustfmt::skip]
const ZEROS: &[char] = &[
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{1090}',
    '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1a90}', '\u{1b50}', '\u{1bb0}',
    '\u{1c40}', '\u{1c50}', '\u{a620}', '\u{a8d0}', '\u{a900}', '\u{a9d0}', '\u{a9f0}', '\u{aa50}',
    '\u{abf0}', '\u{ff10}', '\u{104a0}', '\u{10d30}', '\u{10d40}', '\u{11066}', '\u{110f0}', '\u{11136}',
    '\u{111d0}', '\u{112f0}', '\u{11450}', '\u{114d0}', '\u{11650}', '\u{116c0}', '\u{116d0}', '\u{116da}',
    '\u{11730}', '\u{118e0}', '\u{11950}', '\u{11bf0}', '\u{11c50}', '\u{11d50}', '\u{11da0}', '\u{11f50}',
    '\u{16130}', '\u{16a60}', '\u{16ac0}', '\u{16b50}', '\u{16d70}', '\u{1ccf0}', '\u{1d7ce}', '\u{1d7d8}',
    '\u{1d7e2}', '\u{1d7ec}', '\u{1d7f6}', '\u{1e140}', '\u{1e2f0}', '\u{1e4f0}', '\u{1e5f1}', '\u{1e950}',
    '\u{1fbf0}',
];
