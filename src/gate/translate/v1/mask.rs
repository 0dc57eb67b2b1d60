//! `update_mask`: which properties of the body are meant.

use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::Members;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{Key, Kind, own};

/// The query key.
pub const UPDATE_MASK: Key = own("update_mask", Kind::Text);

/// The names in the mask: of several masks the last counts, and names are between commas. Airflow 3 takes `a,b` for one
/// name, which it does not know, and changes nothing.
pub fn names(asked: &Asked) -> Option<Vec<String>> {
    let mask = asked.query.get("update_mask")?;
    Some(mask.split(',').map(|name| name.trim().to_owned()).collect())
}

/// What of the body is meant: what the mask names, or all of it. Never `fixed`, which is what the path says.
///
/// # Errors
/// The mask names what is not in the body, in the words that `unknown` makes of it.
pub fn meant(asked: &Asked, fixed: &str, unknown: fn(&str) -> String) -> Result<Vec<String>, Fault> {
    let came = asked.came();
    match names(asked) {
        Some(names) => match names.iter().find(|name| came.raw(name).is_none() || *name == fixed) {
            Some(name) => Err(Fault::bad_request(unknown(name))),
            None => Ok(names),
        },
        None => Ok(came.names().filter(|name| *name != fixed).map(str::to_owned).collect()),
    }
}

/// Airflow 2's words for a name that the mask must not have.
pub fn unknown(name: &str) -> String {
    format!("'{name}' is unknown or cannot be updated.")
}

/// What of the body is sent.
pub fn of(today: &Members, names: &[String]) -> Members {
    let mut sent = Members::default();
    for name in names {
        if let Some(raw) = today.part(name) {
            sent.set(name, raw.clone());
        }
    }
    sent
}
