//! Pools.

use crate::gate::translate::query::{LIMIT, OFFSET, order};
use crate::gate::translate::row::{Answer, Body, Row, Work, get};
use crate::gate::translate::shape::{Shape, same};

/// The operations.
pub const ROWS: &[Row] = &[Row {
    old: get("/api/v1/pools"),
    new: get("/api/v2/pools"),
    query: &[LIMIT, OFFSET, order(&[("id", "id"), ("name", "name")])],
    body: Body::None,
    answer: Answer::Page("pools", "pools", &POOL),
    status: 200,
    texts: &[],
    work: Work::Table,
}];

/// A pool.
pub static POOL: Shape = Shape(&[
    same("name"),
    same("slots"),
    same("occupied_slots"),
    same("running_slots"),
    same("queued_slots"),
    same("scheduled_slots"),
    same("open_slots"),
    same("deferred_slots"),
    same("description"),
    same("include_deferred"),
]);
