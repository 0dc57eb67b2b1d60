//! Pools.

use super::mask::{self, UPDATE_MASK};
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{Need, Property, Type, may, must, read_only};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{LIMIT, OFFSET, OTHERS, order};
use crate::gate::translate::row::{
    Answer, Body, Detail, Row, Text, Work, Working, conflict, delete, get, not_found, patch, post,
};
use crate::gate::translate::shape::{Shape, same};
use crate::gate::translate::value;

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/pools"),
        new: get("/api/v2/pools"),
        // Airflow 3 orders by no number of slots.
        query: &[LIMIT, OFFSET, order(&[("id", "id"), ("name", "name")])],
        body: Body::None,
        answer: Answer::Page("pools", "pools", &POOL),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: post("/api/v1/pools"),
        new: post("/api/v2/pools"),
        query: &[OTHERS],
        body: Body::Object(&[
            must("name", Type::Text, Need::Code),
            must("slots", Type::Whole, Need::Code),
            DESCRIPTION,
            may("include_deferred", Type::Flag),
            read_only("occupied_slots"),
            read_only("running_slots"),
            read_only("queued_slots"),
            read_only("scheduled_slots"),
            read_only("open_slots"),
            read_only("deferred_slots"),
        ]),
        answer: Answer::One(&POOL),
        status: 200,
        texts: &[conflict("Pool: {name} already exists")],
        work: Work::Table,
    },
    Row {
        old: get("/api/v1/pools/{pool_name}"),
        new: get("/api/v2/pools/{pool_name}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&POOL),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::Table,
    },
    Row {
        old: patch("/api/v1/pools/{pool_name}"),
        new: patch("/api/v2/pools/{pool_name}"),
        query: &[UPDATE_MASK],
        body: Body::Object(&[
            may("name", Type::Text).today("pool"),
            may("slots", Type::Whole),
            DESCRIPTION,
            may("include_deferred", Type::Flag),
            read_only("occupied_slots"),
            read_only("running_slots"),
            read_only("queued_slots"),
            read_only("scheduled_slots"),
            read_only("open_slots"),
            read_only("deferred_slots"),
        ]),
        answer: Answer::One(&POOL),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::By(change),
    },
    Row {
        old: delete("/api/v1/pools/{pool_name}"),
        new: delete("/api/v2/pools/{pool_name}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[
            UNKNOWN,
            Text { status: 400, title: None, detail: Detail::Is("Default Pool can't be deleted") },
        ],
        work: Work::Table,
    },
];

const DESCRIPTION: Property = may("description", Type::Text).or_null();

const UNKNOWN: Text = not_found("Not Found", "Pool with name:'{pool_name}' not found");

/// The pool that Airflow makes itself.
const DEFAULT: &str = "default_pool";

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

/// Without a mask Airflow 2 wants name and slots, and takes `include_deferred` for false. Airflow 3 renames no pool.
fn change(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let (pool, came) = (asked.params.get("pool_name"), asked.came());
        let masked = mask::names(asked);
        let name = came.text("name");
        let changes_slots_alone = masked
            .as_ref()
            .is_some_and(|names| names.iter().all(|name| matches!(&**name, "slots" | "include_deferred")));
        if pool == DEFAULT && !changes_slots_alone && name.as_deref() != Some(DEFAULT) {
            return Err(Fault::bad_request("Default Pool's name can't be modified"));
        }
        let mut sent = asked.body.today.clone();
        let mut names = match masked {
            Some(names) => {
                for name in &names {
                    if !POOL.has(name) {
                        return Err(Fault::bad_request(format!("Invalid field: {name} in update mask")));
                    }
                    if came.raw(name).is_none() {
                        return Err(Fault::bad_request(format!(
                            "'{name}' of update_mask is not in the body"
                        )));
                    }
                }
                names
            }
            None => {
                let missing: Vec<_> =
                    ["name", "slots"].into_iter().filter(|name| came.raw(name).is_none()).collect();
                if !missing.is_empty() {
                    let missing: Vec<_> = missing.into_iter().map(|name| format!("'{name}'")).collect();
                    let detail = format!("Missing required property(ies): [{}]", missing.join(", "));
                    return Err(Fault::bad_request(detail));
                }
                if sent.raw("include_deferred").is_none() {
                    sent.set("include_deferred", "false");
                }
                let known = ["name", "slots", "description", "include_deferred"];
                known
                    .into_iter()
                    .filter(|name| came.raw(name).is_some() || *name == "include_deferred")
                    .map(str::to_owned)
                    .collect()
            }
        };
        if names.iter().any(|name| name == "name") && name.is_some_and(|name| name != pool) {
            return Err(Fault::bad_request(
                "Airflow 3 cannot rename a pool: make another, and delete this one",
            ));
        }
        names.retain(|name| name != "name");
        if names.is_empty() {
            names.push("pool".into());
        }
        sent.set("pool", value::json(pool));
        // Wanted with each change; outside of the mask they have no effect.
        for (name, json) in [("include_deferred", "false"), ("slots", "1")] {
            if sent.raw(name).is_none() {
                sent.set(name, json);
            }
        }
        let mut call = asked.call()?;
        call.query.extend(names.into_iter().map(|name| ("update_mask".to_owned(), name)));
        call.body = Some(sent.json());
        asked.told(asked.calls.good(call).await?).await
    })
}
