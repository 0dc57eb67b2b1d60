//! The event log.

use crate::gate::translate::asked::Asked;
use crate::gate::translate::query::{
    Key, Kind, LIMIT, OFFSET, date as date_key, order, own, some_text, whole_but_zero,
};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get, not_found_bare};
use crate::gate::translate::shape::{Shape, date, date_from, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/eventLogs"),
        new: get("/api/v2/eventLogs"),
        query: &[
            LIMIT,
            OFFSET,
            order(&[
                ("event_log_id", "event_log_id"),
                ("when", "when"),
                ("dag_id", "dag_id"),
                ("task_id", "task_id"),
                ("run_id", "run_id"),
                ("event", "event"),
                ("execution_date", "logical_date"),
                ("owner", "owner"),
                ("extra", "extra"),
            ]),
            some_text("dag_id"),
            some_text("task_id"),
            some_text("run_id"),
            whole_but_zero("map_index"),
            whole_but_zero("try_number"),
            EVENT,
            some_text("owner"),
            date_key("before"),
            date_key("after"),
            INCLUDED,
            EXCLUDED,
        ],
        body: Body::None,
        answer: Answer::Page("event_logs", "event_logs", &LOGGED),
        status: 200,
        texts: &[],
        work: Work::By(list),
    },
    Row {
        old: get("/api/v1/eventLogs/{event_log_id}"),
        new: get("/api/v2/eventLogs/{event_log_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&LOGGED),
        status: 200,
        texts: &[not_found_bare("Event Log not found")],
        work: Work::Table,
    },
];

const EVENT: Key = own("event", Kind::Text);
const INCLUDED: Key = own("included_events", Kind::Text);
const EXCLUDED: Key = own("excluded_events", Kind::Text);

static LOGGED: Shape = Shape(&[
    same("event_log_id"),
    date("when"),
    same("dag_id"),
    same("task_id"),
    same("run_id"),
    same("map_index"),
    same("try_number"),
    same("event"),
    date_from("execution_date", "logical_date"),
    same("owner"),
    same("extra"),
]);

/// What an event is called today. Airflow 2 marked what was done by its API.
fn today(event: &str) -> &str {
    match event {
        "api.post_dag_run" => "trigger_dag_run",
        other => other.strip_prefix("api.").unwrap_or(other),
    }
}

fn list(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?;
        let given = |key: Key| asked.query.get(key.name).filter(|value| !value.is_empty());
        if let Some(event) = given(EVENT) {
            call = call.with("event", today(event));
        }
        for key in [INCLUDED, EXCLUDED] {
            // The last counts, and blanks belong to the names.
            for event in given(key).into_iter().flat_map(|events| events.split(',')) {
                call = call.with(key.name, today(event));
            }
        }
        asked.told(asked.calls.good(call).await?).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_other_names_today() {
        for (then, now) in [
            ("api.post_dag_run", "trigger_dag_run"),
            ("api.patch_dag", "patch_dag"),
            ("running", "running"),
            ("api.", ""),
            ("", ""),
        ] {
            assert_eq!(today(then), now);
        }
    }
}
