//! SQLite: a file.

use std::path::{Path, PathBuf};

use super::{DatabaseUrl, InvalidUrl, Parts, ReadUrl, check_driver};

const DRIVERS: &[&str] = &["pysqlite", "aiosqlite"];

const REFUSED: &[(&str, &str)] =
    &[("uri", "give the path itself"), ("vfs", "the file is opened as any other")];

pub(super) fn read(parts: Parts<'_>, driver: Option<&str>) -> Result<ReadUrl, InvalidUrl> {
    const IN_MEMORY: InvalidUrl = InvalidUrl::Malformed("a sqlite database in memory is nobody else's");
    check_driver("sqlite", driver, DRIVERS)?;
    if parts.names_a_server() {
        return Err(InvalidUrl::Malformed(
            "a sqlite URL has four slashes: sqlite:////opt/airflow/airflow.db",
        ));
    }
    let path = match parts.database {
        None => return Err(IN_MEMORY),
        Some(path) if path == ":memory:" => return Err(IN_MEMORY),
        // As Airflow: "Cannot use relative path".
        Some(path) if !Path::new(&path).is_absolute() => {
            return Err(InvalidUrl::Malformed(
                "the path of a sqlite database must be absolute: sqlite:////opt/airflow/airflow.db",
            ));
        }
        Some(path) => PathBuf::from(path),
    };
    let ignored = parts.query.rest(REFUSED)?;
    Ok(ReadUrl { url: DatabaseUrl::Sqlite(path), ignored })
}
