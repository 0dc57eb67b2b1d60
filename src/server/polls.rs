//! How long a thread that serves requests is kept from its next task: the longest poll.
//!
//! On each thread a task sleeps for a moment and looks how late it is woken. Timing each poll would tell more, and
//! cost on every request. What takes no longer than [`EVERY`] may go unseen.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How often a thread is looked at.
const EVERY: Duration = Duration::from_millis(20);
/// For how long the worst is remembered, at least; at most twice as long.
const REMEMBERED: Duration = Duration::from_secs(30);

/// The longest delay of late, of some threads.
#[derive(Debug)]
pub struct LongestPoll {
    since: Instant,
    /// The number of the period, and the longest within it, in microseconds; and those of the one before.
    now: AtomicU64,
    before: AtomicU64,
}

/// The period above, the microseconds below.
const MICROS: u64 = (1 << 32) - 1;

impl LongestPoll {
    /// Nothing was late so far.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { since: Instant::now(), now: AtomicU64::new(0), before: AtomicU64::new(0) })
    }

    /// Looks at every thread of a runtime. `threads` is how many there are: each is asked for often enough that
    /// none is left out.
    pub fn watch(self: &Arc<Self>, runtime: &pingora_runtime::Runtime, threads: usize) {
        thread_local! {
            static WATCHED: Cell<bool> = const { Cell::new(false) };
        }
        for _ in 0..threads.saturating_mul(24) {
            let this = self.clone();
            runtime.get_handle().spawn(async move {
                if !WATCHED.replace(true) {
                    this.look().await;
                }
            });
        }
    }

    async fn look(&self) {
        loop {
            let due = Instant::now() + EVERY;
            tokio::time::sleep_until(due).await;
            let now = Instant::now();
            self.note(now, now.saturating_duration_since(due));
        }
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() / REMEMBERED.as_secs()
    }

    fn note(&self, now: Instant, late: Duration) {
        let period = self.period(now);
        let micros = u64::try_from(late.as_micros()).unwrap_or(MICROS).min(MICROS);
        let seen = self.now.load(Ordering::Relaxed);
        if seen >> 32 < period
            && self.now.compare_exchange(seen, period << 32, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.before.store(seen, Ordering::Relaxed);
        }
        self.now.fetch_max((period << 32) | micros, Ordering::Relaxed);
    }

    /// The longest within the last 30 to 60 seconds.
    pub fn of_late(&self) -> Duration {
        let period = self.period(Instant::now());
        let recent = [&self.now, &self.before].map(|kept| kept.load(Ordering::Relaxed));
        let recent = recent.iter().filter(|kept| (*kept >> 32) + 1 >= period);
        Duration::from_micros(recent.map(|kept| kept & MICROS).max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_worst_of_late_counts_and_is_forgotten() {
        let longest = LongestPoll::new();
        let note = |millis| longest.note(Instant::now(), Duration::from_millis(millis));
        note(3);
        note(250);
        note(1);
        assert_eq!(longest.of_late(), Duration::from_millis(250));
        tokio::time::advance(REMEMBERED).await;
        note(2);
        assert_eq!(longest.of_late(), Duration::from_millis(250));
        tokio::time::advance(REMEMBERED).await;
        note(4);
        assert_eq!(longest.of_late(), Duration::from_millis(4));
        tokio::time::advance(REMEMBERED * 3).await;
        assert_eq!(longest.of_late(), Duration::ZERO);
    }

    #[test]
    fn a_thread_that_is_blocked_is_seen() {
        let longest = LongestPoll::new();
        let runtime = pingora_runtime::RuntimeBuilder::new(2, "test").work_steal(false).build();
        longest.watch(&runtime, 2);
        runtime.get_handle().spawn(async { std::thread::sleep(Duration::from_millis(300)) });
        let began = std::time::Instant::now();
        while longest.of_late() < Duration::from_millis(200) {
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", longest.of_late());
            std::thread::yield_now();
        }
        runtime.shutdown_timeout(Duration::from_millis(10));
    }
}
