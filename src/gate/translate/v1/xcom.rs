//! XComs.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::value::RawValue;

use super::shapes::execution_date;
use crate::gate::translate::asked::Asked;
use crate::gate::translate::calls::{Answered, Call};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::query::{LIMIT, OFFSET, flag, text, whole};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get, not_found_bare};
use crate::gate::translate::shape::{Field, Object, Shape, by, date, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries"),
        query: &[whole("map_index"), text("xcom_key"), LIMIT, OFFSET],
        body: Body::None,
        answer: Answer::Page("xcom_entries", "xcom_entries", &ENTRY),
        status: 200,
        texts: &[not_found_bare("XCom entry not found")],
        work: Work::By(page),
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key}"),
        new: get(
            "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key:path}",
        ),
        query: &[whole("map_index"), flag("deserialize"), flag("stringify")],
        body: Body::None,
        answer: Answer::One(&VALUE),
        status: 200,
        texts: &[not_found_bare("XCom entry not found")],
        work: Work::By(value),
    },
];

/// Airflow 3.0 does not tell `run_after` here: see [`dated`].
const EXECUTION_DATE: Field = by("execution_date", &["logical_date"], execution_date);

static ENTRY: Shape = Shape(&[
    same("dag_id"),
    EXECUTION_DATE,
    same("key"),
    same("map_index"),
    same("task_id"),
    date("timestamp"),
]);

static VALUE: Shape = Shape(&[
    same("dag_id"),
    EXECUTION_DATE,
    same("key"),
    same("map_index"),
    same("task_id"),
    date("timestamp"),
    same("value"),
]);

/// The value as text, unless it is asked for as it is: Airflow 3 has it the other way round.
fn value(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?;
        if asked.query.get("stringify").is_none() {
            call = call.with("stringify", "true");
        }
        let answered = asked.calls.good(call).await?;
        asked.told(dated(asked, answered).await?).await
    })
}

fn page(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let answered = asked.calls.good(asked.call()?).await?;
        asked.told(dated(asked, answered).await?).await
    })
}

/// Most runs that are asked for their date.
const MAX_RUNS: usize = 30;

/// A run, by the ids of its DAG and its own.
type Run = (String, String);

/// Airflow 3.0 tells no `run_after` of an entry, which stands in for the date of a run without one: the run is asked. Who
/// may read XComs and not runs gets no date. A run that is gone meanwhile has no entries in a page of Airflow 2's.
async fn dated(asked: &Asked, answered: Answered) -> Result<Answered, Fault> {
    let read = |text: &str| Ok(entries(text).into_iter().filter_map(undated).collect::<BTreeSet<Run>>());
    let runs = asked.calls.read(answered.clone(), read).await?;
    if runs.is_empty() {
        return Ok(answered);
    }
    if runs.len() > MAX_RUNS {
        return Err(Fault::bad_request("Too many of these runs have no logical date: ask for fewer at once"));
    }
    let mut dates = BTreeMap::new();
    for (dag, run) in runs {
        let mut params = Params::default();
        params.set("dag_id", dag.clone());
        params.set("dag_run_id", run.clone());
        let path = params.path("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}").ok_or_else(Fault::no_route)?;
        let told = asked.calls.any(Call::new(Method::GET, path)).await?;
        let run_after = |text: &str| {
            let date = Object::read(text).and_then(|run| run.raw("run_after"));
            date.map(str::to_owned).ok_or_else(|| Fault::unreadable("a run without any date"))
        };
        let date = match told.status {
            status if status.is_success() => Some(asked.calls.read(told, run_after).await?),
            StatusCode::FORBIDDEN => Some("null".to_owned()),
            StatusCode::NOT_FOUND if matches!(asked.row.answer, Answer::Page(..)) => None,
            _ => return Err(Fault::Airflow(told.into())),
        };
        dates.insert((dag, run), date);
    }
    let (status, headers) = (answered.status, answered.headers.clone());
    let dated = asked.calls.read(answered, move |text| Ok(with_dates(text, &dates))).await?;
    Ok(Answered { status, headers, body: Bytes::from(dated) })
}

/// The entries of a page, or the only one.
fn entries(text: &str) -> Vec<&str> {
    let list = Object::read(text).and_then(|page| page.list("xcom_entries"));
    list.map_or_else(|| vec![text], |list| list.into_iter().map(RawValue::get).collect())
}

/// The run of an entry that says no date.
fn undated(entry: &str) -> Option<Run> {
    let entry = Object::read(entry)?;
    let has = |name| entry.raw(name).is_some_and(|raw| raw != "null");
    if has("logical_date") || has("run_after") {
        return None;
    }
    Some((entry.text("dag_id")?, entry.text("run_id")?))
}

/// The same answer with the dates of runs, and without the entries of those that are gone.
fn with_dates(text: &str, dates: &BTreeMap<Run, Option<String>>) -> String {
    let dated = |entry: &&str| match undated(entry).and_then(|run| dates.get(&run)).zip(entry.split_once('{'))
    {
        Some((date, (_, rest))) => date.as_ref().map(|date| format!("{{\"run_after\":{date},{rest}")),
        None => Some((*entry).to_owned()),
    };
    let came = entries(text);
    let all: Vec<_> = came.iter().filter_map(dated).collect();
    let total = Object::read(text).and_then(|page| page.list("xcom_entries").and(page.raw("total_entries")));
    match total.and_then(|total| total.parse::<usize>().ok()) {
        Some(total) => {
            let total = total.saturating_sub(came.len() - all.len());
            format!("{{\"xcom_entries\":[{}],\"total_entries\":{total}}}", all.join(","))
        }
        None => all.concat(),
    }
}
