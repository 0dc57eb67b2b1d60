//! DAGs and their tasks.

mod pause;
mod span;
mod told;

use crate::gate::translate::query::{FieldsOf, Kind, LIMIT, OFFSET, fields, flag, list, order, own, renamed};
use crate::gate::translate::row::{
    Answer, Body, Detail, Row, Text, Work, delete, get, not_found, not_found_bare, patch,
};
use pause::{PAUSE, pause, pause_page};
use told::{DAG, DETAILS, TASK};

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
            renamed("dag_id_pattern", "dag_id_pattern", Kind::InName),
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
            renamed("dag_id_pattern", "dag_id_pattern", Kind::InName),
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
