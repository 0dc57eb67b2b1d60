//! One text to one typed value. What Airflow has too is read as laxly as Airflow reads it.
//!
//! Here is what several sections use; what one section has is in its file.

mod api;
mod api_auth;
mod backend;
mod basic;
mod callout;
mod core;
mod database;
mod kerberos;
mod keycloak;
mod limits;
mod log;
mod redis;
mod server;
mod upstream;
mod url;

use std::num::NonZeroUsize;
use std::time::Duration;

pub use self::api::{base_url, origin};
pub use self::api_auth::{algorithm, issuer_algorithm, jwks};
pub use self::backend::{backend, backend_of};
pub use self::basic::basic_source;
pub use self::callout::{callout_header, callout_url};
pub use self::core::simple_user;
pub use self::database::other_database;
pub use self::kerberos::{realm, service_principal};
pub use self::keycloak::keycloak_url;
pub use self::limits::request_rate;
pub use self::log::{level, log_file};
pub use self::redis::redis_url;
pub use self::server::{host_name, listen, trusted_proxy};
pub use self::upstream::{airflow, auth_manager, server_name, upstream_url};
pub use self::url::host_and_port;

/// Why a text is no value of its option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not what the option's table row says.
    Expected,
    /// It is, but is refused all the same; the text says why, and holds nothing of the value that
    /// may be secret.
    Because(String),
}

/// What parsing gives.
pub type Parsed<T> = Result<T, Fault>;

fn because<T>(reason: impl Into<String>) -> Parsed<T> {
    Err(Fault::Because(reason.into()))
}

/// Any text but the empty one.
pub fn text(text: &str) -> Parsed<String> {
    if text.is_empty() { Err(Fault::Expected) } else { Ok(text.to_owned()) }
}

/// Any text, the empty one too.
pub fn any(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// Python's `int()`, else a `float()` without a fraction, as Airflow's `getint`.
pub fn python_int(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let parts_are_digits = digits.split('_').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if parts_are_digits {
        return text.replace('_', "").parse().ok();
    }
    let float: f64 = text.parse().ok()?;
    let whole = float.is_finite() && float.fract() == 0.0 && float.abs() < 1e15;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 1e15")]
    whole.then_some(float as i128)
}

/// A whole number within bounds.
pub fn number<T: TryFrom<i128>>(least: i128, most: i128) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let number = python_int(text).filter(|n| (least..=most).contains(n)).ok_or(Fault::Expected)?;
        T::try_from(number).map_err(|_| Fault::Expected)
    }
}

/// A whole number up to a bound, where 0 has a meaning of its own.
pub fn number_or_none(most: i128) -> impl Fn(&str) -> Parsed<Option<NonZeroUsize>> {
    move |text| number::<usize>(0, most)(text).map(NonZeroUsize::new)
}

/// Seconds, or a text such as `1h 30m`. At most ten years, so that times can be added.
pub fn duration(text: &str) -> Parsed<Duration> {
    const MOST: Duration = Duration::from_secs(10 * 366 * 86400);
    let read = match python_int(text) {
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        None => humantime::parse_duration(text.trim()).ok(),
    };
    read.filter(|d| *d <= MOST).ok_or(Fault::Expected)
}

/// A duration that is not 0.
pub fn some_duration(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        Duration::ZERO => because("expected more than 0"),
        some => Ok(some),
    }
}

/// A duration, where 0 is off.
pub fn duration_or_off(text: &str) -> Parsed<Option<Duration>> {
    duration(text).map(|d| Some(d).filter(|d| !d.is_zero()))
}

/// Airflow's `getboolean`, a comment after the value included.
pub fn boolean(text: &str) -> Parsed<bool> {
    let text = text.split('#').next().unwrap_or_default().trim();
    match text.to_lowercase().as_str() {
        "t" | "true" | "1" => Ok(true),
        "f" | "false" | "0" => Ok(false),
        _ => Err(Fault::Expected),
    }
}

/// One of a few words.
pub fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or(Fault::Expected)
}

/// Printable ASCII.
pub fn printable(text: &str) -> Parsed<String> {
    let fits = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if fits && !text.trim().is_empty() { Ok(text.to_owned()) } else { Err(Fault::Expected) }
}

/// A method or the name of a header (RFC 9110, section 5.6.2), or `*`.
pub fn token(text: &str) -> Parsed<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(fits) { Err(Fault::Expected) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_python() {
        for (text, expected) in [
            ("7", Some(7)),
            (" 7\n", Some(7)),
            ("+7", Some(7)),
            ("-7", Some(-7)),
            ("007", Some(7)),
            ("1_000", Some(1000)),
            ("7.0", Some(7)),
            ("7.", Some(7)),
            ("1e3", Some(1000)),
            ("7.5", None),
            ("_7", None),
            ("7__0", None),
            ("", None),
            ("seven", None),
            ("inf", None),
            ("nan", None),
            ("0x10", None),
        ] {
            assert_eq!(python_int(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("20s", Some(20)),
            ("5m", Some(300)),
            ("1h 30m", Some(5400)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("3600", Some(3600)),
            ("3600.0", Some(3600)),
            ("-1", None),
            ("5 apples", None),
            ("", None),
            ("1000y", None),
        ] {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn booleans_are_read_as_in_airflow() {
        for (text, expected) in [
            ("True", Some(true)),
            ("t", Some(true)),
            ("1", Some(true)),
            ("FALSE # a comment", Some(false)),
            (" f ", Some(false)),
            ("0", Some(false)),
            ("yes", None),
            ("on", None),
            ("", None),
        ] {
            assert_eq!(boolean(text).ok(), expected, "{text:?}");
        }
    }
}
