//! Variables.

use http::{Method, StatusCode};
use serde::de::IgnoredAny;

use super::mask::{self, UPDATE_MASK};
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{Members, Need, Property, Type, may, must};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{LIMIT, OFFSET, OTHERS, order};
use crate::gate::translate::row::{
    Answer, Body, Row, Text, Work, Working, delete, get, not_found, not_found_bare, patch, post,
};
use crate::gate::translate::shape::{Shape, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/variables"),
        new: get("/api/v2/variables"),
        query: &[LIMIT, OFFSET, order(&[("id", "id"), ("key", "key"), ("value", "_val")])],
        body: Body::None,
        answer: Answer::Page("variables", "variables", &VARIABLE),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: post("/api/v1/variables"),
        new: post("/api/v2/variables"),
        query: &[OTHERS],
        body: Body::Object(PROPERTIES),
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(set),
    },
    Row {
        old: get("/api/v1/variables/{variable_key}"),
        new: get("/api/v2/variables/{variable_key:path}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&VARIABLE),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::Table,
    },
    Row {
        old: patch("/api/v1/variables/{variable_key}"),
        new: patch("/api/v2/variables/{variable_key:path}"),
        query: &[UPDATE_MASK],
        body: Body::Object(PROPERTIES),
        answer: Answer::One(&VARIABLE),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::By(change),
    },
    Row {
        old: delete("/api/v1/variables/{variable_key}"),
        new: delete("/api/v2/variables/{variable_key:path}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[not_found_bare("Variable not found")],
        work: Work::Table,
    },
];

const PROPERTIES: &[Property] = &[
    must("key", Type::Text, Need::Model),
    must("value", Type::Text, Need::Model),
    may("description", Type::Text).null_in_model(),
];

const UNKNOWN: Text = not_found("Variable not found", "Variable does not exist");

static VARIABLE: Shape = Shape(&[same("key"), same("value"), same("description")]);

/// What Airflow 3 answers in place of a value that it takes for a secret.
const MASKED: &str = "***";

/// Who writes back what they have read would lose the secret: Airflow 3 stores the mask itself. It masks a value that
/// is JSON text by text.
async fn is_no_mask(asked: &Asked) -> Result<(), Fault> {
    let Some(raw) = asked.came().part("value").cloned() else { return Ok(()) };
    // However it is spelled, in either of two JSONs.
    if !raw.contains('*') && !raw.contains("\\u") {
        return Ok(());
    }
    let is_masked =
        move || serde_json::from_str::<String>(&raw).is_ok_and(|value| value == MASKED || has_mask(&value));
    if asked.calls.work(asked.came().raw("value").map_or(0, str::len), is_masked).await? {
        let detail = "The value *** is what Airflow 3 shows in place of a secret. It is not stored";
        return Err(Fault::bad_request(detail));
    }
    Ok(())
}

/// Whether a value is JSON with a text in it, at any depth, that is the mask.
fn has_mask(value: &str) -> bool {
    // Which looks at no text, and has no limit of depth.
    let is_json = serde_json::from_str::<IgnoredAny>(value).is_ok();
    // Python reads numbers in JSON that are none.
    (is_json || ["NaN", "Infinity"].iter().any(|number| value.contains(number))) && texts(value).any(is_mask)
}

/// The texts in JSON that are values, not names: as they are written, with their quotes.
fn texts(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let text = rest.get(rest.find('"')?..)?;
            let mut is_escaped = false;
            let (end, _) = text.bytes().enumerate().skip(1).find(|(_, byte)| {
                let is_end = *byte == b'"' && !is_escaped;
                is_escaped = *byte == b'\\' && !is_escaped;
                is_end
            })?;
            let (text, after) = text.split_at_checked(end + 1)?;
            rest = after;
            if !after.trim_start().starts_with(':') {
                return Some(text);
            }
        }
    })
}

fn is_mask(text: &str) -> bool {
    // A longer one need not be read.
    text.len() <= 2 + MASKED.len() * "\\u002a".len()
        && serde_json::from_str::<String>(text).is_ok_and(|text| text == MASKED)
}

/// Airflow 2 makes a variable, or sets it: without a description, the old one goes. It answers what it was sent.
fn set(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        is_no_mask(asked).await?;
        let answered = asked.calls.any(asked.call()?).await?;
        if answered.status == StatusCode::CONFLICT {
            let mut params = asked.params.clone();
            params.set("variable_key", asked.came().text("key").unwrap_or_default());
            let path = params.path("/api/v2/variables/{variable_key:path}").ok_or_else(Fault::no_route)?;
            let mut call = asked.call()?;
            (call.method, call.path) = (Method::PATCH, path);
            for name in ["value", "description"] {
                call.query.push(("update_mask".to_owned(), name.to_owned()));
            }
            let mut sent = asked.body.today.clone();
            if sent.raw("description").is_none() {
                sent.set("description", "null");
            }
            call.body = Some(sent.json());
            asked.calls.good(call).await?;
        } else if !answered.status.is_success() {
            return Err(Fault::Airflow(answered.into()));
        }
        let mut told = Members::default();
        for name in ["description", "key", "value"] {
            if let Some(raw) = asked.came().part(name) {
                told.set(name, raw.clone());
            }
        }
        Ok(asked.json(told.json()))
    })
}

fn change(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let key = asked.params.get("variable_key");
        if asked.came().text("key").as_deref() != Some(key) {
            let detail = "key from request body doesn't match uri parameter".to_owned();
            return Err(Fault::refused(StatusCode::BAD_REQUEST, Some("Invalid post body"), Some(detail)));
        }
        let names = mask::meant(asked, "key", mask::unknown)?;
        if names.iter().any(|name| name == "value") {
            is_no_mask(asked).await?;
        }
        let mut call = asked.call()?;
        call.query.extend(names.into_iter().map(|name| ("update_mask".to_owned(), name)));
        asked.told(asked.calls.good(call).await?).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_in_values() {
        let deep = format!("{}{}{}", "[".repeat(2000), r#""***""#, "]".repeat(2000));
        for (name, value, expected) in [
            ("text", r#""***""#, true),
            ("escaped", r#" "\u002a*\u002A" "#, true),
            ("object", r#"{"password":"***","n":2}"#, true),
            ("list", r#"["a", ["b", "***" ]]"#, true),
            ("after a quote", r#"{"a":"\"","b":"***"}"#, true),
            ("after a backslash", r#"{"a":"\\","b":"***"}"#, true),
            ("deep", &deep, true),
            ("no number", r#"{"a":NaN,"b":"***"}"#, true),
            ("a name", r#"{"***" : 1}"#, false),
            ("more text", r#"["****", "a***"]"#, false),
            ("a quoted one", r#"["\"***\""]"#, false),
            ("no JSON", r#"say "***" aloud"#, false),
            ("no JSON, though it begins like it", r#"{{ "***" }}"#, false),
            ("nothing", "", false),
            ("no end", r#"{"a":"***"#, false),
        ] {
            assert_eq!(has_mask(value), expected, "{name}");
        }
    }
}
