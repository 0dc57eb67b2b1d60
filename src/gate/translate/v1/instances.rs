//! Task instances.

mod change;

use http::StatusCode;

use super::lists::{self, filter_properties, filters};
use super::shapes::{INSTANCE, TRY};
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{Type, may};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{Key, Kind, OTHERS, list, number, order, own, whole};
use crate::gate::translate::row::{
    Answer, Body, Row, Text, Work, Working, get, not_found, not_found_bare, patch, post,
};
use crate::gate::translate::shape::{Object, Shape, same};
use change::{CLEAR, UPDATE, clear, noting, setting, update};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"),
        query: FILTERS,
        body: Body::None,
        answer: Answer::Page("task_instances", "task_instances", &INSTANCE),
        status: 200,
        texts: &[],
        work: Work::By(page),
    },
    Row {
        old: post("/api/v1/dags/~/dagRuns/~/taskInstances/list"),
        new: post("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/list"),
        query: &[OTHERS],
        body: Body::Object(filter_properties![
            may("dag_run_ids", Type::Texts),
            may("task_ids", Type::Texts),
            may("duration_gte", Type::Number),
            may("duration_lte", Type::Number),
            may("state", Type::States(STATES)),
            may("pool", Type::Texts),
            may("queue", Type::Texts),
            may("executor", Type::Texts),
        ]),
        answer: Answer::Page("task_instances", "task_instances", &INSTANCE),
        status: 200,
        texts: &[],
        work: Work::By(lists::batch),
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&INSTANCE),
        status: 200,
        texts: &[NO_INSTANCE],
        work: Work::By(one),
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&INSTANCE),
        status: 200,
        texts: &[NO_INSTANCE],
        work: Work::Table,
    },
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/listMapped"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/listMapped"),
        query: MAPPED_FILTERS,
        body: Body::None,
        answer: Answer::Page("task_instances", "task_instances", &INSTANCE),
        status: 200,
        texts: &[not_found_bare("Task id {task_id} not found")],
        work: Work::By(mapped),
    },
    setting(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}",
    ),
    setting(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}",
    ),
    noting(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/setNote",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}",
    ),
    noting(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/setNote",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}",
    ),
    dependencies(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies",
    ),
    dependencies(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dependencies",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dependencies",
    ),
    tries(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries",
    ),
    tries(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries",
    ),
    a_try(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries/{task_try_number}",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries/{task_try_number}",
        &[PLAIN_TRY],
    ),
    a_try(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries/{task_try_number}",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries/{task_try_number}",
        &[MAPPED_TRY],
    ),
    Row {
        old: get("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/links"),
        new: get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/links"),
        query: &[whole("map_index")],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[not_found("Task not found", "Task with ID = \"{task_id}\" not found")],
        work: Work::By(links),
    },
    Row {
        old: post("/api/v1/dags/{dag_id}/clearTaskInstances"),
        new: post("/api/v2/dags/{dag_id}/clearTaskInstances"),
        query: &[],
        body: Body::Object(CLEAR),
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(clear),
    },
    Row {
        old: post("/api/v1/dags/{dag_id}/updateTaskInstancesState"),
        new: patch("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}"),
        query: &[],
        body: Body::Object(UPDATE),
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(update),
    },
];

const NO_INSTANCE: Text = not_found_bare("Task instance not found");

/// The states of a task instance that Airflow 2 knew.
const STATES: &[&str] = &[
    "success",
    "running",
    "failed",
    "upstream_failed",
    "skipped",
    "up_for_retry",
    "up_for_reschedule",
    "queued",
    "none",
    "scheduled",
    "deferred",
    "removed",
    "restarting",
];

/// The filters of a list of task instances, and more.
macro_rules! instance_filters {
    ($($more:expr),*) => {
        filters![
            number("duration_gte"),
            number("duration_lte"),
            list("state"),
            list("pool"),
            list("queue"),
            list("executor"),
            $($more),*
        ]
    };
}

const FILTERS: &[Key] = instance_filters![];

const MAPPED_FILTERS: &[Key] = instance_filters![order(&[
    ("state", "state"),
    ("duration", "duration"),
    ("start_date", "start_date"),
    ("end_date", "end_date"),
    ("map_index", "map_index"),
])];

static DEPENDENCY: Shape = Shape(&[same("name"), same("reason")]);

const NOT_FOUND_BY_NAME: Text = not_found_bare(NAMED);

const NAMED: &str = "Task Instance not found for dag_id={dag_id}, run_id={dag_run_id}, task_id={task_id}";

const fn dependencies(old: &'static str, new: &'static str) -> Row {
    Row {
        old: get(old),
        new: get(new),
        query: &[],
        body: Body::None,
        answer: Answer::List("dependencies", "dependencies", &DEPENDENCY),
        status: 200,
        texts: &[NOT_FOUND_BY_NAME],
        work: Work::Table,
    }
}

/// Airflow 3 answers all tries, and has no pages of them.
const fn tries(old: &'static str, new: &'static str) -> Row {
    Row {
        old: get(old),
        new: get(new),
        query: TRIES,
        body: Body::None,
        answer: Answer::Page("task_instances", "task_instances", &TRY),
        status: 200,
        texts: &[],
        work: Work::By(lists::page),
    }
}

const TRIES: &[Key] = &[
    own("limit", Kind::Limit),
    own("offset", Kind::Whole),
    own("order_by", Kind::Order(&[("try_number", "try_number")])),
];

const PLAIN_TRY: Text = not_found(
    "Task instance not found",
    "Task Instance not found for dag_id={dag_id}, run_id={dag_run_id}, task_id={task_id}, map_index=-1, try_number={task_try_number}.",
);
const MAPPED_TRY: Text = not_found(
    "Task instance not found",
    "Task Instance not found for dag_id={dag_id}, run_id={dag_run_id}, task_id={task_id}, map_index={map_index}, try_number={task_try_number}.",
);

const fn a_try(old: &'static str, new: &'static str, texts: &'static [Text]) -> Row {
    Row {
        old: get(old),
        new: get(new),
        query: &[],
        body: Body::None,
        answer: Answer::One(&TRY),
        status: 200,
        texts,
        work: Work::Table,
    }
}

fn page(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?;
        for (name, value) in &mut call.query {
            // `no_status` aside, Airflow 3 takes both.
            if name == "state" && value == "None" {
                *value = "none".into();
            }
        }
        lists::filtered(asked, call, lists::INSTANCES).await
    })
}

/// Whether Airflow 3 says that a task is mapped, or not.
fn says(fault: &Fault, what: &str) -> bool {
    match fault {
        Fault::Airflow(answered) => answered.text().is_ok_and(|text| text.contains(what)),
        Fault::Refused(_) | Fault::Problem(..) => false,
    }
}

fn missing(title: &str, detail: Option<&str>) -> Fault {
    Fault::refused(StatusCode::NOT_FOUND, Some(title), detail.map(str::to_owned))
}

fn one(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        match asked.calls.good(asked.call()?).await {
            Ok(answered) => asked.told(answered).await,
            Err(fault) if says(&fault, "Task instance is mapped") => Err(missing(
                "Task instance not found",
                Some("Task instance is mapped, add the map_index value to the URL"),
            )),
            Err(fault) => Err(fault),
        }
    })
}

fn mapped(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        match asked.calls.good(asked.call()?).await {
            Ok(answered) => asked.told(answered).await,
            Err(fault) if says(&fault, "is not mapped") => {
                Err(missing(&asked.params.fill("Task id {task_id} is not mapped"), None))
            }
            Err(fault) => Err(fault),
        }
    })
}

fn links(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let links = |text: &str| {
            let links = Object::read(text).and_then(|object| object.raw("extra_links"));
            let links = links.filter(|links| Object::read(links).is_some());
            links.map(str::to_owned).ok_or_else(|| Fault::unreadable("no links"))
        };
        Ok(asked.json(asked.calls.read(asked.calls.good(asked.call()?).await?, links).await?))
    })
}
