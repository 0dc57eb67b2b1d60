//! What there is to say of the server.

use crate::gate::translate::asked::Asked;
use crate::gate::translate::calls::Answered;
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get};
use crate::gate::translate::shape::{Shape, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/experimental/test"),
        new: get("/api/v2/version"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(test),
    },
    Row {
        old: get("/api/experimental/info"),
        new: get("/api/v2/version"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&VERSION),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
];

static VERSION: Shape = Shape(&[same("version")]);

/// Says that all is well, and sees to it that Airflow is there.
fn test(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let Answered { .. } = asked.calls.good(asked.call()?).await?;
        Ok(asked.json(r#"{"status":"OK"}"#))
    })
}
