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
/// asked for itself, since each may have another key: at the start, when keys or upstream have changed, when it gets
/// requests again, once a minute while it refuses or says nothing of the key, and every five minutes when it takes
/// what is signed here: Airflow may be given another key, and an address may stand for many Airflows.
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
    /// When it was asked last. `None`: it got no requests since then, and who answers there may be another.
    at: Option<Instant>,
}

/// How often one looks whether there is something to ask.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often an address is asked while it refuses, or says nothing of the key.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How often an address is asked that takes what is signed here.
const ASK_SETTLED_EVERY: Duration = Duration::from_secs(300);
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

    /// `Down` while any address that gets requests refuses what is signed here.
    pub fn health(&self) -> Health {
        let found = self.found();
        let known = self.upstreams.addresses();
        let refuses = |address: &str| found.get(address).is_some_and(|found| found.refuses);
        let serving = known.iter().filter(|(_, good)| *good).map(|(address, _)| address.as_str());
        let refusing: Vec<_> = serving.filter(|address| refuses(address)).collect();
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
        let mut asked = JoinSet::new();
        for address in due(&mut self.found(), &self.upstreams.addresses(), Instant::now()) {
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
            self.note(address, told);
        }
    }

    fn note(&self, address: String, told: Option<bool>) {
        let refused = self.found().get(&address).is_some_and(|before| before.refuses);
        let refuses = told.unwrap_or(refused);
        let found = Found { refuses, said: told.is_some(), at: Some(Instant::now()) };
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
    fn is_old(&self, now: Instant) -> bool {
        let every = if self.said && !self.refuses { ASK_SETTLED_EVERY } else { ASK_EVERY };
        self.at.is_none_or(|at| now.saturating_duration_since(at) >= every)
    }
}

/// Those of the addresses that are to be asked. What others said that are not known any more is forgotten.
fn due(found: &mut BTreeMap<String, Found>, known: &[(String, bool)], now: Instant) -> Vec<String> {
    found.retain(|address, _| known.iter().any(|(known, _)| known == address));
    for (address, _) in known.iter().filter(|(_, good)| !good) {
        if let Some(found) = found.get_mut(address) {
            found.at = None;
        }
    }
    let is_due = |address| found.get(address).is_none_or(|found| found.is_old(now));
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
        for (name, refuses, said, asked, after, expected) in [
            ("it takes it", false, true, Some(at), 299, false),
            ("it takes it, five minutes ago", false, true, Some(at), 300, true),
            ("it got no requests since", false, true, None, 0, true),
            ("it refuses", true, true, Some(at), 59, false),
            ("it refuses, a minute ago", true, true, Some(at), 60, true),
            ("it said nothing", false, false, Some(at), 59, false),
            ("it said nothing, a minute ago", false, false, Some(at), 60, true),
            ("it refused, then said nothing, a minute ago", true, false, Some(at), 60, true),
        ] {
            let found = Found { refuses, said, at: asked };
            assert_eq!(found.is_old(at + Duration::from_secs(after)), expected, "{name}");
        }
    }

    #[test]
    fn each_address_is_asked_for_itself() {
        let now = Instant::now();
        let takes = Found { refuses: false, said: true, at: Some(now) };
        let mut found = BTreeMap::from(["settled", "gone", "ill"].map(|address| (address.to_owned(), takes)));
        let known = |ill| {
            [("settled", true), ("new", true), ("ill", ill)].map(|(name, good)| (name.to_owned(), good))
        };
        assert_eq!(due(&mut found, &known(false), now), ["new"]);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["ill", "settled"]);
        found.insert("new".into(), takes);
        assert_eq!(due(&mut found, &known(true), now), ["ill"], "it alone has come back");
    }
}
