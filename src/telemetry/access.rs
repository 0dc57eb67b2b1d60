//! The access log: one line of JSON for each request.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::json::{Object, key};
use super::redact;
use super::writer::{LogWriter, Sink};
use crate::exchange::Exchange;

/// Writes one line for each request, without waiting and without allocating:
///
/// ```json
/// {"timestamp":"2026-01-02T03:04:05.678Z","level":"INFO","target":"airgate::access",
///  "id":"…","peer":"192.0.2.1","user":"airflow:admin","backend":"jwt","method":"GET",
///  "path":"/api/v2/dags","route":"/api/v2/…","status":200,"cached":true,"clamped":false,
///  "duration_ms":3.120,"upstream_ms":3.001,"first_byte_ms":2.900,"bytes":512}
/// ```
///
/// `timestamp` is when the request's head had been read. What there is not is left out: `peer` on
/// a Unix socket, `user` and `backend` if nobody was accepted, `status` if the client left before
/// there was one, `upstream_ms` and `first_byte_ms` if the upstream did not answer. A request that airgate refused has
/// `refused`, the reason, and perhaps `cause`, which no client sees. Never in it: queries,
/// headers, bodies.
#[derive(Debug)]
pub struct AccessLog {
    writer: Arc<LogWriter>,
}

impl AccessLog {
    /// Starts the log.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(sink: Sink, delay: Duration) -> io::Result<Self> {
        let report = |error: &io::Error| tracing::error!(%error, "the access log cannot be written");
        Ok(Self { writer: Arc::new(LogWriter::start("access-log", sink, delay, report)?) })
    }

    /// Logs a finished request.
    pub fn write(&self, exchange: &Exchange<'_>) {
        thread_local! {
            static LINE: RefCell<(Stamp, Vec<u8>)> = RefCell::new((Stamp::default(), Vec::with_capacity(1024)));
        }
        LINE.with_borrow_mut(|(stamp, line)| {
            line.clear();
            format(line, stamp, exchange);
            self.writer.append(line);
        });
    }

    /// Its end of the line, for another log that goes to the same place.
    pub(super) fn writer(&self) -> &Arc<LogWriter> {
        &self.writer
    }

    /// Lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Writes to another sink from now on, such as the file that took the place of a rotated one.
    pub fn redirect(&self, sink: Sink) {
        self.writer.redirect(sink);
    }

    /// Waits, at most `limit`, until all is written.
    pub fn flush(&self, limit: Duration) -> bool {
        self.writer.flush(limit)
    }
}

/// Most bytes kept of a path, a user, a cause.
const MAX_PATH: usize = 1024;
const MAX_TEXT: usize = 256;

fn format(line: &mut Vec<u8>, stamp: &mut Stamp, exchange: &Exchange<'_>) {
    let outcome = exchange.outcome;
    let mut object = Object::open(line);
    object.plain(key!("timestamp"), stamp.format(exchange.at));
    object.literal(key!("level"), "INFO");
    object.literal(key!("target"), "airgate::access");
    object.plain(key!("id"), exchange.id.as_str().as_bytes());
    if let Some(peer) = exchange.peer.address {
        object.address(key!("peer"), peer);
    }
    if let Some(grant) = &outcome.grant {
        let identity = &grant.identity;
        object.text(key!("user"), &[identity.origin.as_str(), ":", &identity.name], MAX_TEXT);
    }
    if let Some(backend) = outcome.backend {
        object.literal(key!("backend"), backend);
    }
    object.text(key!("method"), &[exchange.method.as_str()], 32);
    object.bytes(key!("path"), redact::path(exchange.target), MAX_PATH);
    object.literal(key!("route"), outcome.route);
    if let Some(status) = exchange.status {
        object.number(key!("status"), status.as_u16().into());
    }
    if let Some(reason) = outcome.refused {
        object.text(key!("refused"), &[reason], MAX_TEXT);
    }
    if let Some(cause) = &outcome.cause {
        object.text(key!("cause"), &[cause], MAX_TEXT);
    }
    object.flag(key!("cached"), outcome.cached);
    object.flag(key!("clamped"), outcome.clamped);
    if let Some(operation) = outcome.translated {
        object.text(key!("translated"), &[operation.verb.as_str(), " ", operation.path], MAX_PATH);
    }
    object.millis(key!("duration_ms"), exchange.total);
    if let (Some(upstream), Some(first_byte)) = (exchange.upstream, exchange.first_byte) {
        object.millis(key!("upstream_ms"), upstream);
        object.millis(key!("first_byte_ms"), first_byte);
    }
    object.number(key!("bytes"), u64::try_from(exchange.bytes_sent).unwrap_or(u64::MAX));
    object.close();
}

/// The text of a time, of which only the milliseconds are made anew within a second.
#[derive(Default)]
struct Stamp {
    second: Option<u64>,
    text: Vec<u8>,
}

impl Stamp {
    /// RFC 3339 with milliseconds, in UTC. A time before 1970 counts as 1970.
    fn format(&mut self, at: SystemTime) -> &[u8] {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text.clear();
            // Fails for a year with five digits, and leaves nothing then.
            let _ = write!(self.text, "{}", humantime::format_rfc3339_seconds(UNIX_EPOCH + since));
            self.text.pop();
            self.text.extend_from_slice(b".000Z");
        }
        let millis = since.subsec_millis();
        if let [.., hundreds, tens, ones, _] = self.text.as_mut_slice() {
            let digit = |n: u32| b'0' + (n % 10) as u8;
            (*hundreds, *tens, *ones) = (digit(millis / 100), digit(millis / 10), digit(millis));
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::Sample;
    use serde_json::{Value, json};

    fn line(sample: &Sample) -> String {
        let mut line = Vec::new();
        format(&mut line, &mut Stamp::default(), &sample.exchange());
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line() {
        assert_eq!(
            line(&Sample::accepted()),
            concat!(
                r#"{"timestamp":"2026-01-02T03:04:05.678Z","level":"INFO","target":"airgate::access","#,
                r#""id":"id-1","peer":"192.0.2.1","user":"airflow:admin","backend":"jwt","method":"GET","#,
                r#""path":"/api/v2/dags","route":"/api/v2/*","status":200,"cached":true,"clamped":false,"#,
                r#""duration_ms":3.120,"upstream_ms":3.001,"first_byte_ms":2.900,"bytes":512}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_there_is_not_is_left_out() {
        let mut sample = Sample::accepted();
        (sample.peer.address, sample.status, sample.first_byte) = (None, None, None);
        (sample.outcome.grant, sample.outcome.backend) = (None, None);
        sample.outcome.refused = Some("client_left");
        sample.outcome.cause = Some("read\nfailed".to_owned());
        let value: Value = serde_json::from_str(&line(&sample)).unwrap();
        assert_eq!(
            value,
            json!({
                "timestamp": "2026-01-02T03:04:05.678Z", "level": "INFO", "target": "airgate::access",
                "id": "id-1", "method": "GET", "path": "/api/v2/dags", "route": "/api/v2/*",
                "refused": "client_left", "cause": "read\nfailed", "cached": true, "clamped": false,
                "duration_ms": 3.12, "bytes": 512,
            })
        );
    }

    #[test]
    fn neither_query_nor_headers_nor_password_are_logged() {
        let mut sample = Sample::accepted();
        sample.target = b"http://u:s3cret@host/auth/token?password=s3cret#s3cret".to_vec();
        let line = line(&sample);
        assert!(line.contains(r#""path":"/auth/token""#) && !line.contains("s3cret"), "{line}");
    }

    #[test]
    fn a_clock_before_1970_is_no_reason_to_panic() {
        let mut sample = Sample::accepted();
        sample.at = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(line(&sample).starts_with(r#"{"timestamp":"1970-01-01T00:00:00.000Z""#));
    }

    #[test]
    fn timestamps() {
        let mut stamp = Stamp::default();
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (1_000, "1970-01-01T00:00:01.000Z"),
            (1_709_210_096_045, "2024-02-29T12:34:56.045Z"),
            (1_709_210_096_000, "2024-02-29T12:34:56.000Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(std::str::from_utf8(stamp.format(at)).unwrap(), expected);
        }
    }

    /// Whatever a client, a user name or a cause holds, a line is one line, is JSON, and says what
    /// was there.
    #[test]
    fn any_bytes_make_one_line_of_json() {
        let mut random = crate::exchange::testing::Random(7);
        let awkward: &[&[u8]] = &[
            b"\n",
            b"\r\n",
            b"\"",
            b"\\",
            b"\\u0000",
            b"\0",
            b"\x7f",
            b"\xff",
            b"\xc3",
            b"\xe2\x80",
            b"\xf0\x9f",
            "\u{9b}".as_bytes(),
            "\u{2028}".as_bytes(),
            "\u{fffd}".as_bytes(),
            "😀".as_bytes(),
            b"}",
            b"{\"a\":1}",
            b"/api",
            b"%0a",
            b" ",
            b"\t",
            b"a",
            b"\xed\xa0\x80",
        ];
        for round in 0..2000 {
            let mut bytes = vec![b'/'];
            for _ in 0..random.below(if round % 50 == 0 { 900 } else { 30 }) {
                match random.below(4) {
                    0 => bytes.push(random.below(256) as u8),
                    _ => bytes.extend_from_slice(awkward[random.below(awkward.len())]),
                }
            }
            let path: Vec<u8> = bytes.iter().copied().filter(|b| !matches!(b, b'?' | b'#')).collect();
            let text = String::from_utf8_lossy(&path).into_owned();
            let mut sample = Sample::accepted();
            sample.target = path;
            sample.outcome.cause = Some(text.clone());
            sample.user(&text);

            let line = line(&sample);
            assert!(line.ends_with("}\n") && line.len() < 16_000);
            let inside = &line[..line.len() - 1];
            assert!(
                !inside.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')),
                "{line:?}"
            );
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
            for (name, said, start) in [
                ("path", &value["path"], ""),
                ("cause", &value["cause"], ""),
                ("user", &value["user"], "airflow:"),
            ] {
                let said = said.as_str().unwrap().strip_prefix(start).unwrap();
                match said.strip_suffix('…') {
                    Some(cut) => assert!(text.starts_with(cut.trim_end_matches('\u{fffd}')), "{name}"),
                    None => assert_eq!(said, text, "{name}"),
                }
            }
        }
    }
}
