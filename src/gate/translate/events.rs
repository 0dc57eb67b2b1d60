//! Events of a log, one by one out of what comes in pieces: from lines of JSON, or from the list in a document.

use serde_json::Value;

use super::shape::Object;
use super::value::Date;

/// Longest event that is read. A longer one becomes several lines of raw text.
const MAX_EVENT: usize = 1 << 20;
/// Longest document, its list aside.
const MAX_FRAME: usize = 64 << 10;

/// Events, one a line of JSON.
#[derive(Default)]
pub struct Lines {
    /// What came of an event so far.
    partial: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and writes the events that end in it as the lines of a log.
    pub fn feed(&mut self, piece: &[u8], out: &mut String) {
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.partial.extend_from_slice(part);
            if parts.peek().is_some() || self.partial.len() > MAX_EVENT {
                self.end(out);
            }
        }
    }

    /// How many bytes of an event there are so far.
    pub fn held(&self) -> usize {
        self.partial.len()
    }

    /// Writes what is left at the end.
    pub fn end(&mut self, out: &mut String) {
        push_event(&self.partial, out);
        self.partial.clear();
    }
}

/// Events in the list `content` of a document.
#[derive(Default)]
pub struct Document {
    /// All that is not in the list.
    frame: Vec<u8>,
    /// What came of an event so far.
    partial: Vec<u8>,
    /// The last text in the frame: a name, where a colon follows.
    name: Vec<u8>,
    /// How many brackets are open.
    depth: usize,
    in_list: bool,
    in_text: bool,
    escaped: bool,
}

impl Document {
    /// Takes a piece, and writes the events that end in it as the lines of a log. `None` where it is no such document.
    pub fn feed(&mut self, piece: &[u8], out: &mut String) -> Option<()> {
        for byte in piece {
            self.take(*byte, out);
            if self.partial.len() > MAX_EVENT {
                self.end_event(out);
            }
        }
        (self.frame.len() <= MAX_FRAME).then_some(())
    }

    /// How many bytes of an event there are so far.
    pub fn held(&self) -> usize {
        self.partial.len()
    }

    /// The token for the rest of the log, if there is one. `None` where it was no such document.
    pub fn token(&self) -> Option<Option<String>> {
        let object = Object::read(std::str::from_utf8(&self.frame).ok()?)?;
        object.raw("content").filter(|content| *content == "[]")?;
        Some(object.text("continuation_token"))
    }

    fn take(&mut self, byte: u8, out: &mut String) {
        if self.in_text {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ if !self.in_list && self.depth == 1 => self.name.push(byte),
                _ => {}
            }
            return;
        }
        let of_list = self.in_list && self.depth == 2;
        match byte {
            b',' if of_list => return self.end_event(out),
            b']' if of_list => {
                self.end_event(out);
                self.in_list = false;
                self.depth = 1;
            }
            b'"' => {
                self.in_text = true;
                self.name.clear();
            }
            b'[' if self.depth == 1 && !self.in_list && self.name == b"content" => {
                self.frame.push(byte);
                self.in_list = true;
                self.depth = 2;
                return;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        if self.in_list { self.partial.push(byte) } else { self.frame.push(byte) }
    }

    fn end_event(&mut self, out: &mut String) {
        push_event(&self.partial, out);
        self.partial.clear();
    }
}

fn push_event(event: &[u8], out: &mut String) {
    let event = event.trim_ascii();
    if event.is_empty() {
        return;
    }
    match serde_json::from_slice::<Value>(event) {
        Ok(event) => push(&event, out),
        Err(_) => {
            out.push_str(&String::from_utf8_lossy(event));
            out.push('\n');
        }
    }
}

/// An event as Airflow 2 wrote it: `[2024-01-01T00:00:00.000+0000] {task.py:7} INFO - text`.
fn push(event: &Value, out: &mut String) {
    let Value::Object(event) = event else {
        out.push_str(event.as_str().unwrap_or_default());
        out.push('\n');
        return;
    };
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    if let Some(stamp) = text("timestamp") {
        let stamp = match Date::parse(stamp) {
            Some(date) => {
                let iso = date.utc().iso();
                let millis = date.micros.rem_euclid(1_000_000) / 1_000;
                format!("{}.{millis:03}+0000", iso.get(..19).unwrap_or(&iso))
            }
            None => stamp.to_owned(),
        };
        out.push_str(&format!("[{stamp}] "));
        let line = event.get("lineno").and_then(Value::as_i64);
        match (text("filename"), line, text("logger")) {
            (Some(file), Some(line), _) => out.push_str(&format!("{{{file}:{line}}} ")),
            (_, _, Some(logger)) => out.push_str(&format!("{{{logger}}} ")),
            (_, _, None) => {}
        }
        out.push_str(&format!("{} - ", text("level").unwrap_or("info").to_uppercase()));
    }
    out.push_str(text("event").unwrap_or_default());
    out.push('\n');
    if let Some(Value::Array(errors)) = event.get("error_detail") {
        errors.iter().for_each(|error| push_error(error, out));
    }
}

fn push_error(error: &Value, out: &mut String) {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    out.push_str("Traceback (most recent call last):\n");
    for frame in error["frames"].as_array().into_iter().flatten() {
        let line = frame["lineno"].as_i64().unwrap_or_default();
        out.push_str(&format!(
            "  File \"{}\", line {line}, in {}\n",
            text(frame, "filename"),
            text(frame, "name")
        ));
    }
    out.push_str(&format!("{}: {}\n", text(error, "exc_type"), text(error, "exc_value")));
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [&str; 4] = [
        r#"{"event":"::group::x"}"#,
        r#"{"timestamp":"2024-01-01T00:00:00.123456Z","event":"he said \"]},{\\","level":"info","logger":"task","content":["["]}"#,
        r#"{"timestamp":"2024-01-01T02:00:00+02:00","event":"bad","level":"error","filename":"t.py","lineno":7,"error_detail":[{"exc_type":"ValueError","exc_value":"no","frames":[{"filename":"t.py","lineno":7,"name":"f"}]}]}"#,
        r#""a text""#,
    ];
    const LOG: &str = "::group::x\n[2024-01-01T00:00:00.123+0000] {task} INFO - he said \"]},{\\\n\
        [2024-01-01T00:00:00.000+0000] {t.py:7} ERROR - bad\nTraceback (most recent call last):\n  \
        File \"t.py\", line 7, in f\nValueError: no\na text\n";

    #[test]
    fn events_become_lines_wherever_they_are_cut() {
        let lines = format!("{}\n\nnot JSON", EVENTS.join("\n"));
        for size in 1..lines.len() {
            let (mut events, mut out) = (Lines::default(), String::new());
            lines.as_bytes().chunks(size).for_each(|piece| events.feed(piece, &mut out));
            events.end(&mut out);
            assert_eq!(out, format!("{LOG}not JSON\n"), "{size}");
        }
        for (document, token) in [
            (format!("{{\"content\":[{}],\"continuation_token\":null}}", EVENTS.join(",")), None),
            (
                format!(
                    "{{ \"content\" : [ {} ] , \"continuation_token\" : \"t\\u0041\" }}\n",
                    EVENTS.join(" , ")
                ),
                Some("tA"),
            ),
            (
                format!(
                    "{{\"continuation_token\":\"content\",\"x\":{{\"content\":[1]}},\"content\":[{}]}}",
                    EVENTS.join(",")
                ),
                Some("content"),
            ),
        ] {
            for size in 1..document.len() {
                let (mut events, mut out) = (Document::default(), String::new());
                let fed = document.as_bytes().chunks(size).map(|piece| events.feed(piece, &mut out));
                assert!(fed.collect::<Vec<_>>().iter().all(Option::is_some));
                assert_eq!(out, LOG, "{document} by {size}");
                assert_eq!(events.token(), Some(token.map(str::to_owned)), "{document} by {size}");
            }
        }
    }

    #[test]
    fn what_is_no_log() {
        for document in [
            "",
            "{",
            "[]",
            "{}",
            "<html>",
            r#"{"content":1}"#,
            r#"{"content":[}"#,
            r#"{"content":[]"#,
            r#"{"a":[]}"#,
        ] {
            let (mut events, mut out) = (Document::default(), String::new());
            assert_eq!(events.feed(document.as_bytes(), &mut out), Some(()), "{document}");
            assert_eq!(events.token(), None, "{document}");
        }
        let endless = format!("{{\"x\":\"{}\"", "x".repeat(MAX_FRAME));
        assert_eq!(Document::default().feed(endless.as_bytes(), &mut String::new()), None);
    }

    /// No more of it is held than an event may have.
    #[test]
    fn an_event_without_end_becomes_lines() {
        let piece = "x".repeat(1 << 16);
        let (mut lines, mut out) = (Lines::default(), String::new());
        let mut document = Document::default();
        assert!(document.feed(b"{\"content\":[\"", &mut out).is_some());
        for _ in 0..40 {
            lines.feed(piece.as_bytes(), &mut out);
            assert!(document.feed(piece.as_bytes(), &mut out).is_some());
            assert!(lines.partial.len() <= MAX_EVENT && document.partial.len() <= MAX_EVENT);
        }
        assert!(out.len() > 3 << 20);
    }
}
