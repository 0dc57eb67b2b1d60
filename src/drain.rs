//! Leaving without dropping a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// How long connections of HTTP/2 have to send what has been answered, and to hear from their clients that no request
/// is on its way. A stop ends within a second of the last answer, whatever has become of a client.
const LAST_FRAMES: Duration = Duration::from_millis(800);

/// The requests whose head has been read and whose answer is not out, and whether we are leaving.
#[derive(Default)]
pub struct Drain {
    requests: Arc<Count>,
    /// Of HTTP/2 an answer is out when its connection has sent it, after its request has ended.
    http2: Arc<Count>,
    leaving: AtomicBool,
}

/// One request, or one connection; counted until it is dropped.
pub struct Guard(Arc<Count>);

#[derive(Default)]
struct Count {
    number: AtomicUsize,
    empty: Notify,
}

impl Drain {
    /// Counts a request.
    pub fn enter(&self) -> Guard {
        self.requests.enter()
    }

    /// Counts a connection of HTTP/2.
    pub fn enter_http2(&self) -> Guard {
        self.http2.enter()
    }

    /// How many requests there are.
    pub fn requests(&self) -> usize {
        self.requests.number.load(Ordering::Acquire)
    }

    /// From now on `/readyz` says no.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether we are leaving.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Until every answer is out: no request is left, nor one that a connection of HTTP/2 brought last.
    pub async fn drained(&self) {
        self.requests.emptied().await;
        // Either way nothing more can be done for them.
        let _ = timeout(LAST_FRAMES, self.http2.emptied()).await;
        self.requests.emptied().await;
    }
}

impl Count {
    fn enter(self: &Arc<Self>) -> Guard {
        self.number.fetch_add(1, Ordering::AcqRel);
        Guard(self.clone())
    }

    async fn emptied(&self) {
        loop {
            let emptied = self.empty.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.number.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.number.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}
