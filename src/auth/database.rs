//! What is known of Airflow's metadata database, and the task that keeps it up to date: who logged in with
//! its passwords, whose name has which id, and which tokens are revoked.
//!
//! Requests look at what is in memory. Every second one or two cheap queries compare it with the
//! database; while that does not answer, what was last read counts, for as long as each part says.

pub mod directory;
pub mod revoked;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;

use super::Health;
use super::basic::database::DatabaseUsers;
use super::basic::hash::HashWorkers;
use crate::ports::database::{DatabaseError, DatabaseUrl, Metadata, UserId};
use directory::UserDirectory;
use revoked::RevokedTokens;

/// Airflow's metadata database, as the gate uses it. Outlives a reload for as long as its URL stays.
pub struct AirflowDatabase {
    url: DatabaseUrl,
    name: Box<str>,
    database: Arc<dyn Metadata>,
    reach: Arc<Reach>,
    users: Arc<DatabaseUsers>,
    directory: Arc<UserDirectory>,
    revoked: Arc<RevokedTokens>,
}

impl AirflowDatabase {
    /// How often it is compared with what is in memory.
    pub const INTERVAL: Duration = Duration::from_secs(1);
    /// How often the methods of stored hashes are looked at.
    const METHODS: Duration = Duration::from_secs(60);

    /// Nothing is known yet, and nobody is asked. `url` is where `database` is.
    /// Queries of requests run on `runtime`, hash checks by `workers`.
    pub fn new(
        database: Arc<dyn Metadata>,
        url: DatabaseUrl,
        runtime: &Handle,
        workers: Arc<HashWorkers>,
    ) -> Self {
        let reach = Arc::new(Reach::default());
        let name = url.to_string();
        Self {
            users: Arc::new(DatabaseUsers::new(Arc::clone(&database), &name, Arc::clone(&reach), workers)),
            directory: Arc::new(UserDirectory::new(
                Arc::clone(&database),
                Arc::clone(&reach),
                runtime.clone(),
            )),
            revoked: Arc::new(RevokedTokens::new()),
            reach,
            database,
            name: name.into(),
            url,
        }
    }

    /// Where it is, password included: another one is another database.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Its users, as a source of passwords.
    pub fn users(&self) -> &Arc<DatabaseUsers> {
        &self.users
    }

    /// Which user has a name.
    pub fn directory(&self) -> &Arc<UserDirectory> {
        &self.directory
    }

    /// The tokens that Airflow has revoked.
    pub fn revoked(&self) -> &Arc<RevokedTokens> {
        &self.revoked
    }

    /// Down while it does not answer.
    pub fn health(&self) -> Health {
        match (self.reach.health(), self.revoked.trouble()) {
            (Health::Up, Some(cause)) => Health::Degraded(cause),
            (health @ (Health::Up | Health::Degraded(_) | Health::Down(_)), _) => health,
        }
    }

    /// Keeps what is known up to date until nobody uses it any more.
    pub async fn follow(database: Weak<Self>) {
        let mut round = Round { methods: None };
        while let Some(database) = database.upgrade() {
            let answered = database.compare(&mut round, SystemTime::now()).await;
            database.reach.told(&database.name, answered);
            drop(database);
            tokio::time::sleep(Self::INTERVAL).await;
        }
    }

    /// One comparison. What one part cannot learn keeps no other from learning.
    async fn compare(&self, round: &mut Round, now: SystemTime) -> Result<(), DatabaseError> {
        let watched = self.users.watched();
        let users = self.review(&watched).await;
        let revoked = if self.revoked.is_followed(now) {
            self.revoked.compare(&*self.database, now).await
        } else if watched.is_empty() {
            self.database.ping().await
        } else {
            Ok(())
        };
        let methods = self.learn(round).await;
        users.and(revoked).and(methods)
    }

    /// Compares those whose passwords are remembered.
    async fn review(&self, watched: &[UserId]) -> Result<(), DatabaseError> {
        if !watched.is_empty() {
            let rows = self.database.users(watched).await?;
            self.users.review(watched, &rows, Instant::now());
        }
        Ok(())
    }

    /// Learns now and then what stored hashes cost.
    async fn learn(&self, round: &mut Round) -> Result<(), DatabaseError> {
        if round.methods.is_none_or(|at| at.elapsed() > Self::METHODS) {
            match self.database.methods().await {
                Ok(methods) => self.users.learn(&methods),
                // Without FAB there is no `ab_user`.
                Err(DatabaseError::NoTable(_)) => {}
                Err(error) => return Err(error),
            }
            round.methods = Some(Instant::now());
        }
        Ok(())
    }
}

/// When what is not asked for every second was asked for.
struct Round {
    methods: Option<Instant>,
}

/// Whether the database answers, as far as the follower knows.
#[derive(Default)]
pub struct Reach(ArcSwapOption<Health>);

impl Reach {
    /// Why it does not answer. `None` while it does, and while nobody has asked yet.
    pub fn down(&self) -> Option<Arc<str>> {
        match self.health() {
            Health::Down(cause) => Some(cause),
            Health::Up | Health::Degraded(_) => None,
        }
    }

    /// How it fares.
    pub fn health(&self) -> Health {
        self.0.load().as_deref().map_or(Health::Up, Health::clone)
    }

    /// Takes note, and says it in the log when it is news.
    fn told(&self, name: &str, answered: Result<(), DatabaseError>) {
        let health = match &answered {
            Ok(()) => Health::Up,
            Err(error @ (DatabaseError::Connect(_) | DatabaseError::Lost(_) | DatabaseError::Timeout(_))) => {
                Health::Down(format!("database: {error}").into())
            }
            // It is there: what it refuses is one question, not every log-in.
            Err(error @ (DatabaseError::NoTable(_) | DatabaseError::Busy | DatabaseError::Failed(_))) => {
                Health::Degraded(format!("database: {error}").into())
            }
        };
        let before = self.health();
        // First, so that who reads the line below finds it true.
        self.0.store(Some(Arc::new(health)));
        match (before, &answered) {
            (Health::Up, Err(error)) => tracing::error!(
                database = name, %error,
                "no answer from the metadata database: its users cannot log in anew, and the last known list \
                 of revoked tokens counts"
            ),
            (Health::Degraded(_) | Health::Down(_), Ok(())) => {
                tracing::info!(database = name, "the metadata database answers again");
            }
            (Health::Up, Ok(())) | (Health::Degraded(_) | Health::Down(_), Err(_)) => {}
        }
    }
}

impl fmt::Debug for AirflowDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AirflowDatabase({})", self.name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
