//! `update_mask`: which properties of the body are meant; and the mask that Airflow 3 shows in place of secrets.

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

/// What Airflow 3 shows in place of a secret: of a whole value by its name, and within any text of a secret that it knows.
const MASK: &str = "***";

/// Refuses to write back what was read masked: Airflow 3 would store the mask, and the secret were lost. It keeps some of
/// them where it can tell that they are masks; which, is not known here.
///
/// # Errors
/// There is a mask in one of these properties, which are texts.
pub async fn none_written(asked: &Asked, names: &[&str]) -> Result<(), Fault> {
    for name in names {
        let Some(raw) = asked.came().part(name).cloned() else { continue };
        if asked.calls.work(raw.len(), move || has_mask(&raw)).await? {
            return Err(Fault::bad_request(format!(
                "'{name}' has {MASK} in it, which Airflow 3 shows in place of a secret. It is not stored"
            )));
        }
    }
    Ok(())
}

/// Whether a text in JSON has a mask in it, however it is spelled there, or in JSON that it has in it.
fn has_mask(raw: &str) -> bool {
    if !raw.contains('*') && !raw.contains("\\u") {
        return false;
    }
    let text: String = serde_json::from_str(raw).unwrap_or_default();
    text.contains(MASK) || text.replace("\\u002a", "*").replace("\\u002A", "*").contains(MASK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::translate::value::json;

    #[test]
    fn masks_in_texts() {
        for (name, text, expected) in [
            ("alone", "***", true),
            ("in a URI", "postgres://u:***@h/db", true),
            ("in JSON", r#"{"password":"***","n":2}"#, true),
            ("in no JSON", r#"{{ "***" }}"#, true),
            ("escaped in JSON", r#"["*\u002a\u002A"]"#, true),
            ("more stars", "a****b", true),
            ("a schedule", "* * *", false),
            ("other escapes", r#"["\u00e4**"]"#, false),
            ("two", "**", false),
            ("nothing", "", false),
        ] {
            assert_eq!(has_mask(&json(text)), expected, "{name}");
        }
        for (raw, expected) in [
            (r#""\u002a*\u002A""#, true),
            (r#""\u005cu002a**""#, true),
            (r#""\u00e4**""#, false),
            ("null", false),
        ] {
            assert_eq!(has_mask(raw), expected, "{raw}");
        }
    }
}
