//! The chain of `[api] auth_backends`: each is asked in turn, the first success wins.

use std::sync::Arc;
use std::time::Duration;

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::{Attempt, Backend, Grant, Reason, Rejection, Verdict};

/// An ordered list of backends.
pub struct Chain {
    backends: Vec<Arc<dyn Backend>>,
}

/// The credential that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// What it is good for.
    pub grant: Arc<Grant>,
    /// Who accepted it: [`Backend::name`].
    pub backend: &'static str,
    /// Whether the verdict was recalled, not made anew.
    pub cached: bool,
    /// What the answer says in `WWW-Authenticate`, of [`Verdict::Mutual`].
    pub proof: Option<HeaderValue>,
}

/// Nobody accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, which decides the status.
    pub cause: Cause,
    /// One `WWW-Authenticate` header each. Filled for [`Cause::Unauthorized`] and
    /// [`Cause::Forbidden`] only: nobody is asked for other credentials while it is not known
    /// whether these are good.
    pub challenges: SmallVec<[HeaderValue; 4]>,
    /// Whether Airflow's `_token` cookie was judged and found bad, and is to be cleared.
    pub clear_cookie: bool,
}

/// Why nobody accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// 401, `Not authenticated` where there is no reason: nothing was presented that a backend takes
    /// for its own.
    Unauthorized(Option<Reason>),
    /// 403, as Airflow answers an invalid token, or by `deny_all`.
    Forbidden(Reason),
    /// 429: too many failures, try again after this time.
    Throttled(Duration),
    /// 503: at least one backend could not tell whether its credential is good.
    Unavailable {
        /// The shortest time after which a backend expects to know more.
        retry_after: Duration,
        /// Backend and what failed, for the log. Never sent to a client.
        outages: SmallVec<[(&'static str, Arc<str>); 1]>,
    },
}

/// What each backend said, for metrics and logs, in the order in which they were asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail(SmallVec<[(&'static str, Said); 4]>);

/// The kind of a [`Verdict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Accepted by a fresh look at the credential.
    Accepted,
    /// Accepted from a cache.
    Recalled,
    /// No credential of its own.
    NotMine,
    /// Its own, and bad.
    Rejected(Reason),
    /// Not looked at, after too many failures.
    Throttled,
    /// It could not tell.
    Unavailable,
}

impl Chain {
    /// A chain that asks in this order. An empty one accepts nobody.
    pub fn new(backends: Vec<Arc<dyn Backend>>) -> Self {
        Self { backends }
    }

    /// The backends in order, for health and status.
    pub fn backends(&self) -> &[Arc<dyn Backend>] {
        &self.backends
    }

    /// Asks each backend in turn. The order is strict: a cached verdict of a later backend never
    /// overtakes an earlier one, so that who a request is does not depend on what is cached.
    ///
    /// # Errors
    /// Nobody accepted. A backend that could not tell goes before everything (503), since its
    /// credential may be good; then a lock-out (429); then what was rejected decides. There the
    /// `Authorization` header goes before the cookie, and `deny_all` counts only where nothing
    /// else was said.
    pub async fn evaluate(&self, attempt: &Attempt<'_>, trail: &mut Trail) -> Result<Accepted, Refusal> {
        let mut heard = Heard::default();
        for backend in &self.backends {
            let name = backend.name();
            let (verdict, cached) = match backend.recall(attempt) {
                Some(verdict) => (verdict, true),
                None => (backend.authenticate(attempt).await, false),
            };
            let mut challenges = None;
            match verdict {
                Verdict::Accepted(grant) => {
                    trail.note(attempt, name, if cached { Said::Recalled } else { Said::Accepted });
                    return Ok(Accepted { grant, backend: name, cached, proof: None });
                }
                Verdict::Mutual(grant, proof) => {
                    trail.note(attempt, name, if cached { Said::Recalled } else { Said::Accepted });
                    return Ok(Accepted { grant, backend: name, cached, proof: Some(proof) });
                }
                Verdict::NotMine => trail.note(attempt, name, Said::NotMine),
                Verdict::Rejected(mut rejection) => {
                    trail.note(attempt, name, Said::Rejected(rejection.reason));
                    challenges = rejection.challenge.take();
                    heard.rejected(rejection);
                }
                Verdict::Throttled(wait) => {
                    trail.note(attempt, name, Said::Throttled);
                    heard.throttled = Some(heard.throttled.map_or(wait, |other| other.max(wait)));
                }
                Verdict::Unavailable(outage) => {
                    trail.note(attempt, name, Said::Unavailable);
                    let wait = outage.retry_after;
                    heard.retry_after = Some(heard.retry_after.map_or(wait, |other| other.min(wait)));
                    heard.outages.push((name, outage.cause));
                }
            }
            match challenges {
                Some(own) => own.into_iter().for_each(|challenge| heard.challenge(challenge)),
                None => {
                    backend.challenge().cloned().into_iter().for_each(|challenge| heard.challenge(challenge))
                }
            }
        }
        Err(heard.refusal(is_browser(&attempt.request.head.headers)))
    }
}

impl Trail {
    /// The backends asked and what each said, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Said)> + '_ {
        self.0.iter().copied()
    }

    fn note(&mut self, attempt: &Attempt<'_>, backend: &'static str, said: Said) {
        tracing::debug!(id = attempt.request.id.as_str(), backend, ?said, "a backend was asked");
        self.0.push((backend, said));
    }
}

impl FromIterator<(&'static str, Said)> for Trail {
    fn from_iter<I: IntoIterator<Item = (&'static str, Said)>>(said: I) -> Self {
        Self(said.into_iter().collect())
    }
}

/// Whether a browser's script or page sent the request: it says `Origin`, or
/// `X-Requested-With: XMLHttpRequest`. It gets no challenge that opens a log-in pop-up.
pub fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers
            .get_all("x-requested-with")
            .iter()
            .any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"XMLHttpRequest"))
}

/// Whether a browser answers this challenge by asking its user for a password. One value may hold
/// several challenges (RFC 9110, section 11.6.1); a comma inside a parameter counts too, which errs on
/// the silent side.
fn opens_popup(challenge: &HeaderValue) -> bool {
    const SCHEMES: [&[u8]; 4] = [b"basic", b"digest", b"negotiate", b"ntlm"];
    let scheme = |one: &[u8]| {
        let name = one.trim_ascii_start().split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
        SCHEMES.iter().any(|scheme| name.eq_ignore_ascii_case(scheme))
    };
    challenge.as_bytes().split(|&b| b == b',').any(scheme)
}

/// What was said so far, as long as nobody has accepted.
#[derive(Default)]
struct Heard {
    header: Option<Reason>,
    cookie: Option<Reason>,
    denied: bool,
    clear_cookie: bool,
    throttled: Option<Duration>,
    retry_after: Option<Duration>,
    outages: SmallVec<[(&'static str, Arc<str>); 1]>,
    challenges: SmallVec<[HeaderValue; 4]>,
}

impl Heard {
    /// The first rejection of each kind stays: backends that judge the same header judge it in the
    /// order of the configuration.
    fn rejected(&mut self, rejection: Rejection) {
        self.clear_cookie |= rejection.clear_cookie;
        match rejection.reason {
            Reason::Denied => self.denied = true,
            reason @ (Reason::TokenExpired
            | Reason::TokenInvalid(_)
            | Reason::WrongPassword
            | Reason::WrongClient
            | Reason::WrongAssertion(_)
            | Reason::TicketRefused(_)
            | Reason::Malformed(_)
            | Reason::Refused
            | Reason::Forbidden) => {
                let place = if rejection.clear_cookie { &mut self.cookie } else { &mut self.header };
                place.get_or_insert(reason);
            }
        }
    }

    fn challenge(&mut self, challenge: HeaderValue) {
        if !self.challenges.contains(&challenge) {
            self.challenges.push(challenge);
        }
    }

    fn refusal(mut self, browser: bool) -> Refusal {
        let denied = self.denied.then_some(Reason::Denied);
        let cause = if let Some(retry_after) = self.retry_after {
            Cause::Unavailable { retry_after, outages: self.outages }
        } else if let Some(wait) = self.throttled {
            Cause::Throttled(wait)
        } else {
            match self.header.or(self.cookie).or(denied) {
                None => Cause::Unauthorized(None),
                Some(reason @ (Reason::TokenInvalid(_) | Reason::Denied | Reason::Forbidden)) => {
                    Cause::Forbidden(reason)
                }
                Some(
                    reason @ (Reason::TokenExpired
                    | Reason::WrongPassword
                    | Reason::WrongClient
                    | Reason::WrongAssertion(_)
                    | Reason::TicketRefused(_)
                    | Reason::Malformed(_)
                    | Reason::Refused),
                ) => Cause::Unauthorized(Some(reason)),
            }
        };
        match cause {
            Cause::Unauthorized(_) | Cause::Forbidden(_) => {
                if browser {
                    self.challenges.retain(|challenge| !opens_popup(challenge));
                }
            }
            Cause::Throttled(_) | Cause::Unavailable { .. } => self.challenges.clear(),
        }
        Refusal { cause, challenges: self.challenges, clear_cookie: self.clear_cookie }
    }
}

#[cfg(test)]
mod tests;
