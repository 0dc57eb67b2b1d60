//! DAGs: their code, whether they are paused, their end.

use super::words::{CONFLICT, NO_DAG};
use crate::gate::translate::asked::{Asked, Content, Told};
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::row::{
    Answer, Body, Operation, Row, Text, Work, Working, delete, get, not_found, patch,
};
use crate::gate::translate::shape::{Object, Shape, same};
use crate::gate::translate::value;

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/experimental/dags/{dag_id}/code"),
        new: get("/api/v2/dagSources/{dag_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[NO_DAG],
        work: Work::By(code),
    },
    Row {
        old: get("/api/experimental/dags/{dag_id}/paused"),
        new: get("/api/v2/dags/{dag_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&PAUSED),
        status: 200,
        texts: &[NO_DAG],
        work: Work::Table,
    },
    Row {
        old: get("/api/experimental/dags/{dag_id}/paused/{paused}"),
        new: patch("/api/v2/dags/{dag_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[NO_DAG],
        work: Work::By(pause),
    },
    deleting("/api/experimental/dags/{dag_id}"),
    deleting("/api/experimental/dags/{dag_id}/delete_dag"),
    Row {
        old: get("/api/experimental/lineage/{dag_id}/{execution_date}"),
        new: get("/api/v2/dags/{dag_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[NO_DAG],
        work: Work::By(lineage),
    },
];

const fn deleting(path: &'static str) -> Row {
    Row {
        old: delete(path),
        new: Operation { path: "/api/v2/dags/{dag_id}", ..delete("") },
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[GONE, CONFLICT],
        work: Work::By(remove),
    }
}

const GONE: Text = not_found("Not Found", "Dag id {dag_id} not found");

static PAUSED: Shape = Shape(&[same("is_paused")]);

/// The text of the file. Not as `text/html`, which Airflow 2 says: a browser must not run what a DAG holds.
fn code(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let content = |text: &str| {
            let object = Object::read(text).ok_or_else(|| Fault::unreadable("no object"))?;
            object.text("content").ok_or_else(|| Fault::unreadable("no source"))
        };
        let code = asked.calls.read(asked.calls.good(asked.call()?).await?, content).await?;
        Ok(Told::text("text/plain; charset=utf-8", Content::Whole(code.into())))
    })
}

/// Anything but `true` unpauses, as in Airflow 2.
fn pause(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let paused = asked.params.get("paused") == "true";
        let call = Call { body: Some(format!("{{\"is_paused\":{paused}}}")), ..asked.call()? };
        asked.calls.good(call).await?;
        Ok(asked.json(r#"{"response":"ok"}"#))
    })
}

/// Airflow 3 does not tell how many records went.
fn remove(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        asked.calls.good(asked.call()?).await?;
        let message = value::json(&format!("Removed the DAG {}", asked.params.get("dag_id")));
        Ok(asked.json(format!("{{\"message\":{message},\"count\":null}}")))
    })
}

fn lineage(_: &Asked) -> Working<'_> {
    Box::pin(async move { Err(super::words::missing("Airflow 3 does not keep lineage".into())) })
}
