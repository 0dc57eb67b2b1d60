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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::mpsc;

    /// The calls run elsewhere, so that the time of the test can pass while they wait.
    fn elsewhere() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
    }

    #[test]
    fn calls_that_hang_hold_up_no_more_than_their_own_threads() {
        let (runtime, here) = (elsewhere(), paused());
        let workers = Workers::new(runtime.handle().clone());
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        here.block_on(async {
            let hang = || {
                let wait = wait.clone();
                workers.run(move || wait.lock().unwrap().recv().is_ok())
            };
            let all = join_all((0..Workers::PLACES).map(|_| hang()));
            // All of them wait, and one more finds no place.
            let more = async {
                tokio::time::sleep(Workers::LIMIT / 2).await;
                workers.run(|| ()).await
            };
            let (all, more) = tokio::join!(all, more);
            assert_eq!(more, Err(Busy::Full));
            assert!(all.iter().all(|answer| *answer == Err(Busy::Slow)));
            // Their places are free again, their threads are not.
            assert_eq!(workers.run(|| ()).await, Err(Busy::Slow));
        });
        drop(release);
        // In real time: the calls end, and others have their turn.
        assert_eq!(elsewhere().block_on(workers.run(|| 7)), Ok(7));
    }

    #[test]
    fn a_call_that_panics_is_gone() {
        let runtime = elsewhere();
        let workers = Workers::new(runtime.handle().clone());
        let panics = || -> u8 { panic!("on purpose") };
        for _ in 0..Workers::THREADS + 1 {
            assert_eq!(elsewhere().block_on(workers.run(panics)), Err(Busy::Gone));
        }
    }

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }
}
