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

/// Longest detail of a refusal, in bytes. It quotes what came, escaped: that must not make a large answer of a large
/// request.
const MAX_DETAIL: usize = 16 << 10;

impl Fault {
    /// 400 with a detail.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, Some("Bad Request"), Some(detail.into()))
    }

    /// A status with a title and a detail, which is cut if it is very long.
    pub fn refused(status: StatusCode, title: Option<&str>, mut detail: Option<String>) -> Self {
        if let Some(detail) = detail.as_mut().filter(|detail| detail.len() > MAX_DETAIL) {
            detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
            detail.push('…');
        }
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
    pub fn unreadable(what: &'static str) -> Self {
        Self::Problem(
            Problem::UpstreamOdd(what),
            Some(format!("Airflow's answer cannot be translated: {what}")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_quotes_is_bounded() {
        for (name, came, expected) in [
            ("short", "ä".repeat(10), "ä".repeat(10)),
            ("as long as may be", "ä".repeat(MAX_DETAIL / 2), "ä".repeat(MAX_DETAIL / 2)),
            ("longer", "ä".repeat(MAX_DETAIL), format!("{}…", "ä".repeat(MAX_DETAIL / 2))),
            (
                "cut within a letter",
                format!("a{}", "ä".repeat(MAX_DETAIL)),
                format!("a{}…", "ä".repeat(MAX_DETAIL / 2 - 1)),
            ),
        ] {
            let Fault::Refused(refusal) = Fault::bad_request(came) else { panic!("{name}") };
            assert_eq!(refusal.detail, Some(expected), "{name}");
        }
    }
}
