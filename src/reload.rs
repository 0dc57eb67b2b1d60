//! A new configuration while requests are served: build all of it, then swap; if anything is wrong,
//! nothing changes.

mod fixed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use crate::assemble::{Kept, assemble, log_error, log_settings, release};
use crate::config::layer::Findings;
use crate::config::resolve::checks::listeners::upstream_is_ours;
use crate::config::settings::Airflow;
use crate::config::{Loaded, Rejected, Release, Settings, Shown};
use crate::metrics::{Metrics, Reload};
use crate::proxy::{Shared, Snapshot};
use crate::telemetry::{Change, Telemetry};
pub use fixed::Waiting;

/// Reads the configuration again, from wherever it was read the first time, for an upstream that has said to be this
/// Airflow.
pub type Source = Arc<dyn Fn(Option<Release>, &[PathBuf]) -> Result<Loaded, Rejected> + Send + Sync>;

/// How long a start or a reload waits to know the upstream's addresses and health.
pub const FIRST_LOOK: Duration = Duration::from_secs(2);

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Longest time until a configuration that is refused for the Airflow that the upstream has become is read again.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Replaces the configuration in force.
pub struct Reloader {
    source: Source,
    kept: Arc<Kept>,
    shared: Shared,
    metrics: Arc<Metrics>,
    logs: Arc<Telemetry>,
    /// What the start put in force.
    first: Arc<InForce>,
    runtime: Handle,
    /// Held for the whole of a reload: two at once might end in the wrong order.
    files: Mutex<Files>,
    failed: AtomicBool,
    in_force: ArcSwap<InForce>,
    /// Which Airflow the configuration was read for last.
    read_for: Mutex<Option<ReadFor>>,
}

/// A reading of the configuration for an Airflow.
#[derive(Clone, Copy)]
struct ReadFor {
    release: Release,
    at: Instant,
    /// Readings for this one before.
    before: u32,
}

impl ReadFor {
    /// When, if it is still not in force, it is worth another try: what it lacked may be there by then.
    fn due(&self) -> Instant {
        let wait = LOOK_EVERY.saturating_mul(2_u32.saturating_pow(self.before));
        self.at + wait.min(LONGEST_WAIT)
    }
}

/// What the status page tells of the configuration in force.
pub struct InForce {
    /// The settings.
    pub settings: Settings,
    /// The options that somebody has set, as they are written. [`InForce::waiting`] says which of them are not in
    /// force.
    pub shown: Vec<Shown>,
    /// What is written otherwise than it is in force, until an upgrade or a restart.
    pub waiting: Vec<Waiting>,
    /// What it was read from: files, then variables and `--set`s.
    pub places: Vec<String>,
    /// The files that nobody has named. Without them nothing is put in force any more.
    pub found: Vec<PathBuf>,
    /// When they were loaded.
    pub loaded: SystemTime,
}

impl InForce {
    /// What was loaded at this time.
    pub fn new(loaded: &Loaded, now: SystemTime) -> Self {
        let (settings, shown) = (loaded.settings.clone(), loaded.shown());
        let (places, found) = (loaded.places(), loaded.found.clone());
        Self { settings, shown, waiting: Vec::new(), places, found, loaded: now }
    }
}

/// A configuration that may be put in force.
struct Built {
    snapshot: Snapshot,
    in_force: InForce,
    logs: Change,
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
        let first = Arc::new(first);
        Self {
            source,
            kept,
            metrics: shared.metrics.clone(),
            shared,
            logs,
            read_for: Mutex::default(),
            runtime,
            files: Mutex::new(files),
            failed: AtomicBool::new(false),
            in_force: ArcSwap::from(first.clone()),
            first,
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

    /// Looks at the files every few seconds, and reloads when one of them has changed, or the upstream has become
    /// another Airflow. For ever.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.kept.news() => {}
            }
            let this = self.clone();
            let look = move || {
                let mut files = this.files.lock().unwrap_or_else(PoisonError::into_inner);
                if files.changed() {
                    tracing::info!("a file of the configuration has changed");
                    this.reload_from(&mut files);
                } else if let Some(release) = this.news() {
                    tracing::info!(airflow = release.number(), "the upstream has said which Airflow it is");
                    this.reload_from(&mut files);
                }
            };
            if tokio::task::spawn_blocking(look).await.is_err() {
                tracing::error!("the reload panicked; the old configuration stays in force");
            }
        }
    }

    /// Which Airflow the upstream has become, if the configuration is to follow it and was not read for that just now.
    fn news(&self) -> Option<Release> {
        let in_force = self.in_force.load();
        let found = match in_force.settings.upstream.airflow {
            Airflow::Set(_) => None,
            Airflow::Found(_) | Airflow::Unknown => {
                self.shared.snapshot.load().upstreams.major().map(release)
            }
        };
        let read_for = *self.read_for.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |found| read_for.is_some_and(|read| read.release == found && Instant::now() < read.due());
        found.filter(|found| Some(*found) != in_force.settings.upstream.airflow.known() && !waits(*found))
    }

    fn reload_from(&self, files: &mut Files) {
        let result = self.try_reload(files);
        self.failed.store(result.is_err(), Ordering::Release);
        let outcome = match result {
            Ok(()) => {
                tracing::info!(read_from = self.in_force.load().places.join(", "), "configuration reloaded");
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
        let said = self.shared.snapshot.load().upstreams.major().map(release);
        let known = said.or_else(|| self.in_force.load().settings.upstream.airflow.known());
        let snapshot = self.build(files, known)?;
        // Another upstream may be another Airflow.
        match (snapshot.in_force.settings.upstream.airflow, snapshot.snapshot.upstreams.major().map(release))
        {
            (Airflow::Found(_) | Airflow::Unknown, Some(said)) if Some(said) != known => {
                let again = self.build(files, Some(said))?;
                self.put_in_force(again);
            }
            (Airflow::Set(_) | Airflow::Found(_) | Airflow::Unknown, _) => self.put_in_force(snapshot),
        }
        Ok(())
    }

    /// Reads the configuration for this Airflow, and builds all of it.
    fn build(&self, files: &mut Files, found: Option<Release>) -> Result<Built, String> {
        self.note_reading(found);
        let before = files.again();
        let read = (self.source)(found, &self.in_force.load().found);
        let paths = match &read {
            Ok(loaded) => &loaded.files,
            Err(rejected) => &rejected.files,
        };
        *files = Files::new(paths.clone()).since(&before);
        let loaded = read.map_err(|rejected| rejected.errors.to_string())?;
        let in_force = InForce::new(&loaded, SystemTime::now());
        let Loaded { settings, mut warnings, .. } = loaded;
        // Where the start had it listen, it still does, whatever is written now.
        let mut findings = Findings::default();
        upstream_is_ours(&settings.upstream.urls, &self.first.settings, &mut findings);
        findings.errors.into_result().map_err(|errors| {
            format!("{errors}. A changed listen takes effect with an upgrade (SIGUSR2) or a restart")
        })?;
        let logs = self.logs.prepare(&log_settings(&settings.log)).map_err(|failure| {
            log_error(&settings.log, &failure)
                .map_or_else(|| failure.to_string(), |errors| errors.to_string())
        })?;
        let assembled = assemble(&settings, &self.kept, &mut warnings);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let snapshot = assembled.map_err(|errors| errors.to_string())?;
        self.reach(&snapshot)?;
        Ok(Built { snapshot, in_force, logs })
    }

    fn note_reading(&self, found: Option<Release>) {
        let mut read_for = self.read_for.lock().unwrap_or_else(PoisonError::into_inner);
        let same = read_for.filter(|read| Some(read.release) == found);
        let before = same.map_or(0, |read| read.before.saturating_add(1));
        *read_for = found.map(|release| ReadFor { release, at: Instant::now(), before });
    }

    fn put_in_force(&self, built: Built) {
        let Built { snapshot, mut in_force, logs } = built;
        in_force.waiting = fixed::waiting(&self.first, &in_force);
        let waiting = in_force.waiting.clone();
        self.kept.adopt(&snapshot);
        self.shared.snapshot.store(Arc::new(snapshot));
        self.in_force.store(Arc::new(in_force));
        self.kept.forget_unused();
        self.logs.apply(logs);
        for Waiting { in_force, written } in waiting {
            tracing::warn!(
                option = format!("{} {}", written.section, written.key),
                in_force = in_force.value,
                written = written.value,
                at = written.at,
                "a changed option takes effect with an upgrade (SIGUSR2) or a restart"
            );
        }
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
}
