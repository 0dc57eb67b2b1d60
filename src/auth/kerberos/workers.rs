//! Blocking calls, away from the request threads: a few at a time, and few that wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Runs calls that read files and wait for locks.
pub struct Workers {
    threads: Arc<Semaphore>,
    places: Semaphore,
    runtime: Handle,
}

/// Why a call was not made, or not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Too many calls wait.
    #[error("too many Kerberos tokens are waiting")]
    Full,
    /// It takes too long: a file system or a lock does not answer.
    #[error("accepting a Kerberos token takes too long")]
    Slow,
    /// The call panicked, or the process is leaving.
    #[error("a Kerberos token could not be looked at")]
    Gone,
}

impl Workers {
    /// Calls at a time. They mostly wait for files.
    const THREADS: usize = 4;
    /// Calls at a time and calls that wait, together.
    const PLACES: usize = 256;
    /// The longest wait for a call, its turn included.
    const LIMIT: Duration = Duration::from_secs(10);

    /// Workers on the blocking threads of `runtime`.
    pub fn new(runtime: Handle) -> Self {
        let (threads, places) = (Arc::new(Semaphore::new(Self::THREADS)), Semaphore::new(Self::PLACES));
        Self { threads, places, runtime }
    }

    /// Runs a call when it is its turn. It keeps its turn until it has ended, even when nobody waits for
    /// it any more.
    ///
    /// # Errors
    /// It was not made, or has not ended in time.
    pub async fn run<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _place = self.places.try_acquire().map_err(|_| Busy::Full)?;
        let threads = Arc::clone(&self.threads);
        let turn = async {
            let thread = threads.acquire_owned().await.map_err(|_| Busy::Gone)?;
            let call = self.runtime.spawn_blocking(move || {
                let answer = call();
                drop(thread);
                answer
            });
            call.await.map_err(|_| Busy::Gone)
        };
        timeout(Self::LIMIT, turn).await.map_err(|_| Busy::Slow)?
    }
}
