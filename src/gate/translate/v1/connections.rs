//! Connections.

use http::{HeaderValue, StatusCode};

use super::mask::{self, UPDATE_MASK};
use crate::gate::translate::asked::{Asked, Content, Told};
use crate::gate::translate::body::{Need, Property, Type, may, must};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{LIMIT, OFFSET, OTHERS, order};
use crate::gate::translate::row::{
    Answer, Body, Row, Text, Work, Working, conflict, delete, get, not_found, patch, post,
};
use crate::gate::translate::shape::{Shape, same};
use crate::gate::translate::value;

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/connections"),
        new: get("/api/v2/connections"),
        query: &[
            LIMIT,
            OFFSET,
            order(&[
                ("connection_id", "conn_id"),
                ("conn_type", "conn_type"),
                ("description", "description"),
                ("host", "host"),
                ("port", "port"),
                ("id", "id"),
            ]),
        ],
        body: Body::None,
        answer: Answer::Page("connections", "connections", &LISTED),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: post("/api/v1/connections"),
        new: post("/api/v2/connections"),
        query: &[OTHERS],
        body: Body::Object(&[
            must("connection_id", Type::Text, Need::Model),
            must("conn_type", Type::Text, Need::Model),
            DESCRIPTION,
            HOST,
            LOGIN,
            SCHEMA,
            PORT,
            PASSWORD,
            EXTRA,
        ]),
        answer: Answer::One(&CONNECTION),
        status: 200,
        texts: &[conflict("Connection already exist. ID: {connection_id}")],
        work: Work::By(make),
    },
    Row {
        old: get("/api/v1/connections/{connection_id}"),
        new: get("/api/v2/connections/{connection_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&CONNECTION),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::Table,
    },
    Row {
        old: patch("/api/v1/connections/{connection_id}"),
        new: patch("/api/v2/connections/{connection_id}"),
        query: &[UPDATE_MASK],
        body: Body::Object(&[
            may("connection_id", Type::Text),
            may("conn_type", Type::Text),
            DESCRIPTION,
            HOST,
            LOGIN,
            SCHEMA,
            PORT,
            PASSWORD,
            EXTRA,
        ]),
        answer: Answer::One(&CONNECTION),
        status: 200,
        texts: &[UNKNOWN],
        work: Work::By(change),
    },
    Row {
        old: delete("/api/v1/connections/{connection_id}"),
        new: delete("/api/v2/connections/{connection_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[UNKNOWN],
        work: Work::Table,
    },
    Row {
        old: post("/api/v1/connections/test"),
        new: post("/api/v2/connections/test"),
        query: &[OTHERS],
        body: Body::Object(&[
            may("connection_id", Type::Text),
            must("conn_type", Type::Text, Need::Model),
            DESCRIPTION,
            HOST,
            LOGIN,
            SCHEMA,
            PORT,
            PASSWORD,
            EXTRA,
        ]),
        answer: Answer::One(&TESTED),
        status: 200,
        texts: &[],
        work: Work::By(test),
    },
];

const DESCRIPTION: Property = may("description", Type::Text).or_null();
const HOST: Property = may("host", Type::Text).or_null();
const LOGIN: Property = may("login", Type::Text).or_null();
const SCHEMA: Property = may("schema", Type::Text).or_null();
const PORT: Property = may("port", Type::Whole).or_null();
const PASSWORD: Property = may("password", Type::Text);
const EXTRA: Property = may("extra", Type::Text).or_null();

const UNKNOWN: Text =
    not_found("Connection not found", "The Connection with connection_id: `{connection_id}` was not found");

static LISTED: Shape = Shape(&[
    same("connection_id"),
    same("conn_type"),
    same("description"),
    same("host"),
    same("login"),
    same("schema"),
    same("port"),
]);

static CONNECTION: Shape = Shape(&[
    same("connection_id"),
    same("conn_type"),
    same("description"),
    same("host"),
    same("login"),
    same("schema"),
    same("port"),
    same("extra"),
]);

static TESTED: Shape = Shape(&[same("status"), same("message")]);

/// What may have secrets in it. Airflow 3 masks them in `extra`; elsewhere it may be somebody else who did.
const SECRETIVE: &[&str] = &["host", "login", "schema", "extra"];

fn make(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        mask::none_written(asked, SECRETIVE).await?;
        asked.told(asked.calls.good(asked.call()?).await?).await
    })
}

/// Any part of a connection. Airflow 3 wants its id and its type with each change; outside of the mask they have no effect.
fn change(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let id = asked.params.get("connection_id");
        if asked.came().text("connection_id").is_some_and(|other| other != id) {
            return Err(Fault::bad_request("The connection_id cannot be updated."));
        }
        let mut names = mask::meant(asked, "connection_id", mask::unknown)?;
        let secretive: Vec<&str> =
            SECRETIVE.iter().copied().filter(|name| names.iter().any(|meant| meant == name)).collect();
        mask::none_written(asked, &secretive).await?;
        let mut sent = mask::of(&asked.body.today, &names);
        sent.set("connection_id", value::json(id));
        if sent.raw("conn_type").is_none() {
            sent.set("conn_type", value::json("unchanged"));
        }
        if names.is_empty() {
            // No mask at all would mean everything.
            names.push("connection_id".into());
        }
        let mut call = asked.call()?;
        call.query.extend(names.into_iter().map(|name| ("update_mask".to_owned(), name)));
        call.body = Some(sent.json());
        asked.told(asked.calls.good(call).await?).await
    })
}

/// Airflow 2 says that it does not try connections with a bare text.
fn test(asked: &Asked) -> Working<'_> {
    const DISABLED: &str = "Testing connections is disabled in Airflow configuration. Contact your deployment admin to enable it.";
    Box::pin(async move {
        let mut call = asked.call()?;
        if asked.came().raw("connection_id").is_none() {
            let mut sent = asked.body.today.clone();
            sent.set("connection_id", value::json("test"));
            call.body = Some(sent.json());
        }
        match asked.calls.good(call).await {
            Ok(answered) => asked.told(answered).await,
            Err(Fault::Airflow(answered))
                if answered.status == StatusCode::FORBIDDEN && answered.text()?.contains(DISABLED) =>
            {
                let html = Some(HeaderValue::from_static("text/html; charset=utf-8"));
                Ok(Told {
                    status: answered.status,
                    content_type: html,
                    body: Content::Whole(DISABLED.into()),
                    lowered: false,
                })
            }
            Err(fault) => Err(fault),
        }
    })
}
