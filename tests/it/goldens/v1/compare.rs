//! What differs between a recorded answer and one of today.

use serde_json::Value;

use super::Row;
use crate::support::airflow::Airflow;
use crate::support::client::Answer;

/// Ids that a database gives in the order of what happened to it.
const IDS: [&str; 1] = ["event_log_id"];

/// `status`, `content-type`, and JSON pointers to what is not the same in the body. `#body` is all of it.
pub fn differences(row: &Row, answer: &Answer, airflow: &Airflow) -> Vec<String> {
    let recorded = &row.0["response"];
    let mut found = head(recorded, answer);
    let volatile = row.0["volatile"].as_array().map(Vec::as_slice).unwrap_or_default();
    let volatile: Vec<&str> = volatile.iter().filter_map(Value::as_str).collect();
    let text = today(&answer.text(), airflow);
    let body = match recorded["body_kind"].as_str() {
        Some("empty") | None if text.is_empty() => return found,
        Some("json") => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Some(_) | None => Value::String(text),
    };
    if volatile == ["#body"] {
        if !body.as_str().is_some_and(is_a_log) {
            found.push("#body".to_owned());
        }
        return found;
    }
    compare(&recorded["body"], &body, &mut String::new(), &volatile, &mut found);
    found
}

fn head(recorded: &Value, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if recorded["status"] != answer.status {
        found.push("status".to_owned());
    }
    let content_type = recorded["headers"]["content-type"][0].as_str();
    if content_type != answer.header("content-type") {
        found.push("content-type".to_owned());
    }
    found
}

/// Likewise, where the data are others: an error is compared in full, and of a list its `length`.
pub fn outlines(row: &Row, answer: &Answer, _: &Airflow) -> Vec<String> {
    let recorded = &row.0["response"];
    let mut found = head(recorded, answer);
    let body: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
    if answer.status >= 400 && recorded["body"].is_object() {
        compare(&recorded["body"], &body, &mut String::new(), &[], &mut found);
    } else if let (Some(then), Some(today)) = (length(&recorded["body"]), length(&body))
        && then != today
    {
        found.push("length".to_owned());
    }
    found
}

/// How many entries a page has.
fn length(page: &Value) -> Option<usize> {
    page.as_object()?.values().find_map(Value::as_array).map(Vec::len)
}

/// With the names that the record has for folders of the test.
pub fn today(text: &str, airflow: &Airflow) -> String {
    let of_airflow_2 = airflow.home.file_name().is_some_and(|name| name == "af2-v1");
    let mould = airflow.home.with_file_name(if of_airflow_2 { "mould-af2-v1" } else { "mould-v1" });
    let dags = mould.join("dags").display().to_string();
    text.replace(&dags, "<work>/af2/dags").replace(&airflow.home.display().to_string(), "<work>/af2")
}

/// The text of a log has times and the words of a release; its form is the same.
fn is_a_log(text: &str) -> bool {
    text.contains("] {") && text.contains(" INFO - ")
}

/// JSON pointers to what is not the same. What is `volatile` is compared by its form.
pub fn compare(recorded: &Value, body: &Value, at: &mut String, volatile: &[&str], found: &mut Vec<String>) {
    let key = at.rsplit('/').next().unwrap_or_default();
    if volatile.contains(&at.as_str()) || IDS.contains(&key) {
        if !is_alike(recorded, body) {
            found.push(at.clone());
        }
        return;
    }
    let length = at.len();
    match (recorded, body) {
        (Value::Object(recorded), Value::Object(body)) => {
            for key in recorded.keys().chain(body.keys().filter(|key| !recorded.contains_key(*key))) {
                at.push('/');
                at.push_str(&key.replace('~', "~0").replace('/', "~1"));
                match (recorded.get(key), body.get(key)) {
                    (Some(recorded), Some(body)) => compare(recorded, body, at, volatile, found),
                    (None, _) | (_, None) => found.push(at.clone()),
                }
                at.truncate(length);
            }
        }
        (Value::Array(recorded), Value::Array(body)) if recorded.len() == body.len() => {
            for (index, (recorded, body)) in recorded.iter().zip(body).enumerate() {
                at.push('/');
                at.push_str(&index.to_string());
                compare(recorded, body, at, volatile, found);
                at.truncate(length);
            }
        }
        (Value::String(recorded), Value::String(body)) if fits(recorded, body) => {}
        (recorded, body) if recorded == body => {}
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _)
        | (Value::Array(_) | Value::Object(_), _) => {
            found.push(if at.is_empty() { "#body".to_owned() } else { at.clone() });
        }
    }
}

/// Whether two values may stand for the same: of one type, and dates where one of them is a date.
fn is_alike(recorded: &Value, body: &Value) -> bool {
    let is_date = |text: &str| {
        let (date, zone) = (text.get(..19), text.get(text.len().saturating_sub(6)..));
        let digits =
            |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
        date.map(digits).as_deref() == Some("0000-00-00T00:00:00") && zone == Some("+00:00")
    };
    match (recorded, body) {
        (Value::String(recorded), Value::String(body)) => is_date(recorded) == is_date(body),
        (recorded, body) => std::mem::discriminant(recorded) == std::mem::discriminant(body),
    }
}

/// Whether a text fits a recorded one, in which `<host>` and the like stand for anything.
fn fits(recorded: &str, text: &str) -> bool {
    const ANYTHING: [&str; 5] = ["<host>", "<unixname>", "<file_token>", "<work>", "<log>"];
    let mut parts = vec![recorded];
    for name in ANYTHING {
        parts = parts.into_iter().flat_map(|part| part.split(name)).collect();
    }
    let [first, middle @ .., last] = parts.as_slice() else { return recorded == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn names_that_stand_for_anything() {
    for (recorded, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("<host>", "vm", true),
        ("<work>/dags/a.py", "/srv/dags/a.py", true),
        ("<work>/dags/a.py", "/srv/dags/b.py", false),
        ("at <host> in <work>/a", "at vm in /srv/a", true),
        ("at <host> in <work>/a", "at vm of /srv/a", false),
    ] {
        assert_eq!(fits(recorded, text), expected, "{recorded} {text}");
    }
}
