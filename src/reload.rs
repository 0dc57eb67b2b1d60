//! A new configuration while requests are served: build all of it, then swap; if anything is wrong,
//! nothing changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use crate::assemble::{Kept, assemble, log_settings};
use crate::config::{Loaded, Rejected, Settings, Shown};
use crate::metrics::{Metrics, Reload};
use crate::proxy::{Shared, Snapshot};
use crate::telemetry::Telemetry;

/// Reads the configuration again, from wherever it was read the first time.
pub type Source = Arc<dyn Fn() -> Result<Loaded, Rejected> + Send + Sync>;

/// How long a start or a reload waits to know the upstream's addresses and health.
pub const FIRST_LOOK: Duration = Duration::from_secs(2);

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
    runtime: Handle,
    /// Held for the whole of a reload: two at once might end in the wrong order.
    files: Mutex<Files>,
    failed: AtomicBool,
    in_force: ArcSwap<InForce>,
}

/// What the status page tells of the configuration in force.
pub struct InForce {
    /// The settings.
    pub settings: Settings,
    /// The options that somebody has set.
    pub shown: Vec<Shown>,
    /// When they were loaded.
    pub loaded: SystemTime,
}

impl InForce {
    /// What was loaded at this time.
    pub fn new(loaded: &Loaded, now: SystemTime) -> Self {
        Self { settings: loaded.settings.clone(), shown: loaded.shown(), loaded: now }
    }
}

/// The files that the configuration was read from, and what they looked like before they were read.
pub struct Files(HashMap<PathBuf, Option<Stamp>>);

type Stamp = (SystemTime, u64, u64);

impl Files {
    /// To be called as soon as possible after they were read.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), stamp(&path))).collect())
    }

    fn changed(&self) -> bool {
        self.0.iter().any(|(path, seen)| stamp(path) != *seen)
    }

    /// The same files as they look now.
    fn again(&self) -> Self {
        Self::new(self.0.keys().cloned().collect())
    }

    /// Takes what a file looked like from an earlier look, where there was one: what changed since then
    /// may have been read or not.
    fn since(mut self, before: &Self) -> Self {
        for (path, seen) in &mut self.0 {
            if let Some(earlier) = before.0.get(path) {
                *seen = *earlier;
            }
        }
        self
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len(), found.ino()))
}

impl Reloader {
    /// A reloader of what was loaded at the start, from these files.
    pub fn new(
        source: Source,
        first: InForce,
        files: Files,
        kept: Arc<Kept>,
        shared: Shared,
        logs: Arc<Telemetry>,
        runtime: Handle,
    ) -> Self {
        Self {
            source,
            kept,
            metrics: shared.metrics.clone(),
            shared,
            logs,
            first: first.settings.clone(),
            runtime,
            files: Mutex::new(files),
            failed: AtomicBool::new(false),
            in_force: ArcSwap::from_pointee(first),
        }
    }

    /// Whether the last reload failed, so that what is in force is not what is written.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The configuration in force.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// The files that the configuration was read from, with the time of their last change. `None` while a
    /// reload is under way.
    pub fn files(&self) -> Option<Vec<(PathBuf, SystemTime)>> {
        let files = self.files.try_lock().ok()?;
        let mut all: Vec<_> =
            files.0.iter().filter_map(|(path, stamp)| Some((path.clone(), (*stamp)?.0))).collect();
        all.sort();
        Some(all)
    }

    /// What must not be forgotten.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Reads, builds, swaps; or says what is wrong and changes nothing. Blocks: reads files, resolves
    /// names, and may run the commands of `_CMD` options. One at a time.
    pub fn reload(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload_from(&mut files);
    }

    /// Looks at the files every few seconds, and reloads when one of them has changed. For ever.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let this = self.clone();
            let look = move || {
                let mut files = this.files.lock().unwrap_or_else(PoisonError::into_inner);
                if files.changed() {
                    tracing::info!("a file of the configuration has changed");
                    this.reload_from(&mut files);
                }
            };
            if tokio::task::spawn_blocking(look).await.is_err() {
                tracing::error!("the reload panicked; the old configuration stays in force");
            }
        }
    }

    fn reload_from(&self, files: &mut Files) {
        let result = self.try_reload(files);
        self.failed.store(result.is_err(), Ordering::Release);
        let outcome = match result {
            Ok(()) => {
                tracing::info!("configuration reloaded");
                Reload::Success
            }
            Err(error) => {
                self.kept.forget_unused();
                tracing::error!(%error, "the new configuration is refused; the old one stays in force");
                Reload::Failure
            }
        };
        self.metrics.reloaded(outcome, SystemTime::now());
    }

    fn try_reload(&self, files: &mut Files) -> Result<(), String> {
        let before = files.again();
        let read = (self.source)();
        let paths = match &read {
            Ok(loaded) => &loaded.files,
            Err(rejected) => &rejected.files,
        };
        *files = Files::new(paths.clone()).since(&before);
        let loaded = read.map_err(|rejected| rejected.errors.to_string())?;
        let in_force = InForce::new(&loaded, SystemTime::now());
        let Loaded { settings, mut warnings, .. } = loaded;
        let logs = self.logs.prepare(&log_settings(&settings.log)).map_err(|error| error.to_string())?;
        let assembled = assemble(&settings, &self.kept, &mut warnings);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let snapshot = assembled.map_err(|errors| errors.to_string())?;
        self.reach(&snapshot)?;
        self.kept.adopt(&snapshot);
        self.shared.snapshot.store(Arc::new(snapshot));
        self.in_force.store(Arc::new(in_force));
        self.kept.forget_unused();
        self.logs.apply(logs);
        self.warn_of_the_fixed(&settings);
        Ok(())
    }

    /// No request may meet an upstream whose addresses are not known yet.
    fn reach(&self, snapshot: &Snapshot) -> Result<(), String> {
        let upstreams = &snapshot.upstreams;
        if !upstreams.is_resolved() {
            // Too late is as good as not at all.
            let _ = self.runtime.block_on(tokio::time::timeout(FIRST_LOOK, upstreams.resolve()));
        }
        if upstreams.is_resolved() {
            Ok(())
        } else {
            Err("no address of [upstream] url can be resolved".into())
        }
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
