//! The URL of a Redis, in the spelling that redis-py and the rest of the world use.

use std::path::PathBuf;

use super::{Fault, Parsed, because, host_and_port, number};
use crate::config::settings::{RedisPlace, RedisUrl};
use crate::secret::Secret;

/// `[redis] url`. Says nothing of the text in faults: it holds a password.
pub fn redis_url(text: &str) -> Parsed<RedisUrl> {
    let (scheme, rest) = text.split_once("://").ok_or(Fault::Expected)?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    if rest.contains('#') || query.is_some_and(|query| query.contains('#')) {
        return because("a URL with a fragment is refused; in a password, # is written as %23");
    }
    match scheme.to_ascii_lowercase().as_str() {
        "redis" => redis_over_tcp(rest, query, false),
        "rediss" => redis_over_tcp(rest, query, true),
        "unix" => redis_socket(rest, query),
        _ => Err(Fault::Expected),
    }
}

fn redis_over_tcp(rest: &str, query: Option<&str>, tls: bool) -> Parsed<RedisUrl> {
    if query.is_some() {
        return because("a URL with a query is refused, except with unix://");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (log_in, place) = match authority.rsplit_once('@') {
        Some((log_in, place)) => (Some(log_in), place),
        None => (None, authority),
    };
    if log_in.is_some_and(|text| text.contains(['@', '/'])) || path.contains('@') {
        return because("in a user or password, @ is written as %40, and / as %2F");
    }
    let (username, password) = match log_in.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        Some((username, password)) => (decoded(username)?, decoded(password)?),
        None => (None, None),
    };
    let (host, port) = host_and_port(place)?;
    Ok(RedisUrl {
        place: RedisPlace::Tcp { tls, host: host.to_owned(), port: port.unwrap_or(6379) },
        username,
        password: password.map(Secret::new),
        database: redis_database(path)?,
    })
}

fn redis_socket(path: &str, query: Option<&str>) -> Parsed<RedisUrl> {
    let place = decoded(path)?.filter(|path| path.starts_with('/')).ok_or(Fault::Expected)?;
    let place = RedisPlace::Unix(PathBuf::from(place));
    let mut url = RedisUrl { place, username: None, password: None, database: 0 };
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        match pair.split_once('=') {
            Some(("db", number)) => url.database = redis_database(number)?,
            Some(("user", name)) => url.username = decoded(name)?,
            Some(("password", password)) => url.password = decoded(password)?.map(Secret::new),
            Some(_) | None => return Err(Fault::Expected),
        }
    }
    Ok(url)
}

fn redis_database(text: &str) -> Parsed<u32> {
    if text.is_empty() { Ok(0) } else { number(0, 65_535)(text) }
}

/// A text whose `%XX` stand for bytes. `None` for an empty one.
fn decoded(text: &str) -> Parsed<Option<String>> {
    let good = |text: &str| {
        text.split('%')
            .skip(1)
            .all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
    };
    if !good(text) {
        return because("a % that no two hexadecimal digits follow; a % of its own is written as %25");
    }
    let text = percent_encoding::percent_decode_str(text).decode_utf8();
    let text = text.or_else(|_| because("user, password and path must be UTF-8"))?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(place: RedisPlace, username: &str, password: &str, database: u32) -> RedisUrl {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        RedisUrl { place, username: some(username), password: some(password).map(Secret::new), database }
    }

    fn tcp(tls: bool, host: &str, port: u16) -> RedisPlace {
        RedisPlace::Tcp { tls, host: host.into(), port }
    }

    #[test]
    fn urls() {
        for (text, expected) in [
            ("redis://h", url(tcp(false, "h", 6379), "", "", 0)),
            ("redis://h/", url(tcp(false, "h", 6379), "", "", 0)),
            ("REDISS://h:1/15", url(tcp(true, "h", 1), "", "", 15)),
            ("redis://[::1]:1", url(tcp(false, "::1", 1), "", "", 0)),
            ("redis://:pw@h", url(tcp(false, "h", 6379), "", "pw", 0)),
            ("redis://u:p:w@h", url(tcp(false, "h", 6379), "u", "p:w", 0)),
            ("redis://u@h", url(tcp(false, "h", 6379), "u", "", 0)),
            ("redis://u%40x:p%2Fw%25%c3%a4@h", url(tcp(false, "h", 6379), "u@x", "p/w%ä", 0)),
            ("unix:///run/redis.sock", url(RedisPlace::Unix("/run/redis.sock".into()), "", "", 0)),
            (
                "unix:///run/a%20b?db=2&user=u&password=p%26w",
                url(RedisPlace::Unix("/run/a b".into()), "u", "p&w", 2),
            ),
        ] {
            assert_eq!(redis_url(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_telling_it() {
        for text in [
            "",
            "h:6379",
            "http://h",
            "redis://",
            "redis://h:0",
            "redis://h:65536",
            "redis://h:x",
            "redis://h o",
            "redis://h/x",
            "redis://h/-1",
            "redis://h/70000",
            "redis://h?db=1",
            "redis://h/0#insecure",
            "redis://:hunter2@x@h",
            "redis://:hunter2/x@h",
            "redis://:hunter2%@h",
            "redis://:hunter2%zz@h",
            "redis://:hunter2%ff@h",
            "unix://run/redis.sock",
            "unix://",
            "unix:///run/r?password",
            "unix:///run/r?secret=hunter2",
        ] {
            match redis_url(text) {
                Ok(url) => panic!("{text}: {url:?}"),
                Err(Fault::Expected) => {}
                Err(Fault::Because(reason)) => assert!(!reason.contains("hunter2"), "{text}: {reason}"),
            }
        }
    }

    #[test]
    fn debug_shows_no_password() {
        assert!(!format!("{:?}", redis_url("redis://u:hunter2@h")).contains("hunter2"));
    }
}
