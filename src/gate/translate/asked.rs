//! What was asked for, and the answer to it.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::Old;
use super::body::{Members, Read};
use super::calls::{Answered, Call, Calls};
use super::fault::{Fault, Refusal};
use super::path::Params;
use super::query::{Kind, Query, pairs};
use super::row::{Answer, Body, Row, Work};
use super::shape::{Object, Shape};
use crate::ports::Chunks;

/// A request for an operation, read as its row says.
pub struct Asked {
    /// The operation.
    pub row: &'static Row,
    /// The parameters of its path.
    pub params: Params,
    /// Its query.
    pub query: Query,
    /// The fields that it wants of the answer, each once, if not all.
    pub fields: Vec<&'static str>,
    /// Its body, as properties. Empty where the row takes none, or reads it itself.
    pub body: Read,
    /// Its body, as it came.
    pub raw: Bytes,
    /// Its headers.
    pub headers: HeaderMap,
    /// When it came.
    pub now: SystemTime,
    /// Makes the calls for it.
    pub calls: Calls,
}

/// A request for an operation, as it came.
pub struct Came<'a> {
    /// The API that it is for.
    pub old: Old,
    /// The operation.
    pub row: &'static Row,
    /// The parameters of its path.
    pub params: Params,
    /// Its query.
    pub query: &'a str,
    /// Its body.
    pub body: Bytes,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// When it came.
    pub now: SystemTime,
}

/// What came of it.
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// The type of the body, if there is one.
    pub content_type: Option<HeaderValue>,
    /// The body.
    pub body: Content,
    /// Whether it is a smaller page than the one asked for, beyond what the query and the body say of it.
    pub lowered: bool,
}

/// The body of an answer.
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Streamed(Box<dyn Chunks>),
}

impl Told {
    /// An answer in JSON.
    pub fn json(status: StatusCode, json: impl Into<Bytes>) -> Self {
        let content_type = Some(HeaderValue::from_static("application/json"));
        Self { status, content_type, body: Content::Whole(json.into()), lowered: false }
    }

    /// An answer without a body.
    pub fn nothing(status: StatusCode) -> Self {
        Self { status, content_type: None, body: Content::Whole(Bytes::new()), lowered: false }
    }

    /// An answer in text.
    pub fn text(content_type: &'static str, body: Content) -> Self {
        let content_type = Some(HeaderValue::from_static(content_type));
        Self { status: StatusCode::OK, content_type, body, lowered: false }
    }
}

impl Asked {
    /// Reads a request as its row says.
    ///
    /// # Errors
    /// Airflow 2 would refuse it.
    pub async fn read(came: Came<'_>, calls: Calls) -> Result<Self, Fault> {
        let Came { old, row, params, query, body: raw, headers, now } = came;
        if INTEGERS
            .iter()
            .any(|name| row.old.path.contains(&format!("{{{name}}}")) && !is_number(params.get(name)))
        {
            return Err(Fault::no_route());
        }
        let query = match old {
            Old::Stable => Query::read(row.query, query, calls.limit())?,
            // Flask looks at what it knows, and leaves the rest alone.
            Old::Experimental => Query { came: pairs(query), ..Query::default() },
        };
        let body = match row.body {
            Body::None | Body::Own => Read::default(),
            Body::Object(properties) => {
                // Without a body there is no type to be wrong.
                if !raw.is_empty() {
                    is_json(headers)?;
                }
                let (raw, limit) = (raw.clone(), *calls.limit());
                calls.work(raw.len(), move || Read::new(properties, &raw, &limit)).await??
            }
        };
        let fields = fields(row, &query)?;
        Ok(Self { row, params, query, fields, body, raw, headers: headers.clone(), now, calls })
    }

    /// Carries it out.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn carry_out(&self) -> Result<Told, Fault> {
        match self.row.work {
            Work::Table => {
                let answered = self.calls.good(self.call()?).await?;
                self.told(answered).await
            }
            Work::By(function) => function(self).await,
        }
    }

    /// The call that the row says.
    ///
    /// # Errors
    /// A parameter makes it a path of something else.
    pub fn call(&self) -> Result<Call, Fault> {
        self.call_to(self.row.new.verb.into(), self.row.new.path)
    }

    /// The same, with another path.
    ///
    /// # Errors
    /// A parameter makes it a path of something else.
    pub fn call_to(&self, method: Method, template: &str) -> Result<Call, Fault> {
        Ok(Call {
            method,
            path: self.params.path(template).ok_or_else(Fault::no_route)?,
            query: self.query.today.clone(),
            body: match self.row.body {
                Body::None | Body::Own => None,
                Body::Object(_) => Some(self.body.today.json()),
            },
            accept: "application/json",
        })
    }

    /// The answer that the row says.
    ///
    /// # Errors
    /// Airflow's answer is not what it should be.
    pub async fn told(&self, answered: Answered) -> Result<Told, Fault> {
        let (row, fields, status) = (self.row, self.fields.clone(), self.status());
        self.calls.work(answered.body.len(), move || tell(row, &fields, status, &answered)).await?
    }

    /// An answer in JSON, with the status of the row.
    pub fn json(&self, json: impl Into<Bytes>) -> Told {
        Told::json(self.status(), json)
    }

    /// The status of the row.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.row.status).unwrap_or(StatusCode::OK)
    }

    /// What came in the body.
    pub fn came(&self) -> &Members {
        &self.body.came
    }
}

/// The answer that a row says, with these fields, or all.
fn tell(row: &Row, fields: &[&str], status: StatusCode, answered: &Answered) -> Result<Told, Fault> {
    let mut out = String::new();
    let odd = || Fault::unreadable("not the JSON that it should be");
    match row.answer {
        Answer::Nothing | Answer::Own => return Ok(Told::nothing(status)),
        Answer::One(shape) => match fields {
            [] => shape.write(answered.text()?, &mut out),
            fields => shape.write_with(answered.text()?, fields, &mut out),
        }
        .ok_or_else(odd)?,
        Answer::Page(then, today, shape) => {
            let object = Object::read(answered.text()?).ok_or_else(odd)?;
            list(then, object.raw(today), shape, fields, &mut out).ok_or_else(odd)?;
            out.push_str(",\"total_entries\":");
            out.push_str(object.raw("total_entries").ok_or_else(odd)?);
            out.push('}');
        }
        Answer::List(then, today, shape) => {
            let object = Object::read(answered.text()?).ok_or_else(odd)?;
            list(then, object.raw(today), shape, fields, &mut out).ok_or_else(odd)?;
            out.push('}');
        }
    }
    Ok(Told::json(status, out))
}

fn list(then: &str, list: Option<&str>, shape: &Shape, fields: &[&str], out: &mut String) -> Option<()> {
    out.push_str("{\"");
    out.push_str(then);
    out.push_str("\":");
    match fields {
        [] => shape.write_list(list?, out),
        fields => shape.write_list_with(list?, fields, out),
    }
}

/// Parameters that Airflow 2's router takes for integers from zero, and for nothing else.
const INTEGERS: [&str; 4] = ["map_index", "task_try_number", "event_log_id", "import_error_id"];

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The fields that a query asks for, which must be some of the answer's.
fn fields(row: &Row, query: &Query) -> Result<Vec<&'static str>, Fault> {
    let key = row.query.iter().find_map(|key| match key.kind {
        Kind::Fields(of) => Some((key.name, of)),
        Kind::Text
        | Kind::SomeText
        | Kind::InName
        | Kind::InUri
        | Kind::Whole
        | Kind::WholeButZero
        | Kind::Number
        | Kind::Flag
        | Kind::Date
        | Kind::List
        | Kind::Limit
        | Kind::Order(_) => None,
    });
    let Some((name, of)) = key else { return Ok(Vec::new()) };
    let shape = match row.answer {
        Answer::One(shape) | Answer::Page(_, _, shape) | Answer::List(_, _, shape) => shape,
        Answer::Nothing | Answer::Own => return Ok(Vec::new()),
    };
    let wanted = query.values(name);
    match wanted.iter().find(|field| !shape.has(field)) {
        None => {
            let known = shape.0.iter().map(|field| field.name);
            Ok(known.filter(|name| wanted.iter().any(|wanted| wanted == name)).collect())
        }
        Some(unknown) => {
            let (title, detail) = of.refusal(unknown);
            Err(Fault::refused(StatusCode::BAD_REQUEST, Some(title), Some(detail)))
        }
    }
}

/// Airflow 2 reads bodies in JSON alone, and says so.
fn is_json(headers: &HeaderMap) -> Result<(), Fault> {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if json {
        return Ok(());
    }
    Err(Fault::Refused(Refusal {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        title: Some("Unsupported Media Type".into()),
        detail: Some(format!("Invalid Content-type ({kind}), expected JSON data")),
        documented: false,
    }))
}
