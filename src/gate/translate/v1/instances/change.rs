//! Changes of task instances: states, notes, and clearing them.

use http::{Method, StatusCode};

use super::super::runs::{MAX_NOTE, NOTE_TOO_LONG, instances};
use super::super::shapes::{INSTANCE, REF};
use super::{NAMED, NOT_FOUND_BY_NAME, missing};
use crate::gate::translate::asked::{Asked, Told};
use crate::gate::translate::body::{Need, Property, Type, held, may, must};
use crate::gate::translate::calls::{Answered, Call};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, patch};
use crate::gate::translate::shape::{Object, Shape};
use crate::gate::translate::value::{Date, json};

/// States that a task instance can be given.
const NEW_STATES: Type = Type::Among(&["success", "failed", "skipped"]);

pub(super) const CLEAR: &[Property] = &[
    may("dry_run", Type::Flag),
    may("task_ids", Type::Texts),
    may("start_date", Type::Text),
    may("end_date", Type::Text),
    may("only_failed", Type::Flag),
    may("only_running", Type::Flag),
    // Airflow 3 has no sub-DAGs.
    held("include_subdags", Type::Flag),
    held("include_parentdag", Type::Flag),
    may("reset_dag_runs", Type::Flag),
    may("dag_run_id", Type::Text).or_null(),
    may("include_upstream", Type::Flag),
    may("include_downstream", Type::Flag),
    may("include_future", Type::Flag),
    may("include_past", Type::Flag),
];

pub(super) const UPDATE: &[Property] = &[
    held("dry_run", Type::Flag),
    Property { today: "", ..must("task_id", Type::Text, Need::Model) },
    held("execution_date", Type::Text),
    held("dag_run_id", Type::Text),
    must("include_upstream", Type::Flag, Need::Model),
    must("include_downstream", Type::Flag, Need::Model),
    must("include_future", Type::Flag, Need::Model),
    must("include_past", Type::Flag, Need::Model),
    must("new_state", NEW_STATES, Need::Model),
];

/// Gives an instance a state.
pub(super) const fn setting(old: &'static str, new: &'static str) -> Row {
    Row {
        old: patch(old),
        new: patch(new),
        query: &[],
        body: Body::Object(SET),
        answer: Answer::Own,
        status: 200,
        texts: &[NOT_FOUND_BY_NAME],
        work: Work::By(set),
    }
}

const SET: &[Property] = &[held("dry_run", Type::Flag), must("new_state", NEW_STATES, Need::Model)];

/// Gives an instance a note.
pub(super) const fn noting(old: &'static str, new: &'static str) -> Row {
    Row {
        old: patch(old),
        new: patch(new),
        query: &[],
        body: Body::Object(NOTE),
        answer: Answer::Own,
        status: 200,
        texts: &[NOT_FOUND_BY_NAME],
        work: Work::By(note),
    }
}

const NOTE: &[Property] = &[must("note", Type::Text, Need::Document), held("map_index", Type::Any)];

/// A call for one instance, not for all that are mapped from its task.
fn of_one(asked: &Asked, dry: bool) -> Result<Call, Fault> {
    let mut call = asked.call()?;
    if dry {
        call.path.push_str("/dry_run");
    }
    if !asked.row.new.path.ends_with("{map_index}") {
        call = call.with("map_index", "-1");
    }
    Ok(call)
}

/// The first instance of an answer, which is a list of one. Airflow 3.0 answers the instance itself.
fn first(json: &str) -> Option<&str> {
    let object = Object::read(json)?;
    match object.raw("task_instances") {
        Some(_) => object.list("task_instances")?.first().map(|one| one.get()),
        None => Some(json),
    }
}

/// A dry run names the instance; for real the answer is empty, as in Airflow 2.
fn set(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let dry = asked.came().flag("dry_run", true);
        let answered = asked.calls.good(of_one(asked, dry)?).await?;
        if !dry {
            return Ok(asked.json("{}"));
        }
        match shaped(asked, answered, &REF).await {
            // Airflow 3 lists none that has the state already.
            Err(Fault::Refused(missing)) => {
                let path = asked.params.path(asked.row.new.path).ok_or_else(Fault::no_route)?;
                let one = asked.calls.any(Call::new(Method::GET, path)).await?;
                if one.status.is_success() {
                    shaped(asked, one, &REF).await
                } else {
                    Err(Fault::Refused(missing))
                }
            }
            told => told,
        }
    })
}

fn note(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        if asked.came().text("note").is_some_and(|note| note.chars().count() > MAX_NOTE) {
            return Err(Fault::bad_request(NOTE_TOO_LONG));
        }
        let answered = asked.calls.good(of_one(asked, false)?).await?;
        shaped(asked, answered, &INSTANCE).await
    })
}

async fn shaped(asked: &Asked, answered: Answered, shape: &'static Shape) -> Result<Told, Fault> {
    let write = |text: &str| {
        let Some(one) = first(text) else { return Ok(None) };
        let mut out = String::new();
        shape.write(one, &mut out).ok_or_else(|| Fault::unreadable("no task instance"))?;
        Ok(Some(out))
    };
    match asked.calls.read(answered, write).await? {
        Some(json) => Ok(asked.json(json)),
        None => Err(missing(&asked.params.fill(NAMED), None)),
    }
}

/// Airflow 3 resets the runs unless told otherwise.
pub(super) fn clear(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let came = asked.came();
        check_clear(asked)?;
        let mut today = asked.body.today.clone();
        today.set("reset_dag_runs", came.flag("reset_dag_runs", false).to_string());
        for name in ["start_date", "end_date"] {
            // Airflow 3 compares them as they are written, whatever their zones.
            if let Some(date) = came.text(name).and_then(|text| Date::parse(&text)) {
                today.set(name, json(&date.utc().iso()));
            }
        }
        let call = Call { body: Some(today.json()), ..asked.call()? };
        match asked.calls.good(call).await {
            Ok(answered) => instances(asked, answered).await,
            Err(Fault::Airflow(answered)) if answered.status == StatusCode::NOT_FOUND => {
                let dag = asked.params.get("dag_id");
                // Which of the two it is, Airflow 3 tells in its text alone.
                let title = match came.text("dag_run_id") {
                    Some(run) if answered.text().is_ok_and(|text| text.contains("Run")) => {
                        format!("Dag Run id {run} not found in dag {dag}")
                    }
                    Some(_) | None => format!("Dag id {dag} not found"),
                };
                Err(missing(&title, None))
            }
            Err(fault) => Err(fault),
        }
    })
}

fn check_clear(asked: &Asked) -> Result<(), Fault> {
    let came = asked.came();
    if came.raw("task_ids") == Some("[]") {
        return Err(Fault::bad_request("[] should be non-empty - 'task_ids'"));
    }
    let mut dates = Vec::new();
    for name in ["start_date", "end_date"] {
        let Some(text) = came.text(name) else { continue };
        match Date::parse_local(&text) {
            Some((micros, Some(offset))) => dates.push(micros - i64::from(offset) * 60_000_000),
            Some((_, None)) => {
                return Err(Fault::refused(
                    StatusCode::BAD_REQUEST,
                    Some("Invalid datetime format"),
                    Some("Naive datetime is disallowed".into()),
                ));
            }
            None => return Err(Fault::bad_request(format!("{{'{name}': ['Not a valid datetime.']}}"))),
        }
    }
    let schema = |text: &str| Err(Fault::bad_request(format!("{{'_schema': ['{text}']}}")));
    if came.flag("only_failed", true) && came.flag("only_running", false) {
        return schema("only_failed and only_running both are set to True");
    }
    if matches!(*dates, [start, end] if end < start) {
        return schema("end_date is sooner than start_date");
    }
    if came.text("dag_run_id").is_some() {
        match (came.raw("start_date"), came.raw("end_date")) {
            (Some(_), Some(_)) => {
                return schema("Exactly one of dag_run_id or (start_date and end_date) must be provided");
            }
            (Some(_), None) => return schema("Exactly one of dag_run_id or start_date must be provided"),
            (None, Some(_)) => return schema("Exactly one of dag_run_id or end_date must be provided"),
            (None, None) => {}
        }
    }
    Ok(())
}

/// By the run's id, or by its date.
pub(super) fn update(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let came = asked.came();
        let dry = came.flag("dry_run", true);
        let task = came.text("task_id").unwrap_or_default();
        let mut params = asked.params.clone();
        params.set("task_id", &*task);
        let path = |params: &Params, template| params.path(template).ok_or_else(Fault::no_route);
        let found = asked
            .calls
            .any(Call::new(Method::GET, path(&params, "/api/v2/dags/{dag_id}/tasks/{task_id}")?))
            .await?;
        if found.status == StatusCode::NOT_FOUND {
            let dag =
                asked.calls.any(Call::new(Method::GET, path(&params, "/api/v2/dags/{dag_id}")?)).await?;
            return Err(missing(
                &params.fill(if dag.status == StatusCode::NOT_FOUND {
                    "Dag ID {dag_id} not found"
                } else {
                    "Task ID {task_id} not found"
                }),
                None,
            ));
        }
        if !found.status.is_success() {
            return Err(Fault::Airflow(found.into()));
        }
        let absent = |by: String| {
            missing("Not Found", Some(&format!("Task instance not found for task '{task}' {by}")))
        };
        let not_there = match (came.text("execution_date"), came.text("dag_run_id")) {
            (Some(date), None) => {
                let Some(date) = Date::parse(&date) else {
                    return Err(Fault::bad_request("{'execution_date': ['Not a valid datetime.']}"));
                };
                let at = date.utc().iso();
                let runs = Call::new(Method::GET, path(&params, "/api/v2/dags/{dag_id}/dagRuns")?)
                    .with("logical_date_gte", &*at)
                    .with("logical_date_lte", &*at)
                    .with("limit", "1");
                let answered = asked.calls.good(runs).await?;
                let not_there = absent(format!("on execution_date {}", date.iso().replacen('T', " ", 1)));
                let id = |text: &str| {
                    let page = Object::read(text).ok_or_else(|| Fault::unreadable("no runs"))?;
                    let runs = page.list("dag_runs").unwrap_or_default();
                    Ok(runs.first().and_then(|run| Object::read(run.get())?.text("dag_run_id")))
                };
                match asked.calls.read(answered, id).await? {
                    Some(run) => params.set("dag_run_id", run),
                    None => return Err(not_there),
                }
                not_there
            }
            (None, Some(run)) => {
                let not_there = absent(format!("on DAG run with ID '{run}'"));
                params.set("dag_run_id", run);
                not_there
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err(Fault::bad_request(
                    "{'_schema': ['Exactly one of execution_date or dag_run_id must be provided']}",
                ));
            }
        };
        let to = path(&params, asked.row.new.path)?;
        let call = Call { body: Some(asked.body.today.json()), ..Call::new(Method::PATCH, to) };
        let call = call.with("map_index", "-1");
        // For real, Airflow 3 lists the one instance alone: what changes with it, a dry run says.
        let listed = asked.calls.any(Call { path: format!("{}/dry_run", call.path), ..call.clone() }).await?;
        if listed.status == StatusCode::NOT_FOUND {
            return Err(not_there);
        }
        if !listed.status.is_success() {
            return Err(Fault::Airflow(listed.into()));
        }
        if !dry {
            asked.calls.good(call).await?;
        }
        instances(asked, listed).await
    })
}
