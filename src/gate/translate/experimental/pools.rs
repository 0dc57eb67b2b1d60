//! Pools. They have an `id` here, which Airflow 3 does not tell.

use crate::gate::translate::row::{Answer, Body, Row, Text, Work, get, not_found};
use crate::gate::translate::shape::{Shape, from, same};

/// The operations.
pub const ROWS: &[Row] = &[Row {
    old: get("/api/experimental/pools/{name}"),
    new: get("/api/v2/pools/{name:path}"),
    query: &[],
    body: Body::None,
    answer: Answer::One(&POOL),
    status: 200,
    texts: &[MISSING],
    work: Work::Table,
}];

const MISSING: Text = not_found("Not Found", "Pool '{name}' doesn't exist");

static POOL: Shape =
    Shape(&[from("pool", "name"), same("slots"), same("description"), same("include_deferred")]);
