//! Why an operation is not carried out.

use http::StatusCode;

use super::calls::Answered;
use crate::gate::reply::Problem;

/// Why an operation is not carried out.
#[derive(Debug)]
pub enum Fault {
    /// The request is not one that Airflow 2 would have taken, or none that can be translated.
    Refused(Refusal),
    /// Airflow 3 refused: told as the row says.
    Airflow(Box<Answered>),
    /// A problem of the gate's own.
    Problem(Problem, Option<String>),
}

/// A refusal in Airflow 2's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The title, if it has one.
    pub title: Option<String>,
    /// The detail, if it has one.
    pub detail: Option<String>,
    /// Whether it is named by Airflow's manual, rather than `about:blank`.
    pub documented: bool,
}

impl Fault {
    /// 400 with a detail.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, Some("Bad Request"), Some(detail.into()))
    }

    /// A status with a title and a detail.
    pub fn refused(status: StatusCode, title: Option<&str>, detail: Option<String>) -> Self {
        Self::Refused(Refusal { status, title: title.map(str::to_owned), detail, documented: true })
    }

    /// The answer of Airflow 2's router to what it has no route for.
    pub fn no_route() -> Self {
        const DETAIL: &str = "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.";
        Self::Refused(Refusal {
            status: StatusCode::NOT_FOUND,
            title: Some("Not Found".into()),
            detail: Some(DETAIL.into()),
            documented: false,
        })
    }

    /// The answer of Airflow 2's router to a method that a path does not have.
    pub fn no_method() -> Self {
        Self::Refused(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            title: Some("Method Not Allowed".into()),
            detail: Some("The method is not allowed for the requested URL.".into()),
            documented: false,
        })
    }

    /// Airflow answered what it never does.
    pub fn unreadable(what: &str) -> Self {
        Self::Problem(Problem::UpstreamDown, Some(format!("Airflow's answer cannot be translated: {what}")))
    }
}
