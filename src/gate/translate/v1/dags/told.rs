//! DAGs and tasks as Airflow 2 told them.

use serde_json::Value;

use super::super::tokens::FILE_TOKEN;
use super::span::Span;
use crate::gate::translate::shape::{Field, Object, Shape, always, by, date, date_from, from, same, try_by};
use crate::gate::translate::value::json;

const SCHEDULE: Field = by("schedule_interval", &["timetable_summary"], schedule);
const PARAMS: Field = try_by("params", &["params"], params);
const DESCRIPTION: Field =
    by("timetable_description", &["timetable_description", "timetable_summary"], description);
const TAGS: Field = try_by("tags", &["tags"], tags);
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
    try_by("dag_run_timeout", &["dag_run_timeout"], run_timeout),
    try_by("dataset_expression", &["asset_expression"], dataset_expression),
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

/// Airflow 2 told a schedule with its type. What a timetable of one's own says of itself stays the text that it is.
fn schedule(dag: &Object<'_>) -> String {
    let Some(summary) = dag.text("timetable_summary") else { return "null".into() };
    match Span::python(&summary) {
        Some(span) => span.json(),
        None => {
            let summary = summary.replace("Asset", "Dataset");
            format!("{{\"__type\":\"CronExpression\",\"value\":{}}}", json(&summary))
        }
    }
}

/// `null` for none; nothing for what cannot be read.
fn run_timeout(dag: &Object<'_>) -> Option<String> {
    match dag.raw("dag_run_timeout") {
        None | Some("null") => Some("null".into()),
        Some(_) => Some(Span::iso(&dag.text("dag_run_timeout")?)?.json()),
    }
}

/// Airflow 2 told parameters with their class. Nothing for what cannot be read: Airflow 3 always tells them, or `null`.
fn params(object: &Object<'_>) -> Option<String> {
    let params = match object.raw("params")? {
        "null" => return Some("{}".into()),
        params => Object::read(params)?,
    };
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
    Some(format!("{{{}}}", params.join(",")))
}

/// Airflow 2 told datasets by their URI, and aliases by their name. Nothing for what cannot be read: Airflow 3 always
/// tells an expression, or `null`.
fn dataset_expression(dag: &Object<'_>) -> Option<String> {
    fn simple(value: Value) -> Option<Value> {
        Some(match value {
            Value::Object(mut object) => match (object.remove("asset"), object.remove("alias")) {
                (Some(Value::Object(mut asset)), _) => asset.remove("uri").filter(Value::is_string)?,
                (None, Some(Value::Object(mut alias))) => {
                    serde_json::json!({ "alias": alias.remove("name").filter(Value::is_string)? })
                }
                // As an Airflow 2 wrote it whose database was brought to 3.
                (None, Some(Value::String(alias))) => serde_json::json!({ "alias": alias }),
                (Some(_), _) | (None, Some(_)) => return None,
                (None, None) => object
                    .into_iter()
                    .map(|(name, value)| Some((name, simple(value)?)))
                    .collect::<Option<_>>()?,
            },
            Value::Array(list) => list.into_iter().map(simple).collect::<Option<_>>()?,
            other => other,
        })
    }
    match serde_json::from_str(dag.raw("asset_expression")?).ok()? {
        Value::Null => Some("null".into()),
        expression @ Value::Object(_) => Some(simple(expression)?.to_string()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// Airflow 2 spoke of datasets.
fn description(dag: &Object<'_>) -> String {
    let is_of_assets = dag.text("timetable_summary").is_some_and(|summary| summary.contains("Asset"));
    match dag.text("timetable_description") {
        Some(text) if is_of_assets => json(&text.replace("Asset", "Dataset").replace("asset", "dataset")),
        Some(_) | None => dag.raw("timetable_description").unwrap_or("null").to_owned(),
    }
}

/// Nothing for what cannot be read: Airflow 3 always tells them, each with its name.
fn tags(dag: &Object<'_>) -> Option<String> {
    let tag = |raw: &str| {
        let tag = Object::read(raw)?;
        tag.raw("name").filter(|name| name.starts_with('"')).map(|name| format!("{{\"name\":{name}}}"))
    };
    let tags: Option<Vec<_>> = dag.list("tags")?.into_iter().map(|raw| tag(raw.get())).collect();
    Some(format!("[{}]", tags?.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(field: &str, json: &str) -> Option<String> {
        let mut out = String::new();
        DETAILS.write_with(json, &[field], &mut out).map(|()| out)
    }

    /// What Airflow 3 never says is no reason to say that there is nothing.
    #[test]
    fn what_cannot_be_read_is_not_told_as_none() {
        let deep = format!("{{\"asset_expression\":{}{}}}", "{\"any\":[".repeat(200), "]}".repeat(200));
        for (name, field, json, expected) in [
            ("no tags", "tags", r#"{"tags":[]}"#, Some("[]")),
            ("a tag", "tags", r#"{"tags":[{"dag_id":"d","name":"\u00e4"}]}"#, Some(r#"[{"name":"\u00e4"}]"#)),
            ("tags left out", "tags", "{}", None),
            ("tags that are null", "tags", r#"{"tags":null}"#, None),
            ("tags that are texts", "tags", r#"{"tags":["a"]}"#, None),
            ("a tag without name", "tags", r#"{"tags":[{"dag_id":"d"}]}"#, None),
            ("no params", "params", r#"{"params":null}"#, Some("{}")),
            ("params left out", "params", "{}", None),
            ("params in a list", "params", r#"{"params":[]}"#, None),
            ("no expression", "dataset_expression", r#"{"asset_expression":null}"#, Some("null")),
            ("an expression left out", "dataset_expression", "{}", None),
            ("an expression too deep", "dataset_expression", &deep, None),
            ("a text", "dataset_expression", r#"{"asset_expression":"a"}"#, None),
            (
                "assets and aliases",
                "dataset_expression",
                r#"{"asset_expression":{"any":[{"asset":{"uri":"u","name":"n"}},{"alias":{"name":"a"}},{"alias":"b"}]}}"#,
                Some(r#"{"any":["u",{"alias":"a"},{"alias":"b"}]}"#),
            ),
            (
                "an asset without its URI",
                "dataset_expression",
                r#"{"asset_expression":{"any":[{"asset":{"name":"n"}}]}}"#,
                None,
            ),
            (
                "an alias without its name",
                "dataset_expression",
                r#"{"asset_expression":{"any":[{"alias":{}}]}}"#,
                None,
            ),
        ] {
            let expected = expected.map(|value| format!("{{\"{field}\":{value}}}"));
            assert_eq!(told(field, json), expected, "{name}");
        }
    }

    #[test]
    fn lengths_of_time() {
        let is = |field, value: &str| Some(format!("{{\"{field}\":{value}}}"));
        for (json, expected) in [
            (r#"{"dag_run_timeout":null}"#, Some("null")),
            ("{}", Some("null")),
            (
                r#"{"dag_run_timeout":"P1Y35D"}"#,
                Some(r#"{"__type":"TimeDelta","days":400,"microseconds":0,"seconds":0}"#),
            ),
            (
                r#"{"dag_run_timeout":"-PT1.5S"}"#,
                Some(r#"{"__type":"TimeDelta","days":-1,"microseconds":500000,"seconds":86398}"#),
            ),
            (r#"{"dag_run_timeout":"P1M"}"#, None),
            (r#"{"dag_run_timeout":"PT9223372036854775807S"}"#, None),
            (r#"{"dag_run_timeout":3600.0}"#, None),
        ] {
            let expected = expected.and_then(|value| is("dag_run_timeout", value));
            assert_eq!(told("dag_run_timeout", json), expected, "{json}");
        }
        for (summary, expected) in [
            ("-1 day, 0:00:00.5", r#"{"__type":"TimeDelta","days":-1,"microseconds":500000,"seconds":0}"#),
            ("3000000000000000:00:00", r#"{"__type":"CronExpression","value":"3000000000000000:00:00"}"#),
        ] {
            let json = format!("{{\"timetable_summary\":{}}}", json(summary));
            assert_eq!(told("schedule_interval", &json), is("schedule_interval", expected), "{summary}");
        }
    }
}
