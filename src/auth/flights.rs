//! One question for all who ask the same at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// The questions under way, bounded, by what they ask. Nothing is remembered: whoever asks after the answer
/// asks anew.
pub struct Flights<K, V> {
    under_way: Mutex<HashMap<K, Answer<V>>>,
    most: usize,
}

/// Where the answer will be; none until the flight has landed.
type Answer<V> = watch::Receiver<Option<V>>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Grounded {
    /// As many are under way as there may be: each holds memory until it is answered.
    #[error("too many questions at a time")]
    Full,
    /// It was given up: the task panicked, or its runtime is shutting down.
    #[error("the question was given up")]
    Aborted,
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// None under way, and at most so many at a time.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { under_way: Mutex::default(), most })
    }

    /// The answer of the question that is under way, else of the one that `begin` starts. `begin` may also
    /// know the answer already; it is called only where no question is under way, and under the lock. The
    /// question runs on `runtime`, so it goes on when those who wait give up. What is to be remembered is
    /// remembered by the question itself, so that nobody asks again in between.
    ///
    /// # Errors
    /// See [`Grounded`].
    pub async fn share<F>(
        self: &Arc<Self>,
        key: K,
        runtime: &Handle,
        begin: impl FnOnce() -> Result<F, V>,
    ) -> Result<V, Grounded>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answer = match self.board(key, runtime, begin)? {
            Ok(answer) => answer,
            Err(known) => return Ok(known),
        };
        let answered = answer.wait_for(Option::is_some).await.map_err(|_| Grounded::Aborted)?;
        answered.clone().ok_or(Grounded::Aborted)
    }

    fn board<F>(
        self: &Arc<Self>,
        key: K,
        runtime: &Handle,
        begin: impl FnOnce() -> Result<F, V>,
    ) -> Result<Result<Answer<V>, V>, Grounded>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way();
        if let Some(answer) = under_way.get(&key) {
            return Ok(Ok(answer.clone()));
        }
        if under_way.len() >= self.most {
            return Err(Grounded::Full);
        }
        let question = match begin() {
            Ok(question) => question,
            Err(known) => return Ok(Err(known)),
        };
        let (tell, answer) = watch::channel(None);
        under_way.insert(key.clone(), answer.clone());
        drop(under_way);
        let place = Place { flights: Arc::clone(self), key };
        // Not under the lock: a runtime that is shutting down drops the task right here.
        runtime.spawn(async move {
            let answered = question.await;
            // Off the list before anybody hears: who asks after the answer asks anew, so that each guess that
            // is made after another counts as one.
            drop(place);
            tell.send_replace(Some(answered));
        });
        Ok(Ok(answer))
    }
}

impl<K, V> Flights<K, V> {
    /// How many are under way.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.under_way().len()
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<K, Answer<V>>> {
        // The map is whole after every single step, so a panic elsewhere leaves nothing broken.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question's place on the list, which it leaves however it ends.
struct Place<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Place<K, V> {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.key);
    }
}
