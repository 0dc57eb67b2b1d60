//! `[database] sql_alchemy_conn`, read as SQLAlchemy 2 reads it (`engine/url.py`).

mod mysql;
mod postgres;
mod query;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::secret::Secret;
use query::Query;

/// Which database, where, and who asks. Prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `postgresql://…`, with any of its drivers.
    Postgres(Server),
    /// `mysql://…` or `mariadb://…`, with any of its drivers.
    MySql(Server),
    /// `sqlite:////absolute/path`.
    Sqlite(PathBuf),
}

/// A database on a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub place: Place,
    /// Who logs in. `None`: the driver's own default.
    pub user: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// The database there. `None`: the driver's own default.
    pub database: Option<String>,
    /// How the connection is protected.
    pub tls: Tls,
    /// How long connecting may take, where the URL says so.
    pub connect_timeout: Option<Duration>,
    /// PostgreSQL's run-time parameters, from `options=-c key=value`.
    pub parameters: Vec<(String, String)>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A name or an address, and a port.
    Tcp(String, u16),
    /// A Unix socket: the file itself, or, for PostgreSQL, its folder and the port.
    Socket(PathBuf, u16),
}

/// How a connection is protected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whether there is TLS.
    pub mode: TlsMode,
    /// PEM certificates that may vouch for the server, besides those of the public authorities.
    pub ca: Option<PathBuf>,
    /// The client's own certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Whether there is TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Off,
    /// Where the server has it, without a look at its certificate. The default of every driver.
    #[default]
    Preferred,
    /// Always, without a look at its certificate.
    Required,
    /// Always, and the certificate must be good for the server's name.
    Verified,
}

/// Why a URL is not taken. Never tells the password, nor anything that might be a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// No scheme.
    #[error("not a URL such as postgresql+psycopg2://user:password@host/airflow")]
    NotAUrl,
    /// A database that Airflow 3 does not run on.
    #[error("the database {0:?} is not supported: postgresql, mysql (also mariadb) and sqlite are")]
    Dialect(String),
    /// A driver that is not known for this database.
    #[error("the driver {driver:?} of {dialect} is not known: {known} are")]
    Driver {
        /// The database.
        dialect: &'static str,
        /// The driver's name.
        driver: String,
        /// Those that are.
        known: String,
    },
    /// A part that is not well written.
    #[error("{0}")]
    Malformed(&'static str),
    /// A key after `?` that asks for what is not done here.
    #[error("{key} in the URL is not supported: {reason}")]
    Key {
        /// The key.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// A key whose value is not one of those that it may have.
    #[error("{key} in the URL must be {allowed}")]
    Value {
        /// The key.
        key: String,
        /// What it may be.
        allowed: &'static str,
    },
}

/// A URL that was read, and what in it has no effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadUrl {
    /// What it says.
    pub url: DatabaseUrl,
    /// Keys after `?` that are passed over.
    pub ignored: Vec<String>,
}

impl DatabaseUrl {
    /// The longest text that is looked at, in bytes.
    pub const MAX: usize = 8192;

    /// Reads a URL as Airflow hands it to SQLAlchemy: the driver after `+` says nothing about the
    /// database, so each is taken for the database that it stands for.
    ///
    /// What would change which server is asked, or how it is protected, and is not done here, is
    /// refused; any other key after `?` is passed over and named in [`ReadUrl::ignored`].
    ///
    /// # Errors
    /// See [`InvalidUrl`].
    pub fn parse(text: &str) -> Result<ReadUrl, InvalidUrl> {
        if text.len() > Self::MAX {
            return Err(InvalidUrl::Malformed("the URL is too long"));
        }
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(InvalidUrl::Malformed("the URL has a control character"));
        }
        let parts = Parts::cut(text)?;
        let (dialect, driver) = match parts.scheme.split_once('+') {
            Some((dialect, driver)) => (dialect, Some(driver)),
            None => (parts.scheme, None),
        };
        match dialect {
            "postgresql" | "postgres" => postgres::read(parts, driver),
            "mysql" | "mariadb" => mysql::read(parts, driver),
            "sqlite" => sqlite::read(parts, driver),
            other => Err(InvalidUrl::Dialect(other.to_owned())),
        }
    }

    /// The same, for Airflow's `sql_alchemy_schema`: in MySQL a schema is a database.
    ///
    /// # Errors
    /// SQLite has none, or it is no name.
    pub fn with_schema(self, schema: Option<&str>) -> Result<Self, InvalidUrl> {
        let Some(schema) = schema else { return Ok(self) };
        if schema.contains(|c: char| c.is_control() || matches!(c, '\'' | '"' | '\\' | ' ' | ',')) {
            return Err(InvalidUrl::Malformed(
                "the schema has a character that no schema's name should have",
            ));
        }
        match self {
            Self::Postgres(mut server) => {
                server.parameters.push(("search_path".to_owned(), schema.to_owned()));
                Ok(Self::Postgres(server))
            }
            Self::MySql(server) => Ok(Self::MySql(Server { database: Some(schema.to_owned()), ..server })),
            Self::Sqlite(_) => Err(InvalidUrl::Malformed("a sqlite database has no schemas")),
        }
    }

    /// The dialect, as SQLAlchemy calls it.
    pub fn dialect(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgresql",
            Self::MySql(_) => "mysql",
            Self::Sqlite(_) => "sqlite",
        }
    }
}

impl fmt::Display for DatabaseUrl {
    /// Where it is, for logs: neither user nor password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) | Self::MySql(server) => {
                write!(f, "{}://", self.dialect())?;
                match &server.place {
                    Place::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}")?,
                    Place::Tcp(host, port) => write!(f, "{host}:{port}")?,
                    Place::Socket(path, _) => write!(f, "{}", path.display())?,
                }
                write!(f, "/{}", server.database.as_deref().unwrap_or_default())
            }
            Self::Sqlite(path) => write!(f, "sqlite:///{}", path.display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) | Self::MySql(server) => {
                f.debug_tuple(self.dialect()).field(server).finish()
            }
            Self::Sqlite(path) => f.debug_tuple("sqlite").field(path).finish(),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, user, password, database, tls, connect_timeout, parameters } = self;
        f.debug_struct("Server")
            .field("place", place)
            .field("user", user)
            .field("password", password)
            .field("database", database)
            .field("tls", tls)
            .field("connect_timeout", connect_timeout)
            .field("parameters", parameters)
            .finish()
    }
}

/// A URL cut as SQLAlchemy's pattern cuts it. Nothing but the host is checked.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<String>,
    password: Option<Secret>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    query: Query,
}

impl<'a> Parts<'a> {
    fn cut(text: &'a str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::NotAUrl)?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '+';
        if scheme.is_empty() || scheme.len() > 64 || !scheme.chars().all(word) {
            return Err(InvalidUrl::NotAUrl);
        }
        let (login, rest) = cut_login(rest);
        let (user, password) = match login {
            Some((user, password)) => {
                (Some(decode(user)?), password.map(|text| decode(text).map(Secret::new)).transpose()?)
            }
            None => (None, None),
        };
        let (before, query) = match rest.split_once('?') {
            Some((before, query)) => (before, Query::read(query)?),
            None => (rest, Query::default()),
        };
        let (authority, database) = match before.split_once('/') {
            Some((authority, database)) => (authority, Some(decode(database)?)),
            None => (before, None),
        };
        let (host, port) = cut_authority(authority)?;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            scheme,
            user: user.and_then(some),
            password: password.filter(|password| !password.is_empty()),
            host: host.map(str::to_owned),
            port,
            database: database.and_then(some),
            query,
        })
    }

    /// Whether something is there that a file has no use for.
    fn names_a_server(&self) -> bool {
        self.user.is_some() || self.password.is_some() || self.host.is_some() || self.port.is_some()
    }
}

/// `user:password@`. The user ends at the first `:` or `/`, and the password at the first `@`.
fn cut_login(rest: &str) -> (Option<(&str, Option<&str>)>, &str) {
    let (head, tail) = match rest.find([':', '/']) {
        Some(stop) => rest.split_at(stop),
        None => (rest, ""),
    };
    if let Some((password, after)) = tail.strip_prefix(':').and_then(|tail| tail.split_once('@')) {
        return (Some((head, Some(password))), after);
    }
    match head.rfind('@') {
        Some(at) => (Some((&head[..at], None)), &rest[at + 1..]),
        None => (None, rest),
    }
}

/// `host:port`. Neither is repeated in an error: without its `@` a password stands there.
fn cut_authority(authority: &str) -> Result<(Option<&str>, Option<u16>), InvalidUrl> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(InvalidUrl::Malformed("the host has no ]"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(InvalidUrl::Malformed("the host in [ ] is no IPv6 address"));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, port),
                None if after.is_empty() => (host, ""),
                None => return Err(InvalidUrl::Malformed("only a port may follow the ] of the host")),
            }
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    if host.contains('@') {
        return Err(InvalidUrl::Malformed("an @ in the password must be written %40"));
    }
    check_host(host)?;
    let port = match port {
        "" => None,
        digits => Some(port_number(digits)?),
    };
    Ok((Some(host).filter(|host| !host.is_empty()), port))
}

/// A name, an address, or (PostgreSQL) the folder of a socket.
fn check_host(host: &str) -> Result<(), InvalidUrl> {
    let fine = |c: char| !c.is_whitespace() && !matches!(c, '#' | '\\' | '@' | '%' | '/');
    match host.contains(',') {
        true => {
            Err(InvalidUrl::Malformed("more than one host is not supported: name one, or a name for all"))
        }
        false if host.len() > 1024 || !host.chars().all(fine) => {
            Err(InvalidUrl::Malformed("the host is not well written"))
        }
        false => Ok(()),
    }
}

fn port_number(digits: &str) -> Result<u16, InvalidUrl> {
    let plain = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|port| plain && *port > 0)
        .ok_or(InvalidUrl::Malformed("the port is not a number from 1 to 65535"))
}

/// Python's `unquote`, but bytes that are no UTF-8 are refused and not replaced.
fn decode(text: &str) -> Result<String, InvalidUrl> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| InvalidUrl::Malformed("what is percent-encoded is not UTF-8"))?;
    match text.contains('\0') {
        true => Err(InvalidUrl::Malformed("the URL has a control character")),
        false => Ok(text.into_owned()),
    }
}

/// Whether a driver is one of those that stand for this database.
fn check_driver(dialect: &'static str, driver: Option<&str>, known: &[&str]) -> Result<(), InvalidUrl> {
    match driver {
        Some(driver) if !known.contains(&driver) => {
            Err(InvalidUrl::Driver { dialect, driver: driver.to_owned(), known: known.join(", ") })
        }
        Some(_) | None => Ok(()),
    }
}
