//! The backend `session` in front of Airflow 2: Flask's cookie `session`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_lc_rs::digest;
use http::HeaderMap;
use http::header::COOKIE;
use tokio::runtime::Handle;

use crate::auth::cache::{Checked, CredentialKey, Namer, Verified, VerifiedCache, unavailable};
use crate::auth::credentials::Authorization;
use crate::auth::jwt::unverified;
use crate::auth::lockout::Network;
use crate::auth::probe::{Probe, Standing};
use crate::auth::{Attempt, Backend, Grant, Health, Onward, Reason, Rejection, Scope, Verdict};

/// The backend `session`, in front of Airflow 2.
///
/// The cookie is the name of a row in Airflow's database, or is signed with a key that is not known here: so
/// Airflow is asked, with all cookies as they came. Whoever has opened the log-in page has such a cookie, so
/// a bad one is no surprise, and must not keep a password from being looked at. Airflow says whether the
/// cookie is somebody's, not whose it is. All cookies then pass unchanged, and Airflow judges them again.
pub struct FlaskSession {
    probe: Arc<Probe>,
    namer: Namer,
    ttl: Duration,
    cache: Arc<VerifiedCache>,
    runtime: Handle,
    known: Arc<Grant>,
}

impl FlaskSession {
    /// The name of the cookie (`SESSION_COOKIE_NAME`).
    pub const COOKIE: &'static str = "session";

    /// Asks by `probe`, and takes a good cookie for `ttl` without asking again. `cache` outlives a reload;
    /// questions are asked on `runtime`.
    pub fn new(probe: Probe, ttl: Duration, cache: Arc<VerifiedCache>, runtime: Handle) -> Self {
        let mut fingerprint = [0; 32];
        let name = format!("session {}", probe.fingerprint());
        fingerprint.copy_from_slice(digest::digest(&digest::SHA256, name.as_bytes()).as_ref());
        let known = Arc::new(unverified(true, Onward::Cookies));
        let namer = cache.namer(&fingerprint);
        Self { probe: Arc::new(probe), namer, ttl, cache, runtime, known }
    }

    /// The name of these cookies in the cache. `None` where nothing may be remembered of them.
    fn key(&self, cookies: &HeaderMap, attempt: &Attempt<'_>) -> Option<CredentialKey> {
        if self.ttl.is_zero() {
            return None;
        }
        let lines: Option<Vec<&str>> =
            cookies.get_all(COOKIE).iter().map(|line| str::from_utf8(line.as_bytes()).ok()).collect();
        let network = Network::of(attempt.request.peer.address);
        Some(self.namer.key(network, Self::COOKIE, &lines?.join("; ")))
    }
}

#[async_trait]
impl Backend for FlaskSession {
    fn name(&self) -> &'static str {
        "session"
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        let key = self.key(&cookies(attempt)?, attempt)?;
        let verified = self.cache.get(&key, attempt.request.now, self.ttl)?;
        Some(Verdict::Accepted(Arc::clone(&verified.grant)))
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let Some(cookies) = cookies(attempt) else { return Verdict::NotMine };
        let (probe, known, now) = (Arc::clone(&self.probe), Arc::clone(&self.known), attempt.request.now);
        match self.key(&cookies, attempt) {
            Some(key) => self.cache.share(key, &self.runtime, || Ok(judge(probe, known, cookies, now))).await,
            None => match self.runtime.spawn(judge(probe, known, cookies, now)).await {
                Ok(checked) => checked.verdict,
                Err(_) => unavailable("the question to Airflow was aborted"),
            },
        }
    }

    fn health(&self) -> Health {
        self.probe.health()
    }
}

async fn judge(probe: Arc<Probe>, known: Arc<Grant>, cookies: HeaderMap, now: SystemTime) -> Checked {
    let (verdict, verified) = match probe.ask(cookies).await {
        Ok(Standing::Known) => {
            let verified = Verified { grant: Arc::clone(&known), since: now, source: 0, seal: None };
            (Verdict::Accepted(known), Some(verified))
        }
        Ok(Standing::Stranger) => {
            let reason = Reason::Malformed("The session has ended");
            (Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: false }), None)
        }
        Err(outage) => (Verdict::Unavailable(outage), None),
    };
    Checked { verdict, verified }
}

/// All cookies as they came, if Flask's is among them and is to be looked at. A `Bearer` token beside it was
/// given on purpose, and wins.
fn cookies(attempt: &Attempt<'_>) -> Option<HeaderMap> {
    match attempt.scope {
        // A cookie is never exchanged for a token.
        Scope::Token => return None,
        Scope::Api | Scope::Experimental => {}
    }
    match attempt.credentials.authorization {
        Authorization::Bearer(_) => return None,
        Authorization::Absent
        | Authorization::Basic(_)
        | Authorization::Negotiate(_)
        | Authorization::Other => {}
    }
    attempt.credentials.cookie(FlaskSession::COOKIE).filter(|value| !value.is_empty())?;
    let lines = attempt.request.head.headers.get_all(COOKIE);
    Some(lines.iter().map(|line| (COOKIE, line.clone())).collect())
}
