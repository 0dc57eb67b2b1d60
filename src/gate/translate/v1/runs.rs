//! Runs.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::lists::{self, filter_properties, filters};
use super::shapes::{DATASET_EVENT, REF, RUN};
use crate::gate::translate::asked::{Asked, Told};
use crate::gate::translate::body::{Members, Need, Property, Type, held, may, must, read_only};
use crate::gate::translate::calls::{Answered, Call};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{FieldsOf, OTHERS, fields, list, order};
use crate::gate::translate::row::{
    Answer, Body, Row, Text, Work, Working, delete, get, not_found, not_found_bare, patch, post,
};
use crate::gate::translate::shape::Object;
use crate::gate::translate::value::{Date, json};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns"),
        new: get("/api/v2/dags/{dag_id}/dagRuns"),
        query: filters![list("state"), order(COLUMNS), fields(FieldsOf::Runs)],
        body: Body::None,
        answer: Answer::Page("dag_runs", "dag_runs", &RUN),
        status: 200,
        texts: &[],
        work: Work::By(page),
    },
    Row {
        old: post("/api/v1/dags/{dag_id}/dagRuns"),
        new: post("/api/v2/dags/{dag_id}/dagRuns"),
        query: &[],
        body: Body::Object(TRIGGER),
        answer: Answer::One(&RUN),
        status: 200,
        texts: &[not_found("DAG not found", "DAG with dag_id: '{dag_id}' not found")],
        work: Work::By(trigger),
    },
    Row {
        old: post("/api/v1/dags/~/dagRuns/list"),
        new: post("/api/v2/dags/{dag_id}/dagRuns/list"),
        query: &[OTHERS],
        body: Body::Object(filter_properties![
            may("order_by", Type::Order(COLUMNS)),
            may("states", Type::Texts),
            // Airflow 2 takes them and does not look at them.
            held("updated_at_gte", Type::Any),
            held("updated_at_lte", Type::Any),
        ]),
        answer: Answer::Page("dag_runs", "dag_runs", &RUN),
        status: 200,
        texts: &[],
        work: Work::By(lists::batch),
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"),
        query: &[fields(FieldsOf::Run)],
        body: Body::None,
        answer: Answer::One(&RUN),
        status: 200,
        texts: &[NO_RUN],
        work: Work::Table,
    },
    Row {
        old: delete("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}"),
        new: delete("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[not_found(
            "Not Found",
            "DAGRun with DAG ID: '{dag_id}' and DagRun ID: '{dag_run_id}' not found",
        )],
        work: Work::Table,
    },
    Row {
        old: patch("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}"),
        new: patch("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"),
        query: &[],
        body: Body::Object(&[must("state", Type::Among(&["success", "failed", "queued"]), Need::Code)]),
        answer: Answer::One(&RUN),
        status: 200,
        texts: &[not_found_bare("Dag Run id {dag_run_id} not found in dag {dag_id}")],
        work: Work::Table,
    },
    Row {
        old: post("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/clear"),
        new: post("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/clear"),
        query: &[],
        body: Body::Object(&[may("dry_run", Type::Flag)]),
        answer: Answer::Own,
        status: 200,
        texts: &[not_found_bare("Dag Run id {dag_run_id} not found in dag   {dag_id}")],
        work: Work::By(clear),
    },
    Row {
        old: patch("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/setNote"),
        new: patch("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"),
        query: &[],
        body: Body::Object(&[must("note", Type::Text, Need::Code)]),
        answer: Answer::One(&RUN),
        status: 200,
        texts: &[not_found_bare("Dag Run id {dag_run_id} not found in dag {dag_id}")],
        work: Work::By(note),
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamDatasetEvents"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents"),
        query: &[],
        body: Body::None,
        answer: Answer::Page("dataset_events", "asset_events", &DATASET_EVENT),
        status: 200,
        texts: &[NO_RUN],
        work: Work::Table,
    },
];

const NO_RUN: Text =
    not_found("DAGRun not found", "DAGRun with DAG ID: '{dag_id}' and DagRun ID: '{dag_run_id}' not found");

/// Airflow 3 cannot order by `external_trigger`.
const COLUMNS: &[(&str, &str)] = &[
    ("id", "id"),
    ("state", "state"),
    ("dag_id", "dag_id"),
    ("execution_date", "logical_date"),
    ("dag_run_id", "run_id"),
    ("start_date", "start_date"),
    ("end_date", "end_date"),
    ("updated_at", "updated_at"),
    ("conf", "conf"),
];

const TRIGGER: &[Property] = &[
    may("dag_run_id", Type::Text).null_in_model(),
    held("logical_date", Type::Date).or_null(),
    held("execution_date", Type::Date).or_null(),
    may("data_interval_start", Type::Date).or_null(),
    may("data_interval_end", Type::Date).or_null(),
    may("conf", Type::Object),
    may("note", Type::Text).or_null(),
    read_only("dag_id"),
    read_only("start_date"),
    read_only("end_date"),
    read_only("last_scheduling_decision"),
    read_only("run_type"),
    read_only("state"),
    read_only("external_trigger"),
];

/// A run without a state there is none: Airflow 2 finds those of the others, where Airflow 3 refuses to look.
fn page(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?;
        let is_blank = |(name, value): &(String, String)| name == "state" && value.is_empty();
        if call.query.iter().any(|pair| pair.0 == "state" && !is_blank(pair)) {
            call.query.retain(|pair| !is_blank(pair));
        }
        lists::filtered(asked, call, lists::RUNS).await
    })
}

/// A run, by default of now, with the id that its date makes.
fn trigger(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let now = Date::at(asked.now);
        let given = given_date(asked)?;
        let at = given.unwrap_or(now);
        let mut run = asked.body.today.clone();
        let half = run.raw("data_interval_start").is_some_and(|raw| raw != "null")
            != run.raw("data_interval_end").is_some_and(|raw| raw != "null");
        if half {
            return Err(Fault::bad_request(
                "{'_schema': [\"Both 'data_interval_start' and 'data_interval_end' must be specified together\"]}",
            ));
        }
        let note = asked.came().text("note").unwrap_or_default();
        if note.chars().count() > MAX_NOTE {
            return Err(Fault::bad_request(NOTE_TOO_LONG));
        }
        run.set("logical_date", json(&at.iso()));
        let id = match asked.came().text("dag_run_id") {
            Some(id) => id,
            None => {
                let id = format!("manual__{}", at.iso());
                run.set("dag_run_id", json(&id));
                id
            }
        };
        // Not before its date, as in Airflow 2.
        run.set("run_after", json(&if at.micros > now.micros { at } else { now }.iso()));
        let call = Call { body: Some(run.json()), ..asked.call()? };
        let answered = asked.calls.any(call).await?;
        if answered.status == StatusCode::CONFLICT {
            return Err(exists(asked, at, &id).await?);
        }
        if !answered.status.is_success() {
            return Err(Fault::Airflow(answered.into()));
        }
        // It has the whole `conf` in it.
        let shown = move |told: &str| match echoed(told, at, &run) {
            Some(echoed) => written(&echoed),
            None => written(told),
        };
        Ok(asked.json(asked.calls.read(answered, shown).await?))
    })
}

/// The date that a body gives, under either of its names.
fn given_date(asked: &Asked) -> Result<Option<Date>, Fault> {
    let came = asked.came();
    let bad = |title, detail| Err(Fault::refused(StatusCode::BAD_REQUEST, Some(title), Some(detail)));
    let raw = match (came.raw("logical_date"), came.raw("execution_date")) {
        (None, None) => return Ok(None),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(one), Some(other)) if one == other => one,
        (Some(one), Some(other)) => {
            let repr = |raw: &str| {
                let value: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
                crate::gate::translate::python::repr(&value)
            };
            return bad(
                "logical_date conflicts with execution_date",
                format!("{} != {}", repr(one), repr(other)),
            );
        }
    };
    match serde_json::from_str::<String>(raw).ok().and_then(|text| Date::parse(&text)) {
        Some(date) => Ok(Some(date)),
        None => bad("Incorrect datetime argument", "'None' is not an instance of 'str'".into()),
    }
}

/// Airflow 3 does not say which of the two is taken: the date, if there is a run at it.
async fn exists(asked: &Asked, at: Date, id: &str) -> Result<Fault, Fault> {
    let path = asked.params.path(asked.row.new.path).ok_or_else(Fault::no_route)?;
    let date = at.utc().iso();
    let call = Call::new(Method::GET, path)
        .with("logical_date_gte", &*date)
        .with("logical_date_lte", &*date)
        .with("limit", "1");
    let answered = asked.calls.good(call).await?;
    let object = Object::read(answered.text()?).ok_or_else(|| Fault::unreadable("no runs"))?;
    let dag = asked.params.get("dag_id");
    let detail = if object.raw("total_entries") == Some("0") {
        format!("DAGRun with DAG ID: '{dag}' and DAGRun ID: '{id}' already exists")
    } else {
        let date = at.iso().replacen('T', " ", 1);
        format!("DAGRun with DAG ID: '{dag}' and DAGRun logical date: '{date}' already exists")
    };
    Ok(Fault::refused(StatusCode::CONFLICT, Some("Conflict"), Some(detail)))
}

/// The run that Airflow 3 answers, with its dates in the zone in which they were given.
fn echoed(told: &str, at: Date, given: &Members) -> Option<String> {
    let mut run = Members::parse(&Bytes::copy_from_slice(told.as_bytes())).ok()?;
    run.set("logical_date", json(&at.iso()));
    for name in ["data_interval_start", "data_interval_end"] {
        let shown = match given.text(name).and_then(|text| Date::parse(&text)) {
            Some(date) => Some(date),
            None => run
                .text(name)
                .and_then(|text| Date::parse(&text))
                .map(|date| Date { offset: at.offset, ..date }),
        };
        if let Some(date) = shown {
            run.set(name, json(&date.iso()));
        }
    }
    Some(run.json())
}

/// A dry run tells the instances that would be cleared, else the run is told.
fn clear(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let dry = asked.came().flag("dry_run", true);
        let mut call = asked.call()?;
        call.body = Some(format!("{{\"dry_run\":{dry}}}"));
        let answered = asked.calls.good(call).await?;
        if dry {
            instances(asked, answered).await
        } else {
            Ok(asked.json(asked.calls.read(answered, written).await?))
        }
    })
}

fn written(run: &str) -> Result<String, Fault> {
    let mut out = String::new();
    RUN.write(run, &mut out).ok_or_else(|| Fault::unreadable("no run"))?;
    Ok(out)
}

/// The instances of an answer, by their names. Airflow 3 lists tasks that are new among them, which have no instance.
pub async fn instances(asked: &Asked, answered: Answered) -> Result<Told, Fault> {
    Ok(asked.json(asked.calls.read(answered, named).await?))
}

fn named(json: &str) -> Result<String, Fault> {
    let odd = || Fault::unreadable("no task instances");
    let all = Object::read(json).and_then(|object| object.list("task_instances")).ok_or_else(odd)?;
    let there = all
        .iter()
        .map(|one| one.get())
        .filter(|one| Object::read(one).is_some_and(|one| one.raw("id").is_some_and(|id| id != "null")));
    let mut out = String::from("{\"task_instances\":");
    REF.write_list(&format!("[{}]", there.collect::<Vec<_>>().join(",")), &mut out).ok_or_else(odd)?;
    out.push('}');
    Ok(out)
}

/// Longest note, in characters.
pub const MAX_NOTE: usize = 1000;
/// What is said of a longer one.
pub const NOTE_TOO_LONG: &str = "{'note': ['Longer than maximum length 1000.']}";

fn note(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        if asked.came().text("note").is_some_and(|note| note.chars().count() > MAX_NOTE) {
            return Err(Fault::bad_request(NOTE_TOO_LONG));
        }
        asked.told(asked.calls.good(asked.call()?).await?).await
    })
}
