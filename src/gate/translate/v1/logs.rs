//! Logs of task instances.
//!
//! Airflow 2 has text, Airflow 3 events: each becomes a line of what Airflow 2 wrote. They stream, however long they
//! are: as text while the task runs, as JSON with a token for the rest.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;

use super::accept::{self, Form};
use crate::gate::translate::asked::{Asked, Content, Told};
use crate::gate::translate::calls::{Answered, Streaming, failed};
use crate::gate::translate::events::{Document, Lines};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::python::{escaped, repr_text};
use crate::gate::translate::query::{Kind, flag, own, whole};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get, not_found_bare};
use crate::gate::translate::value::json;
use crate::gate::translate::workers::Workers;
use crate::ports::{Chunks, SendError};

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
/// Most text of a log in JSON that is held, to be quoted as Python would quote the whole. A longer one streams.
const HELD: usize = 256 << 10;

fn log(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?;
        match asked.query.get("token") {
            Some(END) => return Ok(asked.json(chunk("", END))),
            Some(token) => call = call.with("token", token),
            None => {}
        }
        let form = accept::best(&asked.headers).unwrap_or(Form::Json);
        if form == Form::Text {
            call.accept = "application/x-ndjson";
        }
        let events = match asked.calls.good_stream(call).await? {
            Streaming::Good(events) => events,
            Streaming::Bad(answered) => return Err(worded(answered)),
        };
        Ok(match form {
            Form::Text => {
                let text =
                    Text { events: Some(events), lines: Lines::default(), workers: asked.calls.workers() };
                Told::text("text/plain", Content::Streamed(Box::new(text)))
            }
            Form::Json => {
                let mut printed = Printed {
                    events: Some(events),
                    document: Document::default(),
                    text: String::new(),
                    begun: false,
                    workers: asked.calls.workers(),
                };
                match printed.hold().await.map_err(|error| faulty(&error))? {
                    Some(json) => asked.json(json),
                    None => Told { body: Content::Streamed(Box::new(printed)), ..asked.json("") },
                }
            }
        })
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

/// What is no log, in words of its own.
const NO_LOG: &str = "no log";

fn no_log() -> SendError {
    SendError::Other(NO_LOG.into())
}

fn faulty(error: &SendError) -> Fault {
    if *error == no_log() { Fault::unreadable(NO_LOG) } else { failed(error) }
}

fn not_done(_: Fault) -> SendError {
    SendError::Other("a log could not be read".into())
}

/// A log as text. A piece of it is small: only what is at the end of a large event is read elsewhere.
struct Text {
    /// `None` at the end.
    events: Option<Box<dyn Chunks>>,
    lines: Lines,
    workers: Workers,
}

#[async_trait]
impl Chunks for Text {
    async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        while let Some(events) = &mut self.events {
            let piece = events.next().await?;
            if piece.is_none() {
                self.events = None;
            }
            let mut lines = std::mem::take(&mut self.lines);
            let size = lines.held();
            let read = move || {
                let mut out = String::new();
                match piece {
                    Some(piece) => lines.feed(&piece, &mut out),
                    None => lines.end(&mut out),
                }
                (lines, out)
            };
            let out;
            (self.lines, out) = self.workers.run(size, read).await.map_err(not_done)?;
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }
}

/// A log in JSON.
struct Printed {
    /// `None` at the end.
    events: Option<Box<dyn Chunks>>,
    document: Document,
    /// What is not sent yet.
    text: String,
    /// Whether some of it is sent.
    begun: bool,
    workers: Workers,
}

impl Printed {
    /// The whole answer, if the log is no longer than what is held.
    async fn hold(&mut self) -> Result<Option<String>, SendError> {
        while self.text.len() <= HELD {
            if let Some(token) = self.read().await? {
                let text = std::mem::take(&mut self.text);
                let size = text.len();
                let whole = self.workers.run(size, move || chunk(&text, &token)).await;
                return whole.map(Some).map_err(not_done);
            }
        }
        Ok(None)
    }

    /// Reads a piece. The token for the rest, at the end.
    async fn read(&mut self) -> Result<Option<String>, SendError> {
        let Some(events) = &mut self.events else { return Err(no_log()) };
        match events.next().await? {
            Some(piece) => {
                let mut document = std::mem::take(&mut self.document);
                let size = document.held();
                let read = move || {
                    let mut text = String::new();
                    let is_log = document.feed(&piece, &mut text);
                    (document, text, is_log)
                };
                let (text, is_log);
                (self.document, text, is_log) = self.workers.run(size, read).await.map_err(not_done)?;
                is_log.ok_or_else(no_log)?;
                self.text.push_str(&text);
                Ok(None)
            }
            None => {
                self.events = None;
                let token = self.document.token().ok_or_else(no_log)?;
                Ok(Some(token.unwrap_or_else(|| END.into())))
            }
        }
    }

    /// What is read and not sent, as a part of a text in a text.
    async fn part(&mut self) -> Result<String, SendError> {
        let text = std::mem::take(&mut self.text);
        let size = text.len();
        let quote = move || {
            let quoted = json(&escaped(&text, '\''));
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            inner.unwrap_or_default().to_owned()
        };
        self.workers.run(size, quote).await.map_err(not_done)
    }
}

#[async_trait]
impl Chunks for Printed {
    async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        if !self.begun {
            self.begun = true;
            return Ok(Some(format!("{{\"content\":\"[('', '{}", self.part().await?).into()));
        }
        while self.events.is_some() {
            let token = self.read().await?;
            let mut out = self.part().await?;
            if let Some(token) = token {
                out.push_str(&format!("')]\",\"continuation_token\":{}}}", json(&token)));
            }
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use tokio::runtime::Handle;

    use super::*;
    use crate::ports::read_whole;

    /// A body in pieces.
    struct Pieces(std::vec::IntoIter<String>);

    #[async_trait]
    impl Chunks for Pieces {
        async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
            Ok(self.0.next().map(Bytes::from))
        }
    }

    fn printed(pieces: Vec<String>) -> Printed {
        let events: Option<Box<dyn Chunks>> = Some(Box::new(Pieces(pieces.into_iter())));
        let workers = Workers::new(Handle::current(), NonZeroUsize::MIN);
        Printed { events, document: Document::default(), text: String::new(), begun: false, workers }
    }

    /// Both ways it is the same text, and Python reads the same list from it.
    #[tokio::test]
    async fn a_log_in_json_is_whole_or_streams() {
        for (count, held) in [(3, true), (3 * HELD / 32, false)] {
            let event =
                |n| format!("{}{{\"event\":\"it's \\\"\\\\ \\n{n:032}\"}}", if n == 0 { "" } else { "," });
            let events = (0..count).map(event);
            let begin = std::iter::once("{\"content\":[".to_owned());
            let end = std::iter::once("],\"continuation_token\":\"t\"}".to_owned());
            let mut log = printed(begin.chain(events).chain(end).collect());
            let text: String = (0..count).map(|n| format!("it's \"\\ \n{n:032}\n")).collect();
            let answer = match log.hold().await.unwrap() {
                Some(json) => json,
                None => String::from_utf8(read_whole(&mut log, 1 << 30).await.unwrap().to_vec()).unwrap(),
            };
            assert_eq!(log.begun, !held);
            assert!(answer == chunk(&text, "t"), "{}", &answer[..200]);
        }
    }

    /// A large event is read elsewhere, piece by piece, and loses nothing on the way.
    #[tokio::test]
    async fn a_large_event_comes_whole() {
        let text = "x".repeat(3 * HELD);
        let event = format!("{{\"event\":\"{text}\"}}");
        let pieces = |log: String| -> Vec<String> {
            log.as_bytes().chunks(1 << 14).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
        };
        let expected = format!("{text}\n{text}\n");
        let mut log = printed(pieces(format!("{{\"content\":[{event},{event}]}}")));
        assert_eq!(log.hold().await.unwrap(), None);
        assert!(read_whole(&mut log, 1 << 30).await.unwrap() == chunk(&expected, END));
        let workers = log.workers;
        let events: Option<Box<dyn Chunks>> =
            Some(Box::new(Pieces(pieces(format!("{event}\n{event}\n")).into_iter())));
        let mut log = Text { events, lines: Lines::default(), workers };
        assert!(read_whole(&mut log, 1 << 30).await.unwrap() == expected);
    }

    #[tokio::test]
    async fn what_is_no_log_or_breaks_off_is_none() {
        let long = format!("{{\"content\":[{{\"event\":\"{}\"}},", "x".repeat(HELD + 1));
        for pieces in [vec![], vec!["<html>"], vec!["{\"content\":[]"], vec![r#"{"content":"text"}"#]] {
            let mut log = printed(pieces.iter().map(|piece| (*piece).to_owned()).collect());
            assert!(log.hold().await.is_err(), "{pieces:?}");
        }
        let mut log = printed(vec![long]);
        assert_eq!(log.hold().await.unwrap(), None);
        assert!(read_whole(&mut log, 1 << 30).await.is_err());
    }
}
