//! Tasks and their instances: each attribute that Airflow 3 tells, as `str` of what Airflow 2 had.

use serde_json::Value;

use super::words::{missing, run_at, said, spoken};
use crate::gate::translate::asked::Asked;
use crate::gate::translate::calls::{Answered, Call};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get};
use crate::gate::translate::shape::Object;
use crate::gate::translate::value;

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/experimental/dags/{dag_id}/tasks/{task_id}"),
        new: get("/api/v2/dags/{dag_id}/tasks/{task_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(task),
    },
    Row {
        old: get("/api/experimental/dags/{dag_id}/dag_runs/{execution_date}/tasks/{task_id}"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[super::words::NO_DAG],
        work: Work::By(instance),
    },
];

/// What a task had, and is today called the same.
const TASK: &[&str] = &[
    "task_id",
    "owner",
    "start_date",
    "end_date",
    "trigger_rule",
    "depends_on_past",
    "wait_for_downstream",
    "retries",
    "queue",
    "pool",
    "pool_slots",
    "execution_timeout",
    "priority_weight",
    "weight_rule",
    "ui_color",
    "ui_fgcolor",
    "template_fields",
    "doc_md",
    "params",
];

/// What an instance of a task had: then and today.
const INSTANCE: &[(&str, &str)] = &[
    ("task_id", "task_id"),
    ("dag_id", "dag_id"),
    ("run_id", "dag_run_id"),
    ("map_index", "map_index"),
    ("start_date", "start_date"),
    ("end_date", "end_date"),
    ("duration", "duration"),
    ("state", "state"),
    ("try_number", "try_number"),
    ("max_tries", "max_tries"),
    ("hostname", "hostname"),
    ("unixname", "unixname"),
    ("pool", "pool"),
    ("pool_slots", "pool_slots"),
    ("queue", "queue"),
    ("priority_weight", "priority_weight"),
    ("operator", "operator"),
    ("custom_operator_name", "operator_name"),
    ("queued_dttm", "queued_when"),
    ("pid", "pid"),
    ("executor", "executor"),
    ("executor_config", "executor_config"),
    ("rendered_map_index", "rendered_map_index"),
    ("task_display_name", "task_display_name"),
];

fn task(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let answered = exists(asked).await?;
        let object = Object::read(answered.text()?).ok_or_else(|| Fault::unreadable("no task"))?;
        let mut told: Vec<(&str, String)> = TASK.iter().map(|name| (*name, said(object.raw(name)))).collect();
        let raw = |name| -> Value {
            object.raw(name).and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
        };
        told.push(("retry_delay", duration(&raw("retry_delay"))));
        let backs_off = raw("retry_exponential_backoff").as_f64().is_some_and(|factor| factor != 0.0);
        told.push(("retry_exponential_backoff", if backs_off { "True" } else { "False" }.into()));
        let below: Vec<_> = raw("downstream_task_ids")
            .as_array()
            .into_iter()
            .flatten()
            .map(super::super::python::repr)
            .collect();
        told.push((
            "downstream_task_ids",
            if below.is_empty() { "set()".into() } else { format!("{{{}}}", below.join(", ")) },
        ));
        Ok(asked.json(object_of(&told)))
    })
}

fn instance(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        exists(asked).await?;
        let (run, date) = run_at(asked).await?;
        let run = Object::read(&run).and_then(|run| run.text("dag_run_id")).unwrap_or_default();
        let mut params = asked.params.clone();
        params.set("dag_run_id", run);
        let path = params.path(asked.row.new.path).ok_or_else(Fault::no_route)?;
        let answered = asked.calls.any(Call::new(http::Method::GET, path)).await?;
        if answered.status == http::StatusCode::NOT_FOUND {
            let task = asked.params.get("task_id");
            return Err(missing(format!("Task {task} instance for date {} not found", spoken(date))));
        }
        if !answered.status.is_success() {
            return Err(Fault::Airflow(answered.into()));
        }
        let object = Object::read(answered.text()?).ok_or_else(|| Fault::unreadable("no task instance"))?;
        let told: Vec<_> = INSTANCE.iter().map(|(then, today)| (*then, said(object.raw(today)))).collect();
        Ok(asked.json(object_of(&told)))
    })
}

/// The task, or which of the two is missing: the DAG or the task.
async fn exists(asked: &Asked) -> Result<Answered, Fault> {
    let (dag, task) = (asked.params.get("dag_id"), asked.params.get("task_id"));
    let path = asked.params.path("/api/v2/dags/{dag_id}/tasks/{task_id}").ok_or_else(Fault::no_route)?;
    let answered = asked.calls.any(Call::new(http::Method::GET, path)).await?;
    if answered.status == http::StatusCode::NOT_FOUND {
        let path = asked.params.path("/api/v2/dags/{dag_id}").ok_or_else(Fault::no_route)?;
        let found = asked.calls.any(Call::new(http::Method::GET, path)).await?;
        return Err(missing(if found.status == http::StatusCode::NOT_FOUND {
            format!("Dag id {dag} not found in DagModel")
        } else {
            format!("Task {task} not found in dag {dag}")
        }));
    }
    if answered.status.is_success() { Ok(answered) } else { Err(Fault::Airflow(answered.into())) }
}

/// `str` of Python's `timedelta`.
fn duration(delta: &Value) -> String {
    let part = |name: &str| delta[name].as_i64().unwrap_or_default();
    if delta.is_null() {
        return "None".into();
    }
    let (days, seconds, micros) = (part("days"), part("seconds"), part("microseconds"));
    let days = match days {
        0 => String::new(),
        1 | -1 => format!("{days} day, "),
        _ => format!("{days} days, "),
    };
    let micros = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!("{days}{}:{:02}:{:02}{micros}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn object_of(members: &[(&str, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, said)| format!("{}:{}", value::json(name), value::json(said))).collect();
    format!("{{{}}}", members.join(","))
}
