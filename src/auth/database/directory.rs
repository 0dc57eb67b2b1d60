//! Which id of `ab_user` a name has.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use tokio::runtime::Handle;

use super::Reach;
use crate::auth::Outage;
use crate::auth::flights::Flights;
use crate::ports::database::{Metadata, UserId, UserRow};

/// Finds the one active user of a name, for the tokens that are minted for the FAB auth manager.
///
/// A name is compared in any case, as Flask-AppBuilder does, but by the letters: `josé` is never `jose`
/// and `admin ` never `admin`, whatever the database's collation says, since the name comes from elsewhere
/// and nobody gave this user's password.
pub struct UserDirectory {
    database: Arc<dyn Metadata>,
    reach: Arc<Reach>,
    runtime: Handle,
    known: Cache<Box<str>, Known>,
    flights: Arc<Flights<Box<str>, Result<Found, Outage>>>,
}

/// What the database says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The one user of that name, who is active.
    User(UserId),
    /// The one whose name differs in case alone, who is active.
    OtherCase(UserId),
    /// There is none.
    Nobody,
    /// There is one, who is deactivated.
    Inactive,
    /// There are two whose names differ in case alone.
    Several,
}

#[derive(Clone, Copy)]
struct Known {
    found: Found,
    since: SystemTime,
}

impl UserDirectory {
    /// How long an answer counts. Airflow itself looks at the user with every request, so a user who is
    /// deactivated meanwhile is refused there.
    const KEPT: Duration = Duration::from_secs(10);
    /// Names remembered at most.
    const CAPACITY: usize = 10_000;
    /// Queries under way at most.
    const FLIGHTS: usize = 1024;
    /// The longest name that may be somebody's: the column has 512 characters.
    const LONGEST: usize = 512;

    /// Nobody is known yet. Queries run on `runtime`.
    pub fn new(database: Arc<dyn Metadata>, reach: Arc<Reach>, runtime: Handle) -> Self {
        let flights = Flights::new(Self::FLIGHTS);
        Self { database, reach, runtime, known: Cache::new(Self::CAPACITY), flights }
    }

    /// What was found a moment ago, without a wait.
    pub fn recall(&self, name: &str, now: SystemTime) -> Option<Found> {
        // Both ways: after the clock was set back an answer counts no longer.
        let age = |since| now.duration_since(since).unwrap_or_else(|ahead| ahead.duration());
        self.known.get(name).filter(|known| age(known.since) < Self::KEPT).map(|known| known.found)
    }

    /// Whose name it is. Of the same name asked for many times at once one query is made.
    ///
    /// # Errors
    /// The database does not answer. Nobody is then taken for anybody.
    pub async fn find(self: &Arc<Self>, name: &str, now: SystemTime) -> Result<Found, Outage> {
        if let Some(found) = self.recall(name, now) {
            return Ok(found);
        }
        // Nobody can have it, and PostgreSQL would take NUL for an error of ours.
        if name.is_empty() || name.chars().count() > Self::LONGEST || name.chars().any(char::is_control) {
            return Ok(Found::Nobody);
        }
        if let Some(cause) = self.reach.down() {
            return Err(Outage { cause, retry_after: RETRY });
        }
        let (directory, asked): (_, Box<str>) = (Arc::clone(self), name.into());
        let question = async move {
            let rows = directory.database.find(&asked).await.map_err(|error| outage(&error.to_string()))?;
            let found = judge(&rows, &asked);
            directory.known.insert(asked, Known { found, since: now });
            Ok(found)
        };
        let answered = self.flights.share(name.into(), &self.runtime, || Ok(question)).await;
        answered.unwrap_or_else(|why| Err(outage(&why.to_string())))
    }
}

const RETRY: Duration = Duration::from_secs(5);

fn outage(cause: &str) -> Outage {
    Outage { cause: format!("database: {cause}").into(), retry_after: RETRY }
}

/// Two of one name are two, whether active or not: else who is deactivated under one spelling would be
/// somebody else under another.
fn judge(rows: &[UserRow], name: &str) -> Found {
    let mut same = rows.iter().filter(|row| same_name(&row.username, name));
    match (same.next(), same.next()) {
        (None, _) => Found::Nobody,
        (Some(_), Some(_)) => Found::Several,
        (Some(row), None) if row.active && row.username == name => Found::User(row.id),
        (Some(row), None) if row.active => Found::OtherCase(row.id),
        (Some(_), None) => Found::Inactive,
    }
}

/// Equal but for case. By both cases: some letters that are not the same have one lower case, such as the
/// sign of the kelvin and `k`.
fn same_name(one: &str, other: &str) -> bool {
    one == other || (one.to_lowercase() == other.to_lowercase() && one.to_uppercase() == other.to_uppercase())
}

#[cfg(test)]
mod tests;
