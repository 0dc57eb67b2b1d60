//! What is written for operators: the application log, the access log and the audit log. All are
//! lines of JSON with `timestamp`, `level` and `target`, so that one pipeline reads them all.
//!
//! | log | target | goes to |
//! |---|---|---|
//! | application | the module, such as `airgate::reload` | standard error |
//! | audit: authentication events | `airgate::audit` | standard error, or `[log] audit_file`, whatever the level |
//! | access: one line a request | `airgate::access` | standard output, or `[log] file` |
//!
//! Nothing here makes a request wait: every log is written by a thread of its own, from a bounded
//! buffer; what does not fit is dropped and counted.

pub mod access;
pub mod audit;
mod json;
mod levels;
mod noise;
mod places;
pub mod redact;
pub mod writer;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer as Formatter;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use access::AccessLog;
pub use levels::Level;
use noise::NoiseFilter;
pub use noise::Quiet;
use places::open;
pub use places::{Log, Output, try_files};
use writer::{LogWriter, Sink};

/// `[log]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// What the application log says.
    pub level: Level,
    /// Where the access log goes.
    pub access: Output,
    /// Where the audit log goes; `None` is to the application log.
    pub audit: Option<Output>,
}

/// Why the logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A log's file cannot be opened.
    #[error("cannot open the {log} {path}: {source}")]
    File {
        /// Of which log.
        log: Log,
        /// `[log] file` or `audit_file`.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Standard output or error is closed, or no thread can be started.
    #[error("cannot set up logging: {0}")]
    System(#[from] io::Error),
    /// There is a subscriber already: this is called once a process.
    #[error("logging is set up already")]
    Twice,
}

/// The logs of this process. Dropping it writes what is still buffered, waiting at most
/// [`FLUSH_LIMIT`] for each.
pub struct Telemetry {
    access: Arc<AccessLog>,
    log: Arc<LogWriter>,
    audit: Arc<LogWriter>,
    level: reload::Handle<Targets, Registry>,
}

/// What a reload is going to change, ready to be applied without a chance of failure.
pub struct Change {
    level: Level,
    access: Place,
    audit: Place,
}

/// Where lines go. Two that write to one pipe would tear each other's lines, so that of two logs that go to the same
/// place one hands its lines to the other.
enum Place {
    /// To where the application log goes.
    Log,
    /// To where the access log goes.
    Access,
    /// To a place of its own.
    Own(File),
}

/// How long the end of the process waits for a log that nobody reads.
pub const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// How long lines of the access log are gathered before they are written.
const ACCESS_DELAY: Duration = Duration::from_millis(100);

impl Telemetry {
    /// Sets up all logs of the process, and takes in what crates write by way of `log`, but for the lines of
    /// others that are `quiet`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn init(settings: &Settings, quiet: &'static [Quiet]) -> Result<Self, Failure> {
        let change = Change::new(settings)?;
        // The application log is not delayed: its last lines tell why a process died.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let log = Arc::new(LogWriter::start("log", Box::new(stderr), Duration::ZERO, |_| {})?);
        let report = |error: &io::Error| tracing::error!(%error, "the audit log cannot be written");
        let audit = Arc::new(LogWriter::start("audit-log", log.sink(), Duration::ZERO, report)?);
        let access = Arc::new(AccessLog::start(Box::new(io::sink()), ACCESS_DELAY)?);
        let lines = Lines { log: Arc::clone(&log), audit: Arc::clone(&audit) };
        let (subscriber, level) = subscriber(lines, settings.level.clone(), quiet);
        subscriber.try_init().map_err(|_| Failure::Twice)?;
        let logs = Self { access, log, audit, level };
        logs.apply(change);
        Ok(logs)
    }

    /// The access log.
    pub fn access(&self) -> &Arc<AccessLog> {
        &self.access
    }

    /// Lines of the application and audit logs that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.log.dropped() + self.audit.dropped()
    }

    /// Opens what a reload needs, and changes nothing yet.
    ///
    /// # Errors
    /// A log's file cannot be opened.
    pub fn prepare(&self, settings: &Settings) -> Result<Change, Failure> {
        Change::new(settings)
    }

    /// Puts a change in force: lines that are not written yet go to the new places, and the old files are closed.
    pub fn apply(&self, change: Change) {
        self.access.redirect(self.sink(change.access));
        self.audit.redirect(self.sink(change.audit));
        // Fails only when the subscriber is gone, and then there is no log to say so.
        if self.level.reload(change.level.0).is_ok() {
            noise::adopt_log_level(LevelFilter::current());
        }
    }

    fn sink(&self, place: Place) -> Sink {
        match place {
            Place::Log => self.log.sink(),
            Place::Access => self.access.writer().sink(),
            Place::Own(file) => Box::new(file),
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // What hands its lines on goes first.
        self.audit.flush(FLUSH_LIMIT);
        self.access.flush(FLUSH_LIMIT);
        self.log.flush(FLUSH_LIMIT);
    }
}

impl Change {
    fn new(settings: &Settings) -> Result<Self, Failure> {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?.into();
        // First: a file that both go to is made as the audit log's.
        let audit = match &settings.audit {
            None => Place::Log,
            Some(output) => place(Log::Audit, output)?,
        };
        let access = match place(Log::Access, &settings.access)? {
            Place::Own(file) if is_same(&file, &stderr)? => Place::Log,
            access => access,
        };
        let audit = match (audit, &access) {
            (Place::Own(file), _) if is_same(&file, &stderr)? => Place::Log,
            (Place::Own(file), Place::Own(other)) if is_same(&file, other)? => Place::Access,
            (audit, _) => audit,
        };
        Ok(Self { level: settings.level.clone(), access, audit })
    }
}

fn place(log: Log, output: &Output) -> Result<Place, Failure> {
    Ok(match output {
        Output::Stderr => Place::Log,
        // Not `io::stdout()` itself: it would buffer once more, and keep what it could not write.
        Output::Stdout => Place::Own(io::stdout().as_fd().try_clone_to_owned()?.into()),
        Output::File(path) => Place::Own(open(log, path)?),
    })
}

/// Whether they are one file, by whatever names.
fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let [one, other] = [one.metadata()?, other.metadata()?].map(|of| (of.dev(), of.ino()));
    Ok(one == other)
}

fn subscriber(
    out: Lines,
    level: Level,
    quiet: &'static [Quiet],
) -> (impl Subscriber + Send + Sync, reload::Handle<Targets, Registry>) {
    let (filter, handle) = reload::Layer::new(level.0);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_timer(Timestamp)
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(out);
    (tracing_subscriber::registry().with(filter).with(NoiseFilter::new(quiet)).with(lines), handle)
}

/// Timestamps as in the access log.
struct Timestamp;

impl FormatTime for Timestamp {
    fn format_time(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", humantime::format_rfc3339_millis(SystemTime::now()))
    }
}

/// Hands whole lines to the writer of their log.
struct Lines {
    log: Arc<LogWriter>,
    audit: Arc<LogWriter>,
}

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(Arc::clone(&self.log))
    }

    fn make_writer_for(&self, line: &Metadata<'_>) -> Line {
        if line.target() == audit::TARGET { Line(Arc::clone(&self.audit)) } else { self.make_writer() }
    }
}

/// One line; the formatter writes it in one piece.
struct Line(Arc<LogWriter>);

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::chain::Said;
    use crate::auth::{Origin, Reason};
    use crate::exchange::testing::Sample;
    use serde_json::{Value, json};
    use std::sync::Mutex;

    /// Lines written while `act` runs with this level.
    fn logged(level: LevelFilter, act: impl FnOnce(&reload::Handle<Targets, Registry>)) -> Vec<Value> {
        #[derive(Clone, Default)]
        struct Text(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Text {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let text = Text::default();
        let log = LogWriter::start("test", Box::new(text.clone()), Duration::ZERO, |_| {}).unwrap();
        let log = Arc::new(log);
        let lines = Lines { log: Arc::clone(&log), audit: Arc::clone(&log) };
        let (subscriber, handle) = subscriber(lines, Level::new(level, &[]), &[]);
        tracing::subscriber::with_default(subscriber, || act(&handle));
        assert!(log.flush(Duration::from_secs(60)));
        let text = text.0.lock().unwrap();
        let lines = std::str::from_utf8(&text).unwrap().lines();
        lines
            .map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
                let time = time.as_str().unwrap();
                assert!(time.len() == 24 && humantime::parse_rfc3339(time).is_ok(), "{time}");
                line
            })
            .collect()
    }

    #[test]
    fn a_line_of_the_application_log() {
        let lines = logged(LevelFilter::INFO, |_| {
            tracing::warn!(target: "airgate::reload", file = "a\"b\n", "refused");
            tracing::debug!(target: "airgate::reload", "not said");
            tracing::info!(target: "pingora_core::server", "not said");
        });
        assert_eq!(
            lines,
            [json!({ "level": "WARN", "target": "airgate::reload", "message": "refused", "file": "a\"b\n" })]
        );
    }

    #[test]
    fn lines_of_the_audit_log() {
        let mut issued = Sample::accepted();
        issued.grant(Origin::Upstream, "adm\u{9b}in");
        (issued.outcome.route, issued.outcome.backend) = ("/auth/token", None);
        issued.outcome.issued = Some("/auth/token");
        let bad = Said::Rejected(Reason::TokenInvalid("bad signature"));
        let refused = Sample::refused(403, "token_invalid", &[("jwt", bad)]);
        let lines = logged(LevelFilter::OFF, |_| {
            audit::write(&issued.exchange());
            audit::write(&refused.exchange());
            audit::write(&Sample::accepted().exchange());
        });
        assert_eq!(
            lines,
            [
                json!({
                    "level": "INFO", "target": "airgate::audit", "event": "token_issued", "id": "id-1",
                    "peer": "192.0.2.1", "user": "upstream:adm\u{fffd}in", "route": "/auth/token",
                }),
                json!({
                    "level": "WARN", "target": "airgate::audit", "event": "rejected", "id": "id-1",
                    "peer": "192.0.2.1", "backend": "jwt", "route": "/api/v2/*",
                    "refused": "token_invalid", "detail": "bad signature",
                }),
            ]
        );
    }

    #[test]
    fn a_reload_changes_the_level() {
        let lines = logged(LevelFilter::WARN, |level| {
            let say = |text: &str| tracing::info!(target: "airgate::reload", "{text}");
            say("before");
            level.reload(Level::default().0).unwrap();
            say("after");
        });
        assert_eq!(lines, [json!({ "level": "INFO", "target": "airgate::reload", "message": "after" })]);
    }
}
