//! What the operations of the experimental API have in common.

use http::StatusCode;
use serde_json::Value;

use crate::gate::translate::asked::{Asked, Told};
use crate::gate::translate::body::Members;
use crate::gate::translate::calls::{Answered, Call};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::row::{Detail, Text, not_found};
use crate::gate::translate::shape::Object;
use crate::gate::translate::value::Date;

/// What is said of a DAG that is not there.
pub const NO_DAG: Text = not_found("Not Found", "Dag id {dag_id} not found in DagModel");
/// What is said of whatever Airflow 3 refuses for a reason of its own.
pub const CONFLICT: Text = Text { status: 409, title: None, detail: Detail::Theirs };

/// 404.
pub fn missing(error: String) -> Fault {
    Fault::refused(StatusCode::NOT_FOUND, None, Some(error))
}

/// A JSON body, whatever its type is said to be.
pub async fn members(asked: &Asked) -> Result<Members, Fault> {
    let raw = asked.raw.clone();
    asked.calls.work(raw.len(), move || Members::parse(&raw)).await?
}

/// A date as Airflow 2 reads it: without a zone it is UTC, and the time may be left out.
pub fn date(text: &str) -> Result<Date, Fault> {
    let spelled = match text.len() {
        10 => format!("{text}T00:00:00"),
        _ => text.replacen(' ', "T", 1),
    };
    match Date::parse_local(&spelled) {
        Some((local, offset)) => {
            let offset = offset.unwrap_or_default();
            Ok(Date { micros: local - i64::from(offset) * 60_000_000, offset })
        }
        None => Err(Fault::bad_request(format!(
            "Given execution date, {text}, could not be identified as a date. Example date format: 2015-11-16T14:34:15+00:00"
        ))),
    }
}

/// The run of a DAG at the date in the path, as JSON. Says what is missing otherwise.
pub async fn run_at(asked: &Asked) -> Result<(String, Date), Fault> {
    let date = date(asked.params.get("execution_date"))?;
    let path = asked.params.path("/api/v2/dags/{dag_id}/dagRuns").ok_or_else(Fault::no_route)?;
    let at = date.utc().iso();
    let call = Call::new(http::Method::GET, path)
        .with("logical_date_gte", &*at)
        .with("logical_date_lte", &*at)
        .with("limit", "1");
    let answered = asked.calls.good(call).await?;
    match list(&answered, "dag_runs")?.into_iter().next() {
        Some(run) => Ok((run, date)),
        None => {
            let dag = asked.params.get("dag_id");
            Err(missing(format!("Dag Run for date {} not found in dag {dag}", spoken(date))))
        }
    }
}

/// The objects of a list in an answer, each as it was written.
pub fn list(answered: &Answered, name: &str) -> Result<Vec<String>, Fault> {
    let read = || {
        let object = Object::read(answered.text().ok()?)?;
        let list: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(object.raw(name)?).ok()?;
        Some(list.into_iter().map(|one| one.get().to_owned()).collect())
    };
    read().ok_or_else(|| Fault::unreadable("no list"))
}

/// How many entries there are in all.
pub fn total(answered: &Answered) -> Result<usize, Fault> {
    let read = || Object::read(answered.text().ok()?)?.raw("total_entries")?.parse().ok();
    read().ok_or_else(|| Fault::unreadable("no count"))
}

/// A list in JSON, which says when it is not the whole.
pub fn listed(asked: &Asked, json: String, whole: bool) -> Told {
    Told { lowered: !whole, ..asked.json(json) }
}

/// A date as `str` of Python's `datetime`.
pub fn spoken(date: Date) -> String {
    date.iso().replacen('T', " ", 1)
}

/// A value of an answer as `str` of what Airflow 2 has there.
pub fn said(raw: Option<&str>) -> String {
    let value: Value = raw.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    match &value {
        Value::String(text) => match Date::parse(text) {
            Some(date) => spoken(date),
            None => text.clone(),
        },
        Value::Number(number) => match number.as_f64() {
            // Airflow 3 answers whole numbers with a point.
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => crate::gate::translate::python::repr(other),
    }
}
