//! File tokens, and the sources that they lead to.
//!
//! Airflow 2 signed the path of a DAG's file; Airflow 3 asks for the DAG's id in one place and for a token of its own
//! in another. Ours holds both: Airflow 3's token, `~`, and the id in base64url. It is a name, and gives no right.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::accept::{self, Form};
use crate::gate::translate::asked::{Asked, Content, Told};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get, not_found_bare, put};
use crate::gate::translate::shape::{Field, Object, by};
use crate::gate::translate::value::json;

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/dagSources/{file_token}"),
        new: get("/api/v2/dagSources/{dag_id}"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[not_found_bare("Dag source not found")],
        work: Work::By(source),
    },
    Row {
        old: put("/api/v1/parseDagFile/{file_token}"),
        new: put("/api/v2/parseDagFile/{file_token}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 201,
        texts: &[not_found_bare("File not found")],
        work: Work::By(parse),
    },
];

/// `file_token` of a DAG.
pub const FILE_TOKEN: Field = by("file_token", &["file_token", "dag_id"], |dag| {
    let (token, id) = (dag.text("file_token").unwrap_or_default(), dag.text("dag_id").unwrap_or_default());
    json(&format!("{token}~{}", URL_SAFE_NO_PAD.encode(id)))
});

/// Airflow 3's token and the DAG's id. `None` for a token that Airflow 2 made.
fn read(token: &str) -> Option<(&str, String)> {
    let (theirs, id) = token.split_once('~')?;
    Some((theirs, String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?))
}

fn source(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let missing = || Fault::refused(http::StatusCode::NOT_FOUND, Some("Dag source not found"), None);
        let (_, id) = read(asked.params.get("file_token")).ok_or_else(missing)?;
        let mut params = Params::default();
        params.set("dag_id", id);
        let path = params.path(asked.row.new.path).ok_or_else(missing)?;
        let Some(form) = accept::best(&asked.headers) else {
            let body = Content::Whole("Not Allowed Accept Header".into());
            let status = http::StatusCode::NOT_ACCEPTABLE;
            return Ok(Told { status, ..Told::text("text/html; charset=utf-8", body) });
        };
        let call = crate::gate::translate::calls::Call::new(http::Method::GET, path);
        let content = move |text: &str| {
            let object = Object::read(text);
            let content = object.and_then(|object| Some((object.raw("content")?, object.text("content")?)));
            let (raw, source) = content.ok_or_else(|| Fault::unreadable("no source"))?;
            Ok(match form {
                Form::Json => format!("{{\"content\":{raw}}}"),
                Form::Text => source,
            })
        };
        let content = asked.calls.read(asked.calls.good(call).await?, content).await?;
        Ok(match form {
            Form::Json => asked.json(content),
            Form::Text => Told::text("text/plain", Content::Whole(content.into())),
        })
    })
}

fn parse(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let missing = || Fault::refused(http::StatusCode::NOT_FOUND, Some("File not found"), None);
        let (theirs, _) = read(asked.params.get("file_token")).ok_or_else(missing)?;
        let mut params = Params::default();
        params.set("file_token", theirs);
        let path = params.path(asked.row.new.path).ok_or_else(missing)?;
        let call = crate::gate::translate::calls::Call::new(http::Method::PUT, path);
        let answered = asked.calls.any(call).await?;
        // It is going to be parsed already.
        if answered.status == http::StatusCode::CONFLICT {
            let told = Told::text("text/html; charset=utf-8", Content::Whole("Duplicate request".into()));
            return Ok(Told { status: asked.status(), ..told });
        }
        if answered.status.is_success() {
            asked.told(answered).await
        } else {
            Err(Fault::Airflow(answered.into()))
        }
    })
}
