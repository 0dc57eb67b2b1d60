//! A new configuration while requests are served: build all of it, then swap; if anything is wrong,
//! nothing changes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::assemble::{Kept, assemble, log_settings};
use crate::config::{Loaded, Rejected, Settings};
use crate::metrics::{Metrics, Reload};
use crate::proxy::Shared;
use crate::telemetry::Telemetry;

/// Reads the configuration again, from wherever it was read the first time.
pub type Source = Arc<dyn Fn() -> Result<Loaded, Rejected> + Send + Sync>;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Replaces the configuration in force.
pub struct Reloader {
    source: Source,
    kept: Arc<Kept>,
    shared: Shared,
    metrics: Arc<Metrics>,
    logs: Arc<Telemetry>,
    first: Settings,
    files: Mutex<Files>,
    failed: AtomicBool,
}

/// The files that the configuration was read from, and what they looked like.
struct Files {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

type Stamp = (SystemTime, u64, u64);

impl Files {
    fn new(paths: Vec<PathBuf>) -> Self {
        let seen = paths.iter().map(stamp).collect();
        Self { paths, seen }
    }

    fn changed(&self) -> bool {
        self.paths.iter().map(stamp).ne(self.seen.iter().copied())
    }
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len(), found.ino()))
}

impl Reloader {
    /// A reloader of what was loaded at the start.
    pub fn new(
        source: Source,
        loaded: Loaded,
        kept: Arc<Kept>,
        shared: Shared,
        logs: Arc<Telemetry>,
    ) -> Self {
        Self {
            source,
            kept,
            metrics: shared.metrics.clone(),
            shared,
            logs,
            first: loaded.settings,
            files: Mutex::new(Files::new(loaded.files)),
            failed: AtomicBool::new(false),
        }
    }

    /// Whether the last reload failed, so that what is in force is not what is written.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// What must not be forgotten.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Reads, builds, swaps; or says what is wrong and changes nothing. Blocks: reads files, and may
    /// run the commands of `_CMD` options.
    pub fn reload(&self) {
        let result = self.try_reload();
        self.failed.store(result.is_err(), Ordering::Release);
        let outcome = match result {
            Ok(()) => {
                tracing::info!("configuration reloaded");
                Reload::Success
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration is refused; the old one stays in force");
                Reload::Failure
            }
        };
        self.metrics.reloaded(outcome, SystemTime::now());
    }

    /// Looks at the files every few seconds, and reloads when one of them has changed. For ever.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let this = self.clone();
            let look = move || {
                let changed = this.files.lock().unwrap_or_else(PoisonError::into_inner).changed();
                if changed {
                    tracing::info!("a file of the configuration has changed");
                    this.reload();
                }
            };
            if tokio::task::spawn_blocking(look).await.is_err() {
                tracing::error!("the reload panicked; the old configuration stays in force");
            }
        }
    }

    fn try_reload(&self) -> Result<(), String> {
        let loaded = match (self.source)() {
            Ok(loaded) => loaded,
            Err(rejected) => {
                self.look_at(rejected.files);
                return Err(rejected.errors.to_string());
            }
        };
        self.look_at(loaded.files);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let settings = loaded.settings;
        let logs = self.logs.prepare(&log_settings(&settings.log)).map_err(|error| error.to_string())?;
        let snapshot = assemble(&settings, &self.kept).map_err(|errors| errors.to_string())?;
        self.shared.snapshot.store(Arc::new(snapshot));
        self.logs.apply(logs);
        self.kept.forget_unused();
        self.warn_of_the_fixed(&settings);
        Ok(())
    }

    fn look_at(&self, paths: Vec<PathBuf>) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Files::new(paths);
    }

    /// Listeners, threads and the rest of what a start decides are made once.
    fn warn_of_the_fixed(&self, now: &Settings) {
        let places = |settings: &Settings| -> Vec<_> {
            let server = settings.server.listen.iter().map(|place| place.value.clone());
            server.chain([settings.admin.listen.value.clone()]).collect()
        };
        let limits = |settings: &Settings| {
            let limits = &settings.limits;
            (limits.header_timeout, limits.max_connections, limits.max_connections_per_address)
        };
        let leaving = |settings: &Settings| (settings.server.grace_period, settings.server.drain_delay);
        let changed = [
            ("listen", places(&self.first) != places(now)),
            ("threads", self.first.server.threads != now.server.threads),
            ("grace_period or drain_delay", leaving(&self.first) != leaving(now)),
            ("access", self.first.log.access != now.log.access),
            ("header_timeout or max_connections", limits(&self.first) != limits(now)),
        ];
        for (what, _) in changed.iter().filter(|(_, changed)| *changed) {
            tracing::warn!("a change of {what} takes effect with the next start");
        }
    }
}
