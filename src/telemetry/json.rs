//! JSON written into a buffer, without allocation, and always on one line.

use std::io::Write;
use std::time::Duration;

/// An object under construction, whose members are written as they come.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens the object.
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Closes the object, and the line.
    pub(super) fn close(self) {
        self.out.extend_from_slice(b"}\n");
    }

    /// A member whose value is made of pieces of text, one after the other, of which at most `max`
    /// bytes each are kept.
    pub(super) fn text(&mut self, name: &str, pieces: &[&str], max: usize) {
        self.name(name);
        self.out.push(b'"');
        for piece in pieces {
            escape(self.out, piece.as_bytes(), max);
        }
        self.out.push(b'"');
    }

    /// A member whose value is bytes that a client wrote. What is not UTF-8 becomes U+FFFD.
    pub(super) fn bytes(&mut self, name: &str, value: &[u8], max: usize) {
        self.name(name);
        self.out.push(b'"');
        escape(self.out, value, max);
        self.out.push(b'"');
    }

    /// A member whose value prints as something that needs no escape, in quotes.
    pub(super) fn plain(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        self.out.push(b'"');
        // Writing into memory does not fail.
        let _ = write!(self.out, "{value}");
        self.out.push(b'"');
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, value: usize) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    /// A boolean.
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A time span in milliseconds, to the microsecond.
    pub(super) fn millis(&mut self, name: &str, value: Duration) {
        self.name(name);
        let micros = value.as_micros();
        let _ = write!(self.out, "{}.{:03}", micros / 1000, micros % 1000);
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Writes the start of a string's inside; an ellipsis tells that there was more.
///
/// Beyond what JSON asks, DEL, the C1 controls and the two line separators of Unicode are escaped:
/// a line must stay one line in every viewer, and no terminal may obey it.
fn escape(out: &mut Vec<u8>, text: &[u8], max: usize) {
    let (text, cut) = match text.get(..max) {
        Some(start) if start.len() < text.len() => (start, true),
        _ => (text, false),
    };
    let mut chunks = text.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(needs_escape) {
            out.extend_from_slice(&rest.as_bytes()[..at]);
            let mut after = rest[at..].chars();
            match after.next() {
                Some(c @ ('"' | '\\')) => out.extend_from_slice(&[b'\\', c as u8]),
                Some('\n') => out.extend_from_slice(b"\\n"),
                Some('\r') => out.extend_from_slice(b"\\r"),
                Some('\t') => out.extend_from_slice(b"\\t"),
                Some(c) => {
                    // All of them are below U+10000.
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                None => {}
            }
            rest = after.as_str();
        }
        out.extend_from_slice(rest.as_bytes());
        // The cut may have gone through a character.
        let cut_in_two = cut && chunks.peek().is_none();
        if !chunk.invalid().is_empty() && !cut_in_two {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if cut {
        out.extend_from_slice("…".as_bytes());
    }
}

fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}') || c.is_control()
}

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
            let line = object(|object| object.bytes("v", value, max));
            assert_eq!(line, format!("{{\"v\":\"{expected}\"}}\n"), "{name}");
        }
    }

    #[test]
    fn members() {
        let line = object(|object| {
            object.text("user", &["airflow", ":", "admin"], 99);
            object.plain("peer", std::net::Ipv4Addr::LOCALHOST);
            object.number("status", 200);
            object.flag("cached", true);
            object.millis("duration_ms", Duration::from_micros(12_034));
        });
        assert_eq!(
            line,
            "{\"user\":\"airflow:admin\",\"peer\":\"127.0.0.1\",\"status\":200,\"cached\":true,\"duration_ms\":12.034}\n"
        );
    }
}
