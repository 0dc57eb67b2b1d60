//! Requests for the tests of the backends.

use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{HeaderName, HeaderValue};

use super::credentials::Credentials;
use super::{Attempt, Scope};
use crate::request::{Peer, Request, RequestId};

/// A moment from which the tests count.
pub fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// One request; on the experimental API without any credential, if nothing else is said.
pub struct Case {
    head: Parts,
    peer: Peer,
    now: SystemTime,
    scope: Scope,
}

impl Default for Case {
    fn default() -> Self {
        let (head, ()) = http::Request::new(()).into_parts();
        let address = Some([192, 0, 2, 1].into());
        let peer = Peer { address, connection: address, tls: false, trusted: false };
        Self { head, peer, now: epoch(), scope: Scope::Experimental }
    }
}

impl Case {
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.head.headers.append(HeaderName::from_static(name), value);
        self
    }

    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        self.peer.address = Some(address.parse().unwrap());
        self
    }

    pub fn after(mut self, time: Duration) -> Self {
        self.now = epoch() + time;
        self
    }

    pub async fn run<T>(&self, test: impl AsyncFnOnce(Attempt<'_>) -> T) -> T {
        let id = RequestId::random();
        let request = Request { head: &self.head, target: b"/", peer: &self.peer, now: self.now, id: &id };
        let credentials = Credentials::read(&self.head.headers).unwrap();
        test(Attempt { request: &request, credentials, target: "/api/v2/pools?limit=5", scope: self.scope })
            .await
    }
}
