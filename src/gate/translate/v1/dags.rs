//! DAGs and their tasks.

use http::StatusCode;
use serde_json::Value;

use super::tokens::FILE_TOKEN;
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{Property, Type, may, read_only};
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{
    FieldsOf, Kind, LIMIT, OFFSET, fields, flag, list, order, own, renamed, text,
};
use crate::gate::translate::row::{
    Answer, Body, Detail, Row, Text, Work, Working, delete, get, not_found, not_found_bare, patch,
};
use crate::gate::translate::shape::{Field, Object, Shape, always, by, date, date_from, from, same};
use crate::gate::translate::value::json;

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/dags"),
        new: get("/api/v2/dags"),
        query: &[
            LIMIT,
            OFFSET,
            order(&[("dag_id", "dag_id")]),
            list("tags"),
            renamed("only_active", "exclude_stale", Kind::Flag),
            flag("paused"),
            fields(FieldsOf::Dags),
            text("dag_id_pattern"),
        ],
        body: Body::None,
        answer: Answer::Page("dags", "dags", &DAG),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: patch("/api/v1/dags"),
        new: patch("/api/v2/dags"),
        query: &[
            LIMIT,
            OFFSET,
            list("tags"),
            own("update_mask", Kind::List),
            renamed("only_active", "exclude_stale", Kind::Flag),
            text("dag_id_pattern"),
        ],
        body: Body::Object(PAUSE),
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(pause_page),
    },
    Row {
        old: get("/api/v1/dags/{dag_id}"),
        new: get("/api/v2/dags/{dag_id}"),
        query: &[fields(FieldsOf::Dag)],
        body: Body::None,
        answer: Answer::One(&DAG),
        status: 200,
        texts: &[NO_DAG],
        work: Work::Table,
    },
    Row {
        old: patch("/api/v1/dags/{dag_id}"),
        new: patch("/api/v2/dags/{dag_id}"),
        query: &[own("update_mask", Kind::List)],
        body: Body::Object(PAUSE),
        answer: Answer::One(&DAG),
        status: 200,
        texts: &[not_found_bare("Dag with id: '{dag_id}' not found")],
        work: Work::By(pause),
    },
    Row {
        old: delete("/api/v1/dags/{dag_id}"),
        new: delete("/api/v2/dags/{dag_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[
            not_found_bare("Dag with id: '{dag_id}' not found"),
            Text {
                status: 409,
                title: None,
                detail: Detail::Is("Task instances of dag with id: '{dag_id}' are still running"),
            },
        ],
        work: Work::Table,
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/details"),
        new: get("/api/v2/dags/{dag_id}/details"),
        query: &[fields(FieldsOf::Details)],
        body: Body::None,
        answer: Answer::One(&DETAILS),
        status: 200,
        texts: &[NO_DAG],
        work: Work::Table,
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/tasks"),
        new: get("/api/v2/dags/{dag_id}/tasks"),
        query: &[order(TASK_COLUMNS)],
        body: Body::None,
        answer: Answer::Page("tasks", "tasks", &TASK),
        status: 200,
        texts: &[not_found_bare("DAG not found")],
        work: Work::Table,
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/tasks/{task_id}"),
        new: get("/api/v2/dags/{dag_id}/tasks/{task_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&TASK),
        status: 200,
        texts: &[not_found_bare("Task not found")],
        work: Work::Table,
    },
];

const NO_DAG: Text = not_found("DAG not found", "The DAG with dag_id: {dag_id} was not found");

/// What can be changed of a DAG, and what cannot.
const PAUSE: &[Property] = &[
    may("is_paused", Type::Flag).or_null(),
    read_only("dag_id"),
    read_only("dag_display_name"),
    read_only("root_dag_id"),
    read_only("is_active"),
    read_only("is_subdag"),
    read_only("last_parsed_time"),
    read_only("last_pickled"),
    read_only("last_expired"),
    read_only("scheduler_lock"),
    read_only("pickle_id"),
    read_only("default_view"),
    read_only("fileloc"),
    read_only("file_token"),
    read_only("owners"),
    read_only("description"),
    read_only("timetable_description"),
    read_only("tags"),
    read_only("max_active_tasks"),
    read_only("max_active_runs"),
    read_only("has_task_concurrency_limits"),
    read_only("has_import_errors"),
    read_only("next_dagrun"),
    read_only("next_dagrun_data_interval_start"),
    read_only("next_dagrun_data_interval_end"),
    read_only("next_dagrun_create_after"),
    read_only("max_consecutive_failed_dag_runs"),
];

/// Those that Airflow 3 orders tasks by.
const TASK_COLUMNS: &[(&str, &str)] = &[
    ("task_id", "task_id"),
    ("task_display_name", "task_display_name"),
    ("owner", "owner"),
    ("start_date", "start_date"),
    ("end_date", "end_date"),
    ("trigger_rule", "trigger_rule"),
    ("depends_on_past", "depends_on_past"),
    ("wait_for_downstream", "wait_for_downstream"),
    ("retries", "retries"),
    ("queue", "queue"),
    ("pool", "pool"),
    ("pool_slots", "pool_slots"),
    ("execution_timeout", "execution_timeout"),
    ("retry_delay", "retry_delay"),
    ("retry_exponential_backoff", "retry_exponential_backoff"),
    ("priority_weight", "priority_weight"),
    ("ui_color", "ui_color"),
    ("ui_fgcolor", "ui_fgcolor"),
    ("operator_name", "operator_name"),
];

const SCHEDULE: Field = by("schedule_interval", &["timetable_summary"], schedule);
const PARAMS: Field = by("params", &["params"], params);
const DESCRIPTION: Field =
    by("timetable_description", &["timetable_description", "timetable_summary"], description);
const TAGS: Field = by("tags", &["tags"], tags);
const IS_ACTIVE: Field =
    by("is_active", &["is_stale"], |dag| (dag.raw("is_stale") != Some("true")).to_string());

/// A DAG.
pub static DAG: Shape = Shape(&[
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

static DETAILS: Shape = Shape(&[
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

static TASK: Shape = Shape(&[
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

/// What a body says of `is_paused`.
fn is_paused(asked: &Asked) -> Result<bool, Fault> {
    // Of several the last one counts.
    let mask = asked.query.get("update_mask").unwrap_or_default();
    if !mask.is_empty() && mask != "is_paused" {
        return Err(Fault::bad_request("Only `is_paused` field can be updated through the REST API"));
    }
    match asked.came().raw("is_paused") {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        // Airflow 2 answers 500, or changes nothing and 200.
        Some(_) | None => Err(Fault::bad_request("'is_paused' is a required property")),
    }
}

fn pause(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        is_paused(asked)?;
        asked.told(asked.calls.good(asked.call()?).await?).await
    })
}

/// Airflow 3 would pause all that match, Airflow 2 those of the page: so they are changed one by one.
fn pause_page(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let paused = is_paused(asked)?;
        let mut page = Call::new(http::Method::GET, "/api/v2/dags");
        page.query.clone_from(&asked.query.today);
        match asked.query.get("dag_id_pattern") {
            // Without a pattern Airflow 2 looks for `None`.
            None => page = page.with("dag_id_pattern", "None"),
            Some("~") => page.query.retain(|(name, _)| name != "dag_id_pattern"),
            Some(_) => {}
        }
        let answered = asked.calls.good(page.with("order_by", "dag_id")).await?;
        let odd = || Fault::unreadable("no list of DAGs");
        let object = Object::read(answered.text()?).ok_or_else(odd)?;
        let dags: Vec<Object<'_>> =
            object.raw("dags").and_then(|dags| serde_json::from_str(dags).ok()).ok_or_else(odd)?;
        let changed = paused.to_string();
        let stays = |dag: &&Object<'_>| dag.raw("is_paused") == Some(&*changed);
        let due = dags.iter().filter(|dag| !stays(dag)).count();
        if due > MAX_PAUSED {
            return Err(Fault::refused(
                StatusCode::BAD_REQUEST,
                Some("Bad Request"),
                Some(format!(
                    "At most {MAX_PAUSED} DAGs are changed at once: {due} would be. Use limit and offset"
                )),
            ));
        }
        let mut out = String::from("{\"dags\":[");
        for (at, dag) in dags.iter().enumerate() {
            let mut params = crate::gate::translate::path::Params::default();
            params.set("dag_id", dag.text("dag_id").unwrap_or_default());
            let path = params.path("/api/v2/dags/{dag_id}").ok_or_else(odd)?;
            if at > 0 {
                out.push(',');
            }
            let method = if stays(&dag) { None } else { Some(http::Method::PATCH) };
            match method {
                Some(method) => {
                    let call =
                        Call { body: Some(format!("{{\"is_paused\":{paused}}}")), ..Call::new(method, path) };
                    DAG.write(asked.calls.good(call).await?.text()?, &mut out).ok_or_else(odd)?;
                }
                None => DAG.write(&rewritten(dag), &mut out).ok_or_else(odd)?,
            }
        }
        out.push_str("],\"total_entries\":");
        out.push_str(object.raw("total_entries").ok_or_else(odd)?);
        out.push('}');
        Ok(asked.json(out))
    })
}

/// Most DAGs that one request pauses, each by a call of its own.
const MAX_PAUSED: usize = 30;

fn rewritten(object: &Object<'_>) -> String {
    let members: Vec<_> =
        object.members().map(|(name, raw)| format!("{}:{}", json(name), raw.get())).collect();
    format!("{{{}}}", members.join(","))
}
