//! Keeps what other crates log within bounds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Two rules for what does not come from airgate's own modules.
///
/// Nothing below `info`: at `trace` Pingora prints whole request heads, credentials included. And
/// from one place in the source at most [`NoiseFilter::LINES`] lines in [`NoiseFilter::WINDOW`]:
/// Pingora reports at `error` what any client can cause, such as a failed TLS handshake, and one
/// client must not fill the log.
#[derive(Default)]
pub(super) struct NoiseFilter {
    places: Mutex<HashMap<(String, u32), Window>>,
    quiet: &'static [Quiet],
}

/// Lines of other crates that are dropped: those of this module and of what is in it, whose text begins so.
pub type Quiet = (&'static str, &'static str);

struct Window {
    began: Instant,
    lines: u32,
}

impl NoiseFilter {
    /// Drops these lines, too.
    pub(super) fn new(quiet: &'static [Quiet]) -> Self {
        Self { quiet, ..Self::default() }
    }

    const LINES: u32 = 10;
    const WINDOW: Duration = Duration::from_secs(60);

    /// Places told apart. There are some hundred in all crates together.
    const PLACES: usize = 256;

    fn lets_pass(&self, target: &str, line: u32, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= Self::PLACES {
            places.retain(|_, window| now.duration_since(window.began) < Self::WINDOW);
        }
        if places.len() >= Self::PLACES {
            return false;
        }
        let window = places.entry((target.to_owned(), line)).or_insert(Window { began: now, lines: 0 });
        if now.duration_since(window.began) >= Self::WINDOW {
            *window = Window { began: now, lines: 0 };
        }
        window.lines = window.lines.saturating_add(1);
        window.lines <= Self::LINES
    }
}

impl<S: Subscriber> Layer<S> for NoiseFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::INFO || is_ours(metadata.target())
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        use tracing_log::NormalizeEvent;
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let is_quiet = self.quiet.iter().any(|(module, text)| {
            metadata.target().starts_with(module) && (text.is_empty() || text_of(event).starts_with(text))
        });
        is_ours(metadata.target())
            || !is_quiet
                && self.lets_pass(metadata.target(), metadata.line().unwrap_or_default(), Instant::now())
    }
}

fn text_of(event: &Event<'_>) -> String {
    struct Text(String);
    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut text = Text(String::new());
    event.record(&mut text);
    text.0
}

fn is_ours(target: &str) -> bool {
    target.strip_prefix("airgate").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Has crates that use `log` make no records that would be thrown away. Set when the subscriber is
/// installed, and again whenever the level changes.
pub(super) fn adopt_log_level(level: LevelFilter) {
    tracing_log::log::set_max_level(tracing_log::AsLog::as_log(&level));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use tracing_log::log;
    use tracing_subscriber::layer::SubscriberExt;

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

    fn logged(act: impl FnOnce()) -> String {
        let text = Text::default();
        let sink = text.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || sink.clone());
        let subscriber = tracing_subscriber::registry()
            .with(NoiseFilter::new(&[("silent", ""), ("pingora_core", "by log, at length")]))
            .with(layer);
        tracing::subscriber::with_default(subscriber, act);
        String::from_utf8(std::mem::take(&mut *text.0.lock().unwrap())).unwrap()
    }

    fn record(level: log::Level, target: &str, line: u32) {
        let record = log::Record::builder()
            .args(format_args!("by log"))
            .level(level)
            .target(target)
            .line(Some(line))
            .build();
        tracing_log::format_trace(&record).unwrap();
    }

    #[test]
    fn below_info_only_airgate_speaks() {
        let text = logged(|| {
            tracing::trace!(target: "airgate::auth", "ours");
            tracing::debug!(target: "h2::codec", "theirs");
            tracing::debug!(target: "airgate_of_others", "theirs");
            record(log::Level::Trace, "pingora_core::apps", 1);
            record(log::Level::Info, "pingora_core::apps", 2);
        });
        assert_eq!(
            (text.lines().count(), text.contains("ours"), text.contains("theirs")),
            (2, true, false),
            "{text}"
        );
    }

    #[test]
    fn what_is_quiet_is_so_by_module_and_text() {
        let text = logged(|| {
            record(log::Level::Error, "silent::module", 1);
            record(log::Level::Error, "pingora_core::connectors", 2);
            tracing::error!(target: "pingora_core::connectors", "by log, at length and more");
            tracing::error!(target: "pingora_proxy", "by log, at length");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.contains("pingora_core::connectors: by log\n") && text.contains("pingora_proxy"),
            "{text}"
        );
    }

    #[test]
    fn one_place_cannot_fill_the_log() {
        let text = logged(|| {
            for _ in 0..100 {
                record(log::Level::Error, "pingora_core::services::listening", 241);
                tracing::error!(target: "airgate::server", "ours");
            }
            record(log::Level::Error, "pingora_core::services::listening", 255);
        });
        let theirs = text.lines().filter(|line| line.contains("pingora_core")).count();
        assert_eq!(theirs, NoiseFilter::LINES as usize + 1);
        assert_eq!(text.lines().count() - theirs, 100);
    }

    #[test]
    fn after_a_while_a_place_speaks_again() {
        let filter = NoiseFilter::default();
        let start = Instant::now();
        let passed = |at: Duration| (0..20).filter(|_| filter.lets_pass("a", 1, start + at)).count();
        assert_eq!(passed(Duration::ZERO), 10);
        assert_eq!(passed(NoiseFilter::WINDOW - Duration::from_millis(1)), 0);
        assert_eq!(passed(NoiseFilter::WINDOW), 10);
    }

    #[test]
    fn places_are_bounded() {
        let filter = NoiseFilter::default();
        let start = Instant::now();
        let passed = |at: Instant| (0..1000).filter(|&line| filter.lets_pass("a", line, at)).count();
        assert_eq!(passed(start), NoiseFilter::PLACES);
        assert_eq!(passed(start + NoiseFilter::WINDOW), NoiseFilter::PLACES, "old ones make room");
    }
}
