//! Which Airflow each address says that it is.
//!
//! Both answer that without a credential: 3 at `/api/v2/version`, 2 at `/api/v1/version`, and each with 404 at the
//! other's. So do their health routes, so that the check which runs anyway notices when another Airflow answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pingora::protocols::l4::socket::SocketAddr;

use super::client::Client;
use super::discovery::Template;
use crate::ports::SendError;

/// The major version of an Airflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Major {
    /// 2.x.
    Two,
    /// 3.x.
    Three,
}

impl Major {
    /// Airflow's own health, which it tells without a credential.
    pub(super) fn health_route(self) -> &'static str {
        match self {
            Self::Two => "/api/v1/health",
            Self::Three => "/api/v2/monitor/health",
        }
    }

    /// Reads what a version route answers.
    fn read(answer: &[u8]) -> Option<Self> {
        let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
        match answer.get("version")?.as_str()?.split('.').next()? {
            "2" => Some(Self::Two),
            "3" => Some(Self::Three),
            _ => None,
        }
    }
}

/// What each address said, and what the requests are treated for.
#[derive(Default)]
pub(super) struct Releases(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// `None` for an address that answers, but does not say.
    said: HashMap<SocketAddr, Option<Major>>,
    in_force: Option<Major>,
}

impl Releases {
    /// What an address said last, since it has been answering.
    pub(super) fn of(&self, address: &SocketAddr) -> Option<Major> {
        self.known().said.get(address).copied().flatten()
    }

    /// Whether an address was asked, and did not say.
    pub(super) fn is_silent(&self, address: &SocketAddr) -> bool {
        self.known().said.get(address) == Some(&None)
    }

    /// Takes note of what an address says.
    pub(super) fn note(&self, address: &SocketAddr, said: Option<Major>) {
        self.known().said.insert(address.clone(), said);
    }

    /// An address does not answer: who answers next may be another Airflow.
    pub(super) fn forget(&self, address: &SocketAddr) {
        self.known().said.remove(address);
    }

    /// Forgets the addresses that are not these any more.
    pub(super) fn keep(&self, is_known: impl Fn(&SocketAddr) -> bool) {
        self.known().said.retain(|address, _| is_known(address));
    }

    /// Says what requests are treated for from now on.
    pub(super) fn serve(&self, major: Option<Major>) {
        self.known().in_force = major;
    }

    /// Whether requests are treated for this one.
    pub(super) fn serves(&self, major: Major) -> bool {
        self.known().in_force == Some(major)
    }

    /// Whether requests may go to an address: not while it says that it is another Airflow than the one in force.
    pub(super) fn fits(&self, address: &SocketAddr) -> bool {
        let known = self.known();
        match (known.said.get(address).copied().flatten(), known.in_force) {
            (Some(said), Some(in_force)) => said == in_force,
            (Some(_) | None, None) | (None, Some(_)) => true,
        }
    }

    /// What all of these addresses say that say anything. `None` while they differ.
    pub(super) fn agreed<'a>(&self, addresses: impl Iterator<Item = &'a SocketAddr>) -> Option<Major> {
        let known = self.known();
        let mut said = addresses.filter_map(|address| known.said.get(address).copied().flatten());
        let first = said.next()?;
        said.all(|other| other == first).then_some(first)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks an address which Airflow it is, below the base path where that is what it needs. `None` where it does not say.
///
/// # Errors
/// It does not answer.
pub(super) async fn ask(
    client: &Arc<Client>,
    template: &Arc<Template>,
    base: &str,
) -> Result<Option<Major>, SendError> {
    for route in ["/api/v2/version", "/api/v1/version"] {
        let answer = client.get(template, base, route).await?;
        if answer.status().is_success()
            && let Some(major) = Major::read(answer.body())
        {
            return Ok(Some(major));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_airflow_says_of_itself() {
        for (answer, expected) in [
            (r#"{"version":"3.3.2","git_version":null}"#, Some(Major::Three)),
            (r#"{"git_version": ".release:abc", "version": "2.11.2"}"#, Some(Major::Two)),
            (r#"{"version":"3"}"#, Some(Major::Three)),
            (r#"{"version":"30.1"}"#, None),
            (r#"{"version":3}"#, None),
            (r#"{"detail":"Not Found"}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(Major::read(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn an_address_gets_requests_that_are_meant_for_it() {
        let (one, other) = (address("127.0.0.1:1"), address("127.0.0.1:2"));
        let releases = Releases::default();
        let agreed = || releases.agreed([&one, &other].into_iter());
        assert_eq!((agreed(), releases.fits(&one)), (None, true), "nobody said anything");
        releases.note(&one, Some(Major::Two));
        assert_eq!((agreed(), releases.fits(&one)), (Some(Major::Two), true), "nothing is in force");
        releases.serve(Some(Major::Two));
        releases.note(&other, None);
        assert_eq!((agreed(), releases.fits(&other)), (Some(Major::Two), true), "one does not say");
        releases.note(&other, Some(Major::Three));
        assert_eq!(
            (agreed(), releases.fits(&one), releases.fits(&other)),
            (None, true, false),
            "they differ"
        );
        releases.forget(&one);
        assert_eq!((agreed(), releases.fits(&one)), (Some(Major::Three), true), "one is gone");
        assert_eq!((releases.of(&one), releases.of(&other)), (None, Some(Major::Three)));
    }

    #[test]
    fn an_address_that_is_dropped_is_forgotten() {
        let (one, other) = (address("127.0.0.1:1"), address("127.0.0.1:2"));
        let releases = Releases::default();
        releases.note(&one, Some(Major::Two));
        releases.note(&other, Some(Major::Three));
        releases.keep(|known| *known == other);
        assert_eq!((releases.of(&one), releases.of(&other)), (None, Some(Major::Three)));
        assert_eq!(releases.known().said.len(), 1);
    }
}
