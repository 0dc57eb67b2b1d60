//! Logs of task instances.
//!
//! Airflow 2 has text, Airflow 3 events: each becomes a line of what Airflow 2 wrote. As text they stream, however
//! long they are, and while the task runs; as JSON they come chunk by chunk, with a token for the next.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde_json::Value;

use super::accept::{self, Form};
use crate::gate::translate::asked::{Asked, Content, Told};
use crate::gate::translate::calls::{Answered, MAX_ANSWER};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::python::repr_text;
use crate::gate::translate::query::{Kind, flag, own, whole};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get, not_found_bare};
use crate::gate::translate::shape::Object;
use crate::gate::translate::value::{Date, json};
use crate::ports::{Chunks, SendError, read_whole};

/// The operations.
pub const ROWS: &[Row] = &[Row {
    old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{task_try_number}"),
    new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{task_try_number}"),
    query: &[flag("full_content"), whole("map_index"), own("token", Kind::Text)],
    body: Body::None,
    answer: Answer::Own,
    status: 200,
    texts: &[not_found_bare("TaskInstance not found")],
    work: Work::By(log),
}];

/// The token of a log that is at its end, where Airflow 3 has none: clients of Airflow 2 expect one, and ask again.
const END: &str = "airgate-end-of-log";
/// Longest event that is read. A longer one becomes several lines of raw text.
const MAX_EVENT: usize = 1 << 20;

fn log(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?;
        match asked.query.get("token") {
            Some(END) => return Ok(asked.json(chunk("", END))),
            Some(token) => call = call.with("token", token),
            None => {}
        }
        match accept::best(&asked.headers) {
            Some(Form::Text) => {
                call.accept = "application/x-ndjson";
                let (head, mut body) = asked.calls.stream(call).await?.into_parts();
                if !head.status.is_success() {
                    let body = read_whole(&mut *body, MAX_ANSWER).await.unwrap_or_default();
                    return Err(worded(Answered { status: head.status, headers: head.headers, body }));
                }
                let lines = Lines { events: Some(body), partial: BytesMut::new() };
                Ok(Told::text("text/plain", Content::Streamed(Box::new(lines))))
            }
            Some(Form::Json) | None => {
                let answered = asked.calls.any(call).await?;
                if !answered.status.is_success() {
                    return Err(worded(answered));
                }
                let object = Object::read(answered.text()?).ok_or_else(|| Fault::unreadable("no log"))?;
                let events: Vec<Value> =
                    object.raw("content").and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
                let mut text = String::new();
                events.iter().for_each(|event| push(event, &mut text));
                let token = object.text("continuation_token").unwrap_or_else(|| END.into());
                Ok(asked.json(chunk(&text, &token)))
            }
        }
    })
}

/// A chunk as Airflow 2 answers it: a list of hosts and texts, as Python prints it.
fn chunk(text: &str, token: &str) -> String {
    let content = format!("[('', {})]", repr_text(text));
    format!("{{\"content\":{},\"continuation_token\":{}}}", json(&content), json(token))
}

fn worded(answered: Answered) -> Fault {
    const BAD_TOKEN: &str = "Bad Signature. Please use only the tokens provided by the API.";
    if answered.status == StatusCode::BAD_REQUEST
        && answered.text().is_ok_and(|text| text.contains("Bad Signature"))
    {
        return Fault::refused(StatusCode::BAD_REQUEST, Some(BAD_TOKEN), None);
    }
    Fault::Airflow(answered.into())
}

/// Events, one a line of JSON, as the lines of a log.
struct Lines {
    /// `None` at the end.
    events: Option<Box<dyn Chunks>>,
    /// What came of an event so far.
    partial: BytesMut,
}

#[async_trait]
impl Chunks for Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        while let Some(events) = &mut self.events {
            let mut out = String::new();
            match events.next().await? {
                Some(chunk) => {
                    // What was there already holds no end of a line.
                    let mut seen = self.partial.len();
                    self.partial.extend_from_slice(&chunk);
                    while let Some(end) = self.partial.iter().skip(seen).position(|byte| *byte == b'\n') {
                        let line = self.partial.split_to(seen + end + 1);
                        push_line(&line, &mut out);
                        seen = 0;
                    }
                    if self.partial.len() > MAX_EVENT {
                        push_line(&self.partial.split(), &mut out);
                    }
                }
                None => {
                    self.events = None;
                    push_line(&self.partial.split(), &mut out);
                }
            }
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }
}

fn push_line(line: &[u8], out: &mut String) {
    let line = line.trim_ascii();
    if line.is_empty() {
        return;
    }
    match serde_json::from_slice::<Value>(line) {
        Ok(event) => push(&event, out),
        Err(_) => {
            out.push_str(&String::from_utf8_lossy(line));
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

    /// A body in pieces.
    struct Pieces(Vec<&'static str>);

    #[async_trait]
    impl Chunks for Pieces {
        async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
            Ok((!self.0.is_empty()).then(|| Bytes::from_static(self.0.remove(0).as_bytes())))
        }
    }

    #[tokio::test]
    async fn events_become_lines_wherever_they_are_cut() {
        let pieces = vec![
            "{\"event\":\"::group::x\"}\n{\"timestamp\":\"2024-01-01T00:00:00.12",
            "3456Z\",\"event\":\"hello\",\"level\":\"info\",\"logger\":\"task\"}\n\n",
            "{\"timestamp\":\"2024-01-01T02:00:00+02:00\",\"event\":\"bad\",\"level\":\"error\",\"filename\":\"t.py\",\"lineno\":7,",
            "\"error_detail\":[{\"exc_type\":\"ValueError\",\"exc_value\":\"no\",\"frames\":[{\"filename\":\"t.py\",\"lineno\":7,\"name\":\"f\"}]}]}\n",
            "not JSON",
        ];
        let mut lines = Lines { events: Some(Box::new(Pieces(pieces))), partial: BytesMut::new() };
        let whole = read_whole(&mut lines, 1 << 20).await.unwrap();
        let expected = "::group::x\n[2024-01-01T00:00:00.123+0000] {task} INFO - hello\n\
            [2024-01-01T00:00:00.000+0000] {t.py:7} ERROR - bad\nTraceback (most recent call last):\n  \
            File \"t.py\", line 7, in f\nValueError: no\nnot JSON\n";
        assert_eq!(std::str::from_utf8(&whole).unwrap(), expected);
    }
}
