//! Lock-out: how often a password may be guessed.
//!
//! Failures are counted for (user, network of the client). Too many lock that user out from that
//! network alone: were the user locked everywhere, anybody could lock a robot out of its account.
//! One user tried from many networks is slowed down instead. Whether the user exists plays no part.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// `[lockout]`: when failures lock out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutSettings {
    /// So many failures within [`window`](Self::window) lock out. Default 10; 0 turns lock-out and
    /// slowing down off.
    pub attempts: u32,
    /// The time in which failures are counted together, from the first one. Default 5 minutes.
    pub window: Duration,
    /// How long a lock-out lasts. Default 5 minutes.
    pub duration: Duration,
    /// The longest time by which a log-in of a user who is tried from many networks is delayed.
    /// Default 2 seconds.
    pub slowest: Duration,
}

impl Default for LockoutSettings {
    fn default() -> Self {
        Self {
            attempts: 10,
            window: Duration::from_secs(300),
            duration: Duration::from_secs(300),
            slowest: Duration::from_secs(2),
        }
    }
}

/// The network that a client is counted under: /24 of IPv4, /64 of IPv6, which is what one
/// customer commonly has; all of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// A Unix socket.
    Local,
    /// The first 24 bits of an IPv4 address.
    V4([u8; 3]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl Network {
    /// The network of an address. An IPv4 address written as IPv6 (`::ffff:…`) counts as IPv4.
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Local,
            Some(IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// The failures seen so far. Shared by everything that checks passwords, and kept across reloads.
pub struct Lockout {
    counts: Mutex<Counts>,
    hasher: RandomState,
    capacity: usize,
}

/// Leave for one look at one password. Dropped without a word, as by an outage, it changes nothing.
pub struct Permit {
    lockout: Arc<Lockout>,
    settings: LockoutSettings,
    pair: Pair,
    delay: Duration,
    counted: bool,
}

/// Too many failures: try again after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedOut(pub Duration);

/// A user, as a number that nobody outside can compute, so that long names cost no memory.
type User = u64;
type Pair = (User, Network);

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

impl Lockout {
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

    /// Asks for leave to look at a password of this user. The answer does not depend on whether
    /// there is such a user. Names that differ in case or in white space at the end are one: there
    /// are user databases that take them for one.
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
        let pair = (self.user(username), network);
        let mut permit = Permit {
            lockout: Arc::clone(self),
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

    fn user(&self, username: &str) -> User {
        let mut hasher = self.hasher.build_hasher();
        username.trim_end().chars().flat_map(char::to_lowercase).for_each(|c| c.hash(&mut hasher));
        hasher.finish()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A count is right after every single step, so a panic elsewhere leaves nothing broken.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Lockout {
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
        let (settings, capacity) = (&self.settings, self.lockout.capacity);
        let mut counts = self.lockout.counts();
        let count = slot(&mut counts.pairs, self.pair, capacity, settings, now);
        count.pending = count.pending.saturating_sub(1);
        count.failures = count.failures.saturating_add(1);
        if count.failures >= settings.attempts {
            count.locked_until = now.checked_add(settings.duration);
        }
        let user = slot(&mut counts.users, self.pair.0, capacity, settings, now);
        user.failures = user.failures.saturating_add(1);
    }

    /// The password was right: the failures from this network are forgotten.
    pub fn succeeded(mut self) {
        if !std::mem::take(&mut self.counted) {
            return;
        }
        let mut counts = self.lockout.counts();
        let Some(count) = counts.pairs.get_mut(&self.pair) else { return };
        count.pending = count.pending.saturating_sub(1);
        let forgiven = std::mem::take(&mut count.failures);
        count.locked_until = None;
        if count.pending == 0 {
            counts.pairs.remove(&self.pair);
        }
        if let Some(user) = counts.users.get_mut(&self.pair.0) {
            user.failures = user.failures.saturating_sub(forgiven);
            if user.failures == 0 {
                counts.users.remove(&self.pair.0);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut counts = self.lockout.counts();
        if let Some(count) = counts.pairs.get_mut(&self.pair) {
            count.pending = count.pending.saturating_sub(1);
            if count.pending == 0 && count.failures == 0 {
                counts.pairs.remove(&self.pair);
            }
        }
    }
}

impl LockoutSettings {
    /// A tenth of a second for each failure beyond what one network may have.
    fn delay(&self, failures: u32) -> Duration {
        (Duration::from_millis(100) * failures.saturating_sub(self.attempts)).min(self.slowest)
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
