//! Failures, in the words and the form of the API that was asked.

use std::borrow::Cow;

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use serde_json::Value;

use super::Old;
use super::body::Members;
use super::calls::Answered;
use super::fault::{Fault, Refusal};
use super::path::{self, Params};
use super::row::{Detail, Row};
use crate::gate::reply::{Problem, Reply};

/// What is known of a request that failed.
pub struct Failed<'a> {
    /// Its operation, if there is one.
    pub row: Option<&'a Row>,
    /// The parameters of its path.
    pub params: &'a Params,
    /// What came in its body.
    pub came: Option<&'a Members>,
}

/// The answer to a fault. A problem of the gate's own is given back with its cause.
pub fn reply(old: Old, fault: Fault, failed: &Failed<'_>) -> Result<Reply, (Problem, Option<String>)> {
    match fault {
        Fault::Problem(problem, cause) => Err((problem, cause)),
        Fault::Refused(refusal) => Ok(refused(old, &refusal)),
        Fault::Airflow(answered) => Ok(airflow(old, &answered, failed)),
    }
}

fn refused(old: Old, refusal: &Refusal) -> Reply {
    let (title, detail) = (refusal.title.as_deref(), refusal.detail.as_deref());
    match old {
        Old::Stable => Reply::titled(refusal.status, title, detail, refusal.documented),
        Old::Experimental => Reply::error(refusal.status, detail.or(title).unwrap_or_default()),
    }
}

fn airflow(old: Old, answered: &Answered, failed: &Failed<'_>) -> Reply {
    let theirs = sentence(&answered.body);
    // What is wrong with a value was 400 in Airflow 2.
    let status = match answered.status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        other if other.is_client_error() || other.is_server_error() => other,
        _ => StatusCode::BAD_GATEWAY,
    };
    let text = failed.row.and_then(|row| row.texts.iter().find(|text| text.status == status.as_u16()));
    let fill = |text: &str| fill(text, failed);
    let (title, detail) = match text {
        Some(text) => {
            let detail = match text.detail {
                Detail::None => None,
                Detail::Theirs => theirs,
                Detail::Is(detail) => Some(fill(detail)),
            };
            (text.title.map(fill), detail)
        }
        // Airflow 2 leaves the credential to itself.
        None if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => (None, None),
        None if status.is_server_error() => (None, None),
        None => (None, theirs),
    };
    let usual = usual_title(status);
    let mut reply = match old {
        Old::Stable => Reply::titled(status, title.as_deref().or(usual), detail.as_deref(), true),
        Old::Experimental => {
            Reply::error(status, detail.as_deref().or(title.as_deref()).or(usual).unwrap_or_default())
        }
    };
    for challenge in answered.headers.get_all(WWW_AUTHENTICATE) {
        reply = reply.with(WWW_AUTHENTICATE, challenge.clone());
    }
    reply
}

fn usual_title(status: StatusCode) -> Option<&'static str> {
    status.canonical_reason()
}

/// A text with values in place of names.
fn fill(text: &str, failed: &Failed<'_>) -> String {
    path::fill(text, |name| {
        let param = failed.params.find(name).map(Cow::Borrowed);
        param.or_else(|| failed.came?.text(name).map(Cow::Owned))
    })
}

/// What Airflow 3 says of a failure, as one sentence. It answers a text, a list of what is wrong with which value,
/// or an object with a reason.
fn sentence(body: &[u8]) -> Option<String> {
    let told: Value = serde_json::from_slice(body).ok()?;
    match told.get("detail").or_else(|| told.get("error"))? {
        Value::String(text) => Some(text.clone()),
        Value::Array(faults) => {
            let said = faults.iter().filter_map(|fault| {
                if let Value::String(text) = fault {
                    return Some(text.clone());
                }
                let message = fault.get("msg")?.as_str()?;
                let place: Vec<_> = fault.get("loc")?.as_array()?.iter().skip(1).map(place).collect();
                Some(if place.is_empty() {
                    message.to_owned()
                } else {
                    format!("{message} - '{}'", place.join("."))
                })
            });
            Some(said.collect::<Vec<_>>().join("; ")).filter(|said| !said.is_empty())
        }
        Value::Object(object) => {
            let reason = object.get("reason").and_then(Value::as_str);
            reason.map(str::to_owned)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn place(part: &Value) -> String {
    part.as_str().map_or_else(|| part.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each would stand for a hundred thousand of the other.
    #[test]
    fn a_text_is_filled_once() {
        let mut params = Params::default();
        params.set("pool_name", "{name}".repeat(100_000));
        let mut came = Members::default();
        came.set("name", crate::gate::translate::value::json(&"{pool_name}".repeat(100_000)));
        let failed = Failed { row: None, params: &params, came: Some(&came) };
        let expected = format!("{}, {}, {{x}}", "{name}".repeat(100_000), "{pool_name}".repeat(100_000));
        assert_eq!(fill("{pool_name}, {name}, {x}", &failed), expected);
    }

    #[test]
    fn what_airflow_3_says_becomes_one_sentence() {
        for (name, body, expected) in [
            ("text", r#"{"detail":"no"}"#, Some("no")),
            (
                "list",
                r#"{"detail":[{"type":"missing","loc":["body","logical_date"],"msg":"Field required","input":{}},{"loc":["body","a",0],"msg":"Bad"}]}"#,
                Some("Field required - 'logical_date'; Bad - 'a.0'"),
            ),
            ("list of texts", r#"{"detail":["a","b"]}"#, Some("a; b")),
            ("list of nothing known", r#"{"detail":[1]}"#, None),
            (
                "object",
                r#"{"detail":{"reason":"Unique constraint violation","statement":"hidden"}}"#,
                Some("Unique constraint violation"),
            ),
            (
                "unknown route",
                r#"{"error":"The requested resource was not found"}"#,
                Some("The requested resource was not found"),
            ),
            ("page", "<html>", None),
            ("nothing", "", None),
        ] {
            assert_eq!(sentence(body.as_bytes()).as_deref(), expected, "{name}");
        }
    }
}
