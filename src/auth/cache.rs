//! Passwords found right a moment ago, so that a robot's next request costs no hash check and no
//! call of the upstream.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ahash::RandomState;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::crowd::Crowd;
use super::flights::{Flights, Grounded};
use super::lockout::Network;
use super::{Grant, Outage, Verdict};

/// Verified credentials, bounded, under a key that only this process can compute. Failures are not
/// kept. It knows no settings, so it outlives a reload, and an entry is judged by the settings of
/// who looks it up.
pub struct VerifiedCache {
    secret: [u8; 32],
    entries: Cache<CredentialKey, Arc<Verified>, UnitWeighter, RandomState>,
    flights: Arc<Flights<CredentialKey, Verdict>>,
    alone: Arc<Semaphore>,
}

/// The system has no random numbers to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandomness;

/// The name of a credential in the cache: BLAKE3, keyed with random bits that this process alone has, so that
/// no password is kept, nor anything that it could be guessed from outside this process.
///
/// Keyed BLAKE3 is a pseudorandom function, and its 256 bits collide for nobody, even for who has the key:
/// two credentials have one name as seldom as with an HMAC-SHA256. It is made with every request, and takes a
/// quarter of that one's instructions on a CPU that has none for SHA. Names of this kind never leave the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialKey([u8; 32]);

/// Names credentials, under a key of this process and of some sources.
pub struct Namer([u8; 32]);

impl Namer {
    /// The name of a credential. The client's network is part of it: who guesses passwords gets no
    /// answer out of what somebody else's log-in left in the cache, which no lock-out guards.
    pub fn key(&self, network: Network, username: &str, password: &str) -> CredentialKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        };
        match &network {
            Network::Local => add(&[]),
            Network::V4(bits) => add(bits),
            Network::V6(bits) => add(bits),
        }
        add(username.as_bytes());
        add(password.as_bytes());
        CredentialKey(*hasher.finalize().as_bytes())
    }
}

/// What was verified, and what makes it lapse.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What the credential is good for.
    pub grant: Arc<Grant>,
    /// When it was verified.
    pub since: SystemTime,
    /// Which source vouched, by its place in the list.
    pub source: usize,
    /// What the source compared with.
    pub seal: Option<Seal>,
}

/// A digest of the stored hash (or password) that a credential was verified against, so that the
/// entry lapses as soon as another one is stored. Does not print: of a plain password it could be
/// guessed from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seal(pub [u8; 32]);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

/// How a check that others wait for ended.
pub struct Checked {
    /// What all who wait are told.
    pub verdict: Verdict,
    /// What the cache is to remember.
    pub verified: Option<Verified>,
}

impl VerifiedCache {
    /// Entries kept at most. Default 10 000.
    pub const CAPACITY: usize = 10_000;

    /// From this age on a token that the upstream refuses is fetched anew.
    pub const SETTLED: Duration = Duration::from_secs(10);

    /// Checks under way at most, since each holds memory until a source has answered. Those that wait for others
    /// of their network take nothing from those that do not.
    const FLIGHTS: usize = 4096 + Crowd::WAITING_IN_ALL;

    /// A token is used no longer than this before it ends: on its way it must not run out.
    const MARGIN: Duration = Duration::from_secs(10);

    /// An empty cache with a new random key.
    ///
    /// # Errors
    /// No random numbers.
    pub fn new(capacity: usize) -> Result<Self, NoRandomness> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| NoRandomness)?;
        let (hash, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
        Ok(Self {
            secret,
            entries: Cache::with(capacity, capacity as u64, UnitWeighter, hash, lifecycle),
            flights: Flights::new(Self::FLIGHTS),
            alone: Arc::new(Semaphore::new(Self::FLIGHTS)),
        })
    }

    /// What names the credentials that these sources check. Their digest becomes part of the key, so
    /// that it need not be hashed for each credential.
    pub fn namer(&self, sources: &[u8; 32]) -> Namer {
        Namer(*blake3::keyed_hash(&self.secret, sources).as_bytes())
    }

    /// What is known of a credential, not older than `ttl`, its token not about to end.
    pub fn get(&self, key: &CredentialKey, now: SystemTime, ttl: Duration) -> Option<Arc<Verified>> {
        self.entries.get(key).filter(|verified| verified.is_fresh(now, ttl))
    }

    /// Forgets a credential whose token the upstream refused, and says whether it did. Only if it is
    /// still this grant: a late refusal of an old token must not throw away the new one. And only if
    /// it is older than [`VerifiedCache::SETTLED`]: a token so new is not refused for its age, and a
    /// user who lacks a right must not cost a log-in with every request.
    pub fn forget(&self, key: &CredentialKey, grant: &Arc<Grant>, now: SystemTime) -> bool {
        let settled = |since: SystemTime| now.duration_since(since).is_ok_and(|age| age >= Self::SETTLED);
        let stale = |verified: &Arc<Verified>| Arc::ptr_eq(&verified.grant, grant) && settled(verified.since);
        self.entries.remove_if(key, stale).is_some()
    }

    /// How many credentials are remembered, for metrics.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Lets one check answer everybody who asks the same at the same time. `begin` says either what
    /// to check, or the verdict, if there is nothing to check; it is called only where no check is
    /// under way. The check runs on `runtime`, so it goes on when those who wait give up.
    pub async fn share<F>(
        self: &Arc<Self>,
        key: CredentialKey,
        runtime: &Handle,
        begin: impl FnOnce() -> Result<F, Verdict>,
    ) -> Verdict
    where
        F: Future<Output = Checked> + Send + 'static,
    {
        let cache = Arc::clone(self);
        let begin = || {
            begin().map(|check| async move {
                let Checked { verdict, verified } = check.await;
                if let Some(verified) = verified {
                    cache.entries.insert(key, Arc::new(verified));
                }
                verdict
            })
        };
        self.flights.share(key, runtime, begin).await.unwrap_or_else(grounded)
    }

    /// Checks for this one alone, where nothing is remembered, and so nothing is shared either: two
    /// log-ins are two tokens. As with [`share`](Self::share) the check goes on when who waits gives
    /// up, so there are as many of them at most.
    pub async fn check_alone<F>(
        &self,
        runtime: &Handle,
        begin: impl FnOnce() -> Result<F, Verdict>,
    ) -> Verdict
    where
        F: Future<Output = Checked> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.alone).try_acquire_owned() else {
            return grounded(Grounded::Full);
        };
        let check = match begin() {
            Ok(check) => check,
            Err(verdict) => return verdict,
        };
        let checked = runtime.spawn(async move {
            let _place = place;
            check.await
        });
        match checked.await {
            Ok(checked) => checked.verdict,
            Err(_) => grounded(Grounded::Aborted),
        }
    }
}

impl Verified {
    /// The age is taken both ways: after the clock was set back an entry lives no longer.
    fn is_fresh(&self, now: SystemTime, ttl: Duration) -> bool {
        let age = match now.duration_since(self.since) {
            Ok(age) => age,
            Err(ahead) => ahead.duration(),
        };
        let lasts = self
            .grant
            .expires
            .is_none_or(|end| end.duration_since(now).is_ok_and(|left| left > VerifiedCache::MARGIN));
        age < ttl && lasts
    }
}

fn grounded(why: Grounded) -> Verdict {
    match why {
        Grounded::Full => unavailable("too many password checks under way"),
        Grounded::Aborted => unavailable("the password check was aborted"),
    }
}

pub(in crate::auth) fn unavailable(cause: &str) -> Verdict {
    Verdict::Unavailable(Outage { cause: cause.into(), retry_after: Duration::from_secs(1) })
}

#[cfg(test)]
mod tests;
