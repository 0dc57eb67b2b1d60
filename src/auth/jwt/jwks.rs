//! Where public keys come from, and keeping them fresh.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::ACCEPT;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::keyset::KeySet;
use crate::auth::Health;
use crate::ports::HttpClient;

/// `[api_auth] trusted_jwks_url`: a URL or the path of a file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum JwksSource {
    /// Fetched over HTTP.
    Url(http::Uri),
    /// Read from a file, and read again when it changes.
    File(PathBuf),
}

/// What is no source of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither an http or https URL with a host, nor the path of a file")]
pub struct InvalidJwksSource;

impl JwksSource {
    /// Reads the option: what begins with `http://` or `https://` is a URL, else a path, as in Airflow.
    ///
    /// # Errors
    /// Empty, a URL of another scheme, or one that cannot be read.
    pub fn parse(text: &str) -> Result<Self, InvalidJwksSource> {
        if !text.contains("://") {
            return if text.is_empty() { Err(InvalidJwksSource) } else { Ok(Self::File(text.into())) };
        }
        let uri: http::Uri = text.parse().map_err(|_| InvalidJwksSource)?;
        let http = uri.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
        let host = uri.host().is_some_and(|host| !host.is_empty());
        if http && host { Ok(Self::Url(uri)) } else { Err(InvalidJwksSource) }
    }

    /// How long a good answer is good: Airflow's 3600 s for a URL; a file is looked at every 5 s.
    fn interval(&self) -> Duration {
        match self {
            Self::Url(_) => Duration::from_secs(3600),
            Self::File(_) => Duration::from_secs(5),
        }
    }

    /// Least time between two attempts, whoever asks: Airflow's 10 s for a URL.
    fn spacing(&self) -> Duration {
        match self {
            Self::Url(_) => Duration::from_secs(10),
            Self::File(_) => Duration::from_secs(1),
        }
    }
}

/// Without user, password and query of a URL, which may be secrets.
impl fmt::Display for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(uri) => {
                write!(f, "{}://{}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())?;
                if let Some(port) = uri.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(uri.path())
            }
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksSource({self})")
    }
}

/// Keeps the keys of one source.
///
/// Lives longer than the settings: after a reload with the same source the next verifier is given the
/// same store, so that the last known good keys survive. [`JwksStore::run`] does all fetching; requests
/// only read, or wait for a fetch that `run` makes.
pub struct JwksStore {
    source: JwksSource,
    interval: Duration,
    client: Arc<dyn HttpClient>,
    current: ArcSwapOption<Loaded>,
    generations: AtomicU64,
    stamp: Mutex<Option<Stamp>>,
    wanted: Notify,
    status: watch::Sender<JwksStatus>,
}

/// A key set, and a number that no other set of this store has.
pub(super) struct Loaded {
    pub set: KeySet,
    pub generation: u64,
}

/// How a source fares, for metrics, `/readyz` and the status page.
#[derive(Debug, Clone)]
pub struct JwksStatus {
    /// How often it was asked.
    pub attempts: u64,
    /// When it was last asked. The answer has come.
    pub attempted: Option<Instant>,
    /// When it last gave good keys. Their age is the time since.
    pub fetched: Option<Instant>,
    /// Why the last attempt gave none. The keys of an earlier one still serve.
    pub failure: Option<Arc<str>>,
    /// How many keys serve.
    pub keys: usize,
}

/// Whether what is known here is what the source knows.
pub(super) enum Freshness {
    /// The source was asked lately: a key that is unknown does not exist.
    Fresh,
    /// The source does not answer: it cannot be told whether a key exists.
    Unreachable(Arc<str>),
}

impl JwksStore {
    /// How long a request waits for a fetch that it asked for.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// How long one fetch may take.
    const FETCH: Duration = Duration::from_secs(10);

    /// Makes a store. A file is read at once, so that it serves the first request; a URL is first fetched
    /// by [`JwksStore::run`]. That the source does not answer is no error: see [`JwksStore::status`].
    pub fn new(source: JwksSource, client: Arc<dyn HttpClient>) -> Arc<Self> {
        Self::refreshed_every(source.interval(), source, client)
    }

    /// Likewise, where a good answer is good for another time than Airflow's 3600 s.
    pub fn refreshed_every(interval: Duration, source: JwksSource, client: Arc<dyn HttpClient>) -> Arc<Self> {
        let status = JwksStatus { attempts: 0, attempted: None, fetched: None, failure: None, keys: 0 };
        let store = Self {
            source,
            interval,
            client,
            current: ArcSwapOption::empty(),
            generations: AtomicU64::new(0),
            stamp: Mutex::new(None),
            wanted: Notify::new(),
            status: watch::Sender::new(status),
        };
        if let JwksSource::File(path) = &store.source {
            store.finish(store.read(path));
        }
        Arc::new(store)
    }

    /// Where its keys come from. A store can be kept over a reload when this is unchanged.
    pub fn source(&self) -> &JwksSource {
        &self.source
    }

    /// How the source fares.
    pub fn status(&self) -> JwksStatus {
        self.status.borrow().clone()
    }

    /// Follows how the source fares.
    #[cfg(test)]
    pub(super) fn watch(&self) -> watch::Receiver<JwksStatus> {
        self.status.subscribe()
    }

    /// Down without keys; degraded while old keys serve because the source does not answer.
    pub fn health(&self) -> Health {
        let status = self.status.borrow();
        let failure = || status.failure.clone().unwrap_or_else(|| "not fetched yet".into());
        match status.fetched {
            None => Health::Down(failure()),
            Some(_) if status.failure.is_some() => Health::Degraded(failure()),
            Some(at) if at.elapsed() > self.interval * 3 => {
                Health::Degraded("the keys are not being refreshed".into())
            }
            Some(_) => Health::Up,
        }
    }

    /// Fetches the keys now, when they are due, and when a token asks for an unknown one. Never returns:
    /// it is spawned once for the store, and aborted when the store is given up.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.refresh().await;
            let failed = self.status.borrow().failure.is_some();
            let pause = if failed { self.source.spacing() } else { self.interval };
            let next = Instant::now() + pause;
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    () = self.wanted.notified() => if self.is_due() { break },
                }
            }
        }
    }

    pub(super) fn current(&self) -> Option<Arc<Loaded>> {
        self.current.load_full()
    }

    /// The number of the set that serves now, 0 if there is none.
    pub(super) fn generation(&self) -> u64 {
        self.current.load().as_ref().map_or(0, |loaded| loaded.generation)
    }

    /// Asks the source for a key that is unknown here, unless it was asked lately. All who ask at the same
    /// time wait for the same fetch, and not for long.
    pub(super) async fn freshen(&self) -> Freshness {
        let mut watcher = self.status.subscribe();
        watcher.mark_unchanged();
        if self.is_due() {
            self.wanted.notify_one();
            if timeout(Self::PATIENCE, watcher.changed()).await.is_err() {
                return Freshness::Unreachable("the keys are still being fetched".into());
            }
        }
        match &watcher.borrow().failure {
            None => Freshness::Fresh,
            Some(failure) => Freshness::Unreachable(Arc::clone(failure)),
        }
    }

    /// When the source may be asked again.
    pub(super) fn retry_after(&self) -> Duration {
        self.source.spacing()
    }

    fn is_due(&self) -> bool {
        self.status.borrow().attempted.is_none_or(|at| at.elapsed() >= self.source.spacing())
    }

    async fn refresh(self: &Arc<Self>) {
        let result = match &self.source {
            JwksSource::Url(uri) => timeout(Self::FETCH, self.fetch(uri))
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned()))
                .map(Some),
            JwksSource::File(path) => {
                let (store, path) = (Arc::clone(self), path.clone());
                tokio::task::spawn_blocking(move || store.read(&path))
                    .await
                    .unwrap_or_else(|_| Err("reading was interrupted".to_owned()))
            }
        };
        self.finish(result);
    }

    async fn fetch(&self, uri: &http::Uri) -> Result<KeySet, String> {
        let request = http::Request::get(uri)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("answered {}", answer.status()));
        }
        if answer.body().len() > KeySet::MAX {
            return Err("the answer is too large".to_owned());
        }
        KeySet::parse(answer.body()).map_err(|error| error.to_string())
    }

    /// Reads a file if it is not the one read last.
    fn read(&self, path: &Path) -> Result<Option<KeySet>, String> {
        let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
        let stamp = Stamp::of(&file).map_err(|error| error.to_string())?;
        let mut last = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&stamp) {
            return Ok(None);
        }
        // Until the new content is known to be good the file counts as unread, and is tried again.
        *last = None;
        let mut document = Vec::new();
        let limit = KeySet::MAX as u64;
        file.take(limit + 1).read_to_end(&mut document).map_err(|error| error.to_string())?;
        if document.len() > KeySet::MAX {
            return Err("the file is too large".to_owned());
        }
        let set = KeySet::parse(&document).map_err(|error| error.to_string())?;
        *last = Some(stamp);
        Ok(Some(set))
    }

    /// Takes over a new set, if there is one, and tells those who wait.
    fn finish(&self, result: Result<Option<KeySet>, String>) {
        let failure = match result {
            Ok(new) => {
                if let Some(set) = new {
                    self.adopt(set);
                }
                None
            }
            Err(failure) => {
                // Once, not every ten seconds.
                if self.status.borrow().failure.as_deref() != Some(&failure) {
                    tracing::warn!(source = %self.source, %failure, "cannot get the keys of tokens");
                }
                Some(Arc::from(failure))
            }
        };
        let now = Instant::now();
        self.status.send_modify(|status| {
            status.attempts += 1;
            status.attempted = Some(now);
            status.keys = self.current.load().as_ref().map_or(0, |loaded| loaded.set.len());
            if failure.is_none() {
                status.fetched = Some(now);
            }
            status.failure = failure;
        });
    }

    /// The same keys again keep their generation, so that verified tokens stay cached.
    fn adopt(&self, set: KeySet) {
        if self.current.load().as_ref().is_some_and(|loaded| loaded.set.same_as(&set)) {
            return;
        }
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::info!(source = %self.source, keys = set.len(), skipped = ?set.skipped(), "new keys of tokens");
        self.current.store(Some(Arc::new(Loaded { set, generation })));
    }
}

impl fmt::Debug for JwksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksStore({})", self.source)
    }
}

/// What changes when a file does: in place, by renaming, or by switching a symbolic link.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    length: u64,
    inode: (u64, u64),
}

impl Stamp {
    fn of(file: &std::fs::File) -> std::io::Result<Self> {
        let data = file.metadata()?;
        Ok(Self {
            modified: (data.mtime(), data.mtime_nsec()),
            length: data.len(),
            inode: (data.dev(), data.ino()),
        })
    }
}
