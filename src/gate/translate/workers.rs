//! Where large bodies are read and written: not on the threads that serve requests.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::fault::Fault;
use crate::gate::reply::Problem;

/// Largest body that is read or written where its request is served. That takes a fraction of a millisecond; a change
/// of threads would take no less.
const SMALL: usize = 64 << 10;

/// Threads for large bodies.
#[derive(Clone)]
pub struct Workers {
    runtime: Handle,
    permits: Arc<Semaphore>,
}

impl Workers {
    /// At most so many at a time, on blocking threads of a runtime.
    pub fn new(runtime: Handle, most: NonZeroUsize) -> Self {
        Self { runtime, permits: Arc::new(Semaphore::new(most.get())) }
    }

    /// Does work on so many bytes: here if they are few.
    ///
    /// # Errors
    /// It panicked, or the runtime is being shut down.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        if bytes <= SMALL {
            return Ok(work());
        }
        let failed = |cause: String| Fault::Problem(Problem::Internal, Some(cause));
        let permit = self.permits.clone().acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let work = move || {
            let done = work();
            drop(permit);
            done
        };
        self.runtime.spawn_blocking(work).await.map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn large_work_is_done_elsewhere_and_not_all_at_once() {
        let workers = Workers::new(Handle::current(), NonZeroUsize::new(2).unwrap());
        let here = std::thread::current().id();
        let whose = || std::thread::current().id();
        assert_eq!(workers.run(SMALL, whose).await.unwrap(), here);
        assert_ne!(workers.run(SMALL + 1, whose).await.unwrap(), here);

        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let all = (0..16).map(|_| {
            let (workers, running, most) = (workers.clone(), running.clone(), most.clone());
            tokio::spawn(async move {
                let work = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                };
                workers.run(usize::MAX, work).await.is_ok()
            })
        });
        for one in all.collect::<Vec<_>>() {
            assert!(one.await.unwrap());
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert!(
            workers
                .run(usize::MAX, || panic!("no"))
                .await
                .is_err_and(|fault| matches!(fault, Fault::Problem(Problem::Internal, _)))
        );
        assert_eq!(workers.permits.available_permits(), 2, "a panic gives its turn back");
    }
}
