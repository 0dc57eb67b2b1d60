//! Airflow's metadata database in the three that it may be: a real PostgreSQL and a real MariaDB, started by
//! `tests/servers`, and SQLite. Each test has one of its own, with Airflow 3.3's tables and a few users.
//!
//! `make test` starts the servers first and says where they are; without it, the first test that needs one
//! starts it, and leaves it running for the next time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

/// Whose password each of [`Database::fresh`]'s users has, but for those that have none.
pub const PASSWORD: &str = "pässwörd✓";

const SCRYPT: &str = "scrypt:1024:8:1$Te3SNSHBjQrPuM9t$6d25894715bb7990766441740f9f131c16a58092e88eae5f573d5d50d8e7ab45a7d18d814f5c11606bdd44723384fcd4460fa6913a17032a86b7e5036f0bf882";
const SHA256: &str =
    "pbkdf2:sha256:1000$x0a3cKk9Z4zNX5Oj$4cf72748189ce0c558512d3e4fed164035059f3b6f7980eb6d9b9281fc5da78b";
const SHA512: &str = "pbkdf2:sha512:1000$vQld5UBoYle3bnzW$94c321b38034606ef21d6fadb0c2fbd77b43d62fe33b9af443682616ee9cc2d3fb475b4b32da531eb0d7e1351057933af395bde95bfb041d4e01964da612e58a";
const MD5: &str = "md5$salt$0123456789abcdef0123456789abcdef";
/// The hash of `new-pw`.
pub const NEW_HASH: &str = "scrypt:1024:8:1$YhPiD5nF1AZzZwol$31c014066dbf06d838ed99e8c68f8706c913e2c34bdb7011e1a8aa6cd212a1d7f0d0ba853c7a20c855530343c81b214f72669bf2e272faa2a6d7e883f1bb4ffe";

/// Id, name, hash, active. The e-mail address is `NAME@airgate.test`, in lower case.
const USERS: &[(i64, &str, Option<&str>, Option<bool>)] = &[
    (1, "admin", Some(SCRYPT), Some(true)),
    (2, "viewer", Some(SHA256), Some(true)),
    // A name that looks like the id of another user.
    (3, "1", Some(SHA512), Some(true)),
    (4, "inactive", Some(SCRYPT), Some(false)),
    (5, "Ünïcode", Some(SCRYPT), Some(true)),
    (6, "per%cent_", Some(SCRYPT), Some(true)),
    (7, "o'brien", Some(SCRYPT), Some(true)),
    (8, "weak", Some(MD5), Some(true)),
    (9, "nopassword", None, Some(true)),
    (10, "josé", Some(SCRYPT), Some(true)),
    (11, "unset", Some(SCRYPT), None),
    (12, "back\\slash", Some(SCRYPT), Some(true)),
    (13, "emoji😀", Some(SCRYPT), Some(true)),
    (14, "norole", Some(SCRYPT), Some(true)),
];

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MariaDb,
    Sqlite,
}

pub const KINDS: [Kind; 3] = [Kind::Postgres, Kind::MariaDb, Kind::Sqlite];

/// A running server.
pub struct Server {
    pub kind: Kind,
    port: u16,
    home: PathBuf,
    /// Of one that is a test's own.
    name: Option<String>,
}

/// A database with Airflow's tables.
pub struct Database {
    pub kind: Kind,
    /// As Airflow would have it in `sql_alchemy_conn`.
    pub url: String,
    /// The same without TLS or other niceties, for ourselves.
    admin: String,
    _folder: Option<TempDir>,
}

/// The server that all tests share.
pub fn shared(kind: Kind) -> &'static Server {
    static POSTGRES: OnceLock<Server> = OnceLock::new();
    static MARIADB: OnceLock<Server> = OnceLock::new();
    match kind {
        Kind::Postgres => POSTGRES.get_or_init(|| given(kind).unwrap_or_else(|| up(kind, None))),
        Kind::MariaDb => MARIADB.get_or_init(|| given(kind).unwrap_or_else(|| up(kind, None))),
        Kind::Sqlite => panic!("SQLite has no server"),
    }
}

impl Server {
    /// One of a test's own, to be stopped and started. Ends when it is dropped.
    pub fn own(kind: Kind, name: &str) -> Self {
        up(kind, Some(format!("{name}-{}", std::process::id())))
    }

    pub fn stop(&self) {
        let name = self.name.as_deref().expect("the one that all share is not stopped");
        script(self.kind, &["down", "--name", name]);
    }

    /// Again, where it was.
    pub fn start_again(&self) {
        let mut again = up(self.kind, self.name.clone());
        // The handle that there is ends it.
        again.name = None;
        assert_eq!(again.port, self.port);
    }

    /// A file in its folder, such as `ca.crt`.
    pub fn path(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    /// The folder of its socket.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            script(self.kind, &["down", "--name", name]);
            drop(std::fs::remove_dir_all(&self.home));
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".airgate-dev/servers");
            drop(std::fs::remove_dir_all(folder.join(format!("{}-{name}", word(self.kind)))));
        }
    }
}

impl Database {
    /// With the tables of Airflow 3.3, and a few users.
    pub fn fresh(kind: Kind) -> Self {
        match kind {
            Kind::Postgres | Kind::MariaDb => Self::on(shared(kind)),
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("airflow.db");
                let admin = format!("sqlite://{}?mode=rwc", file.display());
                let url = format!("sqlite:///{}", file.display());
                Self { kind, url, admin, _folder: Some(folder) }.filled(SQLITE)
            }
        }
    }

    /// A copy of an Airflow's own SQLite database, to be changed without harm to others.
    pub fn copy_of(file: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("airflow.db");
        let of = |file: &Path| format!("sqlite://{}", file.display());
        execute(Kind::Sqlite, &of(file), &format!("VACUUM INTO '{}'", copy.display()));
        let url = format!("sqlite:///{}", copy.display());
        Self { kind: Kind::Sqlite, url, admin: of(&copy), _folder: Some(folder) }
    }

    /// The same on a server of one's own.
    pub fn on(server: &Server) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let authority = format!("airflow:p%40ss%3Aw%2F%C3%B6rd%25@127.0.0.1:{}", server.port);
        let kind = server.kind;
        let (admin, url, tables) = match kind {
            Kind::Postgres => {
                let of = |name: &str| format!("postgresql://{authority}/{name}");
                execute(kind, &of("postgres"), &format!("CREATE DATABASE {name}"));
                let url = format!("postgresql+psycopg2://{authority}/{name}?connect_timeout=5");
                (of(&name), url, POSTGRES)
            }
            Kind::MariaDb => {
                let of = |name: &str| format!("mysql://{authority}/{name}");
                let create = "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci";
                execute(kind, &of("mysql"), &format!("CREATE DATABASE {name} {create}"));
                (of(&name), format!("mysql+mysqldb://{authority}/{name}?charset=utf8mb4"), MARIADB)
            }
            Kind::Sqlite => panic!("SQLite has no server"),
        };
        Self { kind, url, admin, _folder: None }.filled(tables)
    }

    fn filled(self, tables: &str) -> Self {
        self.run(tables);
        for (id, name, hash, active) in USERS {
            let hash = hash.map_or("NULL".to_owned(), |hash| format!("'{hash}'"));
            let active = match active {
                Some(true) => "TRUE",
                Some(false) => "FALSE",
                None => "NULL",
            };
            let mut escaped = name.replace('\'', "''");
            if self.kind == Kind::MariaDb {
                escaped = escaped.replace('\\', "\\\\");
            }
            self.run(&format!(
                "INSERT INTO ab_user (id, first_name, last_name, username, password, active, email) \
                 VALUES ({id}, 'F', 'L', '{escaped}', {hash}, {active}, '{}@airgate.test')",
                escaped.to_lowercase(),
            ));
        }
        self
    }

    /// Runs statements.
    pub fn run(&self, sql: &str) {
        execute(self.kind, &self.admin, sql);
    }

    /// As Airflow's log-out does for a token that ends then.
    pub fn revoke(&self, jti: &str, exp: u64) {
        self.run(&format!("INSERT INTO revoked_token (jti, exp) VALUES ('{jti}', {})", self.time(exp)));
    }

    /// A time as Airflow writes it: UTC, without a zone where the database has none.
    pub fn time(&self, seconds: u64) -> String {
        match self.kind {
            Kind::Postgres => format!("to_timestamp({seconds})"),
            // What Airflow sends is a naive text.
            Kind::MariaDb => format!("TIMESTAMPADD(SECOND, {seconds}, '1970-01-01 00:00:00')"),
            Kind::Sqlite => format!("strftime('%Y-%m-%d %H:%M:%S.000000', {seconds}, 'unixepoch')"),
        }
    }
}

fn execute(kind: Kind, url: &str, sql: &str) {
    async fn on<C: Connection>(url: &str, run: impl AsyncFnOnce(&mut C) -> Result<(), sqlx::Error>) {
        let mut connection = C::connect(url).await.unwrap();
        run(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    let sql = sql.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        match kind {
            Kind::Postgres => {
                on::<sqlx::PgConnection>(url, async |c| query.execute(c).await.map(drop)).await;
            }
            Kind::MariaDb => {
                on::<sqlx::MySqlConnection>(url, async |c| query.execute(c).await.map(drop)).await;
            }
            Kind::Sqlite => {
                on::<sqlx::SqliteConnection>(url, async |c| query.execute(c).await.map(drop)).await;
            }
        }
    });
}

fn given(kind: Kind) -> Option<Server> {
    let variable =
        |what: &str| std::env::var(format!("AIRGATE_TEST_{}_{what}", word(kind).to_uppercase())).ok();
    let (port, home) = (variable("PORT")?.parse().ok()?, variable("HOME")?.into());
    Some(Server { kind, port, home, name: None })
}

fn up(kind: Kind, name: Option<String>) -> Server {
    let named: Vec<&str> = name.iter().flat_map(|name| ["--name", name]).collect();
    let output = script(kind, &[&["up"], &named[..]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |what: &str| {
        let prefix = format!("AIRGATE_TEST_{}_{what}=", word(kind).to_uppercase());
        text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
    };
    Server { kind, port: value("PORT").parse().unwrap(), home: value("HOME").into(), name }
}

fn script(kind: Kind, arguments: &[&str]) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/servers/{}.sh", word(kind)));
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "postgres",
        Kind::MariaDb => "mariadb",
        Kind::Sqlite => "sqlite",
    }
}

/// What Airflow 3.3's migrations make (`CreateTable` of its models).
const POSTGRES: &str = "
CREATE TABLE ab_user (
    id INTEGER NOT NULL, first_name VARCHAR(256) NOT NULL, last_name VARCHAR(256) NOT NULL,
    username VARCHAR(512) NOT NULL, password VARCHAR(256), active BOOLEAN, email VARCHAR(512) NOT NULL,
    last_login TIMESTAMP WITHOUT TIME ZONE, login_count INTEGER, fail_login_count INTEGER,
    created_on TIMESTAMP WITHOUT TIME ZONE, changed_on TIMESTAMP WITHOUT TIME ZONE,
    created_by_fk INTEGER, changed_by_fk INTEGER,
    CONSTRAINT ab_user_pkey PRIMARY KEY (id), CONSTRAINT ab_user_username_uq UNIQUE (username),
    CONSTRAINT ab_user_email_uq UNIQUE (email)
);
CREATE UNIQUE INDEX idx_ab_user_username ON ab_user (lower(username));
CREATE TABLE revoked_token (
    jti VARCHAR(32) NOT NULL, exp TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT revoked_token_pkey PRIMARY KEY (jti)
);
CREATE INDEX idx_revoked_token_exp ON revoked_token (exp);
CREATE TABLE ab_role (
    id INTEGER NOT NULL, name VARCHAR(64) NOT NULL,
    CONSTRAINT ab_role_pkey PRIMARY KEY (id), CONSTRAINT ab_role_name_uq UNIQUE (name)
);
CREATE TABLE ab_user_role (
    id INTEGER NOT NULL, user_id INTEGER, role_id INTEGER, CONSTRAINT ab_user_role_pkey PRIMARY KEY (id)
);
";

const MARIADB: &str = "
CREATE TABLE ab_user (
    id INTEGER NOT NULL AUTO_INCREMENT, first_name VARCHAR(256) NOT NULL, last_name VARCHAR(256) NOT NULL,
    username VARCHAR(512) NOT NULL, password VARCHAR(256), active BOOL, email VARCHAR(512) NOT NULL,
    last_login DATETIME, login_count INTEGER, fail_login_count INTEGER, created_on DATETIME,
    changed_on DATETIME, created_by_fk INTEGER, changed_by_fk INTEGER,
    CONSTRAINT ab_user_pkey PRIMARY KEY (id), CONSTRAINT ab_user_username_uq UNIQUE (username),
    CONSTRAINT ab_user_email_uq UNIQUE (email)
);
CREATE TABLE revoked_token (
    jti VARCHAR(32) NOT NULL, exp TIMESTAMP(6) NOT NULL,
    CONSTRAINT revoked_token_pkey PRIMARY KEY (jti)
);
CREATE INDEX idx_revoked_token_exp ON revoked_token (exp);
CREATE TABLE ab_role (
    id INTEGER NOT NULL AUTO_INCREMENT, name VARCHAR(64) NOT NULL,
    CONSTRAINT ab_role_pkey PRIMARY KEY (id), CONSTRAINT ab_role_name_uq UNIQUE (name)
);
CREATE TABLE ab_user_role (
    id INTEGER NOT NULL AUTO_INCREMENT, user_id INTEGER, role_id INTEGER,
    CONSTRAINT ab_user_role_pkey PRIMARY KEY (id)
);
";

const SQLITE: &str = "
CREATE TABLE ab_user (
    id INTEGER NOT NULL, first_name VARCHAR(256) NOT NULL, last_name VARCHAR(256) NOT NULL,
    username VARCHAR(512) COLLATE \"NOCASE\" NOT NULL, password VARCHAR(256), active BOOLEAN,
    email VARCHAR(512) NOT NULL, last_login DATETIME, login_count INTEGER, fail_login_count INTEGER,
    created_on DATETIME, changed_on DATETIME, created_by_fk INTEGER, changed_by_fk INTEGER,
    CONSTRAINT ab_user_pkey PRIMARY KEY (id), CONSTRAINT ab_user_username_uq UNIQUE (username),
    CONSTRAINT ab_user_email_uq UNIQUE (email)
);
CREATE TABLE revoked_token (
    jti VARCHAR(32) NOT NULL, exp TIMESTAMP NOT NULL, CONSTRAINT revoked_token_pkey PRIMARY KEY (jti)
);
CREATE INDEX idx_revoked_token_exp ON revoked_token (exp);
CREATE TABLE ab_role (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL UNIQUE);
CREATE TABLE ab_user_role (id INTEGER NOT NULL PRIMARY KEY, user_id INTEGER, role_id INTEGER);
";
