//! A row of the table: all there is to say of an operation.

use std::future::Future;
use std::pin::Pin;

use super::asked::{Asked, Told};
use super::body::Property;
use super::fault::Fault;
use super::query::Key;
use super::shape::Shape;
use crate::gate::route::Verb;

/// An operation of an API of Airflow 2, and what becomes of it. Each field must be written: what is forgotten does
/// not compile.
#[derive(Debug)]
pub struct Row {
    /// What the client asks for. The path is a template of the route table.
    pub old: Operation,
    /// What Airflow 3 is asked for: a template with parameters of the same names. Named to the client in
    /// `X-Airgate-Translated`, and in logs and metrics.
    pub new: Operation,
    /// All query keys that the operation knows. Others are refused: Airflow 3 would leave them out of account, and
    /// answer something else with 200.
    pub query: &'static [Key],
    /// What its body may hold.
    pub body: Body,
    /// What its answer holds.
    pub answer: Answer,
    /// The status of success.
    pub status: u16,
    /// What it says of failures. One for 404 where the path has a parameter.
    pub texts: &'static [Text],
    /// How it is carried out.
    pub work: Work,
}

/// A method and a path template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The method.
    pub verb: Verb,
    /// The template, such as `/api/v2/pools/{pool_name}`.
    pub path: &'static str,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.path)
    }
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// It takes none, and does not look at it.
    None,
    /// A JSON object with these properties. Others are refused.
    Object(&'static [Property]),
    /// Whatever the row's function makes of it.
    Own,
}

/// The body of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// None.
    Nothing,
    /// One object.
    One(&'static Shape),
    /// A page of a list, with the number of all entries. The names of the list, then and today.
    Page(&'static str, &'static str, &'static Shape),
    /// A list under a name, then and today, and no number.
    List(&'static str, &'static str, &'static Shape),
    /// What the row's function writes.
    Own,
}

/// What is said of a failure.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// The status of Airflow 3's answer.
    pub status: u16,
    /// In place of the status's usual title. `{name}` stands for a parameter of the path, or a property of the body.
    pub title: Option<&'static str>,
    /// The detail, likewise. `None` sends none.
    pub detail: Detail,
}

/// The detail of a failure.
#[derive(Debug, Clone, Copy)]
pub enum Detail {
    /// None at all.
    None,
    /// What Airflow 3 says.
    Theirs,
    /// This. `{name}` stands for a parameter of the path, or a property of the body.
    Is(&'static str),
}

/// How an operation is carried out.
#[derive(Clone, Copy)]
pub enum Work {
    /// By one call, as the row says.
    Table,
    /// By a function, which may make more calls.
    By(fn(&Asked) -> Working<'_>),
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Table => "Table",
            Self::By(_) => "By",
        })
    }
}

/// An operation that is being carried out.
pub type Working<'a> = Pin<Box<dyn Future<Output = Result<Told, Fault>> + Send + 'a>>;

/// `GET`.
pub const fn get(path: &'static str) -> Operation {
    Operation { verb: Verb::Get, path }
}

/// `POST`.
pub const fn post(path: &'static str) -> Operation {
    Operation { verb: Verb::Post, path }
}

/// `PUT`.
pub const fn put(path: &'static str) -> Operation {
    Operation { verb: Verb::Put, path }
}

/// `PATCH`.
pub const fn patch(path: &'static str) -> Operation {
    Operation { verb: Verb::Patch, path }
}

/// `DELETE`.
pub const fn delete(path: &'static str) -> Operation {
    Operation { verb: Verb::Delete, path }
}

/// 404 with a title and a detail.
pub const fn not_found(title: &'static str, detail: &'static str) -> Text {
    Text { status: 404, title: Some(title), detail: Detail::Is(detail) }
}

/// 404 with a title alone.
pub const fn not_found_bare(title: &'static str) -> Text {
    Text { status: 404, title: Some(title), detail: Detail::None }
}

/// 409 with a detail.
pub const fn conflict(detail: &'static str) -> Text {
    Text { status: 409, title: None, detail: Detail::Is(detail) }
}
