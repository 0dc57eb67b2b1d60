//! A few connections, kept for the next question.
//!
//! Of our own and not sqlx's, because that one tries again and again while a server refuses
//! connections, and then says no more than that time is up.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::statement::{self, Column, Field, Statement, Value};
use super::url::{DatabaseUrl, Place, Server, TlsMode};
use super::{DatabaseError, Metadata, RevokedRow, UserId, UserRow};

/// One question: a connection, a read-only transaction, the rows. What fails loses its connection.
macro_rules! ask {
    ($pool:expr, $connecting:expr, $begin:expr, $text:expr, $statement:expr, $values:expr) => {{
        let mut idle = $pool.take($connecting).await?;
        let connection = &mut idle.idle.connection;
        let asked = async {
            if let Some(begin) = $begin {
                sqlx::raw_sql(begin).execute(&mut *connection).await?;
            }
            // Not kept on the server, so that a PgBouncer may stand between.
            let mut query = sqlx::query(AssertSqlSafe($text)).persistent(false);
            for value in $values {
                query = match value {
                    Value::Text(text) => query.bind(text.to_owned()),
                    Value::Number(number) => query.bind(number),
                };
            }
            let rows = query.fetch_all(&mut *connection).await?;
            if $begin.is_some() {
                sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
            }
            let decoded = rows.iter().map(|row| {
                let columns = $statement.columns.iter().enumerate();
                let fields = columns.map(|(at, column)| match column {
                    Column::Text => row.try_get_unchecked(at).map(Field::Text),
                    Column::Number => row.try_get(at).map(Field::Number),
                });
                fields.collect::<Result<Vec<Field>, sqlx::Error>>()
            });
            decoded.collect::<Result<Vec<_>, sqlx::Error>>()
        };
        match timeout(Pools::ANSWER, asked).await {
            Ok(Ok(rows)) => {
                $pool.put(idle);
                Ok(rows)
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(DatabaseError::Timeout(Pools::ANSWER)),
        }
    }};
}

/// The connections to one database.
pub struct Pools {
    pool: Pool,
    connect_timeout: Duration,
}

enum Pool {
    Postgres(Connections<PgConnection>),
    MySql(Connections<MySqlConnection>),
    Sqlite(Connections<SqliteConnection>),
}

struct Connections<C: Connection> {
    options: C::Options,
    life: Duration,
    idle: Mutex<Vec<Idle<C>>>,
    permits: Semaphore,
}

struct Idle<C> {
    connection: C,
    opened: Instant,
    used: Instant,
}

impl Pools {
    /// Connections at a time. Airflow's own pool has 5, and PostgreSQL's default is 100 for all.
    const CONNECTIONS: usize = 4;
    /// How long connecting may take, where the URL does not say less.
    const CONNECT: Duration = Duration::from_secs(3);
    /// How long an answer may take, and before it a free connection.
    const ANSWER: Duration = Duration::from_secs(5);
    /// A connection that was unused for longer is tried before it is used, as Airflow's pre-ping does.
    const FRESH: Duration = Duration::from_secs(5);
    /// A connection is not used for longer: after a failover the name leads elsewhere, and a SQLite file,
    /// which costs nothing to open, may have been replaced.
    const LIFE: Duration = Duration::from_secs(300);
    const FILE_LIFE: Duration = Duration::from_secs(5);
    /// The most users of one query.
    const AT_ONCE: usize = 500;

    /// A pool without any connection yet. Asks nobody.
    pub fn new(url: &DatabaseUrl) -> Self {
        let (pool, wanted) = match url {
            DatabaseUrl::Postgres(server) => {
                (Pool::Postgres(Connections::new(postgres(server), Self::LIFE)), server.connect_timeout)
            }
            DatabaseUrl::MySql(server) => {
                (Pool::MySql(Connections::new(mysql(server), Self::LIFE)), server.connect_timeout)
            }
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .read_only(true)
                    .create_if_missing(false)
                    .busy_timeout(Duration::from_secs(2))
                    .disable_statement_logging();
                (Pool::Sqlite(Connections::new(options, Self::FILE_LIFE)), None)
            }
        };
        Self { pool, connect_timeout: wanted.map_or(Self::CONNECT, |wanted| wanted.min(Self::CONNECT)) }
    }

    /// A connection that was kept may have been ended meanwhile, by a server that was started anew, say:
    /// then the question is put once more, on a new one. All questions only read.
    async fn rows(
        &self,
        statement: &Statement,
        ids: Option<&[UserId]>,
        values: &[Value<'_>],
    ) -> Result<Vec<Vec<Field>>, DatabaseError> {
        match self.rows_at_once(statement, ids, values).await {
            Err(DatabaseError::Lost(_)) => {
                self.close_unused();
                self.rows_at_once(statement, ids, values).await
            }
            answered => answered,
        }
    }

    fn close_unused(&self) {
        match &self.pool {
            Pool::Postgres(pool) => while pool.unused().is_some() {},
            Pool::MySql(pool) => while pool.unused().is_some() {},
            Pool::Sqlite(pool) => while pool.unused().is_some() {},
        }
    }

    async fn rows_at_once(
        &self,
        statement: &Statement,
        ids: Option<&[UserId]>,
        values: &[Value<'_>],
    ) -> Result<Vec<Vec<Field>>, DatabaseError> {
        let list = ids.map(id_list).unwrap_or_default();
        let connecting = self.connect_timeout;
        match &self.pool {
            Pool::Postgres(pool) => {
                let text = format!("{}{list}", statement.postgres);
                ask!(pool, connecting, Some(POSTGRES), text, statement, values.iter().copied())
            }
            Pool::MySql(pool) => {
                let text = format!("{}{list}", statement.mysql);
                let places = text.bytes().filter(|b| *b == b'?').count();
                let again = values.first().copied().into_iter().cycle();
                let values = values.iter().copied().chain(again).take(places);
                ask!(pool, connecting, Some(MYSQL), text, statement, values)
            }
            Pool::Sqlite(pool) => {
                let text = format!("{}{list}", statement.sqlite);
                ask!(pool, connecting, None::<&'static str>, text, statement, values.iter().copied())
            }
        }
    }
}

/// A limit on the server too, so that it does not go on when we have given up.
const POSTGRES: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = 5000";
const MYSQL: &str = "START TRANSACTION READ ONLY";

impl<C: Connection> Connections<C> {
    fn new(options: C::Options, life: Duration) -> Self {
        Self { options, life, idle: Mutex::default(), permits: Semaphore::new(Pools::CONNECTIONS) }
    }

    /// A connection that works, as far as can be told: an unused one, else a new one.
    async fn take(&self, connecting: Duration) -> Result<Taken<'_, C>, DatabaseError> {
        let permit = timeout(Pools::ANSWER, self.permits.acquire()).await;
        let permit = permit.map_err(|_| DatabaseError::Busy)?.map_err(|_| DatabaseError::Busy)?;
        while let Some(mut idle) = self.unused() {
            if idle.opened.elapsed() > self.life {
                continue;
            }
            if idle.used.elapsed() < Pools::FRESH {
                return Ok(Taken { idle, permit });
            }
            if let Ok(Ok(())) = timeout(connecting, idle.connection.ping()).await {
                return Ok(Taken { idle, permit });
            }
        }
        match timeout(connecting, self.options.connect()).await {
            Ok(Ok(connection)) => {
                let now = Instant::now();
                Ok(Taken { idle: Idle { connection, opened: now, used: now }, permit })
            }
            Ok(Err(error)) => Err(DatabaseError::Connect(cause(&error))),
            Err(_) => Err(DatabaseError::Timeout(connecting)),
        }
    }

    fn put(&self, taken: Taken<'_, C>) {
        let Taken { mut idle, permit } = taken;
        idle.used = Instant::now();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
        drop(permit);
    }

    fn unused(&self) -> Option<Idle<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// A connection in use. Dropped, it is closed.
struct Taken<'a, C> {
    idle: Idle<C>,
    permit: SemaphorePermit<'a>,
}

#[async_trait]
impl Metadata for Pools {
    async fn find(&self, name: &str) -> Result<Vec<UserRow>, DatabaseError> {
        let rows = self.rows(&statement::FIND, None, &[Value::Text(name)]).await?;
        Ok(rows.into_iter().filter_map(statement::user).collect())
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<UserRow>, DatabaseError> {
        let mut users = Vec::with_capacity(ids.len());
        for some in ids.chunks(Self::AT_ONCE) {
            let rows = self.rows(&statement::USERS, Some(some), &[]).await?;
            users.extend(rows.into_iter().filter_map(statement::user));
        }
        Ok(users)
    }

    async fn methods(&self) -> Result<Vec<String>, DatabaseError> {
        let rows = self.rows(&statement::METHODS, None, &[]).await?;
        Ok(rows.into_iter().filter_map(|row| statement::text(row.into_iter().next())).collect())
    }

    async fn count_revoked(&self, after: i64, until: i64) -> Result<u64, DatabaseError> {
        let rows =
            self.rows(&statement::COUNT_REVOKED, None, &[Value::Number(after), Value::Number(until)]).await?;
        let count = rows.into_iter().next().and_then(|row| statement::number(row.into_iter().next()));
        u64::try_from(count.unwrap_or_default()).map_err(|error| DatabaseError::Failed(error.to_string()))
    }

    async fn revoked(&self, after: i64, until: i64, most: u32) -> Result<Vec<RevokedRow>, DatabaseError> {
        let values = [after, until, most.into()].map(Value::Number);
        let rows = self.rows(&statement::REVOKED, None, &values).await?;
        Ok(rows.into_iter().filter_map(statement::revoked).collect())
    }

    async fn ping(&self) -> Result<(), DatabaseError> {
        self.rows(&statement::PING, None, &[]).await.map(drop)
    }
}

/// `(1, 2, 3)`.
fn id_list(ids: &[UserId]) -> String {
    let ids: Vec<String> = ids.iter().map(|UserId(id)| id.to_string()).collect();
    format!("({})", ids.join(", "))
}

fn postgres(server: &Server) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .application_name("airgate")
        // PgBouncer refuses a connection that asks for it.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    options = match &server.place {
        Place::Tcp(host, port) => options.host(host).port(*port),
        Place::Socket(folder, port) => options.socket(folder).port(*port),
    };
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = &server.password {
        options = options.password(password.expose());
    }
    if let Some(database) = server.database.as_ref().or(server.user.as_ref()) {
        options = options.database(database);
    }
    let tls = &server.tls;
    if let Some(ca) = &tls.ca {
        options = options.ssl_root_cert(ca);
    }
    if let Some((certificate, key)) = &tls.client {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    if !server.parameters.is_empty() {
        options = options.options(server.parameters.iter().cloned());
    }
    options.ssl_mode(match tls.mode {
        TlsMode::Off => PgSslMode::Disable,
        TlsMode::Preferred => PgSslMode::Prefer,
        TlsMode::Required => PgSslMode::Require,
        TlsMode::Verified => PgSslMode::VerifyFull,
    })
}

/// In UTC, which Airflow sets for its own sessions too: what it writes is compared in the session's zone.
fn mysql(server: &Server) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .timezone(Some("+00:00".to_owned()))
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    options = match &server.place {
        Place::Tcp(host, port) => options.host(host).port(*port),
        Place::Socket(path, _) => options.socket(path),
    };
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = &server.password {
        options = options.password(password.expose());
    }
    if let Some(database) = &server.database {
        options = options.database(database);
    }
    let tls = &server.tls;
    if let Some(ca) = &tls.ca {
        options = options.ssl_ca(ca);
    }
    if let Some((certificate, key)) = &tls.client {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    options.ssl_mode(match tls.mode {
        TlsMode::Off => MySqlSslMode::Disabled,
        TlsMode::Preferred => MySqlSslMode::Preferred,
        TlsMode::Required => MySqlSslMode::Required,
        TlsMode::Verified => MySqlSslMode::VerifyIdentity,
    })
}

/// What an error means. The codes are SQLSTATE's `undefined_table` and MySQL's `no such table`; SQLite
/// has none of its own for it.
fn failed(error: &sqlx::Error) -> DatabaseError {
    let told = match error {
        sqlx::Error::Database(told) => told,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
            return DatabaseError::Lost(cause(error));
        }
        other => return DatabaseError::Failed(cause(other)),
    };
    let code = told.code().unwrap_or_default();
    // SQLSTATE's `operator_intervention` (the server is shut down) and `connection_exception`.
    if code.starts_with("57P") || code.starts_with("08") {
        return DatabaseError::Lost(cause(error));
    }
    let missing = code == "42P01" || code == "42S02" || told.message().starts_with("no such table");
    match missing {
        true => DatabaseError::NoTable(told.message().to_owned()),
        false => DatabaseError::Failed(cause(error)),
    }
}

/// The innermost cause, on one line.
fn cause(error: &sqlx::Error) -> String {
    let text = match error {
        sqlx::Error::Database(told) => told.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    line
}
