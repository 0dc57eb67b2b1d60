//! `[database]`.

/// The name of a database that SQLAlchemy knows and we do not.
pub fn other_database(url: &str) -> Option<&str> {
    let scheme = url.trim().split_once("://")?.0;
    let dialect = scheme.split('+').next().unwrap_or_default();
    let word =
        !dialect.is_empty() && dialect.len() < 32 && dialect.bytes().all(|b| b.is_ascii_alphanumeric());
    let known = ["postgresql", "postgres", "mysql", "mariadb", "sqlite"];
    Some(dialect).filter(|dialect| word && !known.contains(dialect))
}
