//! MySQL and MariaDB: the keys of `mysqlclient`, `PyMySQL`, `mysql-connector` and `aiomysql`.

use std::path::PathBuf;

use super::query::Query;
use super::{DatabaseUrl, InvalidUrl, Parts, Place, ReadUrl, Server, Tls, TlsMode, check_driver};

const DRIVERS: &[&str] = &[
    "mysqldb",
    "mysqlclient",
    "pymysql",
    "mysqlconnector",
    "aiomysql",
    "asyncmy",
    "cymysql",
    "mariadbconnector",
];

const MODES: &[(&str, TlsMode)] = &[
    ("DISABLED", TlsMode::Off),
    ("PREFERRED", TlsMode::Preferred),
    ("REQUIRED", TlsMode::Required),
    ("VERIFY_CA", TlsMode::Verified),
    ("VERIFY_IDENTITY", TlsMode::Verified),
];
const MODE_NAMES: &str = "DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";

const BOOLEAN: &[(&str, bool)] = &[("true", true), ("1", true), ("false", false), ("0", false)];
const BOOLEANS: &str = "true or false";

const REFUSED: &[(&str, &str)] = &[
    ("read_default_file", "write out what the file says"),
    ("read_default_group", "write out what the file says"),
    ("option_files", "write out what the file says"),
    ("failover", "more than one host is not supported"),
    ("ssl_capath", "give one file of certificates as ssl_ca"),
];

pub(super) fn read(parts: Parts<'_>, driver: Option<&str>) -> Result<ReadUrl, InvalidUrl> {
    check_driver("mysql", driver, DRIVERS)?;
    let Parts { scheme: _, user, password, host, port, database, mut query } = parts;
    let place = match query.path("unix_socket") {
        Some(socket) => Place::Socket(socket, 0),
        None => Place::Tcp(host.unwrap_or_else(|| "localhost".to_owned()), port.unwrap_or(3306)),
    };
    let tls = tls(&mut query)?;
    let connect_timeout = query.seconds("connect_timeout")?;
    // So it is anyway, or of no use to a few short queries.
    for key in ["charset", "collation", "use_unicode", "local_infile"] {
        drop(query.take(key));
    }
    let ignored = query.rest(REFUSED)?;
    let server = Server { place, user, password, database, tls, connect_timeout, parameters: Vec::new() };
    Ok(ReadUrl { url: DatabaseUrl::MySql(server), ignored })
}

/// With a CA file, or asked to verify, the server's name is looked at too: PyMySQL does so, and
/// without it the certificate of any server would do.
fn tls(query: &mut Query) -> Result<Tls, InvalidUrl> {
    let mode = query.word("ssl_mode", MODE_NAMES, MODES)?;
    let also = query.word("ssl-mode", MODE_NAMES, MODES)?;
    let on = query.word("ssl", BOOLEANS, BOOLEAN)?;
    let disabled = query.word("ssl_disabled", BOOLEANS, BOOLEAN)?;
    let verify = query.word("ssl_verify_cert", BOOLEANS, BOOLEAN)?;
    let identity = query.word("ssl_verify_identity", BOOLEANS, BOOLEAN)?;
    let check_hostname = query.word("ssl_check_hostname", BOOLEANS, BOOLEAN)?;
    let ca: Option<PathBuf> = query.path("ssl_ca");
    let client = match (query.path("ssl_cert"), query.path("ssl_key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(InvalidUrl::Malformed("ssl_cert and ssl_key must be given together"));
        }
    };
    let verifies = [verify, identity, check_hostname].contains(&Some(true));
    let mode = match (mode.or(also), disabled) {
        (Some(mode), _) => mode,
        (None, Some(true)) => TlsMode::Off,
        (None, _) if ca.is_some() || verifies => TlsMode::Verified,
        (None, _) if client.is_some() || on == Some(true) => TlsMode::Required,
        (None, _) => TlsMode::Preferred,
    };
    Ok(Tls { mode, ca, client })
}
