//! Lock-out: how often a password may be guessed.
//!
//! Failures are counted for (user, network of the client). Too many lock that user out from that
//! network alone: were the user locked everywhere, anybody could lock a robot out of its account.
//! One user tried from many networks is slowed down instead. Whether the user exists plays no part.

mod memory;
mod shared;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use unicode_normalization::UnicodeNormalization;

use crate::auth::Outage;
use crate::ports::ScriptStore;
use crate::request::Site;
use crate::secret::Secret;
use memory::InMemory;
use shared::Replicated;
pub use shared::WhenDown;

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
        match address.map(Site::of) {
            None => Self::Local,
            Some(Site::V4([a, b, c, _])) => Self::V4([a, b, c]),
            Some(Site::V6(bits)) => Self::V6(bits),
        }
    }
}

/// How often each user has failed. Shared by everything that checks passwords.
pub struct Lockout {
    /// What this process has seen, kept across reloads.
    memory: Arc<InMemory>,
    /// What all replicas have seen, where there is a place for it.
    replicated: Option<Arc<Replicated>>,
}

/// Leave for one look at one password. Dropped without a word, as by an outage, it changes nothing.
pub struct Permit(Counted);

enum Counted {
    InMemory(memory::Permit),
    Replicated(shared::Permit),
}

/// Too many failures: try again after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedOut(pub Duration);

/// Why a password is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Too many failures.
    LockedOut(LockedOut),
    /// The failures cannot be counted now, and `when_redis_is_down` says that nobody logs in then.
    Uncounted(Outage),
}

impl Lockout {
    /// Nobody has failed yet. Counts in memory.
    pub fn new() -> Self {
        Self { memory: Arc::default(), replicated: None }
    }

    /// Counts with all replicas that use the same store and secret. What this process knows is kept,
    /// for when the store is down.
    #[must_use]
    pub fn with_replicas(&self, store: Arc<dyn ScriptStore>, secret: &Secret, when_down: WhenDown) -> Self {
        let replicated = Replicated::new(store, secret, when_down, Arc::clone(&self.memory));
        Self { memory: Arc::clone(&self.memory), replicated: Some(Arc::new(replicated)) }
    }

    /// Asks for leave to look at a password of this user. The answer does not depend on whether
    /// there is such a user. Names that differ in case, accents or white space are one: there are
    /// user databases that take them for one.
    ///
    /// # Errors
    /// Locked out; or as many looks as could lock out are under way, for a second; or the store that
    /// replicas share is down, and that is to close the door.
    pub async fn admit(
        &self,
        settings: &LockoutSettings,
        username: &str,
        network: Network,
        now: SystemTime,
    ) -> Result<Permit, Refused> {
        let in_memory = || {
            let permit = self.memory.admit(settings, username, network, now);
            permit.map(|permit| Permit(Counted::InMemory(permit))).map_err(Refused::LockedOut)
        };
        let Some(replicated) = self.replicated.as_ref().filter(|_| settings.attempts > 0) else {
            return in_memory();
        };
        match replicated.admit(settings, username, network).await {
            Ok(Ok(permit)) => Ok(Permit(Counted::Replicated(permit))),
            Ok(Err(locked)) => Err(Refused::LockedOut(locked)),
            Err(error) => match replicated.when_down() {
                WhenDown::Open => in_memory(),
                WhenDown::Closed => Err(Refused::Uncounted(shared::outage(&error))),
            },
        }
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
        match &self.0 {
            Counted::InMemory(permit) => permit.delay(),
            Counted::Replicated(permit) => permit.delay(),
        }
    }

    /// The password was wrong, or there is no such user.
    pub async fn failed(self, now: SystemTime) {
        match self.0 {
            Counted::InMemory(permit) => permit.failed(now),
            Counted::Replicated(permit) => permit.failed(now).await,
        }
    }

    /// The password was right: the failures from this network are forgotten.
    pub async fn succeeded(self) {
        match self.0 {
            Counted::InMemory(permit) => permit.succeeded(),
            Counted::Replicated(permit) => permit.succeeded().await,
        }
    }
}

impl LockoutSettings {
    /// A tenth of a second for each failure beyond what one network may have.
    fn delay(&self, failures: u32) -> Duration {
        (Duration::from_millis(100) * failures.saturating_sub(self.attempts)).min(self.slowest)
    }
}

/// The spelling under which a name is counted: its letters without accents and case, its digits and its
/// punctuation. Databases and directories take names for one that differ in case, accents, spaces and what
/// is not seen, each in its own way; whoever could have each spelling counted apart could guess for ever. Two users
/// whose names fall together share a count, and nothing else.
fn spelling(username: &str) -> impl Iterator<Item = char> {
    let counts = |c: &char| c.is_alphanumeric() || c.is_ascii_punctuation();
    // By way of the capitals, of which there are several for "ß".
    let folded = username.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    folded.filter(counts).flat_map(|c| {
        // Letters of their own for Unicode, and not for the collations of databases.
        let (first, second) = match c {
            'æ' => ('a', Some('e')),
            'œ' => ('o', Some('e')),
            'ø' => ('o', None),
            'đ' => ('d', None),
            'ł' => ('l', None),
            other => (other, None),
        };
        std::iter::once(first).chain(second)
    })
}

#[cfg(test)]
mod tests {
    use super::spelling;

    #[test]
    fn spellings_that_a_database_takes_for_one_are_one() {
        for (name, one, other, same) in [
            ("case", "Ann", "aNN", true),
            ("accents", "Zoë", "zoe", true),
            ("accents apart", "zoe\u{308}", "zoë", true),
            ("full width", "ａｎｎ", "ann", true),
            ("white space and what is not seen", "an\u{200b}n ", "ann", true),
            ("two letters for one", "straßer", "STRASSER", true),
            ("ligatures", "Æsop Œuvre", "aesop oeuvre", true),
            ("strokes", "Søren Đorđe Łukasz", "soren dorde lukasz", true),
            ("punctuation", "a.b", "ab", false),
            ("another name", "ann", "anna", false),
        ] {
            assert_eq!(spelling(one).eq(spelling(other)), same, "{name}");
        }
    }
}
