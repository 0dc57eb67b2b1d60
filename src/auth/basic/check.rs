//! One password check for everybody who asks for one: cache, lock-out, sources.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_lc_rs::digest;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::auth::cache::{Checked, CredentialKey, Namer, Seal, Verified, VerifiedCache};
use crate::auth::crowd::{Crowd, Place};
use crate::auth::lockout::{LockedOut, Lockout, LockoutSettings, Network, Refused};
use crate::auth::{Grant, Health, Identity, Onward, Outage, Reason, Rejection, Verdict};
use crate::request::Peer;
use crate::secret::Secret;

/// Something that knows passwords, such as the users file. One entry of `[basic] sources`.
#[async_trait]
pub trait Source: Send + Sync {
    /// The name in the configuration, in metrics and in logs, e.g. `file`.
    fn name(&self) -> &'static str;

    /// What this source is, such as its URL or path: when it changes on a reload, what an earlier
    /// source of the same name has verified is forgotten.
    fn fingerprint(&self) -> &str;

    /// Compares. A user who is not known must cost the same time as one who is.
    async fn check(&self, username: &str, password: &Secret, now: SystemTime) -> SourceVerdict;

    /// Whether what was compared with is still what is stored, so that a password that was changed
    /// or removed is forgotten at once. Called for every cached request: must cost next to nothing.
    fn vouches(&self, username: &str, seal: Option<&Seal>) -> bool {
        let _ = (username, seal);
        true
    }

    /// How the source fares.
    fn health(&self) -> Health {
        Health::Up
    }

    /// Called once the source is in force, and not when a configuration is only looked at: what it does
    /// in the background begins here, on `runtime`, and ends when the source is dropped.
    fn adopted(self: Arc<Self>, runtime: &Handle) {
        let _ = runtime;
    }
}

/// A source's answer.
#[must_use]
#[derive(Debug, Clone)]
pub enum SourceVerdict {
    /// The password is right.
    Accepted {
        /// Who it is.
        identity: Identity,
        /// What the upstream is given.
        onward: Onward,
        /// When that ends, where it has an end.
        expires: Option<SystemTime>,
        /// What the password was compared with, if it is stored here.
        seal: Option<Seal>,
    },
    /// The password is wrong, or the source does not say what is.
    Rejected,
    /// The source has no such user.
    Unknown,
    /// It cannot be told now.
    Unavailable(Outage),
}

/// User name and password as a client gave them, fit to be looked at.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    username: &'a str,
    password: &'a str,
}

/// Why a user name and a password are not worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLogin {
    /// No user name. Airflow: 400 `Username and password must be provided`.
    #[error("the user name is empty")]
    EmptyUsername,
    /// No password. As above; and a directory takes an empty one for an anonymous log-in.
    #[error("the password is empty")]
    EmptyPassword,
    /// NUL or another control character: some user databases stop reading there, and would let
    /// `secret\0…` in for `secret`.
    #[error("a control character")]
    ControlCharacter,
    /// Longer than [`Login::MAX`].
    #[error("too long")]
    TooLong,
}

impl<'a> Login<'a> {
    /// The most bytes that user name and password have together.
    pub const MAX: usize = 3072;

    /// Takes what is worth a look.
    ///
    /// # Errors
    /// One of them is empty, they are too long, or a control character is among them.
    pub fn new(username: &'a str, password: &'a str) -> Result<Self, InvalidLogin> {
        if username.is_empty() {
            Err(InvalidLogin::EmptyUsername)
        } else if password.is_empty() {
            Err(InvalidLogin::EmptyPassword)
        } else if username.len() + password.len() > Self::MAX {
            Err(InvalidLogin::TooLong)
        } else if username.chars().chain(password.chars()).any(char::is_control) {
            Err(InvalidLogin::ControlCharacter)
        } else {
            Ok(Self { username, password })
        }
    }

    /// The name, as it was given.
    pub fn username(&self) -> &'a str {
        self.username
    }
}

/// Checks passwords for `basic_auth` and the token endpoints alike, so that both share cache and
/// lock-out: what is guessed at one counts at the other.
pub struct PasswordCheck {
    sources: Arc<[Arc<dyn Source>]>,
    namer: Namer,
    settings: CheckSettings,
    cache: Arc<VerifiedCache>,
    lockout: Arc<Lockout>,
    crowd: Arc<Crowd>,
    runtime: Handle,
}

/// How passwords are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckSettings {
    /// How long a password found right is not checked again. Default 60 seconds; 0 turns the cache
    /// off.
    pub cache_ttl: Duration,
    /// `[lockout]`.
    pub lockout: LockoutSettings,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self { cache_ttl: Duration::from_secs(60), lockout: LockoutSettings::default() }
    }
}

impl PasswordCheck {
    /// The longest that one source may take. Its own limits are shorter; this one guards against a
    /// source that never answers, behind which all later requests would wait.
    pub(in crate::auth) const PER_SOURCE: Duration = Duration::from_secs(30);

    /// Checks by these sources, in order. `cache`, `lockout` and `crowd` outlive a reload; checks
    /// run on `runtime`.
    pub fn new(
        sources: Vec<Arc<dyn Source>>,
        settings: CheckSettings,
        cache: Arc<VerifiedCache>,
        lockout: Arc<Lockout>,
        crowd: Arc<Crowd>,
        runtime: Handle,
    ) -> Self {
        let namer = cache.namer(&fingerprint(&sources));
        Self { sources: sources.into(), namer, settings, cache, lockout, crowd, runtime }
    }

    /// How long a verified password is remembered.
    pub fn cache_ttl(&self) -> Duration {
        self.settings.cache_ttl
    }

    /// What is known of these credentials without a check: no lock-out applies, since who sends
    /// them has logged in from there a moment ago.
    pub fn recall(&self, login: Login<'_>, peer: &Peer, now: SystemTime) -> Option<Arc<Grant>> {
        if self.settings.cache_ttl.is_zero() {
            return None;
        }
        self.known(&self.key(login, Network::of(peer.address)), login, now)
    }

    /// Checks a password: cache, then lock-out, then the sources in turn. Accepts, rejects with
    /// [`Reason::WrongPassword`], throttles, or cannot tell; it is never `NotMine`.
    ///
    /// Without success every source is asked, so that known and unknown users take the same time.
    /// Of the same credentials sent many times at once one alone is checked, unless the cache is off.
    /// The check goes on when this future is dropped: giving up early saves nobody a failure. Where many of
    /// one network are under way it waits for its turn, and beyond [`Crowd::WAITING`] it cannot tell: nothing is
    /// counted then, nor anybody asked.
    pub async fn check(&self, login: Login<'_>, peer: &Peer, now: SystemTime) -> Verdict {
        let network = Network::of(peer.address);
        let key = self.key(login, network);
        let begin = || match self.known(&key, login, now) {
            Some(grant) => Err(Verdict::Accepted(grant)),
            None => self.look(login, network, now),
        };
        if !self.settings.cache_ttl.is_zero() {
            return self.cache.share(key, &self.runtime, begin).await;
        }
        self.cache.check_alone(&self.runtime, begin).await
    }

    /// Checks a password as [`PasswordCheck::check`] does, whatever is remembered of it: what a log-in begins is
    /// new. The same credentials sent many times at once are checked once, even where nothing is remembered.
    pub async fn check_anew(&self, login: Login<'_>, peer: &Peer, now: SystemTime) -> Verdict {
        let network = Network::of(peer.address);
        let key = self.key(login, network);
        self.cache.share(key, &self.runtime, || self.look(login, network, now)).await
    }

    fn look(
        &self,
        login: Login<'_>,
        network: Network,
        now: SystemTime,
    ) -> Result<impl Future<Output = Checked> + Send + use<>, Verdict> {
        let Some(place) = self.crowd.line_up(network) else {
            return Err(Verdict::Unavailable(crowded()));
        };
        let (username, password) = (login.username.into(), Secret::new(login.password));
        let look = Look {
            sources: Arc::clone(&self.sources),
            lockout: Arc::clone(&self.lockout),
            settings: self.settings.lockout,
            network,
            arrival: Arrival { time: now, at: Instant::now() },
        };
        Ok(look.ask(place, username, password))
    }

    /// Forgets what is cached for these credentials, if it is still this grant and not brand-new;
    /// see [`VerifiedCache::forget`].
    pub fn forget(&self, login: Login<'_>, peer: &Peer, grant: &Arc<Grant>, now: SystemTime) -> bool {
        self.cache.forget(&self.key(login, Network::of(peer.address)), grant, now)
    }

    /// The sources in order, for health and status.
    pub fn sources(&self) -> &[Arc<dyn Source>] {
        &self.sources
    }

    /// Down when every source is, degraded when one of them is not well.
    pub fn health(&self) -> Health {
        let mut trouble = None;
        let mut down = 0;
        for source in self.sources.iter() {
            match source.health() {
                Health::Up => {}
                Health::Degraded(cause) => trouble = Some(cause),
                Health::Down(cause) => {
                    down += 1;
                    trouble = Some(cause);
                }
            }
        }
        match trouble {
            None => Health::Up,
            Some(cause) if down == self.sources.len() => Health::Down(cause),
            Some(cause) => Health::Degraded(cause),
        }
    }

    fn key(&self, login: Login<'_>, network: Network) -> CredentialKey {
        self.namer.key(network, login.username, login.password)
    }

    fn known(&self, key: &CredentialKey, login: Login<'_>, now: SystemTime) -> Option<Arc<Grant>> {
        let verified = self.cache.get(key, now, self.settings.cache_ttl)?;
        let source = self.sources.get(verified.source)?;
        source.vouches(login.username, verified.seal.as_ref()).then(|| Arc::clone(&verified.grant))
    }
}

/// One look at one password, by all sources.
struct Look {
    sources: Arc<[Arc<dyn Source>]>,
    lockout: Arc<Lockout>,
    settings: LockoutSettings,
    network: Network,
    arrival: Arrival,
}

/// When a log-in came.
#[derive(Clone, Copy)]
struct Arrival {
    time: SystemTime,
    at: Instant,
}

impl Arrival {
    /// The time by now: a log-in may have waited for others, and then for sources.
    fn now(self) -> SystemTime {
        self.time.checked_add(self.at.elapsed()).unwrap_or(self.time)
    }
}

impl Look {
    async fn ask(self, place: Place, username: Box<str>, password: Secret) -> Checked {
        let Self { sources, lockout, settings, network, arrival } = self;
        // First of all: who waits is not yet counted as looked at, neither here nor by the other replicas.
        let Some(_admission) = place.enter().await else {
            return Checked { verdict: Verdict::Unavailable(crowded()), verified: None };
        };
        let permit = match lockout.admit(&settings, &username, network, arrival.now()).await {
            Ok(permit) => permit,
            Err(refused) => return Checked { verdict: refused.into(), verified: None },
        };
        if !permit.delay().is_zero() {
            tokio::time::sleep(permit.delay()).await;
        }
        let mut outage: Option<Outage> = None;
        let (mut wrong, mut unknown) = (false, false);
        for (place, source) in sources.iter().enumerate() {
            let now = arrival.now();
            let answer = source.check(&username, &password, now);
            let answer = tokio::time::timeout(PasswordCheck::PER_SOURCE, answer).await;
            match answer.unwrap_or_else(|_| SourceVerdict::Unavailable(no_answer(source.name()))) {
                SourceVerdict::Accepted { identity, onward, expires, seal } => {
                    permit.succeeded().await;
                    // A browser keeps a password that it was once given, and sends it by itself.
                    let grant = Arc::new(Grant { identity, ambient: true, expires, onward });
                    let verified = Verified { grant: Arc::clone(&grant), since: now, source: place, seal };
                    return Checked { verdict: Verdict::Accepted(grant), verified: Some(verified) };
                }
                SourceVerdict::Rejected => wrong = true,
                SourceVerdict::Unknown => unknown = true,
                SourceVerdict::Unavailable(trouble) => outage = outage.or(Some(trouble)),
            }
        }
        // A try that one source called wrong counts even where another could not tell: an outage must
        // not give free guesses at the rest. That a source does not know the name says nothing then: the
        // users of the one that is down must not be locked out by it.
        if wrong || (unknown && outage.is_none()) {
            permit.failed(arrival.now()).await;
        }
        let reason = Reason::WrongPassword;
        let verdict = match outage {
            Some(outage) => Verdict::Unavailable(outage),
            None => Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: false }),
        };
        Checked { verdict, verified: None }
    }
}

impl From<Refused> for Verdict {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::LockedOut(LockedOut(wait)) => Self::Throttled(wait),
            Refused::Uncounted(outage) => Self::Unavailable(outage),
        }
    }
}

fn crowded() -> Outage {
    let cause = "too many password checks of one network are under way".into();
    Outage { cause, retry_after: Duration::from_secs(1) }
}

fn no_answer(source: &str) -> Outage {
    Outage { cause: format!("{source}: no answer").into(), retry_after: Duration::from_secs(5) }
}

fn fingerprint(sources: &[Arc<dyn Source>]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in sources.iter().flat_map(|source| [source.name(), source.fingerprint()]) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

#[cfg(test)]
mod tests;
