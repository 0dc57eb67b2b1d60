//! Whether Airflow takes what is signed here. Else a wrong `[api_auth] jwt_secret` shows in nothing but the answers
//! that clients get.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{SignError, Signer};
use crate::auth::Health;
use crate::ports::upstream::Upstreams;

/// Asks Airflow with a token that ended long ago, so that it opens nothing wherever it may get to.
///
/// Airflow looks at the signature first: of a token whose key it knows it says that it has expired, of another that it
/// is invalid, and looks no further. So neither a user nor a right plays a part, nor do issuer, audience and clocks.
/// Any other answer says nothing of the key: it may come from something in between. Each address that gets requests is
/// asked for itself, since each may have another key: at the start, when keys or upstream have changed, when an address
/// has come back, and once a minute while it refuses or says nothing of the key.
pub struct KeyTrial {
    token: HeaderValue,
    upstreams: Arc<Upstreams>,
    /// Of the addresses that are known.
    found: Mutex<BTreeMap<String, Found>>,
}

/// What an address has said.
#[derive(Clone, Copy)]
struct Found {
    /// Whether it refused when it last said anything of the key.
    refuses: bool,
    /// Whether its last answer said anything of the key.
    said: bool,
    at: Instant,
    /// How often an address of the upstream had come back by then.
    returns: u64,
}

/// How often one looks whether there is something to ask.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often an address is asked while it refuses, or says nothing of the key.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// A route that takes an identity. Nothing of it is looked at.
const ROUTE: &str = "/api/v2/importErrors?limit=1";

/// What is told while these addresses refuse.
fn cause(addresses: &[&str]) -> String {
    format!(
        "Airflow refuses what is signed here (403 Invalid JWT token from {}): [api_auth] jwt_secret or \
         jwt_private_key_path, jwt_algorithm or jwt_kid is not as in Airflow",
        addresses.join(", ")
    )
}

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

    /// `Down` while any address refuses what is signed here.
    pub fn health(&self) -> Health {
        let found = self.found();
        let refusing: Vec<_> =
            found.iter().filter(|(_, found)| found.refuses).map(|(address, _)| address.as_str()).collect();
        if refusing.is_empty() { Health::Up } else { Health::Down(cause(&refusing).into()) }
    }

    /// Asks whenever there is reason to, until nobody uses it any more.
    pub async fn follow(trial: Weak<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(this) = trial.upgrade() else { return };
            this.look().await;
        }
    }

    /// Asks each address that there is reason to ask, all at once.
    async fn look(&self) {
        let returns = self.upstreams.returns();
        let mut asked = JoinSet::new();
        for address in due(&mut self.found(), &self.upstreams.addresses(), returns, Instant::now()) {
            let mut request = Request::new(Bytes::new());
            *request.uri_mut() = Uri::from_static(ROUTE);
            request.headers_mut().insert(AUTHORIZATION, self.token.clone());
            let upstreams = self.upstreams.clone();
            asked.spawn(async move {
                let answer = upstreams.send_to(&address, request).await;
                (address, answer.ok().as_ref().and_then(refuses))
            });
        }
        while let Some(Ok((address, told))) = asked.join_next().await {
            self.note(address, told, returns);
        }
    }

    fn note(&self, address: String, told: Option<bool>, returns: u64) {
        let refused = self.found().get(&address).is_some_and(|before| before.refuses);
        let refuses = told.unwrap_or(refused);
        let found = Found { refuses, said: told.is_some(), at: Instant::now(), returns };
        self.found().insert(address.clone(), found);
        match (refused, refuses) {
            (false, true) => tracing::warn!("{}", cause(&[&address])),
            (true, false) => tracing::info!(upstream = address, "Airflow takes what is signed here"),
            (true, true) | (false, false) => {}
        }
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<String, Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn is_old(&self, returns: u64, now: Instant) -> bool {
        let is_settled = self.said && !self.refuses;
        self.returns != returns || (!is_settled && now.saturating_duration_since(self.at) >= ASK_EVERY)
    }
}

/// Those of the addresses that are to be asked. What others said that are not known any more is forgotten.
fn due(
    found: &mut BTreeMap<String, Found>,
    known: &[(String, bool)],
    returns: u64,
    now: Instant,
) -> Vec<String> {
    found.retain(|address, _| known.iter().any(|(known, _)| known == address));
    let is_due = |address| found.get(address).is_none_or(|found| found.is_old(returns, now));
    known.iter().filter(|(address, good)| *good && is_due(address)).map(|(name, _)| name.clone()).collect()
}

/// Whether an answer says that the signature is not good. `None` if it says nothing of that kind.
fn refuses(answer: &Response<Bytes>) -> Option<bool> {
    #[derive(Deserialize)]
    struct Told {
        detail: String,
    }
    let told: Told = serde_json::from_slice(answer.body()).ok()?;
    match (answer.status().as_u16(), told.detail.as_str()) {
        (401, "Token Expired") => Some(false),
        (403, "Invalid JWT token") => Some(true),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_of_the_signature() {
        for (name, status, body, expected) in [
            ("it is good", 401, r#"{"detail":"Token Expired"}"#, Some(false)),
            ("it is not", 403, r#"{"detail":"Invalid JWT token"}"#, Some(true)),
            ("a right is lacking", 403, r#"{"detail":"Forbidden"}"#, None),
            ("nobody is known", 401, r#"{"detail":"Not authenticated"}"#, None),
            ("good with another status", 403, r#"{"detail":"Token Expired"}"#, None),
            ("bad with another status", 401, r#"{"detail":"Invalid JWT token"}"#, None),
            ("a detail of another kind", 401, r#"{"detail":["Token Expired"]}"#, None),
            ("not Airflow's", 403, "<html>", None),
            ("no such route", 404, r#"{"detail":"Not Found"}"#, None),
            ("too many", 429, "", None),
            ("anything is let in", 200, "{}", None),
            ("it is ill", 503, r#"{"detail":"Invalid JWT token"}"#, None),
        ] {
            let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
            *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
            assert_eq!(refuses(&answer), expected, "{name}");
        }
    }

    #[test]
    fn when_it_is_asked_again() {
        let at = Instant::now();
        for (name, refuses, said, returns, after, expected) in [
            ("it takes it", false, true, 3, 1_000_000, false),
            ("an address has come back", false, true, 4, 0, true),
            ("it refuses", true, true, 3, 59, false),
            ("it refuses, a minute ago", true, true, 3, 60, true),
            ("it said nothing", false, false, 3, 59, false),
            ("it said nothing, a minute ago", false, false, 3, 60, true),
            ("it refused, then said nothing, a minute ago", true, false, 3, 60, true),
        ] {
            let found = Found { refuses, said, at, returns: 3 };
            assert_eq!(found.is_old(returns, at + Duration::from_secs(after)), expected, "{name}");
        }
    }

    #[test]
    fn each_address_is_asked_for_itself() {
        let now = Instant::now();
        let takes = Found { refuses: false, said: true, at: now, returns: 0 };
        let mut found = BTreeMap::from(["settled", "gone"].map(|address| (address.to_owned(), takes)));
        let known = [("settled", true), ("new", true), ("ill", false)];
        let known = known.map(|(address, good)| (address.to_owned(), good));
        assert_eq!(due(&mut found, &known, 0, now), ["new"]);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["settled"]);
        assert_eq!(due(&mut found, &known, 1, now), ["settled", "new"]);
    }
}
