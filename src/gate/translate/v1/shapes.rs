//! Shapes that several subjects have, and what their fields are made of.

use crate::gate::translate::shape::{
    Field, How, Object, Shape, always, by, date, date_from, each, from, or, same,
};
use crate::gate::translate::value::{self, json};

/// A run.
pub static RUN: Shape = Shape(&[
    or("conf", "{}"),
    same("dag_id"),
    same("dag_run_id"),
    date("data_interval_end"),
    date("data_interval_start"),
    date("end_date"),
    EXECUTION_DATE,
    by("external_trigger", &["run_type"], |run| (run_type(run) == "manual").to_string()),
    date("last_scheduling_decision"),
    by("logical_date", &["logical_date", "run_after"], execution_date),
    same("note"),
    by("run_type", &["run_type"], |run| json(run_type(run))),
    date("start_date"),
    same("state"),
]);

/// Airflow 2 had a date for every run: `run_after` stands in where there is none today.
pub const EXECUTION_DATE: Field = by("execution_date", &["logical_date", "run_after"], execution_date);

/// See [`EXECUTION_DATE`].
pub fn execution_date(object: &Object<'_>) -> String {
    dated(object).map_or_else(|| "null".into(), value::date)
}

/// The date, as it is written.
pub fn dated<'a>(object: &Object<'a>) -> Option<&'a str> {
    let date = |name| object.raw(name).filter(|raw| *raw != "null");
    date("logical_date").or_else(|| date("run_after"))
}

/// The types that Airflow 2 had.
fn run_type(run: &Object<'_>) -> &'static str {
    match run.text("run_type").unwrap_or_default().as_str() {
        "scheduled" => "scheduled",
        "backfill" | "backfill_job" => "backfill",
        "asset_triggered" | "asset_materialization" | "dataset_triggered" => "dataset_triggered",
        // `operator_triggered` among them, which was a manual one.
        _ => "manual",
    }
}

/// A task instance, by its names alone.
pub static REF: Shape = Shape(&[same("dag_id"), same("dag_run_id"), EXECUTION_DATE, same("task_id")]);

/// A task instance.
pub static INSTANCE: Shape = Shape(&[
    same("dag_id"),
    same("dag_run_id"),
    same("duration"),
    date("end_date"),
    EXECUTION_DATE,
    same("executor"),
    or("executor_config", "\"{}\""),
    or("hostname", "\"\""),
    same("map_index"),
    same("max_tries"),
    same("note"),
    same("operator"),
    same("pid"),
    same("pool"),
    same("pool_slots"),
    same("priority_weight"),
    same("queue"),
    date("queued_when"),
    or("rendered_fields", "{}"),
    same("rendered_map_index"),
    always("sla_miss", "null"),
    date("start_date"),
    STATE,
    same("task_display_name"),
    same("task_id"),
    Field { name: "trigger", how: How::One("trigger", &TRIGGER) },
    Field { name: "triggerer_job", how: How::One("triggerer_job", &JOB) },
    same("try_number"),
    or("unixname", "\"\""),
]);

/// A try of a task instance.
pub static TRY: Shape = Shape(&[
    same("dag_id"),
    same("dag_run_id"),
    same("duration"),
    date("end_date"),
    same("executor"),
    or("executor_config", "\"{}\""),
    or("hostname", "\"\""),
    same("map_index"),
    same("max_tries"),
    same("operator"),
    same("pid"),
    same("pool"),
    same("pool_slots"),
    same("priority_weight"),
    same("queue"),
    date("queued_when"),
    date("start_date"),
    STATE,
    same("task_display_name"),
    same("task_id"),
    same("try_number"),
    or("unixname", "\"\""),
]);

/// The states that Airflow 2 had.
const STATE: Field = by("state", &["state"], |object| match object.raw("state") {
    Some("\"awaiting_input\"") => "\"deferred\"".into(),
    Some(other) => other.to_owned(),
    None => "null".into(),
});

static TRIGGER: Shape =
    Shape(&[same("id"), same("classpath"), same("kwargs"), date("created_date"), same("triggerer_id")]);

static JOB: Shape = Shape(&[
    same("id"),
    same("dag_id"),
    same("state"),
    same("job_type"),
    date("start_date"),
    date("end_date"),
    date("latest_heartbeat"),
    same("executor_class"),
    same("hostname"),
    same("unixname"),
]);

/// An event of a dataset.
pub static DATASET_EVENT: Shape = Shape(&[
    each("created_dagruns", "created_dagruns", &CREATED_RUN),
    from("dataset_id", "asset_id"),
    from("dataset_uri", "uri"),
    or("extra", "{}"),
    same("id"),
    same("source_dag_id"),
    same("source_map_index"),
    same("source_run_id"),
    same("source_task_id"),
    date("timestamp"),
]);

static CREATED_RUN: Shape = Shape(&[
    same("dag_id"),
    from("dag_run_id", "run_id"),
    date("data_interval_end"),
    date("data_interval_start"),
    date("end_date"),
    date_from("logical_date", "logical_date"),
    date("start_date"),
    same("state"),
]);
