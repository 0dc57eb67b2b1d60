//! Airflow's metadata database, read and never written: `ab_user` and `revoked_token`.
//!
//! PostgreSQL, MySQL (and MariaDB) and SQLite behind one trait, with a small pool of connections,
//! limits on every wait, and read-only transactions.

mod pool;
mod statement;
mod url;

use std::time::Duration;

use async_trait::async_trait;

use crate::secret::Secret;
pub use pool::Pools;
pub use url::{DatabaseUrl, InvalidUrl, Place, ReadUrl, Server, Tls, TlsMode};

/// A user's id in `ab_user`: what Airflow's FAB auth manager writes as `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

/// A row of `ab_user`, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// `id`.
    pub id: UserId,
    /// `username`, as it is stored.
    pub username: String,
    /// `password`: Werkzeug's hash. A user who logs in elsewhere has none.
    pub password: Option<Secret>,
    /// `active`. Null counts as inactive, as in Airflow.
    pub active: bool,
    /// Whether the database takes the name that was asked for as this user's, in any case.
    pub by_name: bool,
    /// Whether it takes it for this user's e-mail address, as it is stored.
    pub by_email: bool,
}

/// A row of `revoked_token`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedRow {
    /// `jti` of the token.
    pub jti: Box<str>,
    /// `exp` of the token, in seconds since 1970.
    pub exp: i64,
}

/// The questions that are asked of the metadata database. Times are seconds since 1970.
#[async_trait]
pub trait Metadata: Send + Sync {
    /// Who has this name, in any case by the database's own rules, or this e-mail address, as
    /// Flask-AppBuilder's `find_user` compares them. At most eight rows.
    ///
    /// # Errors
    /// No answer.
    async fn find(&self, name: &str) -> Result<Vec<UserRow>, DatabaseError>;

    /// These users, those that still exist.
    ///
    /// # Errors
    /// No answer.
    async fn users(&self, ids: &[UserId]) -> Result<Vec<UserRow>, DatabaseError>;

    /// The beginnings of some stored hashes, enough to tell their method.
    ///
    /// # Errors
    /// No answer.
    async fn methods(&self) -> Result<Vec<String>, DatabaseError>;

    /// How many tokens are revoked whose `exp` is in this range, the start excluded.
    ///
    /// # Errors
    /// No answer, or there is no such table (before Airflow 3.2).
    async fn count_revoked(&self, after: i64, until: i64) -> Result<u64, DatabaseError>;

    /// Those tokens, at most so many, the longest-lived first.
    ///
    /// # Errors
    /// As [`Metadata::count_revoked`].
    async fn revoked(&self, after: i64, until: i64, most: u32) -> Result<Vec<RevokedRow>, DatabaseError>;

    /// Whether it answers at all.
    ///
    /// # Errors
    /// No answer.
    async fn ping(&self) -> Result<(), DatabaseError>;
}

/// Why the database gave no answer. For logs: no part of it goes to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// No connection: not reached, not let in, TLS not agreed on.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke, or the server ended it. The question had no answer.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// The time allowed has passed.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// A table is not there: another database, or an older Airflow.
    #[error("there is no such table: {0}")]
    NoTable(String),
    /// All connections are in use.
    #[error("too many questions at a time")]
    Busy,
    /// It answered with an error.
    #[error("{0}")]
    Failed(String),
}
