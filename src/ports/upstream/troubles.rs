//! What is wrong with addresses that do not answer, or not as an Airflow does, and with names that have none: in
//! words, for whoever runs it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pingora::protocols::l4::socket::SocketAddr;

/// The causes as they are now. Bounded by what is configured and what the resolver answers.
#[derive(Default)]
pub(super) struct Troubles {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    addresses: HashMap<SocketAddr, Arc<str>>,
    doubts: HashMap<SocketAddr, Arc<str>>,
    names: BTreeMap<String, Arc<str>>,
}

impl Troubles {
    /// Why an address did not answer when it was asked last.
    pub(super) fn of(&self, address: &SocketAddr) -> Option<Arc<str>> {
        self.known().addresses.get(address).cloned()
    }

    /// Names that could not be resolved when they were looked up last, each with the cause.
    pub(super) fn names(&self) -> Vec<(String, Arc<str>)> {
        self.known().names.clone().into_iter().collect()
    }

    /// An address does not answer: what was doubted of it does not count any more.
    pub(super) fn note(&self, address: &SocketAddr, cause: String) {
        let mut known = self.known();
        known.doubts.remove(address);
        known.addresses.insert(address.clone(), cause.into());
    }

    /// An address answers.
    pub(super) fn forget(&self, address: &SocketAddr) {
        self.known().addresses.remove(address);
    }

    /// Why an address that answers may be no Airflow.
    pub(super) fn doubt(&self, address: &SocketAddr) -> Option<Arc<str>> {
        self.known().doubts.get(address).cloned()
    }

    /// An address answers, and may be no Airflow; `None`: it is one, as far as is known. Each change is logged once.
    pub(super) fn note_doubt(&self, address: &SocketAddr, cause: Option<String>) {
        match cause.map(Arc::<str>::from) {
            Some(cause) => {
                let before = self.known().doubts.insert(address.clone(), cause.clone());
                if before.is_none_or(|before| before != cause) {
                    tracing::warn!(upstream = %address, %cause, "upstream is degraded");
                }
            }
            None => {
                if self.known().doubts.remove(address).is_some() {
                    tracing::info!(upstream = %address, "upstream is not degraded any more");
                }
            }
        }
    }

    /// Forgets the addresses that are not these any more.
    pub(super) fn keep(&self, is_known: impl Fn(&SocketAddr) -> bool) {
        let mut known = self.known();
        known.addresses.retain(|address, _| is_known(address));
        known.doubts.retain(|address, _| is_known(address));
    }

    /// All names have been looked up, and these were not found. Each change is logged once.
    pub(super) fn looked_up(&self, unresolved: BTreeMap<String, Arc<str>>) {
        let before = std::mem::replace(&mut self.known().names, unresolved.clone());
        for (host, cause) in unresolved.iter().filter(|(host, _)| !before.contains_key(*host)) {
            tracing::warn!(host, %cause, "cannot resolve an upstream");
        }
        for host in before.keys().filter(|host| !unresolved.contains_key(*host)) {
            tracing::info!(host, "an upstream is resolved again");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
