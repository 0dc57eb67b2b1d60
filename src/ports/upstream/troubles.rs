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
    names: BTreeMap<String, Astray>,
}

/// Why a name leads to no upstream.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Astray {
    #[error("cannot be resolved: {0}")]
    Unresolved(String),
    /// Requests would go round in a circle, until there is no connection left.
    #[error("{to} is airgate itself, which listens at {at}: give the address of Airflow")]
    Itself { to: String, at: String },
}

impl Troubles {
    /// Why an address did not answer when it was asked last.
    pub(super) fn of(&self, address: &SocketAddr) -> Option<Arc<str>> {
        self.known().addresses.get(address).cloned()
    }

    /// Names that led to no upstream when they were looked up last, each with the cause.
    pub(super) fn names(&self) -> Vec<(String, Arc<str>)> {
        self.known().names.iter().map(|(name, astray)| (name.clone(), astray.to_string().into())).collect()
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

    /// All names have been looked up, and these lead nowhere. Each change is logged once.
    pub(super) fn looked_up(&self, astray: BTreeMap<String, Astray>) {
        let before = std::mem::replace(&mut self.known().names, astray.clone());
        for (host, cause) in &astray {
            match (cause, before.get(host)) {
                (Astray::Unresolved(_), Some(Astray::Unresolved(_)))
                | (Astray::Itself { .. }, Some(Astray::Itself { .. })) => {}
                (Astray::Unresolved(_), Some(Astray::Itself { .. }) | None) => {
                    tracing::warn!(host, %cause, "cannot resolve an upstream");
                }
                (Astray::Itself { .. }, Some(Astray::Unresolved(_)) | None) => {
                    tracing::error!(host, %cause, "an upstream is airgate itself, and gets no requests");
                }
            }
        }
        for host in before.keys().filter(|host| !astray.contains_key(*host)) {
            tracing::info!(host, "an upstream is resolved again");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
