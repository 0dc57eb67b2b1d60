//! The source `database`: the users of Airflow's metadata database, `ab_user`, judged as
//! Flask-AppBuilder judges them (`auth_user_db`).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use aws_lc_rs::digest;
use tokio::sync::Semaphore;

use super::check::{Source, SourceVerdict};
use super::hash::HashWorkers;
use super::werkzeug::{InvalidHash, Method, WerkzeugHash};
use crate::auth::cache::Seal;
use crate::auth::database::Reach;
use crate::auth::{Health, Identity, Onward, Origin, Outage};
use crate::ports::database::{DatabaseError, Metadata, UserId, UserRow};
use crate::secret::Secret;

/// `ab_user`, by name or e-mail address and password.
///
/// Who is found is remembered by a [`Seal`] over the row, for as long as a verified password is; a
/// [`follower`](crate::auth::database) looks at those rows again every second, so that a password that
/// was changed, and a user who was deactivated or deleted, is forgotten at once.
pub struct DatabaseUsers {
    database: Arc<dyn Metadata>,
    fingerprint: Box<str>,
    reach: Arc<Reach>,
    workers: Arc<HashWorkers>,
    /// How long a verified password is remembered elsewhere, in milliseconds.
    remembered: AtomicU64,
    /// Whose passwords were found right, and what was stored then.
    vouched: ArcSwap<HashMap<[u8; 32], Vouched>>,
    changing: Mutex<()>,
    /// What stored hashes cost, to choose from for who has none.
    methods: ArcSwap<Vec<Method>>,
    choice: RandomState,
    /// Log-ins at a time: behind them waits who follows the database, and who asks for an id.
    places: Semaphore,
    /// Methods that were complained about.
    refused: Mutex<HashSet<InvalidHash>>,
}

#[derive(Clone, Copy)]
struct Vouched {
    user: UserId,
    until: Instant,
}

impl DatabaseUsers {
    /// Users looked at again at a time. Beyond, the one that lapses first is forgotten, which costs a hash
    /// check.
    const VOUCHED: usize = 10_000;

    /// Log-ins at a time; beyond, 503. With 4 connections each is asked within a fraction of a second.
    const PLACES: usize = 64;

    /// Asks `database`, whose URL without password is `name`.
    pub fn new(
        database: Arc<dyn Metadata>,
        name: &str,
        reach: Arc<Reach>,
        workers: Arc<HashWorkers>,
    ) -> Self {
        Self {
            database,
            fingerprint: name.into(),
            reach,
            workers,
            places: Semaphore::new(Self::PLACES),
            remembered: AtomicU64::new(0),
            vouched: ArcSwap::default(),
            changing: Mutex::default(),
            methods: ArcSwap::default(),
            choice: RandomState::new(),
            refused: Mutex::default(),
        }
    }

    /// Says how long a verified password is remembered, `[basic] cache_ttl`: so long its row is looked at.
    pub fn keep_for(&self, cache_ttl: Duration) {
        let milliseconds = u64::try_from(cache_ttl.as_millis()).unwrap_or(u64::MAX);
        self.remembered.store(milliseconds, Ordering::Relaxed);
    }

    /// Whose rows are to be looked at again.
    pub fn watched(&self) -> Vec<UserId> {
        let ids: HashSet<UserId> = self.vouched.load().values().map(|vouched| vouched.user).collect();
        ids.into_iter().collect()
    }

    /// Forgets who is not, any more, as one of these rows says. `asked` are those whose rows were asked for.
    pub fn review(&self, asked: &[UserId], rows: &[UserRow], now: Instant) {
        let asked: HashSet<UserId> = asked.iter().copied().collect();
        let standing: HashSet<[u8; 32]> =
            rows.iter().filter(|row| row.active).map(|row| seal(row).0).collect();
        self.change(|vouched| {
            vouched.retain(|seal, entry| {
                entry.until > now && (standing.contains(seal) || !asked.contains(&entry.user))
            });
        });
    }

    /// What stored hashes cost, as far as it is known what these beginnings say.
    pub fn learn(&self, beginnings: &[String]) {
        let method = |text: &String| Method::parse(text.split('$').next().unwrap_or_default()).ok();
        self.methods.store(Arc::new(beginnings.iter().filter_map(method).collect()));
    }

    fn remember(&self, user: UserId, seal: Seal, now: Instant) {
        let kept = Duration::from_millis(self.remembered.load(Ordering::Relaxed));
        let Some(until) = now.checked_add(kept) else { return };
        self.change(|vouched| {
            vouched.insert(seal.0, Vouched { user, until });
            if vouched.len() > Self::VOUCHED
                && let Some(first) =
                    vouched.iter().min_by_key(|(_, entry)| entry.until).map(|(seal, _)| *seal)
            {
                vouched.remove(&first);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<[u8; 32], Vouched>)) {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut vouched = HashMap::clone(&self.vouched.load());
        change(&mut vouched);
        self.vouched.store(Arc::new(vouched));
    }

    /// What is compared for who has no hash to compare with: nobody's, at the cost of somebody's, always
    /// the same for one name.
    fn stand_in(&self, username: &str) -> WerkzeugHash {
        let methods = self.methods.load();
        let number = self.choice.hash_one(username) as usize;
        let chosen = number.checked_rem(methods.len()).and_then(|at| methods.get(at));
        WerkzeugHash::stand_in(chosen.copied().unwrap_or(Method::DEFAULT))
    }

    /// The hash to compare with. Who has one that is not taken is told in the log, once for each method.
    fn stored(&self, row: &UserRow) -> Option<WerkzeugHash> {
        match WerkzeugHash::parse(row.password.as_ref()?.expose()) {
            Ok(hash) => Some(hash),
            Err(fault) => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                if refused.len() < 64 && refused.insert(fault.clone()) {
                    tracing::warn!(user = row.id.0, error = %fault, "a password in ab_user cannot be checked");
                }
                None
            }
        }
    }

    fn unavailable(&self, error: &DatabaseError) -> SourceVerdict {
        SourceVerdict::Unavailable(Outage { cause: format!("database: {error}").into(), retry_after: RETRY })
    }
}

/// When to ask again.
const RETRY: Duration = Duration::from_secs(5);

#[async_trait]
impl Source for DatabaseUsers {
    fn name(&self) -> &'static str {
        "database"
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    async fn check(&self, username: &str, password: &Secret, _now: SystemTime) -> SourceVerdict {
        // The follower knows that it is down, and will know within a second when it is up again.
        if let Some(cause) = self.reach.down() {
            return SourceVerdict::Unavailable(Outage { cause, retry_after: RETRY });
        }
        let Ok(_place) = self.places.try_acquire() else {
            let cause = "database: too many log-ins under way".into();
            return SourceVerdict::Unavailable(Outage { cause, retry_after: Duration::from_secs(1) });
        };
        let rows = match self.database.find(username).await {
            Ok(rows) => rows,
            Err(error) => return self.unavailable(&error),
        };
        let found = chosen(&rows);
        let (hash, known) = match found.map(|row| (self.stored(row), row.active)) {
            Some((Some(hash), active)) => (hash, active),
            Some((None, _)) | None => (self.stand_in(username), false),
        };
        let password = password.clone();
        match (self.workers.run(move || hash.verify(&password)).await, found) {
            (Ok(true), Some(row)) if known => {
                let seal = seal(row);
                self.remember(row.id, seal, Instant::now());
                SourceVerdict::Accepted {
                    identity: Identity {
                        origin: Origin::Database(row.id),
                        name: row.username.as_str().into(),
                    },
                    onward: Onward::Minted { jti: None },
                    expires: None,
                    seal: Some(seal),
                }
            }
            (Ok(_), Some(_)) => SourceVerdict::Rejected,
            (Ok(_), None) => SourceVerdict::Unknown,
            (Err(busy), _) => SourceVerdict::Unavailable(Outage {
                cause: busy.to_string().into(),
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    fn vouches(&self, _username: &str, seal: Option<&Seal>) -> bool {
        seal.is_some_and(|seal| self.vouched.load().contains_key(&seal.0))
    }

    fn health(&self) -> Health {
        match self.reach.down() {
            Some(cause) => Health::Down(cause),
            None => Health::Up,
        }
    }
}

/// `find_user(username=…)`, then `find_user(email=…)`: either finds one user or nobody, never one of two.
fn chosen(rows: &[UserRow]) -> Option<&UserRow> {
    let one = |rule: fn(&UserRow) -> bool| {
        let mut found = rows.iter().filter(|row| rule(row));
        found.next().filter(|_| found.next().is_none())
    };
    one(|row| row.by_name).or_else(|| one(|row| row.by_email))
}

/// A digest of what makes a password count: whose it is, under which name, and its hash.
fn seal(row: &UserRow) -> Seal {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&row.id.0.to_be_bytes());
    for part in [row.username.as_str(), row.password.as_ref().map_or("", Secret::expose)] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut seal = [0; 32];
    seal.copy_from_slice(context.finish().as_ref());
    Seal(seal)
}

#[cfg(test)]
mod tests;
