//! PostgreSQL: the keys of libpq (`psycopg2`, `psycopg`), and the few of `asyncpg` and `pg8000`.

use std::path::PathBuf;

use super::query::Query;
use super::{
    DatabaseUrl, InvalidUrl, Parts, Place, ReadUrl, Server, Tls, TlsMode, check_driver, check_host,
    port_number,
};
use crate::secret::Secret;

const DRIVERS: &[&str] = &["psycopg2", "psycopg", "psycopg_async", "psycopg2cffi", "asyncpg", "pg8000"];

const MODES: &[(&str, TlsMode)] = &[
    ("disable", TlsMode::Off),
    // Without TLS first, with it where the server insists: the other way round protects no less.
    ("allow", TlsMode::Preferred),
    ("prefer", TlsMode::Preferred),
    ("require", TlsMode::Required),
    ("verify-ca", TlsMode::Verified),
    ("verify-full", TlsMode::Verified),
];
const MODE_NAMES: &str = "disable, allow, prefer, require, verify-ca or verify-full";

const REFUSED: &[(&str, &str)] = &[
    ("service", "write out what the service file says"),
    ("servicefile", "write out what the service file says"),
    ("hostaddr", "write the address as the host"),
    ("sslcrl", "certificates are not looked up in lists of revoked ones"),
    ("sslcrldir", "certificates are not looked up in lists of revoked ones"),
    ("sslpassword", "the key of the client's certificate must be readable without a password"),
    ("sslnegotiation", "TLS is negotiated as PostgreSQL before 17 does"),
    ("requirepeer", "the server's process is not looked at"),
    ("passfile", "give the password in the URL, or as PGPASSWORD"),
];

pub(super) fn read(parts: Parts<'_>, driver: Option<&str>) -> Result<ReadUrl, InvalidUrl> {
    check_driver("postgresql", driver, DRIVERS)?;
    let Parts { scheme: _, user, password, host, port, database, mut query } = parts;
    let user = query.take("user").or(user);
    let password = query.take("password").map(Secret::new).or(password);
    let database = query.take("dbname").or_else(|| query.take("database")).or(database);
    let place = place(host, port, &mut query)?;
    let tls = tls(&mut query)?;
    let connect_timeout = query.seconds("connect_timeout")?;
    let parameters = match query.take("options") {
        Some(options) => parameters(&options)?,
        None => Vec::new(),
    };
    not_demanded(&mut query)?;
    let ignored = query.rest(REFUSED)?;
    let server = Server { place, user, password, database, tls, connect_timeout, parameters };
    Ok(ReadUrl { url: DatabaseUrl::Postgres(server), ignored })
}

/// `host` after `?` goes before the one in front; it may be the folder of a socket, and may have its
/// port with it, as SQLAlchemy writes several hosts.
fn place(host: Option<String>, port: Option<u16>, query: &mut Query) -> Result<Place, InvalidUrl> {
    let mut port = match query.take("port") {
        Some(digits) => Some(port_number(&digits)?),
        None => port,
    };
    let host = match query.take("host") {
        Some(host) if host.starts_with('/') => Some(host),
        Some(host) => match host.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') => {
                port = Some(port_number(digits)?);
                Some(name.to_owned())
            }
            Some(_) | None => Some(host),
        },
        None => host,
    };
    let port = port.unwrap_or(5432);
    match host {
        Some(folder) if folder.starts_with('/') => Ok(Place::Socket(PathBuf::from(folder), port)),
        Some(host) if host.is_empty() => Err(InvalidUrl::Malformed("the host is empty")),
        Some(host) => check_host(&host).map(|()| Place::Tcp(host, port)),
        // libpq looks in a folder that its build names: this one in Debian's and in the official image.
        None => Ok(Place::Socket(PathBuf::from("/var/run/postgresql"), port)),
    }
}

fn tls(query: &mut Query) -> Result<Tls, InvalidUrl> {
    let mode = query.word("sslmode", MODE_NAMES, MODES)?;
    // asyncpg's name of it; `true` verifies there.
    let also = query.word("ssl", MODE_NAMES, &[MODES, &[("true", TlsMode::Verified)]].concat())?;
    let ca = query.path("sslrootcert");
    let system = ca.as_ref().is_some_and(|path| path.as_os_str() == "system");
    let ca = ca.filter(|_| !system);
    let client = match (query.path("sslcert"), query.path("sslkey")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(InvalidUrl::Malformed("sslcert and sslkey must be given together"));
        }
    };
    // libpq: with a root certificate `require` verifies, and the system's are for nothing else.
    let mode = match (mode.or(also), &ca) {
        (None | Some(TlsMode::Verified), None) if system => TlsMode::Verified,
        (Some(_), None) if system => {
            return Err(InvalidUrl::Malformed("sslrootcert=system needs sslmode=verify-full"));
        }
        (Some(TlsMode::Required), Some(_)) => TlsMode::Verified,
        (mode, _) => mode.unwrap_or_default(),
    };
    Ok(Tls { mode, ca, client })
}

/// What does no harm as long as it is not demanded.
fn not_demanded(query: &mut Query) -> Result<(), InvalidUrl> {
    for key in ["gssencmode", "channel_binding"] {
        if query.take(key).is_some_and(|value| value == "require") {
            let reason = "it is not available here; leave it out, or write prefer";
            return Err(InvalidUrl::Key { key: key.to_owned(), reason });
        }
    }
    // What these say is so anyway, or is of no use to a few short queries.
    for key in [
        "application_name",
        "fallback_application_name",
        "client_encoding",
        "target_session_attrs",
        "load_balance_hosts",
        "gsslib",
        "krbsrvname",
        "sslcompression",
        "sslsni",
        "async_fallback",
    ] {
        drop(query.take(key));
    }
    Ok(())
}

/// `-c key=value`, `-ckey=value` or `--key=value`, separated by white space.
fn parameters(options: &str) -> Result<Vec<(String, String)>, InvalidUrl> {
    const ALLOWED: &str = "a list of -c key=value";
    let invalid = || InvalidUrl::Value { key: "options".to_owned(), allowed: ALLOWED };
    let mut parameters = Vec::new();
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let pair = match (word.strip_prefix("-c"), word.strip_prefix("--")) {
            (Some(""), _) => words.next().ok_or_else(invalid)?,
            (Some(pair), _) | (None, Some(pair)) => pair,
            (None, None) => return Err(invalid()),
        };
        let (key, value) = pair.split_once('=').ok_or_else(invalid)?;
        let plain = |text: &str| !text.is_empty() && !text.contains(['\\', '\'', '"']);
        if !plain(key) || !plain(value) {
            return Err(invalid());
        }
        parameters.push((key.to_owned(), value.to_owned()));
    }
    Ok(parameters)
}
