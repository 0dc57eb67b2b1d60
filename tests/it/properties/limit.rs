//! The page-size clamp. Input: a query.

use std::num::NonZeroU32;

use airgate::gate::limit::{Clamped, Dialect, ListEndpoint, PageLimit};

const MAXIMUM: u32 = 7;

/// A clamped query asks for no more than the maximum, however it is spelled; clamping it again
/// changes nothing; and everything but the page sizes is byte for byte what came.
pub fn holds(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    let limit = PageLimit::new(NonZeroU32::new(MAXIMUM).unwrap(), NonZeroU32::new(3).unwrap());
    for dialect in [Dialect::Airflow3, Dialect::Airflow3Fab, Dialect::Airflow2, Dialect::AnyFab] {
        for endpoint in [ListEndpoint::Yes, ListEndpoint::WithRuns, ListEndpoint::No] {
            let clamped = match limit.clamp(Some(query), dialect, endpoint) {
                Clamped::Unchanged => query.to_owned(),
                Clamped::Rewritten { query, .. } => query,
            };
            let sizes = page_sizes(&clamped);
            for (name, value) in &sizes {
                for reading in [common_reading(value), common_reading(&value.replace('\u{a0}', " "))] {
                    let fits = match (reading, dialect, name.as_str()) {
                        (None, _, _) => true,
                        (Some(rows), _, "dag_runs_limit") => (0..=MAXIMUM.into()).contains(&rows),
                        // A negative limit is refused by Airflow 3, and so is a fraction by Airflow 2.
                        (Some(rows), Dialect::Airflow3, _) => rows <= MAXIMUM.into(),
                        (Some(rows), Dialect::Airflow3Fab, _) => rows != 0 && rows <= MAXIMUM.into(),
                        (Some(_), Dialect::Airflow2, _) if value.contains('.') => true,
                        (Some(rows), Dialect::AnyFab, _) if value.contains('.') => {
                            rows != 0 && rows <= MAXIMUM.into()
                        }
                        (Some(rows), Dialect::Airflow2 | Dialect::AnyFab, _) => {
                            (1..=MAXIMUM.into()).contains(&rows)
                        }
                    };
                    assert!(fits, "{dialect:?} {endpoint:?}: {query:?} became {clamped:?}");
                }
            }
            let asks = sizes.iter().any(|(name, _)| name == "limit");
            assert!(asks || endpoint == ListEndpoint::No, "{dialect:?}: {query:?} became {clamped:?}");
            let bounds = sizes.iter().any(|(name, _)| name == "dag_runs_limit");
            assert!(bounds || endpoint != ListEndpoint::WithRuns, "{query:?} became {clamped:?}");
            let again = limit.clamp(Some(&clamped), dialect, endpoint);
            assert_eq!(again, Clamped::Unchanged, "{dialect:?} {endpoint:?}: {query:?} became {clamped:?}");
            let before = other_parameters(query);
            assert_eq!(other_parameters(&clamped)[..before.len()], before, "{clamped:?}");
        }
    }
}

/// The page sizes in a query, decoded.
fn page_sizes(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .filter(|(name, _)| matches!(name.as_str(), "limit" | "dag_runs_limit"))
        .collect()
}

/// The other parameters, as they are written.
fn other_parameters(query: &str) -> Vec<&str> {
    query.split('&').filter(|pair| !pair.is_empty() && page_sizes(pair).is_empty()).collect()
}

/// The number in the spelling that all validators agree on: white space around, a sign, digits of
/// ASCII with single underscores between them, a fraction of zeros (which Airflow 2 refuses).
fn common_reading(text: &str) -> Option<i128> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let whole = match digits.split_once('.') {
        Some((whole, fraction)) => {
            if fraction.is_empty() || !fraction.bytes().all(|b| b == b'0') {
                return None;
            }
            whole
        }
        None => digits,
    };
    let groups: Vec<&str> = whole.split('_').collect();
    let is_number = |group: &&str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    if !groups.iter().all(is_number) || whole.len() > 4000 {
        return None;
    }
    let value = groups
        .concat()
        .bytes()
        .fold(0_i128, |sum, b| sum.saturating_mul(10).saturating_add((b - b'0').into()));
    Some(value.saturating_mul(sign))
}
