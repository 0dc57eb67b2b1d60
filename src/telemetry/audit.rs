//! The audit log: what happened to credentials. Lines of JSON of their own target, beside the
//! application log, which no level but their own switches off.

use crate::auth::chain::Said;
use crate::auth::{Origin, Reason};
use crate::exchange::Exchange;
use crate::telemetry::redact;

/// The target of the audit log's lines: `[log] level = "info,airgate::audit=off"` silences them.
pub const TARGET: &str = "airgate::audit";

/// An authentication event. At most one comes from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A token endpoint accepted a log-in and issued a token.
    TokenIssued {
        /// The grant, such as `password`.
        grant: &'static str,
    },
    /// A password was checked anew, and is good. The uses that follow, from the cache, are no
    /// events.
    LoginAccepted,
    /// Credentials were presented and are bad.
    Rejected {
        /// The backend that says so.
        backend: &'static str,
        /// Its reason.
        reason: &'static str,
        /// What is wrong with a token or a header, where it is known.
        detail: Option<&'static str>,
    },
    /// Credentials were not looked at, after too many failures.
    LockedOut {
        /// The backend that says so.
        backend: &'static str,
    },
    /// The credentials are good, and the request was refused all the same.
    Denied {
        /// Why, as in the access log.
        reason: &'static str,
    },
}

impl Event {
    /// The event in a finished request, if there is one.
    ///
    /// A rejection counts only if the request was refused: a browser that sends a stale cookie
    /// beside a good token is no event.
    pub fn of(exchange: &Exchange<'_>) -> Option<Self> {
        let outcome = exchange.outcome;
        if let Some(grant) = outcome.issued {
            return Some(Self::TokenIssued { grant });
        }
        if let Some(grant) = &outcome.grant {
            if let Some(reason) = outcome.refused {
                return Some(Self::Denied { reason });
            }
            return match grant.identity.origin {
                Origin::Upstream | Origin::File if !outcome.cached => Some(Self::LoginAccepted),
                Origin::Upstream | Origin::File => None,
                Origin::Airflow | Origin::Unverified | Origin::Anonymous | Origin::Issuer(_) => None,
            };
        }
        outcome.refused?;
        let locked = outcome.trail.iter().find(|(_, said)| *said == Said::Throttled);
        if let Some((backend, _)) = locked {
            return Some(Self::LockedOut { backend });
        }
        outcome.trail.iter().find_map(|(backend, said)| match said {
            Said::Rejected(reason) => {
                let (reason, detail) = words(reason)?;
                Some(Self::Rejected { backend, reason, detail })
            }
            Said::Accepted | Said::Recalled | Said::NotMine | Said::Throttled | Said::Unavailable => None,
        })
    }

    /// The name, in the field `event`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TokenIssued { .. } => "token_issued",
            Self::LoginAccepted => "login_accepted",
            Self::Rejected { .. } => "rejected",
            Self::LockedOut { .. } => "locked_out",
            Self::Denied { .. } => "denied",
        }
    }

    fn backend(&self) -> Option<&'static str> {
        match *self {
            Self::Rejected { backend, .. } | Self::LockedOut { backend } => Some(backend),
            Self::TokenIssued { .. } | Self::LoginAccepted | Self::Denied { .. } => None,
        }
    }

    fn reason(&self) -> Option<&'static str> {
        match *self {
            Self::Rejected { reason, .. } | Self::Denied { reason } => Some(reason),
            Self::TokenIssued { .. } | Self::LoginAccepted | Self::LockedOut { .. } => None,
        }
    }
}

/// Writes the event in a finished request, if there is one: at `info` what succeeded, at `warn`
/// what did not. The fields are those of the access log, so that both join by `id`.
pub fn log(exchange: &Exchange<'_>) {
    let Some(event) = Event::of(exchange) else { return };
    let name = event.name();
    let id = exchange.id.as_str();
    let peer = exchange.peer.map(tracing::field::display);
    let user = exchange.outcome.grant.as_ref().map(|grant| {
        let identity = &grant.identity;
        format!("{}:{}", identity.origin.as_str(), redact::text(&identity.name, 256))
    });
    let user = user.as_deref();
    let backend = exchange.outcome.backend.or(event.backend());
    let route = exchange.outcome.route;
    match event {
        Event::TokenIssued { grant } => {
            tracing::info!(target: TARGET, event = name, id, peer, user, backend, route, grant);
        }
        Event::LoginAccepted => {
            tracing::info!(target: TARGET, event = name, id, peer, user, backend, route);
        }
        Event::Rejected { detail, .. } => {
            let reason = event.reason();
            tracing::warn!(target: TARGET, event = name, id, peer, user, backend, route, reason, detail);
        }
        Event::LockedOut { .. } | Event::Denied { .. } => {
            let reason = event.reason();
            tracing::warn!(target: TARGET, event = name, id, peer, user, backend, route, reason);
        }
    }
}

/// `deny_all` judges no credential: its refusals are no events.
fn words(reason: Reason) -> Option<(&'static str, Option<&'static str>)> {
    match reason {
        Reason::TokenExpired => Some(("token_expired", None)),
        Reason::TokenInvalid(detail) => Some(("token_invalid", Some(detail))),
        Reason::WrongPassword => Some(("wrong_password", None)),
        Reason::Malformed(detail) => Some(("malformed_credential", Some(detail))),
        Reason::Denied => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::Sample;

    #[test]
    fn events() {
        let password = |cached| {
            let mut sample = Sample::accepted();
            sample.grant(Origin::Upstream, "admin");
            sample.outcome.cached = cached;
            sample
        };
        let issued = {
            let mut sample = password(false);
            sample.outcome.issued = Some("password");
            sample
        };
        let cross_site = {
            let mut sample = password(false);
            sample.outcome.refused = Some("cross_site");
            sample
        };
        let stale_cookie = {
            let mut sample = Sample::accepted();
            sample.outcome.trail =
                [("session", Said::Rejected(Reason::TokenExpired)), ("jwt", Said::Accepted)]
                    .into_iter()
                    .collect();
            sample
        };
        let wrong = ("basic_auth", Said::Rejected(Reason::WrongPassword));
        let rows = [
            ("a token, from the cache", Sample::accepted(), None),
            ("a stale cookie beside a good token", stale_cookie, None),
            ("a password, checked", password(false), Some(Event::LoginAccepted)),
            ("a password, from the cache", password(true), None),
            ("a token issued", issued, Some(Event::TokenIssued { grant: "password" })),
            ("a foreign page", cross_site, Some(Event::Denied { reason: "cross_site" })),
            ("no credential", Sample::refused(401, "no_credential", &[("jwt", Said::NotMine)]), None),
            (
                "deny_all",
                Sample::refused(403, "denied", &[("deny_all", Said::Rejected(Reason::Denied))]),
                None,
            ),
            ("not authentication at all", Sample::refused(404, "no_route", &[]), None),
            (
                "a wrong password",
                Sample::refused(401, "wrong_password", &[("jwt", Said::NotMine), wrong]),
                Some(Event::Rejected { backend: "basic_auth", reason: "wrong_password", detail: None }),
            ),
            (
                "a bad token",
                Sample::refused(
                    403,
                    "token_invalid",
                    &[("jwt", Said::Rejected(Reason::TokenInvalid("bad signature")))],
                ),
                Some(Event::Rejected {
                    backend: "jwt",
                    reason: "token_invalid",
                    detail: Some("bad signature"),
                }),
            ),
            (
                "too many failures",
                Sample::refused(429, "locked_out", &[wrong, ("basic_auth", Said::Throttled)]),
                Some(Event::LockedOut { backend: "basic_auth" }),
            ),
        ];
        for (name, sample, expected) in rows {
            assert_eq!(Event::of(&sample.exchange()), expected, "{name}");
        }
    }
}
