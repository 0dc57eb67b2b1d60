//! The backend `session`: the cookie `_token` that Airflow 3's pages set.

pub mod flask;

use std::sync::Arc;

use async_trait::async_trait;

use super::credentials::Authorization;
use super::jwt::{Refusal, Token, TokenCache, Verifier, unverified};
use super::{Attempt, Backend, Grant, Health, Identity, Onward, Origin, Reason, Rejection, Scope, Verdict};

/// The backend `session`, in front of Airflow 3.
///
/// The cookie holds one of Airflow's own tokens, and is judged as one; all cookies then pass unchanged, and
/// Airflow itself refreshes or clears them. A `Bearer` token beside it wins, as in Airflow: a credential
/// that was given on purpose is never replaced by one that a browser sends by itself. An empty cookie is
/// none.
pub struct Session {
    verifier: Option<Arc<Verifier>>,
    cache: Arc<TokenCache>,
    unverified: Arc<Grant>,
}

impl Session {
    /// The name of the cookie (`COOKIE_NAME_JWT_TOKEN`).
    pub const COOKIE: &'static str = "_token";

    /// Remembers verified cookies here: those of before a reload, where the keys and rules are the same.
    #[must_use]
    pub fn remembering(self, cache: Arc<TokenCache>) -> Self {
        Self { cache, ..self }
    }

    /// Makes the backend. Without any key of Airflow's the cookie is passed on for the upstream to judge.
    pub fn new(verifier: Option<Arc<Verifier>>) -> Self {
        Self { verifier, cache: Arc::default(), unverified: Arc::new(unverified(true, Onward::Cookies)) }
    }
}

#[async_trait]
impl Backend for Session {
    fn name(&self) -> &'static str {
        "session"
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        let Some(bytes) = cookie(attempt) else { return Some(Verdict::NotMine) };
        self.cache.get(bytes, attempt.request.now).map(Verdict::Accepted)
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let Some(bytes) = cookie(attempt) else { return Verdict::NotMine };
        let Some(verifier) = &self.verifier else {
            // Nobody here can tell a stale cookie from a good one: it must not keep a password from being
            // looked at.
            return match attempt.credentials.authorization {
                Authorization::Absent | Authorization::Other => {
                    Verdict::Accepted(Arc::clone(&self.unverified))
                }
                Authorization::Basic(_) | Authorization::Negotiate(_) | Authorization::Bearer(_) => {
                    Verdict::NotMine
                }
            };
        };
        let token = match Token::parse(bytes) {
            Ok(token) => token,
            Err(why) => return rejected(Reason::TokenInvalid(why)),
        };
        let verified = match verifier.judge(&token, attempt.request.now).await {
            Ok(verified) => verified,
            Err(Refusal::Bad(reason)) => return rejected(reason),
            Err(Refusal::Unknown(outage)) => return Verdict::Unavailable(outage),
        };
        let grant = Arc::new(Grant {
            identity: Identity { origin: Origin::Airflow, name: Arc::clone(&verified.name) },
            ambient: true,
            expires: verified.expires,
            onward: Onward::Cookies,
        });
        self.cache.insert(bytes, verifier, &verified, &grant);
        Verdict::Accepted(grant)
    }

    fn health(&self) -> Health {
        self.verifier.as_ref().map_or(Health::Up, |verifier| verifier.health())
    }
}

fn cookie<'a>(attempt: &Attempt<'a>) -> Option<&'a [u8]> {
    match attempt.scope {
        // A cookie is never exchanged for a token.
        Scope::Token => return None,
        Scope::Api | Scope::Experimental => {}
    }
    match attempt.credentials.authorization {
        Authorization::Bearer(_) => None,
        Authorization::Absent
        | Authorization::Basic(_)
        | Authorization::Negotiate(_)
        | Authorization::Other => {
            attempt.credentials.cookie(Session::COOKIE).filter(|value| !value.is_empty())
        }
    }
}

fn rejected(reason: Reason) -> Verdict {
    Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: true })
}
