//! What the status page shows of the last minutes: how counters moved, and the last refusals.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, SystemTime};

use crate::exchange::Exchange;
use crate::telemetry::redact;

/// How often the counters are read.
pub const EVERY: Duration = Duration::from_secs(5);
/// How many readings are kept: a quarter of an hour.
pub const READINGS: usize = 180;
/// How many refusals are kept.
const REFUSALS: usize = 50;
/// Most bytes of the cause of one.
const CAUSE: usize = 200;

/// The last minutes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    readings: Mutex<VecDeque<Reading>>,
    refusals: Mutex<VecDeque<Refusal>>,
}

/// What the counters say at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When.
    pub at: SystemTime,
    /// Finished requests.
    pub requests: u64,
    /// Those answered with 4xx.
    pub client_errors: u64,
    /// Those answered with 5xx.
    pub server_errors: u64,
    /// Those that airgate itself refused.
    pub refused: u64,
    /// Time within airgate.
    pub own: Times,
    /// Time of the upstream.
    pub upstream: Times,
}

/// How long things took: for each bound in seconds, how many took at most so long; and how many in all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times {
    /// Bounds and counts, both rising.
    pub buckets: Vec<(f64, u64)>,
    /// All.
    pub count: u64,
}

/// A request that was refused. Nothing in it was written by the client, but for the id that it may give, and what of
/// its words a cause may quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When its head had been read.
    pub at: SystemTime,
    /// The request's id, by which the logs know more.
    pub id: String,
    /// Who sent it.
    pub peer: Option<IpAddr>,
    /// The route's template.
    pub route: &'static str,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// The label of the reason.
    pub reason: &'static str,
    /// What the log says besides, if anything, cut off where it is long.
    pub cause: Option<String>,
}

impl Recent {
    /// Adds a reading; the oldest goes.
    pub(super) fn read(&self, reading: Reading) {
        let mut readings = whole(&self.readings);
        if readings.len() >= READINGS {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    /// Notes a refusal; the oldest goes. Under a flood some are left out, so that no request waits.
    pub(super) fn refused(&self, exchange: &Exchange<'_>, reason: &'static str) {
        let mut refusals = match self.refusals.try_lock() {
            Ok(refusals) => refusals,
            Err(TryLockError::Poisoned(broken)) => broken.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if refusals.len() >= REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back(Refusal {
            at: exchange.at,
            id: exchange.id.as_str().to_owned(),
            peer: exchange.peer.address,
            route: exchange.outcome.route,
            status: exchange.status.map(|status| status.as_u16()),
            reason,
            cause: exchange.outcome.cause.as_deref().map(|cause| redact::text(cause, CAUSE).into_owned()),
        });
    }

    /// All readings, oldest first.
    pub(super) fn readings(&self) -> Vec<Reading> {
        whole(&self.readings).iter().cloned().collect()
    }

    /// All refusals, newest first.
    pub(super) fn refusals(&self) -> Vec<Refusal> {
        whole(&self.refusals).iter().rev().cloned().collect()
    }
}

/// Each list is whole after every single step.
fn whole<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Times {
    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let buckets = self.buckets.iter().enumerate().map(|(i, (bound, count))| {
            let before = earlier.buckets.get(i).map_or(0, |(_, count)| *count);
            (*bound, count.saturating_sub(before))
        });
        Self { buckets: buckets.collect(), count: self.count.saturating_sub(earlier.count) }
    }

    /// The time that this share of all took at most, in seconds, by Prometheus' reckoning: as if the times
    /// within a bucket were spread evenly. `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let wanted = share * self.count as f64;
        let (mut below, mut count_below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let count = *count as f64;
            if count >= wanted {
                let within = count - count_below;
                let part = if within > 0.0 { (wanted - count_below) / within } else { 1.0 };
                return Some(below + (bound - below) * part);
            }
            (below, count_below) = (*bound, count);
        }
        Some(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::Sample;

    #[test]
    fn quantiles() {
        let times = |counts: [u64; 3], count| Times {
            buckets: [0.1, 0.2, 0.4].into_iter().zip(counts).collect(),
            count,
        };
        type Row = (&'static str, Times, f64, Option<f64>);
        let rows: [Row; 4] = [
            ("none", times([0, 0, 0], 0), 0.5, None),
            ("evenly", times([10, 10, 10], 10), 0.5, Some(0.05)),
            ("in the second", times([5, 10, 10], 10), 0.75, Some(0.15)),
            ("beyond all bounds", times([0, 0, 5], 10), 0.99, Some(0.4)),
        ];
        for (name, times, share, expected) in rows {
            let found = times.quantile(share);
            let close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
                (found, expected) => found == expected,
            };
            assert!(close, "{name}: {found:?}");
        }
        let since = times([5, 10, 10], 12).since(&times([1, 2, 2], 4));
        assert_eq!(since, times([4, 8, 8], 8));
    }

    #[test]
    fn old_ones_make_room() {
        let recent = Recent::default();
        for number in 0..200_u64 {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
            let mut sample = Sample::refused(401, "no_credential", &[]);
            sample.at = at;
            sample.outcome.cause = Some(format!("\n{}", "é".repeat(number as usize)));
            recent.refused(&sample.exchange(), "no_credential");
            recent.read(Reading {
                at,
                requests: number,
                client_errors: 0,
                server_errors: 0,
                refused: 0,
                own: Times::default(),
                upstream: Times::default(),
            });
        }
        let (readings, refusals) = (recent.readings(), recent.refusals());
        assert_eq!((readings.len(), refusals.len()), (READINGS, REFUSALS));
        assert_eq!((readings[0].requests, readings[READINGS - 1].requests), (20, 199));
        assert_eq!(refusals[0].at, SystemTime::UNIX_EPOCH + Duration::from_secs(199), "newest first");
        assert_eq!(refusals[0].status, Some(401));
        let cause = refusals[0].cause.as_deref().unwrap();
        assert!(cause.starts_with("\u{fffd}é") && cause.ends_with("é…") && cause.len() < 210, "{cause}");
    }
}
