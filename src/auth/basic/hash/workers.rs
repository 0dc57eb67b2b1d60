//! Where password hashes are computed: on threads of their own, few and at low priority.

mod priority;

use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

/// Runs hash checks away from the request threads: at most half the cores compute at a time, at
/// least one, and only with time that no request wants, so that a flood of log-ins slows nobody who
/// has logged in.
pub struct HashWorkers {
    jobs: mpsc::Sender<Job>,
    counts: Arc<Counts>,
    threads: NonZeroUsize,
}

/// Too many checks are waiting, or the process is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many password checks are waiting")]
pub struct Busy;

/// What is being computed, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashLoad {
    /// Checks being computed.
    pub running: usize,
    /// Checks that wait for a thread.
    pub waiting: usize,
    /// Checks refused since the start, because too many were waiting.
    pub rejected: u64,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Counts {
    /// Checks that wait or compute.
    taken: AtomicUsize,
    running: AtomicUsize,
    rejected: AtomicU64,
}

impl HashWorkers {
    /// The most checks that wait for a thread.
    pub const QUEUE: usize = 64;

    /// Threads for a machine with so many cores. They end when this is dropped.
    pub fn new(cores: usize) -> Self {
        Self::start(cores, priority::lower)
    }

    fn start(cores: usize, lower: fn() -> io::Result<()>) -> Self {
        let threads = NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN);
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let counts = Arc::<Counts>::default();
        for _ in 0..threads.get() {
            let (waiting, counts) = (Arc::clone(&waiting), Arc::clone(&counts));
            // Without any thread the queue has no other end, and every check is refused.
            let work = move || work(&waiting, &counts, lower);
            let started = thread::Builder::new().name("hash".into()).spawn(work);
            if let Err(error) = started {
                tracing::error!(%error, "a thread for password checks cannot be started");
            }
        }
        Self { jobs, counts, threads }
    }

    /// Runs a job when a thread is free. The thread stays taken until the job has ended, even when
    /// nobody waits for it any more; a job that nobody waits for is not begun.
    ///
    /// # Errors
    /// The queue is full, or the job panicked.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Place::take(&self.counts, Self::QUEUE + self.threads.get())?;
        let (tell, answer) = oneshot::channel();
        let job = move || {
            if !tell.is_closed() {
                let answer = job();
                drop(place);
                // Whoever asked may have left.
                let _ = tell.send(answer);
            }
        };
        self.jobs.send(Box::new(job)).map_err(|_| Busy)?;
        answer.await.map_err(|_| Busy)
    }

    /// What is being computed.
    pub fn load(&self) -> HashLoad {
        let running = self.counts.running.load(Ordering::Relaxed);
        HashLoad {
            running,
            waiting: self.counts.taken.load(Ordering::Relaxed).saturating_sub(running),
            rejected: self.counts.rejected.load(Ordering::Relaxed),
        }
    }
}

/// A thread's life.
fn work(waiting: &Mutex<mpsc::Receiver<Job>>, counts: &Counts, lower: fn() -> io::Result<()>) {
    if let Err(error) = lower() {
        tracing::warn!(%error, "password checks run at the priority of requests");
    }
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        counts.running.fetch_add(1, Ordering::Relaxed);
        // Whoever waits hears of a panic by the dropped sender.
        let _ = catch_unwind(AssertUnwindSafe(job));
        counts.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place in the queue, free again when dropped.
struct Place(Arc<Counts>);

impl Place {
    fn take(counts: &Arc<Counts>, most: usize) -> Result<Self, Busy> {
        let place = Self(Arc::clone(counts));
        if counts.taken.fetch_add(1, Ordering::Relaxed) < most {
            Ok(place)
        } else {
            counts.rejected.fetch_add(1, Ordering::Relaxed);
            Err(Busy)
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
