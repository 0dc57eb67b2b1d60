//! A request and what became of it: the one record that metrics, access log and audit log are
//! written from.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use crate::gate::decision::Outcome;
use crate::request::{Peer, RequestId};

/// A finished request. Borrowed from the request's context once the answer has gone out, or the
/// client has.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// When the request's head had been read.
    pub at: SystemTime,
    /// The request's id.
    pub id: &'a RequestId,
    /// Who sent it.
    pub peer: &'a Peer,
    /// The request's method, as the client wrote it.
    pub method: &'a Method,
    /// The request target, as the client wrote it. Only the path of it is ever logged.
    pub target: &'a [u8],
    /// The answer's status. `None` if the client left before there was one.
    pub status: Option<StatusCode>,
    /// From the request's head to the end of the answer.
    pub total: Duration,
    /// From the request to the upstream to the end of the answer, the client's pace included.
    /// `None` if the upstream was not asked.
    pub upstream: Option<Duration>,
    /// From the request to the upstream to the head of its answer. `None` if none came.
    pub first_byte: Option<Duration>,
    /// Bytes of the answer's body that were sent.
    pub bytes_sent: usize,
    /// What the gate noticed.
    pub outcome: &'a Outcome,
}

/// What was wrong with the credentials of a refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They are bad.
    Bad,
    /// They were not looked at, after too many failures.
    LockedOut,
}

impl Exchange<'_> {
    /// What was wrong with the credentials, if that is why the request was refused. None where
    /// there were none, and where `deny_all` refuses whatever they are.
    pub fn fault(&self) -> Option<Fault> {
        // The labels of `Problem::Refused`; a test holds them to it. A token endpoint looks at
        // passwords without the chain, so the trail does not tell.
        match self.outcome.refused? {
            "token_expired"
            | "token_invalid"
            | "wrong_password"
            | "wrong_client"
            | "wrong_assertion"
            | "ticket_refused"
            | "malformed_credential"
            | "refused"
            | "forbidden" => Some(Fault::Bad),
            "locked_out" => Some(Fault::LockedOut),
            _ => None,
        }
    }

    /// The time spent in airgate itself.
    pub fn own_time(&self) -> Duration {
        self.total.saturating_sub(self.upstream.unwrap_or_default())
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::auth::chain::Said;
    use crate::auth::{Grant, Identity, Onward, Origin};
    use http::HeaderValue;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    /// An exchange that owns what it consists of.
    pub(crate) struct Sample {
        pub at: SystemTime,
        pub method: Method,
        pub target: Vec<u8>,
        pub peer: Peer,
        pub id: RequestId,
        pub status: Option<StatusCode>,
        pub outcome: Outcome,
        pub upstream: Option<Duration>,
        pub first_byte: Option<Duration>,
    }

    impl Sample {
        /// A request for DAGs with a known token.
        pub(crate) fn accepted() -> Self {
            let mut sample = Self {
                at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678),
                method: Method::GET,
                target: b"/api/v2/dags?limit=7".to_vec(),
                peer: Peer {
                    address: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
                    connection: Some(Ipv4Addr::LOCALHOST.into()),
                    tls: false,
                    trusted: true,
                },
                id: RequestId::from_client(&HeaderValue::from_static("id-1")).unwrap(),
                status: Some(StatusCode::OK),
                outcome: Outcome {
                    route: "/api/v2/*",
                    backend: Some("jwt"),
                    cached: true,
                    ..Outcome::default()
                },
                upstream: Some(Duration::from_micros(3_001)),
                first_byte: Some(Duration::from_micros(2_900)),
            };
            sample.grant(Origin::Airflow, "admin");
            sample
        }

        /// A request that nobody accepted.
        pub(crate) fn refused(status: u16, reason: &'static str, said: &[(&'static str, Said)]) -> Self {
            let mut sample = Self::accepted();
            sample.status = StatusCode::from_u16(status).ok();
            (sample.upstream, sample.first_byte) = (None, None);
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
                at: self.at,
                id: &self.id,
                peer: &self.peer,
                method: &self.method,
                target: &self.target,
                status: self.status,
                total: Duration::from_micros(3_120),
                upstream: self.upstream,
                first_byte: self.first_byte,
                bytes_sent: 512,
                outcome: &self.outcome,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Reason;
    use crate::auth::chain::{Cause, Refusal};
    use crate::gate::reply::Problem;

    #[test]
    fn faults() {
        let wait = Duration::from_secs(1);
        for (name, cause, expected) in [
            ("none presented", Cause::Unauthorized(None), None),
            ("expired", Cause::Unauthorized(Some(Reason::TokenExpired)), Some(Fault::Bad)),
            ("invalid", Cause::Forbidden(Reason::TokenInvalid("x")), Some(Fault::Bad)),
            ("password", Cause::Unauthorized(Some(Reason::WrongPassword)), Some(Fault::Bad)),
            ("client", Cause::Forbidden(Reason::WrongClient), Some(Fault::Bad)),
            ("assertion", Cause::Forbidden(Reason::WrongAssertion("x")), Some(Fault::Bad)),
            ("ticket", Cause::Unauthorized(Some(Reason::TicketRefused("x"))), Some(Fault::Bad)),
            ("malformed", Cause::Unauthorized(Some(Reason::Malformed("x"))), Some(Fault::Bad)),
            ("by a backend of one's own", Cause::Unauthorized(Some(Reason::Refused)), Some(Fault::Bad)),
            ("known to one, and not let in", Cause::Forbidden(Reason::Forbidden), Some(Fault::Bad)),
            ("deny_all", Cause::Forbidden(Reason::Denied), None),
            ("locked out", Cause::Throttled(wait), Some(Fault::LockedOut)),
            (
                "cannot tell",
                Cause::Unavailable { retry_after: wait, outages: smallvec::SmallVec::new() },
                None,
            ),
        ] {
            let refusal = Refusal { cause, challenges: smallvec::SmallVec::new(), clear_cookie: false };
            let sample = testing::Sample::refused(401, Problem::Refused(refusal.into()).label(), &[]);
            assert_eq!(sample.exchange().fault(), expected, "{name}");
        }
    }

    #[test]
    fn times() {
        let mut sample = testing::Sample::accepted();
        let check = |name: &str, sample: &testing::Sample, own: u64| {
            assert_eq!(sample.exchange().own_time(), Duration::from_micros(own), "{name}");
        };
        check("answered", &sample, 119);
        sample.first_byte = None;
        check("given up", &sample, 119);
        sample.upstream = Some(Duration::from_secs(9));
        check("clocks that do not fit", &sample, 0);
        sample.upstream = None;
        check("not asked", &sample, 3_120);
    }
}
