//! Variables.

use http::{Method, StatusCode};

use super::mask::{self, UPDATE_MASK};
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{Members, Need, Property, Type, may, must};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{LIMIT, OFFSET, OTHERS, order};
use crate::gate::translate::row::{
    Answer, Body, Row, Text, Work, Working, delete, get, not_found, not_found_bare, patch, post,
};
use crate::gate::translate::shape::{Shape, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/variables"),
        new: get("/api/v2/variables"),
        query: &[LIMIT, OFFSET, order(&[("id", "id"), ("key", "key"), ("value", "_val")])],
        body: Body::None,
        answer: Answer::Page("variables", "variables", &VARIABLE),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: post("/api/v1/variables"),
        new: post("/api/v2/variables"),
        query: &[OTHERS],
        body: Body::Object(PROPERTIES),
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(set),
    },
    Row {
        old: get("/api/v1/variables/{variable_key}"),
        new: get("/api/v2/variables/{variable_key:path}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&VARIABLE),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::Table,
    },
    Row {
        old: patch("/api/v1/variables/{variable_key}"),
        new: patch("/api/v2/variables/{variable_key:path}"),
        query: &[UPDATE_MASK],
        body: Body::Object(PROPERTIES),
        answer: Answer::One(&VARIABLE),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::By(change),
    },
    Row {
        old: delete("/api/v1/variables/{variable_key}"),
        new: delete("/api/v2/variables/{variable_key:path}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[not_found_bare("Variable not found")],
        work: Work::Table,
    },
];

const PROPERTIES: &[Property] = &[
    must("key", Type::Text, Need::Model),
    must("value", Type::Text, Need::Model),
    may("description", Type::Text).null_in_model(),
];

const UNKNOWN: Text = not_found("Variable not found", "Variable does not exist");

static VARIABLE: Shape = Shape(&[same("key"), same("value"), same("description")]);

/// Airflow 2 makes a variable, or sets it: without a description, the old one goes. It answers what it was sent.
fn set(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        mask::none_written(asked, &["value"]).await?;
        let answered = asked.calls.any(asked.call()?).await?;
        if answered.status == StatusCode::CONFLICT {
            let mut params = asked.params.clone();
            params.set("variable_key", asked.came().text("key").unwrap_or_default());
            let path = params.path("/api/v2/variables/{variable_key:path}").ok_or_else(Fault::no_route)?;
            let mut call = asked.call()?;
            (call.method, call.path) = (Method::PATCH, path);
            for name in ["value", "description"] {
                call.query.push(("update_mask".to_owned(), name.to_owned()));
            }
            let mut sent = asked.body.today.clone();
            if sent.raw("description").is_none() {
                sent.set("description", "null");
            }
            call.body = Some(sent.json());
            asked.calls.good(call).await?;
        } else if !answered.status.is_success() {
            return Err(Fault::Airflow(answered.into()));
        }
        let mut told = Members::default();
        for name in ["description", "key", "value"] {
            if let Some(raw) = asked.came().part(name) {
                told.set(name, raw.clone());
            }
        }
        Ok(asked.json(told.json()))
    })
}

fn change(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let key = asked.params.get("variable_key");
        if asked.came().text("key").as_deref() != Some(key) {
            let detail = "key from request body doesn't match uri parameter".to_owned();
            return Err(Fault::refused(StatusCode::BAD_REQUEST, Some("Invalid post body"), Some(detail)));
        }
        let names = mask::meant(asked, "key", mask::unknown)?;
        if names.iter().any(|name| name == "value") {
            mask::none_written(asked, &["value"]).await?;
        }
        let mut call = asked.call()?;
        call.query.extend(names.into_iter().map(|name| ("update_mask".to_owned(), name)));
        asked.told(asked.calls.good(call).await?).await
    })
}
