//! Whether Airflow takes what is signed here. Else a wrong `[api_auth] jwt_secret` shows in nothing but the answers
//! that clients get.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use super::{SignError, Signer};
use crate::auth::Health;
use crate::ports::HttpClient;
use crate::ports::upstream::Upstreams;

/// Asks Airflow with a token that ended long ago, so that it opens nothing wherever it may get to.
///
/// Airflow looks at the signature first: of a token whose key it knows it says that it has expired, of another that it
/// is invalid, and looks no further. So neither a user nor a right plays a part, nor do issuer, audience and clocks.
/// Asked at the start, when keys or upstream have changed, when an address of the upstream has come back, and once a
/// minute while it refuses.
pub struct KeyTrial {
    token: HeaderValue,
    upstreams: Arc<Upstreams>,
    found: Mutex<Option<Found>>,
}

/// What Airflow has said.
#[derive(Clone, Copy)]
struct Found {
    refuses: bool,
    at: Instant,
    /// How often an address of the upstream had come back by then.
    returns: u64,
}

/// How often one looks whether there is something to ask.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often Airflow is asked while it refuses.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// A route that takes an identity. Nothing of it is looked at.
const ROUTE: &str = "/api/v2/importErrors?limit=1";
/// What is told while Airflow refuses.
const CAUSE: &str = "Airflow refuses what is signed here (403 Invalid JWT token): [api_auth] jwt_secret or \
                     jwt_private_key_path, jwt_algorithm or jwt_kid is not as in Airflow";

impl KeyTrial {
    /// Of the key that signs here, before this upstream. It has not asked yet: see [`KeyTrial::follow`].
    ///
    /// # Errors
    /// The key failed.
    pub fn new(signer: &Signer, upstreams: Arc<Upstreams>) -> Result<Self, SignError> {
        let token = format!("Bearer {}", signer.expired()?.expose());
        let mut token = HeaderValue::try_from(token).map_err(|error| SignError::Key(error.to_string()))?;
        token.set_sensitive(true);
        Ok(Self { token, upstreams, found: Mutex::default() })
    }

    /// Whether it is of the same key and the same upstream. Of keys that sign differently each time it never is.
    pub fn is_like(&self, other: &Self) -> bool {
        self.token == other.token && Arc::ptr_eq(&self.upstreams, &other.upstreams)
    }

    /// `Down` while Airflow refuses what is signed here.
    pub fn health(&self) -> Health {
        match self.found() {
            Some(Found { refuses: true, .. }) => Health::Down(CAUSE.into()),
            Some(Found { refuses: false, .. }) | None => Health::Up,
        }
    }

    /// Asks whenever there is reason to, until nobody uses it any more.
    pub async fn follow(trial: Weak<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(this) = trial.upgrade() else { return };
            let returns = this.upstreams.returns();
            if this.found().is_none_or(|found| found.is_old(returns, Instant::now())) {
                this.ask(returns).await;
            }
        }
    }

    async fn ask(&self, returns: u64) {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = Uri::from_static(ROUTE);
        request.headers_mut().insert(AUTHORIZATION, self.token.clone());
        let Ok(answer) = self.upstreams.send(request).await else { return };
        let Some(refuses) = refuses(&answer) else { return };
        let found = Found { refuses, at: Instant::now(), returns };
        let before = self.found.lock().unwrap_or_else(PoisonError::into_inner).replace(found);
        if refuses {
            tracing::warn!("{CAUSE}");
        } else if before.is_some_and(|before| before.refuses) {
            tracing::info!("Airflow takes what is signed here");
        }
    }

    fn found(&self) -> Option<Found> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn is_old(&self, returns: u64, now: Instant) -> bool {
        self.returns != returns || (self.refuses && now.saturating_duration_since(self.at) >= ASK_EVERY)
    }
}

/// Whether an answer says that the signature is not good. `None` if it says nothing of that kind.
fn refuses(answer: &Response<Bytes>) -> Option<bool> {
    #[derive(Deserialize)]
    struct Told {
        detail: String,
    }
    if answer.status().is_server_error() {
        return None;
    }
    let told = serde_json::from_slice::<Told>(answer.body()).ok();
    Some(
        answer.status() == StatusCode::FORBIDDEN
            && told.is_some_and(|told| told.detail == "Invalid JWT token"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_of_the_signature() {
        for (name, status, body, expected) in [
            ("it is good", 401, r#"{"detail":"Token Expired"}"#, Some(false)),
            ("it is not", 403, r#"{"detail":"Invalid JWT token"}"#, Some(true)),
            ("a right is lacking", 403, r#"{"detail":"Forbidden"}"#, Some(false)),
            ("not Airflow's", 403, "<html>", Some(false)),
            ("anything is let in", 200, "{}", Some(false)),
            ("it is ill", 503, r#"{"detail":"Invalid JWT token"}"#, None),
        ] {
            let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            assert_eq!(refuses(&answer), expected, "{name}");
        }
    }

    #[test]
    fn when_it_is_asked_again() {
        let at = Instant::now();
        for (name, refuses, returns, after, expected) in [
            ("it takes it", false, 3, 1_000_000, false),
            ("an address has come back", false, 4, 0, true),
            ("it refuses", true, 3, 59, false),
            ("it refuses, a minute ago", true, 3, 60, true),
        ] {
            let found = Found { refuses, at, returns: 3 };
            assert_eq!(found.is_old(returns, at + Duration::from_secs(after)), expected, "{name}");
        }
    }
}
