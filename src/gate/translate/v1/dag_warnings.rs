//! What Airflow warns of in DAGs.

use http::StatusCode;

use crate::gate::translate::asked::Asked;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{LIMIT, OFFSET, order, some_text};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get};
use crate::gate::translate::shape::{Shape, date, same};

/// The operation.
pub const ROWS: &[Row] = &[Row {
    old: get("/api/v1/dagWarnings"),
    new: get("/api/v2/dagWarnings"),
    query: &[
        LIMIT,
        OFFSET,
        order(&[
            ("dag_id", "dag_id"),
            ("warning_type", "warning_type"),
            ("message", "message"),
            ("timestamp", "timestamp"),
        ]),
        some_text("dag_id"),
        some_text("warning_type"),
    ],
    body: Body::None,
    answer: Answer::Page("dag_warnings", "dag_warnings", &WARNING),
    status: 200,
    texts: &[],
    work: Work::By(list),
}];

static WARNING: Shape = Shape(&[same("dag_id"), same("warning_type"), same("message"), date("timestamp")]);

/// Airflow 2 finds nothing of a kind that it does not know, where Airflow 3 refuses it.
fn list(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        match asked.calls.good(asked.call()?).await {
            Ok(answered) => asked.told(answered).await,
            Err(Fault::Airflow(answered))
                if answered.status == StatusCode::UNPROCESSABLE_ENTITY
                    && asked.query.get("warning_type").is_some()
                    && answered.text()?.contains("\"warning_type\"") =>
            {
                Ok(asked.json("{\"dag_warnings\":[],\"total_entries\":0}"))
            }
            Err(fault) => Err(fault),
        }
    })
}
