//! How many log-ins of one network are looked at together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lockout::Network;

/// The looks under way, by network.
///
/// What checks passwords has a queue for all, of 64 places where it is shortest. Made-up names are not locked out:
/// without this, whoever sent a hundred of them at a time would keep everybody else out.
#[derive(Default)]
pub struct Crowd(Mutex<HashMap<Network, Arc<Semaphore>>>);

impl Crowd {
    /// The most looks that one network has under way: half of the shortest queue.
    pub const INSIDE: usize = 32;
    /// How long one waits for those of its network that were there before.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(10);
    /// From so many networks on, those with nothing under way are forgotten.
    const MANY: usize = 1024;

    /// Waits for a place among those of the network. `None` if none becomes free in time.
    pub async fn enter(&self, network: Network) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if networks.len() >= Self::MANY {
                networks.retain(|_, places| Arc::strong_count(places) > 1);
            }
            let places = networks.entry(network).or_insert_with(|| Arc::new(Semaphore::new(Self::INSIDE)));
            Arc::clone(places)
        };
        tokio::time::timeout(Self::LONGEST_WAIT, places.acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn networks_with_nothing_under_way_are_forgotten() {
        let crowd = Crowd::default();
        let network = |n: usize| Network::V4([1, (n >> 8) as u8, n as u8]);
        let kept = crowd.enter(network(0)).await;
        for n in 1..3 * Crowd::MANY {
            assert!(crowd.enter(network(n)).await.is_some(), "{n}");
        }
        let networks = crowd.0.lock().unwrap();
        assert!(networks.len() <= Crowd::MANY && networks.contains_key(&network(0)), "{}", networks.len());
        drop(kept);
    }
}
