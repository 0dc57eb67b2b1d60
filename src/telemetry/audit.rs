//! The audit log: what happened to credentials. Lines of JSON of their own target, beside the
//! application log, which no level but their own switches off.

use crate::auth::chain::{Said, Trail};
use crate::auth::{Origin, Reason};
use crate::exchange::{Exchange, Fault};
use crate::telemetry::redact;

/// The target of the audit log's lines: `[log] level = "info,airgate::audit=off"` silences them.
pub const TARGET: &str = "airgate::audit";

/// An authentication event. At most one comes from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A token endpoint accepted a log-in and issued a token.
    TokenIssued,
    /// A password was checked anew, and is good. The uses that follow, from the cache, are no
    /// events.
    LoginAccepted,
    /// Credentials were presented and are bad.
    Rejected,
    /// Credentials were not looked at, after too many failures.
    LockedOut,
    /// The credentials are good, and the request was refused all the same.
    Denied,
}

impl Event {
    /// The event in a finished request, if there is one.
    ///
    /// A rejection counts only if the request was refused: a browser that sends a stale cookie
    /// beside a good token is no event.
    pub fn of(exchange: &Exchange<'_>) -> Option<Self> {
        let outcome = exchange.outcome;
        if outcome.issued.is_some() {
            return Some(Self::TokenIssued);
        }
        match exchange.fault() {
            Some(Fault::Bad) => return Some(Self::Rejected),
            Some(Fault::LockedOut) => return Some(Self::LockedOut),
            None => {}
        }
        let grant = outcome.grant.as_ref()?;
        match (outcome.refused, &grant.identity.origin) {
            (Some("cross_site" | "unknown_to_airflow"), _) => Some(Self::Denied),
            (
                _,
                Origin::Upstream
                | Origin::File
                | Origin::Database(_)
                | Origin::Ldap
                | Origin::Keycloak
                | Origin::Kerberos,
            ) if !outcome.cached => Some(Self::LoginAccepted),
            (
                _,
                Origin::Upstream
                | Origin::File
                | Origin::Database(_)
                | Origin::Ldap
                | Origin::Keycloak
                | Origin::Kerberos,
            ) => None,
            (_, Origin::Airflow | Origin::Unverified | Origin::Anonymous | Origin::Issuer(_)) => None,
            // Asked with every request, unless cached: the access log has each.
            (_, Origin::Callout(_) | Origin::Custom(_)) => None,
        }
    }

    /// The name, in the field `event`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenIssued => "token_issued",
            Self::LoginAccepted => "login_accepted",
            Self::Rejected => "rejected",
            Self::LockedOut => "locked_out",
            Self::Denied => "denied",
        }
    }
}

/// Writes the event in a finished request, if there is one: at `info` what succeeded, at `warn`
/// what did not. The fields are those of the access log, so that both join by `id`; `detail` says
/// what is wrong with a token or a header, or what lacks a user whom Airflow does not know.
pub fn write(exchange: &Exchange<'_>) {
    let Some(event) = Event::of(exchange) else { return };
    let name = event.name();
    let outcome = exchange.outcome;
    let id = exchange.id.as_str();
    let peer = exchange.peer.address.map(tracing::field::display);
    let user = outcome.grant.as_ref().map(|grant| {
        let identity = &grant.identity;
        format!("{}:{}", identity.origin.as_str(), redact::text(&identity.name, 256))
    });
    let user = user.as_deref();
    let claimed = outcome.claimed.as_deref().map(|name| redact::text(name, 256));
    let claimed = claimed.as_deref();
    let (backend, detail) = match (outcome.backend, blame(&outcome.trail)) {
        (Some(backend), _) => (Some(backend), outcome.lacking),
        (None, Some((backend, detail))) => (Some(backend), detail),
        (None, None) => (None, outcome.lacking),
    };
    let route = outcome.route;
    let refused = outcome.refused;
    match event {
        Event::TokenIssued | Event::LoginAccepted => {
            tracing::info!(target: TARGET, event = name, id, peer, user, backend, route);
        }
        Event::Rejected | Event::LockedOut | Event::Denied => {
            tracing::warn!(target: TARGET, event = name, id, peer, user, claimed, backend, route, refused, detail);
        }
    }
}

/// The backend that did not like the credentials, and what it did not like, where that is known.
fn blame(trail: &Trail) -> Option<(&'static str, Option<&'static str>)> {
    trail.iter().find_map(|(backend, said)| match said {
        Said::Rejected(
            Reason::TokenInvalid(detail)
            | Reason::TicketRefused(detail)
            | Reason::WrongAssertion(detail)
            | Reason::Malformed(detail),
        ) => Some((backend, Some(detail))),
        Said::Rejected(
            Reason::TokenExpired
            | Reason::WrongPassword
            | Reason::WrongClient
            | Reason::Refused
            | Reason::Forbidden,
        )
        | Said::Throttled => Some((backend, None)),
        Said::Rejected(Reason::Denied)
        | Said::Accepted
        | Said::Recalled
        | Said::NotMine
        | Said::Unavailable => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::Sample;
    use crate::gate::decision::Outcome;

    const WRONG: Said = Said::Rejected(Reason::WrongPassword);

    fn password() -> Sample {
        let mut sample = Sample::accepted();
        sample.grant(Origin::Upstream, "admin");
        sample.outcome.cached = false;
        sample
    }

    fn with(mut sample: Sample, change: impl FnOnce(&mut Outcome)) -> Sample {
        change(&mut sample.outcome);
        sample
    }

    #[test]
    fn events() {
        let stale = [("session", Said::Rejected(Reason::TokenExpired)), ("jwt", Said::Accepted)];
        let rows = [
            ("a token, from the cache", Sample::accepted(), None),
            (
                "a stale cookie beside a good token",
                with(Sample::accepted(), |o| o.trail = stale.into_iter().collect()),
                None,
            ),
            ("a password, checked", password(), Some(Event::LoginAccepted)),
            (
                "a password, checked, and Airflow down",
                with(password(), |o| o.refused = Some("upstream_down")),
                Some(Event::LoginAccepted),
            ),
            ("a password, from the cache", with(password(), |o| o.cached = true), None),
            (
                "a token issued",
                with(password(), |o| o.issued = Some("/auth/token")),
                Some(Event::TokenIssued),
            ),
            ("a foreign page", with(password(), |o| o.refused = Some("cross_site")), Some(Event::Denied)),
            (
                "a user that Airflow does not know",
                with(Sample::accepted(), |o| o.refused = Some("unknown_to_airflow")),
                Some(Event::Denied),
            ),
            ("no credential", Sample::refused(401, "no_credential", &[("jwt", Said::NotMine)]), None),
            (
                "deny_all",
                Sample::refused(403, "denied", &[("deny_all", Said::Rejected(Reason::Denied))]),
                None,
            ),
            ("not authentication at all", Sample::refused(404, "no_route", &[]), None),
            (
                "a wrong password",
                Sample::refused(401, "wrong_password", &[("basic_auth", WRONG)]),
                Some(Event::Rejected),
            ),
            (
                "a wrong password at a token endpoint",
                Sample::refused(401, "wrong_password", &[]),
                Some(Event::Rejected),
            ),
            (
                "too many failures",
                Sample::refused(429, "locked_out", &[("basic_auth", Said::Throttled)]),
                Some(Event::LockedOut),
            ),
        ];
        for (name, sample, expected) in rows {
            assert_eq!(Event::of(&sample.exchange()), expected, "{name}");
        }
    }

    #[test]
    fn the_backend_to_blame() {
        let bad = Said::Rejected(Reason::TokenInvalid("bad signature"));
        type Row<'a> = (&'a str, &'a [(&'static str, Said)], Option<(&'a str, Option<&'a str>)>);
        let rows: [Row<'_>; 4] = [
            ("nobody", &[("jwt", Said::NotMine)], None),
            ("a token", &[("session", Said::NotMine), ("jwt", bad)], Some(("jwt", Some("bad signature")))),
            ("a password", &[("jwt", Said::NotMine), ("basic_auth", WRONG)], Some(("basic_auth", None))),
            ("not deny_all", &[("deny_all", Said::Rejected(Reason::Denied))], None),
        ];
        for (name, said, expected) in rows {
            assert_eq!(blame(&said.iter().copied().collect()), expected, "{name}");
        }
    }
}
