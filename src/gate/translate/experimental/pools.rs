//! Pools. They had an `id`, which Airflow 3 does not tell: `null`.

use http::{Method, StatusCode};
use serde_json::Value;

use super::words::{list, listed, members, total};
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{MAX_READ, Members};
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::row::{Answer, Body, Row, Text, Work, Working, delete, get, not_found, post};
use crate::gate::translate::shape::{Shape, always, from, same};
use crate::gate::translate::value;

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/experimental/pools"),
        new: get("/api/v2/pools"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(all),
    },
    Row {
        old: get("/api/experimental/pools/{name}"),
        new: get("/api/v2/pools/{name:path}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&POOL),
        status: 200,
        texts: &[MISSING],
        work: Work::Table,
    },
    Row {
        old: post("/api/experimental/pools"),
        new: post("/api/v2/pools"),
        query: &[],
        body: Body::Own,
        answer: Answer::One(&POOL),
        status: 200,
        texts: &[],
        work: Work::By(create),
    },
    Row {
        old: delete("/api/experimental/pools/{name}"),
        new: delete("/api/v2/pools/{name:path}"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[MISSING],
        work: Work::By(remove),
    },
];

const MISSING: Text = not_found("Not Found", "Pool '{name}' doesn't exist");

static POOL: Shape = Shape(&[
    always("id", "null"),
    from("pool", "name"),
    same("slots"),
    same("description"),
    same("include_deferred"),
]);

/// All of them, or as many as a page has.
fn all(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let rows = asked.calls.limit().maximum().to_string();
        let answered = asked.calls.good(asked.call()?.with("limit", rows).with("order_by", "id")).await?;
        let pools = list(&answered, "pools")?;
        let whole = pools.len() >= total(&answered)?;
        let mut out = String::new();
        let written = POOL.write_list(&format!("[{}]", pools.join(",")), &mut out);
        written.ok_or_else(|| Fault::unreadable("no pool"))?;
        Ok(listed(asked, out, whole))
    })
}

/// Makes a pool, or gives the one of that name other slots and another description.
fn create(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let came = members(asked).await?;
        let name = came.text("name").unwrap_or_default();
        if name.trim().is_empty() {
            return Err(Fault::bad_request("Pool name shouldn't be empty"));
        }
        if name.chars().count() > 256 {
            return Err(Fault::bad_request("Pool name can't be more than 256 characters"));
        }
        let mut pool = Members::default();
        pool.set("name", value::json(&name));
        pool.set("slots", slots(&came)?.to_string());
        pool.set("description", came.raw("description").unwrap_or("null"));
        let mut call = asked.call()?;
        let deferred = came.flag("include_deferred", false).to_string();
        pool.set("include_deferred", deferred);
        call.body = Some(pool.json());
        let answered = asked.calls.any(call).await?;
        if answered.status.is_success() {
            return asked.told(answered).await;
        }
        if answered.status != StatusCode::CONFLICT {
            return Err(Fault::Airflow(answered.into()));
        }
        let mut params = asked.params.clone();
        params.set("name", &*name);
        let path = params.path("/api/v2/pools/{name:path}").ok_or_else(Fault::no_route)?;
        pool.remove("name");
        pool.set("pool", value::json(&name));
        let mut call = Call::new(Method::PATCH, path).with("update_mask", "slots");
        // Airflow 3 lets nothing else of this one be changed.
        if name != "default_pool" {
            call = call.with("update_mask", "description");
        }
        call.body = Some(pool.json());
        asked.told(asked.calls.good(call).await?).await
    })
}

/// As `int` reads it: a number or a text.
fn slots(came: &Members) -> Result<i64, Fault> {
    let raw = came.raw("slots").unwrap_or("null");
    if raw.len() > MAX_READ {
        return Err(Fault::bad_request("Bad value for `slots`"));
    }
    let given: Value = serde_json::from_str(raw).unwrap_or_default();
    let read = match &given {
        Value::String(text) => value::whole(text),
        Value::Number(number) => number.as_i64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    read.ok_or_else(|| {
        let given = given.as_str().map_or_else(|| super::super::python::repr(&given), str::to_owned);
        Fault::bad_request(format!("Bad value for `slots`: {given}"))
    })
}

/// Answers what the pool was.
fn remove(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        if asked.params.get("name") == "default_pool" {
            return Err(Fault::bad_request("default_pool cannot be deleted"));
        }
        let call = asked.call()?;
        let was = asked.calls.good(Call { method: Method::GET, ..call.clone() }).await?;
        asked.calls.good(call).await?;
        let mut out = String::new();
        POOL.write(was.text()?, &mut out).ok_or_else(|| Fault::unreadable("no pool"))?;
        Ok(asked.json(out))
    })
}
