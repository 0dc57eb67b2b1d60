//! JSON written into a buffer, without allocation, and always on one line.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use crate::request::push_address;

/// The name of a member as it is written, by [`key!`].
#[derive(Clone, Copy)]
pub(super) struct Key(pub &'static str);

/// The name of a member, made when compiling: comma, quotes, colon and the quote of a string go out with it in
/// one piece.
macro_rules! key {
    ($name:literal) => {
        $crate::telemetry::json::Key(concat!(",\"", $name, "\":\""))
    };
}
pub(super) use key;

/// An object under construction, whose members are written as they come.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Object<'a> {
    /// Opens the object.
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        Self { start: out.len(), out }
    }

    /// Closes the object, and the line. The comma before the first member makes way for the brace.
    pub(super) fn close(self) {
        match self.out.get_mut(self.start) {
            Some(comma) => *comma = b'{',
            None => self.out.push(b'{'),
        }
        self.out.extend_from_slice(b"}\n");
    }

    /// A member whose value is made of pieces of text, one after the other, of which at most `max`
    /// bytes each are kept.
    pub(super) fn text(&mut self, key: Key, pieces: &[&str], max: usize) {
        self.open_string(key);
        for piece in pieces {
            escape(self.out, piece.as_bytes(), max);
        }
        self.out.push(b'"');
    }

    /// A member whose value is bytes that a client wrote. What is not UTF-8 becomes U+FFFD.
    pub(super) fn bytes(&mut self, key: Key, value: &[u8], max: usize) {
        self.open_string(key);
        escape(self.out, value, max);
        self.out.push(b'"');
    }

    /// A member whose value is a text of the program's own that needs no escape.
    pub(super) fn literal(&mut self, key: Key, value: &'static str) {
        self.plain(key, value.as_bytes());
    }

    /// A member whose value is known to need no escape.
    pub(super) fn plain(&mut self, key: Key, value: &[u8]) {
        self.open_string(key);
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    /// An address.
    pub(super) fn address(&mut self, key: Key, value: IpAddr) {
        self.open_string(key);
        push_address(self.out, value);
        self.out.push(b'"');
    }

    /// A number.
    pub(super) fn number(&mut self, key: Key, value: u64) {
        self.name(key);
        digits(self.out, value);
    }

    /// A boolean.
    pub(super) fn flag(&mut self, key: Key, value: bool) {
        self.name(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A time span in milliseconds, to the microsecond.
    pub(super) fn millis(&mut self, key: Key, value: Duration) {
        self.name(key);
        let micros = value.subsec_micros();
        digits(self.out, value.as_secs() * 1000 + u64::from(micros / 1000));
        let digit = |n: u32| b'0' + (n % 10) as u8;
        self.out.extend_from_slice(&[b'.', digit(micros / 100), digit(micros / 10), digit(micros)]);
    }

    fn open_string(&mut self, Key(name): Key) {
        self.out.extend_from_slice(name.as_bytes());
    }

    /// Of a member that is no string.
    fn name(&mut self, Key(name): Key) {
        self.out.extend_from_slice(name.as_bytes().strip_suffix(b"\"").unwrap_or_default());
    }
}

/// Decimal digits, several times faster than by `std::fmt`.
fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut buffer = [b'0'; 20];
    let mut start = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
        start -= 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[start..]);
}

/// Writes the start of a string's inside; an ellipsis tells that there was more.
///
/// Beyond what JSON asks, DEL, the C1 controls and the two line separators of Unicode are escaped:
/// a line must stay one line in every viewer, and no terminal may obey it.
fn escape(out: &mut Vec<u8>, text: &[u8], max: usize) {
    let (mut rest, cut) = match text.get(..max) {
        Some(start) if start.len() < text.len() => (start, true),
        _ => (text, false),
    };
    loop {
        let plain = rest.iter().position(|&b| !PLAIN[usize::from(b)]).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        // No character is longer than four bytes.
        let Some(chunk) = rest[..rest.len().min(4)].utf8_chunks().next() else { break };
        match chunk.valid().chars().next() {
            Some(c) => {
                escape_char(out, c);
                rest = &rest[c.len_utf8()..];
            }
            // The cut went through a character.
            None if cut && chunk.invalid().len() == rest.len() => break,
            None => {
                out.extend_from_slice("\u{fffd}".as_bytes());
                rest = &rest[chunk.invalid().len()..];
            }
        }
    }
    if cut {
        out.extend_from_slice("…".as_bytes());
    }
}

fn escape_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{2028}' | '\u{2029}' => escape_code(out, c),
        c if c.is_control() => escape_code(out, c),
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// For characters below U+10000.
fn escape_code(out: &mut Vec<u8>, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

/// ASCII that stands for itself in a string of JSON.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        table[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn object(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        fill(&mut object);
        object.close();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings() {
        for (name, value, max, expected) in [
            ("plain", &b"/api/v2/dags"[..], 99, "/api/v2/dags"),
            ("quote and backslash", b"a\"b\\c", 99, r#"a\"b\\c"#),
            ("newline", b"a\r\n\tb", 99, r"a\r\n\tb"),
            ("control characters", b"\0\x1b[31m\x7f", 99, r"\u0000\u001b[31m\u007f"),
            ("C1", "\u{9b}31m".as_bytes(), 99, r"\u009b31m"),
            ("line separators", "a\u{2028}b\u{2029}".as_bytes(), 99, r"a\u2028b\u2029"),
            ("not UTF-8", b"a\xffb\xe2\x82", 99, "a\u{fffd}b\u{fffd}"),
            ("other languages", "日本".as_bytes(), 99, "日本"),
            ("just fits", b"abcd", 4, "abcd"),
            ("too long", b"abcde", 4, "abcd…"),
            ("cut within a character", "日本".as_bytes(), 4, "日…"),
            ("cut after a character", "日本".as_bytes(), 3, "日…"),
            ("cut in something else", b"ab\xff\xffcd", 4, "ab\u{fffd}…"),
        ] {
            let line = object(|object| object.bytes(key!("v"), value, max));
            assert_eq!(line, format!("{{\"v\":\"{expected}\"}}\n"), "{name}");
        }
    }

    #[test]
    fn members() {
        let line = object(|object| {
            object.text(key!("user"), &["airflow", ":", "admin"], 99);
            object.literal(key!("level"), "INFO");
            object.address(key!("v4"), "192.0.2.133".parse().unwrap());
            object.address(key!("v6"), "2001:db8::1".parse().unwrap());
            object.number(key!("zero"), 0);
            object.number(key!("status"), 200);
            object.number(key!("most"), u64::MAX);
            object.flag(key!("cached"), true);
            object.millis(key!("duration_ms"), Duration::from_micros(12_034));
            object.millis(key!("long_ms"), Duration::from_nanos(61_000_999_999));
        });
        assert_eq!(
            line,
            concat!(
                r#"{"user":"airflow:admin","level":"INFO","v4":"192.0.2.133","v6":"2001:db8::1","#,
                r#""zero":0,"status":200,"most":18446744073709551615,"cached":true,"#,
                r#""duration_ms":12.034,"long_ms":61000.999}"#,
                "\n"
            )
        );
    }
}
