//! A database of the test's own, which can be made to fail.

use super::*;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::ports::database::{RevokedRow, UserId, UserRow};
use crate::secret::Secret;

/// Its rows, and how often it was asked.
#[derive(Default)]
pub(crate) struct Fake {
    pub users: Mutex<Vec<UserRow>>,
    pub revoked: Mutex<Vec<RevokedRow>>,
    pub down: AtomicBool,
    pub no_table: AtomicBool,
    pub finds: AtomicUsize,
    pub reads: AtomicUsize,
    pub counts: AtomicUsize,
    /// Where there is one, `find` waits for it.
    pub gate: Option<Notify>,
}

impl Fake {
    pub fn with(users: impl IntoIterator<Item = UserRow>) -> Arc<Self> {
        Arc::new(Self { users: Mutex::new(users.into_iter().collect()), ..Self::default() })
    }

    pub fn fail(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn answer<T>(&self, answer: T) -> Result<T, DatabaseError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(DatabaseError::Connect("refused".into())),
            false => Ok(answer),
        }
    }

    fn within(&self, after: i64, until: i64) -> Result<Vec<RevokedRow>, DatabaseError> {
        if self.no_table.load(Ordering::SeqCst) {
            return Err(DatabaseError::NoTable("revoked_token".into()));
        }
        let rows = self.revoked.lock().unwrap();
        self.answer(rows.iter().filter(|row| row.exp > after && row.exp <= until).cloned().collect())
    }
}

pub(crate) fn user(id: i64, username: &str, password: Option<&str>, active: bool) -> UserRow {
    let password = password.map(Secret::new);
    UserRow { id: UserId(id), username: username.into(), password, active, by_name: false, by_email: false }
}

#[async_trait]
impl Metadata for Fake {
    async fn find(&self, name: &str) -> Result<Vec<UserRow>, DatabaseError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let rows = self.users.lock().unwrap().clone();
        let found = rows.into_iter().filter_map(|mut row| {
            // As loose as MySQL's collations.
            let plain = |text: &str| text.trim_end().to_lowercase().replace('é', "e");
            row.by_name = plain(&row.username) == plain(name);
            row.by_email = format!("{}@example.com", row.username) == name;
            (row.by_name || row.by_email).then_some(row)
        });
        self.answer(found.collect())
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<UserRow>, DatabaseError> {
        let rows = self.users.lock().unwrap().clone();
        self.answer(rows.into_iter().filter(|row| ids.contains(&row.id)).collect())
    }

    async fn methods(&self) -> Result<Vec<String>, DatabaseError> {
        self.answer(Vec::new())
    }

    async fn count_revoked(&self, after: i64, until: i64) -> Result<u64, DatabaseError> {
        self.counts.fetch_add(1, Ordering::SeqCst);
        Ok(self.within(after, until)?.len() as u64)
    }

    async fn revoked(&self, after: i64, until: i64, most: u32) -> Result<Vec<RevokedRow>, DatabaseError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut rows = self.within(after, until)?;
        rows.sort_by_key(|row| std::cmp::Reverse(row.exp));
        rows.truncate(most as usize);
        Ok(rows)
    }

    async fn ping(&self) -> Result<(), DatabaseError> {
        self.answer(())
    }
}

/// What the follower finds decides how the database fares.
#[tokio::test(start_paused = true)]
async fn the_follower_says_how_the_database_fares() {
    let fake = Fake::with([]);
    let workers = Arc::new(HashWorkers::new(2));
    let url = DatabaseUrl::parse("sqlite:////a.db").unwrap().url;
    let database = Arc::new(AirflowDatabase::new(fake.clone(), url, &Handle::current(), workers));
    assert_eq!(database.health(), Health::Up, "nobody has asked yet");
    fake.fail(true);
    let follower = tokio::spawn(AirflowDatabase::follow(Arc::downgrade(&database)));
    let round = || tokio::time::sleep(AirflowDatabase::INTERVAL);
    round().await;
    assert!(matches!(database.health(), Health::Down(cause) if cause.contains("cannot connect")));
    fake.fail(false);
    round().await;
    round().await;
    assert_eq!(database.health(), Health::Up);
    fake.no_table.store(true, Ordering::SeqCst);
    round().await;
    round().await;
    assert_eq!(database.health(), Health::Up, "an older Airflow is no fault");
    drop(database);
    round().await;
    round().await;
    assert!(follower.is_finished(), "it ends with what it follows");
}
