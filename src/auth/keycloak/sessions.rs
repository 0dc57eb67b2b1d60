//! Sessions of Keycloak, kept by their id, and renewed when they are used.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::shared::{SharedSessions, Turn};
use super::{Held, Renewal};
use crate::auth::Outage;
use crate::auth::flights::Flights;
use crate::ports::StoreError;
use crate::ports::keycloak::{Grant, Keycloak, KeycloakError, Tokens};
use crate::secret::Secret;

/// Finds for each credential an access token that is alive.
///
/// A token is renewed only when somebody uses it, so that Keycloak's idle timeout keeps its meaning; for all who use
/// one session at a time it is renewed once; and with replicas, by one of them.
pub struct Sessions {
    keycloak: Arc<dyn Keycloak>,
    client: Client,
    memory: Arc<Memory>,
    shared: Option<Arc<SharedSessions>>,
    runtime: Handle,
}

/// The configured client, whose own grant can be run again.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: Box<str>,
    /// `client_secret`.
    pub secret: Secret,
}

/// What is known of sessions. Outlives a reload. Bounded to 64 MiB.
pub struct Memory {
    states: Cache<Arc<str>, State, StateWeight>,
    flights: Arc<Flights<Arc<str>, Landed>>,
    counts: Counts,
}

/// How renewals have ended since the start.
#[derive(Default)]
struct Counts {
    renewed: AtomicU64,
    ended: AtomicU64,
    failed: AtomicU64,
}

/// How renewals have ended since the start, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewals {
    /// With a new token.
    pub renewed: u64,
    /// With the news that the session has ended.
    pub ended: u64,
    /// Without an answer.
    pub failed: u64,
}

#[derive(Clone)]
enum State {
    Live(Arc<Live>),
    /// Keycloak said so at this time.
    Ended(SystemTime),
}

/// A session's newest tokens.
pub struct Live {
    /// The user's id, where the tokens say it.
    pub user_id: Option<Box<str>>,
    /// The access token.
    pub access: Secret,
    /// The refresh token. None of a client's own grant.
    pub refresh: Option<Secret>,
    /// When the access token ends.
    pub expires: SystemTime,
    /// From when on it is renewed.
    pub renew: SystemTime,
    /// Tells it from all other access tokens of this process. Never 0.
    pub serial: u64,
    /// Whether this replica got it from Keycloak, so that no other had a newer one then.
    pub own: bool,
}

/// The access token to be used for a credential.
#[derive(Debug, Clone)]
pub enum Current {
    /// The one that came with it.
    Own,
    /// A newer one.
    Renewed(Arc<Live>),
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The session has ended, its user is disabled, or there is no session to go on with.
    Ended,
    /// It cannot be told now.
    Unavailable(Outage),
}

type Landed = Result<Arc<Live>, Lost>;

#[derive(Clone)]
struct StateWeight;

impl Weighter<Arc<str>, State> for StateWeight {
    fn weight(&self, key: &Arc<str>, state: &State) -> u64 {
        let tokens = match state {
            State::Live(live) => {
                live.access.expose().len() + live.refresh.as_ref().map_or(0, |token| token.expose().len())
            }
            State::Ended(_) => 0,
        };
        (key.len() + tokens + 512) as u64
    }
}

impl Memory {
    /// Sessions of which nothing else is known any more than their tokens: some thousand bytes each.
    const SESSIONS: usize = 10_000;
    const BYTES: u64 = 64 << 20;
    /// Renewals under way at most.
    const FLIGHTS: usize = 4096;

    /// Nothing is known yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            states: Cache::with(
                Self::SESSIONS,
                Self::BYTES,
                StateWeight,
                quick_cache::DefaultHashBuilder::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            flights: Flights::new(Self::FLIGHTS),
            counts: Counts::default(),
        })
    }

    /// How many sessions are known.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// How renewals have ended.
    pub fn renewals(&self) -> Renewals {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Renewals {
            renewed: count(&self.counts.renewed),
            ended: count(&self.counts.ended),
            failed: count(&self.counts.failed),
        }
    }

    fn known(&self, key: &str) -> Option<Arc<Live>> {
        match self.states.get(key)? {
            State::Live(live) => Some(live),
            State::Ended(_) => None,
        }
    }
}

impl Live {
    /// What a grant gave that was asked for at this time.
    pub(super) fn granted(tokens: Tokens, asked: SystemTime) -> Self {
        Self {
            user_id: tokens.user.id,
            access: tokens.access,
            refresh: tokens.refresh,
            expires: asked + tokens.expires_in,
            renew: asked + tokens.expires_in - Held::margin(tokens.expires_in),
            serial: serial(),
            own: true,
        }
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        now < self.renew
    }

    /// A session has one user for all its life.
    fn of(self: Arc<Self>, held: &Held) -> Result<Current, Lost> {
        match &self.user_id {
            Some(id) if *id != held.user_id => Err(Lost::Ended),
            Some(_) | None => Ok(Current::Renewed(self)),
        }
    }
}

/// A number that no other access token of this process has.
pub(super) fn serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl Held {
    /// The access token that came with the credential, for as long as it lives.
    fn own(&self, now: SystemTime) -> Result<Current, Lost> {
        if now < self.expires { Ok(Current::Own) } else { Err(Lost::Ended) }
    }
}

impl Sessions {
    /// For how long a session that has ended is not asked for again.
    const ENDED: Duration = Duration::from_secs(10);
    /// The longest time for one renewal, waiting for other replicas included.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// How often another replica is looked after that renews a session.
    const POLL: Duration = Duration::from_millis(50);

    /// Sessions of the realm that `keycloak` asks as `client`. `memory` outlives a reload; renewals run on `runtime`;
    /// `shared` has what all replicas know.
    pub fn new(
        keycloak: Arc<dyn Keycloak>,
        client: Client,
        memory: Arc<Memory>,
        shared: Option<Arc<SharedSessions>>,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Self { keycloak, client, memory, shared, runtime })
    }

    /// What is known of sessions, for metrics.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The access token to be used for a credential now. Asks Keycloak where the one at hand is about to end.
    ///
    /// # Errors
    /// There is none: see [`Lost`].
    pub async fn current(self: &Arc<Self>, held: &Arc<Held>, now: SystemTime) -> Result<Current, Lost> {
        if now < held.renew {
            return Ok(Current::Own);
        }
        let Some(key) = self.key(held) else { return held.own(now) };
        let known = match self.memory.states.get(&*key) {
            Some(State::Live(live)) if live.is_fresh(now) => return live.of(held),
            Some(State::Live(live)) => Some(live),
            Some(State::Ended(at)) if now.duration_since(at).is_ok_and(|age| age < Self::ENDED) => {
                return Err(Lost::Ended);
            }
            Some(State::Ended(_)) | None => None,
        };
        match self.landed(key, held, now).await {
            Ok(live) => live.of(held),
            Err(Lost::Ended) => Err(Lost::Ended),
            // what is left of the token that there is
            Err(lost @ Lost::Unavailable(_)) => match known.filter(|live| now < live.expires) {
                Some(live) => live.of(held),
                None => held.own(now).map_err(|_| lost),
            },
        }
    }

    /// Where the session is kept. `None` if nothing can be renewed.
    fn key(&self, held: &Held) -> Option<Arc<str>> {
        match &held.renewal {
            Renewal::Session { sid, .. } => Some(Arc::clone(sid)),
            // No session's id looks like this.
            Renewal::Client { id } if **id == *self.client.id => Some(format!("client {id}").into()),
            Renewal::Client { .. } | Renewal::Never => None,
        }
    }

    /// Joins the renewal that is under way, or begins one. It goes on when who waits gives up.
    async fn landed(self: &Arc<Self>, key: Arc<str>, held: &Arc<Held>, now: SystemTime) -> Landed {
        // One that has landed a moment ago is not asked for again.
        let begin = || match self.memory.known(&key).filter(|live| live.is_fresh(now)) {
            Some(live) => Err(Ok(live)),
            None => {
                let (sessions, held, key) = (Arc::clone(self), Arc::clone(held), Arc::clone(&key));
                Ok(async move { sessions.fly(key, &held, now).await })
            }
        };
        let landed = self.memory.flights.share(Arc::clone(&key), &self.runtime, begin).await;
        landed.unwrap_or_else(|grounded| Err(unavailable(&grounded.to_string(), Duration::from_secs(1))))
    }

    /// Renews, and remembers how it went.
    async fn fly(&self, key: Arc<str>, held: &Held, now: SystemTime) -> Landed {
        let landed = timeout(Self::PATIENCE, self.renew(&key, held, now)).await.unwrap_or_else(|_| {
            Err(unavailable("the session is being renewed by another replica", Duration::from_secs(1)))
        });
        let counts = &self.memory.counts;
        let (state, count) = match &landed {
            Ok(live) => (Some(State::Live(Arc::clone(live))), &counts.renewed),
            Err(Lost::Ended) => (Some(State::Ended(now)), &counts.ended),
            Err(Lost::Unavailable(_)) => (None, &counts.failed),
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(state) = state {
            self.memory.states.insert(key, state);
        }
        landed
    }

    async fn renew(&self, key: &str, held: &Held, now: SystemTime) -> Landed {
        let clock = Clock { now, began: Instant::now() };
        let known = self.memory.known(key);
        match &self.shared {
            None => self.ask(held, known.as_deref(), clock).await,
            Some(shared) => self.renew_with_others(shared, key, held, known, clock).await,
        }
    }

    /// Runs the grant, with the newest refresh token that is known.
    async fn ask(&self, held: &Held, known: Option<&Live>, clock: Clock) -> Landed {
        let grant = match &held.renewal {
            Renewal::Session { refresh, .. } => {
                Grant::RefreshToken(known.and_then(|live| live.refresh.as_ref()).unwrap_or(refresh))
            }
            Renewal::Client { .. } => {
                Grant::ClientCredentials { id: &self.client.id, secret: &self.client.secret }
            }
            Renewal::Never => return Err(Lost::Ended),
        };
        let asked = clock.now();
        match self.keycloak.grant(grant).await {
            Ok(tokens) => Ok(Arc::new(Live::granted(tokens, asked))),
            Err(KeycloakError::Refused(cause)) => {
                tracing::debug!(user = %held.name, %cause, "a session of keycloak has ended");
                Err(Lost::Ended)
            }
            Err(KeycloakError::Client(cause)) => {
                tracing::warn!(%cause, "keycloak refuses the client");
                Err(unavailable(&format!("keycloak refuses the client: {cause}"), Duration::from_secs(5)))
            }
            Err(KeycloakError::Unavailable { cause, retry_after, .. }) => {
                Err(unavailable(&cause, retry_after))
            }
        }
    }

    /// The same, where other replicas may be about to do it, or have done it: with a refresh token that counts once, the
    /// second to use it would end the session for both.
    async fn renew_with_others(
        &self,
        shared: &Arc<SharedSessions>,
        key: &str,
        held: &Held,
        known: Option<Arc<Live>>,
        clock: Clock,
    ) -> Landed {
        loop {
            match shared.take_turn(key).await {
                Ok(Turn::Mine(turn, recorded)) => {
                    let newest = newer(recorded, known);
                    if let Some(live) = newest.as_ref().filter(|live| live.is_fresh(clock.now())) {
                        turn.give_up().await;
                        return Ok(Arc::clone(live));
                    }
                    let landed = self.ask(held, newest.as_deref(), clock).await;
                    match &landed {
                        Ok(live) => turn.record(live).await,
                        Err(_) => turn.give_up().await,
                    }
                    return landed;
                }
                Ok(Turn::Others(recorded)) => {
                    if let Some(live) = recorded.filter(|live| live.is_fresh(clock.now())) {
                        return Ok(live);
                    }
                    sleep(Self::POLL).await;
                }
                // Whose the newest token is cannot be told, but for one: who got it.
                Err(error) => {
                    let Some(own) = known.as_deref().filter(|live| live.own) else {
                        return Err(store_is_down(&error));
                    };
                    let landed = self.ask(held, Some(own), clock).await;
                    if let Ok(live) = &landed {
                        shared.record(key, live).await;
                    }
                    return landed;
                }
            }
        }
    }
}

/// Of two the one that ends later: the later of two grants.
fn newer(one: Option<Arc<Live>>, other: Option<Arc<Live>>) -> Option<Arc<Live>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.expires > one.expires { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// The time of the request, and how long it has been waiting.
#[derive(Clone, Copy)]
struct Clock {
    now: SystemTime,
    began: Instant,
}

impl Clock {
    fn now(self) -> SystemTime {
        self.now + self.began.elapsed()
    }
}

fn unavailable(cause: &str, retry_after: Duration) -> Lost {
    Lost::Unavailable(Outage { cause: cause.into(), retry_after })
}

fn store_is_down(error: &StoreError) -> Lost {
    unavailable(&format!("redis has the sessions of keycloak: {error}"), Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
