//! XComs.

use super::shapes::execution_date;
use crate::gate::translate::asked::Asked;
use crate::gate::translate::query::{LIMIT, OFFSET, flag, text, whole};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get, not_found_bare};
use crate::gate::translate::shape::{Field, Shape, by, date, same};

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
        work: Work::Table,
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

/// Airflow 3.0 does not tell `run_after` here.
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
        asked.told(asked.calls.good(call).await?).await
    })
}
