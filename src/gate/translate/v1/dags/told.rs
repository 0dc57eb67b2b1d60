//! DAGs and tasks as Airflow 2 told them.

use serde_json::Value;

use super::super::tokens::FILE_TOKEN;
use crate::gate::translate::shape::{Field, Object, Shape, always, by, date, date_from, from, same};
use crate::gate::translate::value::json;

const SCHEDULE: Field = by("schedule_interval", &["timetable_summary"], schedule);
const PARAMS: Field = by("params", &["params"], params);
const DESCRIPTION: Field =
    by("timetable_description", &["timetable_description", "timetable_summary"], description);
const TAGS: Field = by("tags", &["tags"], tags);
const IS_ACTIVE: Field =
    by("is_active", &["is_stale"], |dag| (dag.raw("is_stale") != Some("true")).to_string());

/// A DAG.
pub(super) static DAG: Shape = Shape(&[
    same("dag_display_name"),
    same("dag_id"),
    always("default_view", "\"grid\""),
    same("description"),
    FILE_TOKEN,
    same("fileloc"),
    same("has_import_errors"),
    same("has_task_concurrency_limits"),
    IS_ACTIVE,
    same("is_paused"),
    always("is_subdag", "false"),
    date("last_expired"),
    date("last_parsed_time"),
    always("last_pickled", "null"),
    same("max_active_runs"),
    same("max_active_tasks"),
    same("max_consecutive_failed_dag_runs"),
    date_from("next_dagrun", "next_dagrun_logical_date"),
    date_from("next_dagrun_create_after", "next_dagrun_run_after"),
    date("next_dagrun_data_interval_end"),
    date("next_dagrun_data_interval_start"),
    same("owners"),
    always("pickle_id", "null"),
    always("root_dag_id", "null"),
    SCHEDULE,
    always("scheduler_lock", "null"),
    TAGS,
    DESCRIPTION,
]);

/// A DAG with all that is known of it.
pub(super) static DETAILS: Shape = Shape(&[
    same("catchup"),
    from("concurrency", "max_active_tasks"),
    same("dag_display_name"),
    same("dag_id"),
    by("dag_run_timeout", &["dag_run_timeout"], |dag| {
        iso_duration(&dag.text("dag_run_timeout").unwrap_or_default())
    }),
    by("dataset_expression", &["asset_expression"], dataset_expression),
    always("default_view", "\"grid\""),
    same("description"),
    same("doc_md"),
    date("end_date"),
    FILE_TOKEN,
    same("fileloc"),
    same("has_import_errors"),
    same("has_task_concurrency_limits"),
    IS_ACTIVE,
    same("is_paused"),
    same("is_paused_upon_creation"),
    always("is_subdag", "false"),
    date("last_expired"),
    date("last_parsed"),
    date("last_parsed_time"),
    always("last_pickled", "null"),
    same("max_active_runs"),
    same("max_active_tasks"),
    same("max_consecutive_failed_dag_runs"),
    date_from("next_dagrun", "next_dagrun_logical_date"),
    date_from("next_dagrun_create_after", "next_dagrun_run_after"),
    date("next_dagrun_data_interval_end"),
    date("next_dagrun_data_interval_start"),
    // Airflow 3 does not tell it.
    always("orientation", "\"LR\""),
    same("owners"),
    PARAMS,
    always("pickle_id", "null"),
    same("render_template_as_native_obj"),
    always("root_dag_id", "null"),
    SCHEDULE,
    always("scheduler_lock", "null"),
    date("start_date"),
    TAGS,
    from("template_searchpath", "template_search_path"),
    DESCRIPTION,
    same("timezone"),
]);

/// A task.
pub(super) static TASK: Shape = Shape(&[
    same("class_ref"),
    same("depends_on_past"),
    same("doc_md"),
    same("downstream_task_ids"),
    date("end_date"),
    same("execution_timeout"),
    always("extra_links", "[]"),
    same("is_mapped"),
    same("operator_name"),
    same("owner"),
    PARAMS,
    same("pool"),
    same("pool_slots"),
    same("priority_weight"),
    same("queue"),
    same("retries"),
    same("retry_delay"),
    by("retry_exponential_backoff", &["retry_exponential_backoff"], |task| {
        let factor = task.raw("retry_exponential_backoff").unwrap_or("false");
        let is_on = factor == "true" || factor.parse::<f64>().is_ok_and(|factor| factor != 0.0);
        is_on.to_string()
    }),
    date("start_date"),
    same("task_display_name"),
    same("task_id"),
    same("template_fields"),
    same("trigger_rule"),
    same("ui_color"),
    same("ui_fgcolor"),
    same("wait_for_downstream"),
    same("weight_rule"),
]);

/// Airflow 2 told a schedule with its type.
fn schedule(dag: &Object<'_>) -> String {
    let Some(summary) = dag.text("timetable_summary") else { return "null".into() };
    match delta(&summary) {
        Some((days, seconds)) => time_delta(days, seconds, 0),
        None => {
            let summary = summary.replace("Asset", "Dataset");
            format!("{{\"__type\":\"CronExpression\",\"value\":{}}}", json(&summary))
        }
    }
}

/// `str` of Python's `timedelta`: `1 day, 2:30:00`.
fn delta(text: &str) -> Option<(i64, i64)> {
    let (days, time) = match text.split_once(" day") {
        Some((days, rest)) => (days.parse().ok()?, rest.trim_start_matches('s').strip_prefix(", ")?),
        None => (0, text),
    };
    let mut parts = time.split(':').map(|part| part.parse::<i64>());
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    parts.next().is_none().then_some((days, hours * 3600 + minutes * 60 + seconds))
}

/// A duration in ISO 8601, as pydantic writes it: `P1DT2H30M`, `PT5400S`, `-PT1.5S`.
fn iso_duration(text: &str) -> String {
    let read = || {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let rest = rest.strip_prefix('P')?;
        let (mut micros, mut in_time, mut number) = (0_i64, false, String::new());
        for c in rest.chars() {
            if c == 'T' {
                in_time = true;
                continue;
            }
            if c.is_ascii_digit() || c == '.' {
                number.push(c);
                continue;
            }
            let unit = match (c, in_time) {
                ('W', false) => 604_800.0,
                ('D', false) => 86_400.0,
                ('H', true) => 3_600.0,
                ('M', true) => 60.0,
                ('S', true) => 1.0,
                _ => return None,
            };
            // Days to microseconds: far below what a double holds exactly.
            micros += (number.parse::<f64>().ok()? * unit * 1e6).round() as i64;
            number.clear();
        }
        Some(if negative { -micros } else { micros })
    };
    match read() {
        Some(micros) => {
            let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
            time_delta(seconds.div_euclid(86_400), seconds.rem_euclid(86_400), rest)
        }
        None => "null".into(),
    }
}

fn time_delta(days: i64, seconds: i64, micros: i64) -> String {
    format!("{{\"__type\":\"TimeDelta\",\"days\":{days},\"microseconds\":{micros},\"seconds\":{seconds}}}")
}

/// Airflow 2 told parameters with their class.
fn params(object: &Object<'_>) -> String {
    let Some(params) = object.raw("params").and_then(Object::read) else { return "{}".into() };
    let params: Vec<_> = params
        .members()
        .map(|(name, raw)| {
            let mut members = vec!["\"__class\":\"airflow.models.param.Param\"".to_owned()];
            match Object::read(raw.get()) {
                Some(param) => {
                    let kept = param
                        .members()
                        .filter(|(name, _)| matches!(*name, "value" | "schema" | "description"));
                    members.extend(kept.map(|(name, raw)| format!("{}:{}", json(name), raw.get())));
                }
                None => members.push(format!("\"value\":{}", raw.get())),
            }
            format!("{}:{{{}}}", json(name), members.join(","))
        })
        .collect();
    format!("{{{}}}", params.join(","))
}

/// Airflow 2 told datasets by their URI, and aliases by their name.
fn dataset_expression(dag: &Object<'_>) -> String {
    fn simple(value: Value) -> Value {
        match value {
            Value::Object(mut object) => match (object.remove("asset"), object.remove("alias")) {
                (Some(asset), _) => asset.get("uri").cloned().unwrap_or_default(),
                (None, Some(alias)) => {
                    serde_json::json!({ "alias": alias.get("name").cloned().unwrap_or(alias) })
                }
                (None, None) => object.into_iter().map(|(name, value)| (name, simple(value))).collect(),
            },
            Value::Array(list) => list.into_iter().map(simple).collect(),
            other => other,
        }
    }
    let read = dag.raw("asset_expression").and_then(|raw| serde_json::from_str(raw).ok());
    simple(read.unwrap_or_default()).to_string()
}

/// Airflow 2 spoke of datasets.
fn description(dag: &Object<'_>) -> String {
    let is_of_assets = dag.text("timetable_summary").is_some_and(|summary| summary.contains("Asset"));
    match dag.text("timetable_description") {
        Some(text) if is_of_assets => json(&text.replace("Asset", "Dataset").replace("asset", "dataset")),
        Some(_) | None => dag.raw("timetable_description").unwrap_or("null").to_owned(),
    }
}

fn tags(dag: &Object<'_>) -> String {
    static TAG: Shape = Shape(&[same("name")]);
    let mut out = String::new();
    match TAG.write_list(dag.raw("tags").unwrap_or("[]"), &mut out) {
        Some(()) => out,
        None => "[]".into(),
    }
}
