//! The tokens that Airflow has revoked, by their `jti`: its table `revoked_token`, which Airflow 3.2 and
//! newer fill on log-out.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::ports::database::{DatabaseError, Metadata, RevokedRow};

/// The list, in memory.
///
/// The table has no order in which rows were added, only `exp`. So each time the rows that are still of
/// interest are counted; where the numbers differ, the range of `exp` is halved until what is new is found.
/// Rows vanish only when their tokens have ended.
pub struct RevokedTokens {
    listed: ArcSwap<HashSet<Arc<str>>>,
    table: Mutex<Table>,
    trouble: ArcSwapOption<Arc<str>>,
}

#[derive(Default)]
struct Table {
    /// By `exp`, in seconds since 1970.
    rows: BTreeSet<(i64, Arc<str>)>,
    /// When it was last read or compared with success.
    compared: Option<SystemTime>,
    /// When it was last read as a whole.
    whole: Option<SystemTime>,
    /// When the table was found missing.
    missing: Option<SystemTime>,
}

impl RevokedTokens {
    /// Tokens listed at most: those that live longest.
    const MOST: u32 = 200_000;
    /// So many are read at once, where fewer than all are looked for.
    const AT_ONCE: u64 = 1000;
    /// How long a token stays listed after its end: `jwt_leeway`, and clocks that differ.
    const AFTER: i64 = 600;
    /// No token lives longer: a hundred years.
    const END: i64 = 3_155_760_000;
    /// How often all is read anew, in case that rows were exchanged.
    const WHOLE: Duration = Duration::from_secs(300);
    /// How often a table that is not there is looked for: an upgrade of Airflow makes it.
    const MISSING: Duration = Duration::from_secs(60);

    /// Nothing is known yet: nothing is revoked.
    pub fn new() -> Self {
        Self { listed: ArcSwap::default(), table: Mutex::default(), trouble: ArcSwapOption::empty() }
    }

    /// Whether the token with this `jti` is revoked. Two loads and a look into a table.
    pub fn contains(&self, jti: &str) -> bool {
        let listed = self.listed.load();
        !listed.is_empty() && listed.contains(jti)
    }

    /// How many tokens are listed.
    pub fn len(&self) -> usize {
        self.listed.load().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long ago the list was what the table is. `None`: never yet.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        self.table().compared.map(|at| now.duration_since(at).unwrap_or_default())
    }

    /// What is wrong with the list, other than that the database does not answer.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.load().as_deref().cloned()
    }

    /// Whether it is time to compare: always, but where there is no such table.
    pub fn is_followed(&self, now: SystemTime) -> bool {
        let missing = self.table().missing;
        missing.is_none_or(|at| now.duration_since(at).is_ok_and(|age| age >= Self::MISSING))
    }

    /// Compares with the table, and reads what is new.
    ///
    /// # Errors
    /// The database does not answer. What was known counts on.
    pub async fn compare(&self, database: &dyn Metadata, now: SystemTime) -> Result<(), DatabaseError> {
        let answered = match self.is_due(now) {
            true => self.read_whole(database, now).await,
            false => self.read_new(database, seconds(now)).await,
        };
        let mut table = self.table();
        match answered {
            Ok(()) => {
                if table.missing.take().is_some() {
                    tracing::info!("Airflow's table of revoked tokens is there now, and is followed");
                }
                table.compared = Some(now);
                Ok(())
            }
            Err(DatabaseError::NoTable(table_name)) => {
                if table.missing.is_none() {
                    tracing::warn!(
                        error = %table_name,
                        "Airflow's table of revoked tokens is not there (Airflow before 3.2, or another \
                         database): revoked tokens are refused by Airflow alone"
                    );
                }
                table.missing = Some(now);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        let whole = self.table().whole;
        whole.is_none_or(|at| now.duration_since(at).map_or(true, |age| age >= Self::WHOLE))
    }

    async fn read_whole(&self, database: &dyn Metadata, now: SystemTime) -> Result<(), DatabaseError> {
        let from = seconds(now) - Self::AFTER;
        let rows = database.revoked(from, seconds(now) + Self::END, Self::MOST).await?;
        let full = rows.len() >= Self::MOST as usize;
        match (full, self.trouble().is_some()) {
            (true, false) => {
                let cause = format!(
                    "more than {} tokens are revoked: those that end first are not listed",
                    Self::MOST
                );
                tracing::error!("{cause}");
                self.trouble.store(Some(Arc::new(cause.into())));
            }
            (false, true) => self.trouble.store(None),
            (true, true) | (false, false) => {}
        }
        // What ended a moment ago, and Airflow may have deleted, stays.
        self.replace(from.max(seconds(now)), i64::MAX, rows, from);
        self.table().whole = Some(now);
        Ok(())
    }

    async fn read_new(&self, database: &dyn Metadata, now: i64) -> Result<(), DatabaseError> {
        let mut ranges = vec![(self.first_of_interest(now), now + Self::END)];
        while let Some((after, until)) = ranges.pop() {
            let there = database.count_revoked(after, until).await?;
            if there == self.count(after, until) {
                continue;
            }
            if there <= Self::AT_ONCE || until - after <= 1 {
                let rows = database.revoked(after, until, Self::MOST).await?;
                self.replace(after, until, rows, now - Self::AFTER);
            } else {
                let middle = after + (until - after) / 2;
                ranges.extend([(after, middle), (middle, until)]);
            }
        }
        Ok(())
    }

    /// What is not listed for want of room is not looked for either.
    fn first_of_interest(&self, now: i64) -> i64 {
        let table = self.table();
        match table.rows.first() {
            Some((first, _)) if table.rows.len() >= Self::MOST as usize => now.max(*first),
            Some(_) | None => now,
        }
    }

    fn count(&self, after: i64, until: i64) -> u64 {
        let table = self.table();
        let range = table.rows.range((after + 1, "".into())..(until.saturating_add(1), "".into()));
        range.count() as u64
    }

    /// Puts rows in the place of those in a range, and forgets those that ended before `oldest`.
    fn replace(&self, after: i64, until: i64, rows: Vec<RevokedRow>, oldest: i64) {
        let mut table = self.table();
        table.rows.retain(|(exp, _)| *exp > oldest && !(*exp > after && *exp <= until));
        table.rows.extend(rows.into_iter().map(|row| (row.exp, Arc::from(row.jti))));
        while table.rows.len() > Self::MOST as usize {
            table.rows.pop_first();
        }
        self.listed.store(Arc::new(table.rows.iter().map(|(_, jti)| Arc::clone(jti)).collect()));
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RevokedTokens {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for RevokedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} revoked tokens", self.len())
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
