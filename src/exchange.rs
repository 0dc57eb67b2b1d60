//! A request and what became of it: the one record that metrics, access log and audit log are
//! written from.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use crate::auth::chain::Said;
use crate::gate::decision::Outcome;
use crate::request::RequestId;

/// A finished request. Borrowed from the request's context once the answer has gone out, or the
/// client has.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// When the request's head had been read.
    pub began: SystemTime,
    /// The request's method, as the client wrote it.
    pub method: &'a Method,
    /// The request target, as the client wrote it. Only the path of it is ever logged.
    pub target: &'a [u8],
    /// The client's address. `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The request's id.
    pub id: &'a RequestId,
    /// The answer's status. `None` if the client left before there was one.
    pub status: Option<StatusCode>,
    /// What the gate noticed.
    pub outcome: &'a Outcome,
    /// From the request's head to the end of the answer.
    pub total: Duration,
    /// The part of `total` spent waiting for the upstream. `None` if it was not asked.
    pub upstream: Option<Duration>,
    /// Bytes of the answer's body that were sent.
    pub sent: u64,
}

impl Exchange<'_> {
    /// The time spent in airgate itself.
    pub fn own(&self) -> Duration {
        self.total.saturating_sub(self.upstream.unwrap_or_default())
    }

    /// Whether the credentials were not looked at, because of too many failures before.
    pub fn throttled(&self) -> bool {
        self.outcome.trail.iter().any(|(_, said)| said == Said::Throttled)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::auth::{Grant, Identity, Onward, Origin};
    use http::HeaderValue;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    /// An exchange that owns what it consists of.
    pub(crate) struct Sample {
        pub began: SystemTime,
        pub method: Method,
        pub target: Vec<u8>,
        pub peer: Option<IpAddr>,
        pub id: RequestId,
        pub status: Option<StatusCode>,
        pub outcome: Outcome,
        pub upstream: Option<Duration>,
    }

    impl Sample {
        /// A request for DAGs with a known token.
        pub(crate) fn accepted() -> Self {
            let mut sample = Self {
                began: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678),
                method: Method::GET,
                target: b"/api/v2/dags?limit=7".to_vec(),
                peer: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
                id: RequestId::from_client(&HeaderValue::from_static("id-1")).unwrap(),
                status: Some(StatusCode::OK),
                outcome: Outcome {
                    route: "/api/v2/*",
                    backend: Some("jwt"),
                    cached: true,
                    ..Outcome::default()
                },
                upstream: Some(Duration::from_micros(3_001)),
            };
            sample.grant(Origin::Airflow, "admin");
            sample
        }

        /// A request that nobody accepted.
        pub(crate) fn refused(status: u16, reason: &'static str, said: &[(&'static str, Said)]) -> Self {
            let mut sample = Self::accepted();
            sample.status = StatusCode::from_u16(status).ok();
            sample.upstream = None;
            sample.outcome = Outcome {
                route: "/api/v2/*",
                refused: Some(reason),
                trail: said.iter().copied().collect(),
                ..Outcome::default()
            };
            sample
        }

        pub(crate) fn grant(&mut self, origin: Origin, name: &str) {
            self.outcome.grant = Some(Arc::new(Grant {
                identity: Identity { origin, name: name.into() },
                ambient: false,
                expires: None,
                onward: Onward::Unchanged,
            }));
        }

        pub(crate) fn user(&mut self, name: &str) {
            self.grant(Origin::Airflow, name);
        }

        pub(crate) fn exchange(&self) -> Exchange<'_> {
            Exchange {
                began: self.began,
                method: &self.method,
                target: &self.target,
                peer: self.peer,
                id: &self.id,
                status: self.status,
                outcome: &self.outcome,
                total: Duration::from_micros(3_120),
                upstream: self.upstream,
                sent: 512,
            }
        }
    }

    /// A small generator of reproducible numbers (xorshift64).
    pub(crate) struct Random(pub u64);

    impl Random {
        pub(crate) fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % end as u64) as usize
        }
    }
}
