//! Health and version.

use crate::gate::translate::query::OTHERS;
use crate::gate::translate::row::{Answer, Body, Row, Work, get};
use crate::gate::translate::shape::{Shape, or, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/health"),
        new: get("/api/v2/monitor/health"),
        query: &[OTHERS],
        body: Body::None,
        answer: Answer::One(&HEALTH),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: get("/api/v1/version"),
        new: get("/api/v2/version"),
        query: &[OTHERS],
        body: Body::None,
        answer: Answer::One(&VERSION),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
];

static HEALTH: Shape =
    Shape(&[same("metadatabase"), same("scheduler"), same("triggerer"), same("dag_processor")]);

static VERSION: Shape = Shape(&[same("version"), or("git_version", "\"\"")]);
