//! How many requests a user may make: `[limits] requests_per_user`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::auth::{Identity, Origin};

/// So many requests in a time. They may all come at once, and then one at a time as they become free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The requests.
    pub requests: NonZeroU32,
    /// The time. Not 0.
    pub per: Duration,
}

/// The requests of each user, counted by this process. Survives a reload.
pub struct Spent {
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
}

/// A rate, and what was spent of it.
pub struct Quota {
    rate: Rate,
    spent: Arc<Spent>,
}

const SHARDS: usize = 16;
/// Users remembered by a shard. Those who could make all their requests again are forgotten first.
const MOST: usize = 4096;

impl Default for Spent {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Quota {
    /// A rate for every user alike.
    pub fn new(rate: Rate, spent: Arc<Spent>) -> Self {
        Self { rate, spent }
    }

    /// Counts a request of a user. Who nobody here knows is not counted: it could be anybody.
    ///
    /// # Errors
    /// It is one too many; the time after which the next is not.
    pub fn take(&self, user: &Identity, now: SystemTime) -> Result<(), Duration> {
        if user.origin == Origin::Unverified {
            return Ok(());
        }
        let now = nanoseconds(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        // Each request moves the user's clock on by a share of the time; it may be ahead by all of it but one.
        let share = nanoseconds(self.rate.per / self.rate.requests.get()).max(1);
        let ahead = nanoseconds(self.rate.per).saturating_sub(share);
        let key = self.spent.hasher.hash_one(user);
        let shard = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.spent.shards.get(shard) else { return Ok(()) };
        let mut clocks = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if clocks.len() >= MOST && !clocks.contains_key(&key) {
            clocks.retain(|_, clock| *clock > now);
            if clocks.len() >= MOST {
                clocks.clear();
            }
        }
        let clock = clocks.entry(key).or_insert(now);
        // A clock that is further ahead than it can be is from before a reload, or from before the clock was set.
        let at = (*clock).clamp(now, now.saturating_add(ahead).saturating_add(share));
        if at > now.saturating_add(ahead) {
            *clock = at;
            return Err(Duration::from_nanos(at - now - ahead));
        }
        *clock = at.saturating_add(share);
        Ok(())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(requests: u32, seconds: u64) -> Quota {
        let requests = NonZeroU32::new(requests).unwrap();
        Quota::new(Rate { requests, per: Duration::from_secs(seconds) }, Arc::default())
    }

    fn user(name: &str) -> Identity {
        Identity { origin: Origin::File, name: name.into() }
    }

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_millis(milliseconds)
    }

    #[test]
    fn all_may_come_at_once_and_then_one_by_one() {
        let quota = quota(4, 2);
        for _ in 0..4 {
            assert_eq!(quota.take(&user("ann"), at(0)), Ok(()));
        }
        assert_eq!(quota.take(&user("ann"), at(0)), Err(Duration::from_millis(500)));
        assert_eq!(quota.take(&user("ann"), at(499)), Err(Duration::from_millis(1)));
        assert_eq!(quota.take(&user("ann"), at(500)), Ok(()));
        assert_eq!(quota.take(&user("ann"), at(500)), Err(Duration::from_millis(500)));
        // After the whole time all of them, and no more.
        for _ in 0..4 {
            assert_eq!(quota.take(&user("ann"), at(10_000)), Ok(()));
        }
        assert!(quota.take(&user("ann"), at(10_000)).is_err());
    }

    #[test]
    fn users_are_told_apart_by_origin_and_name() {
        let quota = quota(1, 60);
        for origin in [Origin::File, Origin::Ldap, Origin::Airflow] {
            let ann = Identity { origin, name: "ann".into() };
            assert_eq!(quota.take(&ann, at(0)), Ok(()));
            assert!(quota.take(&ann, at(0)).is_err());
        }
        assert_eq!(quota.take(&user("bob"), at(0)), Ok(()));
        let anybody = Identity { origin: Origin::Unverified, name: "unverified".into() };
        assert!((0..10).all(|_| quota.take(&anybody, at(0)).is_ok()));
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let quota = quota(2, 1);
        assert_eq!(quota.take(&user("ann"), at(3_600_000)), Ok(()));
        assert_eq!(quota.take(&user("ann"), at(0)), Err(Duration::from_millis(500)));
        assert_eq!(quota.take(&user("ann"), at(500)), Ok(()));
    }

    #[test]
    fn the_number_of_users_is_bounded() {
        let quota = quota(1, 60);
        for i in 0..200_000 {
            let _ = quota.take(&user(&i.to_string()), at(0));
        }
        let all: usize = quota.spent.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(all <= SHARDS * MOST, "{all}");
    }
}
