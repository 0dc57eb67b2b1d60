//! Failures counted in the memory of this process.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{LockedOut, LockoutSettings, Network, spelling};

/// The failures that this process has seen. Shared by everything that checks passwords, and kept
/// across reloads.
pub struct InMemory {
    counts: Mutex<Counts>,
    hasher: RandomState,
    capacity: usize,
}

/// Leave for one look at one password. Dropped without a word, as by an outage, it changes nothing.
pub struct Permit {
    counts: Arc<InMemory>,
    settings: LockoutSettings,
    pair: Pair,
    delay: Duration,
    counted: bool,
}

/// A user, as a number that nobody outside can compute, so that long names cost no memory.
type User = u64;

/// A user and a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair(User, Network);

#[derive(Default)]
struct Counts {
    pairs: HashMap<Pair, Count>,
    users: HashMap<User, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    /// Looks under way: they count against the limit, so that guesses sent all at once do not get
    /// more tries than guesses sent one by one.
    pending: u32,
    since: SystemTime,
    locked_until: Option<SystemTime>,
}

impl InMemory {
    /// Users and (user, network) pairs that are counted at most. Beyond, the least telling count
    /// is forgotten.
    pub const CAPACITY: usize = 65_536;

    /// Nobody has failed yet.
    pub fn new() -> Self {
        Self::with_capacity(Self::CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { counts: Mutex::default(), hasher: RandomState::new(), capacity }
    }

    /// As [`Lockout::admit`](super::Lockout::admit).
    ///
    /// # Errors
    /// Locked out; or as many looks as could lock out are under way, for a second.
    pub fn admit(
        self: &Arc<Self>,
        settings: &LockoutSettings,
        username: &str,
        network: Network,
        now: SystemTime,
    ) -> Result<Permit, LockedOut> {
        let pair = self.pair(username, network);
        let mut permit = Permit {
            counts: Arc::clone(self),
            settings: *settings,
            pair,
            delay: Duration::ZERO,
            counted: false,
        };
        if settings.attempts == 0 {
            return Ok(permit);
        }
        let mut counts = self.counts();
        let tried = counts.users.get_mut(&pair.0).map_or(0, |count| count.renew(settings, now).failures);
        let count = slot(&mut counts.pairs, pair, self.capacity, settings, now);
        if let Some(wait) = count.locked(now) {
            return Err(LockedOut(wait));
        }
        if count.failures.saturating_add(count.pending) >= settings.attempts {
            return Err(LockedOut(Duration::from_secs(1)));
        }
        count.pending += 1;
        permit.counted = true;
        permit.delay = settings.delay(tried);
        Ok(permit)
    }

    /// What a user is counted under who comes from this network.
    pub fn pair(&self, username: &str, network: Network) -> Pair {
        Pair(self.user(username), network)
    }

    /// Counts a failure that was not admitted here.
    pub fn fail(&self, pair: Pair, settings: &LockoutSettings, now: SystemTime) {
        if settings.attempts > 0 {
            self.counts().fail(pair, 0, self.capacity, settings, now);
        }
    }

    /// Forgets the failures of a user from a network, because of a success that was not admitted here.
    pub fn forgive(&self, pair: Pair) {
        self.counts().forgive(pair, 0);
    }

    fn user(&self, username: &str) -> User {
        let mut hasher = self.hasher.build_hasher();
        spelling(username).for_each(|c| c.hash(&mut hasher));
        hasher.finish()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A count is right after every single step, so a panic elsewhere leaves nothing broken.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for InMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl Permit {
    /// How long to wait before the password is looked at, because this user is being tried from
    /// many networks. Right and wrong passwords wait alike.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// The password was wrong, or there is no such user.
    pub fn failed(mut self, now: SystemTime) {
        if !std::mem::take(&mut self.counted) {
            return;
        }
        self.counts.counts().fail(self.pair, 1, self.counts.capacity, &self.settings, now);
    }

    /// The password was right: the failures from this network are forgotten.
    pub fn succeeded(mut self) {
        if !std::mem::take(&mut self.counted) {
            return;
        }
        self.counts.counts().forgive(self.pair, 1);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut counts = self.counts.counts();
        if let Some(count) = counts.pairs.get_mut(&self.pair) {
            count.pending = count.pending.saturating_sub(1);
            if count.pending == 0 && count.failures == 0 {
                counts.pairs.remove(&self.pair);
            }
        }
    }
}

impl Counts {
    /// One failure more, of so many looks that were under way.
    fn fail(&mut self, pair: Pair, looks: u32, capacity: usize, settings: &LockoutSettings, now: SystemTime) {
        let count = slot(&mut self.pairs, pair, capacity, settings, now);
        count.pending = count.pending.saturating_sub(looks);
        count.failures = count.failures.saturating_add(1);
        if count.failures >= settings.attempts {
            count.locked_until = now.checked_add(settings.duration);
        }
        let user = slot(&mut self.users, pair.0, capacity, settings, now);
        user.failures = user.failures.saturating_add(1);
    }

    /// The failures from this network are forgotten; so many looks were under way.
    fn forgive(&mut self, pair: Pair, looks: u32) {
        let Some(count) = self.pairs.get_mut(&pair) else { return };
        count.pending = count.pending.saturating_sub(looks);
        let forgiven = std::mem::take(&mut count.failures);
        count.locked_until = None;
        if count.pending == 0 {
            self.pairs.remove(&pair);
        }
        if let Some(user) = self.users.get_mut(&pair.0) {
            user.failures = user.failures.saturating_sub(forgiven);
            if user.failures == 0 {
                self.users.remove(&pair.0);
            }
        }
    }
}

impl Count {
    fn new(now: SystemTime) -> Self {
        Self { failures: 0, pending: 0, since: now, locked_until: None }
    }

    /// Forgets what has passed. A clock that was set back makes nothing last longer than the
    /// settings say.
    fn renew(&mut self, settings: &LockoutSettings, now: SystemTime) -> &mut Self {
        self.since = self.since.min(now);
        if let Some(until) = self.locked_until {
            let latest = now.checked_add(settings.duration).unwrap_or(until);
            if until <= now {
                (self.locked_until, self.failures, self.since) = (None, 0, now);
            } else {
                self.locked_until = Some(until.min(latest));
            }
        } else if self.failures == 0 || elapsed(self.since, now) >= settings.window {
            (self.failures, self.since) = (0, now);
        }
        self
    }

    fn locked(&self, now: SystemTime) -> Option<Duration> {
        self.locked_until?.duration_since(now).ok().filter(|wait| !wait.is_zero())
    }

    /// What speaks for keeping the count when there is no room.
    fn weight(&self) -> (bool, u32, SystemTime) {
        (self.locked_until.is_some() || self.pending > 0, self.failures, self.since)
    }
}

fn elapsed(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

/// The current count under a key. Where there is no room for a new one, the least telling of a few
/// is forgotten: to look at all of them for every failure would help who floods.
fn slot<'a, K: Copy + Eq + Hash>(
    counts: &'a mut HashMap<K, Count>,
    key: K,
    capacity: usize,
    settings: &LockoutSettings,
    now: SystemTime,
) -> &'a mut Count {
    const SAMPLE: usize = 16;
    if counts.len() >= capacity && !counts.contains_key(&key) {
        let sample = counts.iter_mut().take(SAMPLE);
        let weighed = sample.map(|(key, count)| (count.renew(settings, now).weight(), *key));
        if let Some((_, least)) = weighed.min_by_key(|(weight, _)| *weight) {
            counts.remove(&least);
        }
    }
    counts.entry(key).or_insert_with(|| Count::new(now)).renew(settings, now)
}

#[cfg(test)]
mod tests;
