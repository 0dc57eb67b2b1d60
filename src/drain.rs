//! Leaving without dropping a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The requests whose head has been read and whose answer is not out, and whether we are leaving.
#[derive(Default)]
pub struct Drain {
    requests: AtomicUsize,
    empty: Notify,
    leaving: AtomicBool,
}

/// One request; counted until it is dropped.
pub struct Guard(Arc<Drain>);

impl Drain {
    /// Counts a request.
    pub fn enter(self: &Arc<Self>) -> Guard {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Guard(self.clone())
    }

    /// How many there are.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    /// From now on `/readyz` says no.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether we are leaving.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Until no request is left.
    pub async fn drained(&self) {
        loop {
            let emptied = self.empty.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.requests() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}
