//! `callout:NAME`: a service of the operator's own judges the credentials, asked over HTTP in the manner
//! of nginx's `auth_request` and Traefik's ForwardAuth.

pub mod answer;
mod ask;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use http::{HeaderName, HeaderValue, Uri};
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cache::NoRandomness;
use super::{Attempt, Backend, Grant, Health, Outage, Reason, Rejection, Verdict};
use crate::ports::HttpClient;
pub use answer::Answer;
use ask::Ask;

/// The backend `callout:NAME`.
///
/// A request that has none of the listed headers is not for the service. Any other is described to it
/// with a `GET` without a body, and its answer is the verdict: 2xx with exactly one `X-Auth-User` accepts,
/// 401 and 403 reject, with the challenges that come along; anything else, and no answer, is "cannot
/// tell". Redirects are not followed.
pub struct Callout {
    name: &'static str,
    settings: CalloutSettings,
    client: Arc<dyn HttpClient>,
    runtime: Handle,
    slots: Arc<Semaphore>,
    cache: Option<Accepted>,
    trouble: Arc<ArcSwapOption<Arc<str>>>,
}

/// What a callout goes by.
#[derive(Debug, Clone)]
pub struct CalloutSettings {
    /// Where the service is asked.
    pub url: Uri,
    /// The headers that hold credentials, and go out. No others of the client's do.
    pub headers: Vec<HeaderName>,
    /// Whether a browser may have sent the credential by itself.
    pub ambient: Ambient,
    /// The `WWW-Authenticate` of a request that was not for the service, or rejected without one.
    pub challenge: Option<HeaderValue>,
    /// How long an acceptance is taken for requests that look the same. `None` is not at all.
    pub cache_ttl: Option<Duration>,
}

/// Whether a browser may have sent the credential by itself, so that foreign pages are to be kept from
/// changing anything with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambient {
    /// Told for each request: yes, unless there is a listed header that only a script can set, and no
    /// listed cookie, Basic, Digest, Negotiate or NTLM beside it.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

impl Callout {
    /// Questions under way at most, for one callout. Beyond, it cannot be told.
    pub const MAX_UNDER_WAY: usize = 128;
    /// Acceptances remembered at most.
    const CACHED: usize = 10_000;
    /// When to ask again, where the service does not say.
    const RETRY: Duration = Duration::from_secs(5);

    /// A callout named `name` in the chain, without the `callout:`. What is asked runs on `runtime`.
    ///
    /// # Errors
    /// Answers are to be remembered, and the system has no random numbers for that.
    pub fn new(
        name: &str,
        settings: CalloutSettings,
        client: Arc<dyn HttpClient>,
        runtime: Handle,
    ) -> Result<Self, NoRandomness> {
        let cache = settings.cache_ttl.map(Accepted::new).transpose()?;
        Ok(Self {
            name: lasting(&format!("callout:{name}")),
            settings,
            client,
            runtime,
            slots: Arc::new(Semaphore::new(Self::MAX_UNDER_WAY)),
            cache,
            trouble: Arc::new(ArcSwapOption::empty()),
        })
    }

    /// Has the service asked, on a task of its own: what is under way goes on when the request is given up.
    async fn ask(&self, ask: Ask, slot: OwnedSemaphorePermit) -> Answer {
        let client = Arc::clone(&self.client);
        let request = ask.into_request(&self.settings.url);
        let asked = self.runtime.spawn(async move {
            let _slot = slot;
            client.send(request).await
        });
        match asked.await {
            Ok(Ok(response)) => Answer::read(response.status(), response.headers()),
            Ok(Err(error)) => Answer::unclear(&error.to_string(), Self::RETRY),
            Err(_) => Answer::unclear("the question was aborted", Self::RETRY),
        }
    }

    /// Says once, not with each request, that the service fails, and that it works again.
    fn note(&self, trouble: Option<&Arc<str>>) {
        let before = self.trouble.swap(trouble.map(|cause| Arc::new(Arc::clone(cause))));
        match (before, trouble) {
            (None, Some(cause)) => tracing::warn!(backend = self.name, %cause, "the callout does not answer"),
            (Some(_), None) => tracing::info!(backend = self.name, "the callout answers again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

#[async_trait]
impl Backend for Callout {
    fn name(&self) -> &'static str {
        self.name
    }

    fn challenge(&self) -> Option<&HeaderValue> {
        self.settings.challenge.as_ref()
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        let Some(ask) = Ask::about(attempt, &self.settings.headers) else { return Some(Verdict::NotMine) };
        let cache = self.cache.as_ref()?;
        cache.get(&ask, attempt.request.now).map(Verdict::Accepted)
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let Some(ask) = Ask::about(attempt, &self.settings.headers) else { return Verdict::NotMine };
        let (ambient, ends) = (ask.is_ambient(self.settings.ambient), ask.ends());
        let key = self.cache.as_ref().map(|cache| (cache, cache.key(&ask)));
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            // Says nothing of how the service fares.
            let cause = "too many questions under way".into();
            return Verdict::Unavailable(Outage { cause, retry_after: Duration::from_secs(1) });
        };
        match self.ask(ask, slot).await {
            Answer::Accepted { user, expires } => {
                self.note(None);
                let expires = expires.into_iter().chain(ends).min();
                if expires.is_some_and(|end| end <= attempt.request.now) {
                    let (reason, challenge) = (Reason::Refused, None);
                    return Verdict::Rejected(Rejection { reason, challenge, clear_cookie: false });
                }
                let grant = Arc::new(Grant { ambient, expires, ..Grant::callout(self.name, &user) });
                if let Some((cache, key)) = key {
                    cache.insert(key, &grant, attempt.request.now);
                }
                Verdict::Accepted(grant)
            }
            Answer::Rejected(rejection) => {
                self.note(None);
                Verdict::Rejected(rejection)
            }
            Answer::Unclear { cause, retry_after } => {
                self.note(Some(&cause));
                Verdict::Unavailable(Outage { cause, retry_after })
            }
        }
    }

    fn health(&self) -> Health {
        match self.trouble.load_full() {
            None => Health::Up,
            Some(cause) => Health::Down(Arc::clone(&cause)),
        }
    }
}

/// Acceptances of a moment ago, found by an HMAC of all that the service was told, so that no credential is
/// kept.
struct Accepted {
    secret: hmac::Key,
    ttl: Duration,
    entries: Cache<[u8; 32], (Arc<Grant>, SystemTime)>,
}

impl Accepted {
    fn new(ttl: Duration) -> Result<Self, NoRandomness> {
        let secret =
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandomness)?;
        Ok(Self { secret, ttl, entries: Cache::new(Callout::CACHED) })
    }

    fn key(&self, ask: &Ask) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.secret);
        for part in ask.parts() {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    /// The age is taken both ways: after the clock was set back an entry lives no longer.
    fn get(&self, ask: &Ask, now: SystemTime) -> Option<Arc<Grant>> {
        let (grant, since) = self.entries.get(&self.key(ask))?;
        let age = now.duration_since(since).unwrap_or_else(|ahead| ahead.duration());
        (age < self.ttl && grant.expires.is_none_or(|end| now < end)).then_some(grant)
    }

    fn insert(&self, key: [u8; 32], grant: &Arc<Grant>, now: SystemTime) {
        self.entries.insert(key, (Arc::clone(grant), now));
    }
}

/// A name that lives as long as the process, as those of all backends do. There are as many as the operator
/// ever wrote.
fn lasting(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    match names.get(name) {
        Some(known) => known,
        None => {
            let name: &'static str = Box::leak(name.into());
            names.insert(name);
            name
        }
    }
}
