//! The page-size clamp: no spelling of `limit` gets a larger page than `[api] maximum_page_limit`.

mod body;
mod number;
mod query;

use std::fmt::Write;
use std::num::NonZeroU32;

pub use body::{ClampedBody, may_be_json};
use number::Reading;
use query::{Pair, Raw};

/// The largest page, and the page of a request that leaves it to the server: `[api]
/// maximum_page_limit` and `fallback_page_limit`. Neither is zero, which Airflow 2 and FAB take for
/// "the fallback".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    maximum: NonZeroU32,
    fallback: NonZeroU32,
}

/// Whose rules the upstream reads `limit` by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Airflow 3's own routes, `/api/v2` and `/ui`: pydantic's `NonNegativeInt`. `limit=0` is an
    /// empty page; a negative one is refused.
    Airflow3,
    /// The routes of the FAB provider in Airflow 3, `/auth/fab/v1`: the same, but `limit=0` is the
    /// fallback.
    Airflow3Fab,
    /// Airflow 2: Python's `int()`. `limit=0` is the fallback; a negative one is refused on most
    /// endpoints and means no limit at all on others, so that it is lowered like a large one.
    Airflow2,
    /// The routes of the FAB provider in an Airflow that is not known: what either would take for too large is.
    AnyFab,
}

/// Whether an endpoint answers with a page of a list, so that a request without `limit` is given
/// one. Airflow 2 refuses query keys that an endpoint does not know: there, say yes only for those
/// that know `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEndpoint {
    /// It answers with a page, and knows `limit`.
    Yes,
    /// Likewise, with runs to each row, and knows `dag_runs_limit`: `/ui/dags` of Airflow 3.
    WithRuns,
    /// It does not.
    No,
}

/// What the upstream is sent as the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clamped {
    /// What came.
    Unchanged,
    /// Something else. Every parameter that is not a page size is byte for byte what came, in the
    /// same order.
    Rewritten {
        /// The query, without `?`.
        query: String,
        /// Whether the page is smaller than the one asked for, so that the answer says so in
        /// `X-Airgate-Page-Limit`. False where only a default was filled in.
        lowered: bool,
    },
}

/// What Airflow 2 makes of a `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// A page of so many rows.
    Page {
        /// At least one, and at most the maximum.
        rows: u32,
        /// Whether more were asked for.
        lowered: bool,
    },
    /// Nothing: it is below zero.
    Negative,
    /// Nothing: it is no integer.
    NoNumber,
}

impl PageLimit {
    /// Pages of at most `maximum` rows, and of `fallback` rows for a request that leaves it open.
    /// A fallback above the maximum counts as the maximum.
    pub fn new(maximum: NonZeroU32, fallback: NonZeroU32) -> Self {
        Self { maximum, fallback: fallback.min(maximum) }
    }

    /// The largest page, for `X-Airgate-Page-Limit`.
    pub fn maximum(&self) -> u32 {
        self.maximum.get()
    }

    /// The page of a request that leaves it open.
    pub fn fallback(&self) -> u32 {
        self.fallback.get()
    }

    /// Clamps every page size in a query (without its `?`; `None` where the target has none).
    ///
    /// Each parameter whose decoded name is `limit`, or that carries a page size under another name
    /// (`dag_runs_limit`), is read as the upstream will read it, and lowered to the maximum where
    /// it is more. All of them are, although Airflow takes the last. What the upstream will refuse
    /// is passed on, for the upstream to refuse. A list endpoint without any `limit` gets the
    /// page that an upstream of that dialect and with these two settings would give: the
    /// upstream's own settings are not known here. Likewise the runs to each row, where the upstream
    /// would give more than the maximum.
    ///
    /// Allocates only where it rewrites, or where a page size is spelled unusually.
    pub fn clamp(&self, query: Option<&str>, dialect: Dialect, endpoint: ListEndpoint) -> Clamped {
        let query = query.unwrap_or_default();
        let mut edits = Edits::new(query);
        let mut rows = Occurrence::Absent;
        let mut runs = Occurrence::Absent;
        // Without an escape a name can only be written as it is.
        if query.contains("limit") || query.contains('%') {
            for pair in query::pairs(query) {
                if pair.is("limit") {
                    rows = self.edit(&mut edits, &pair, Parameter::Limit, dialect);
                } else if pair.is("dag_runs_limit") {
                    runs = self.edit(&mut edits, &pair, Parameter::DagRunsLimit, dialect);
                }
            }
        }
        match (rows, endpoint) {
            (Occurrence::Absent, ListEndpoint::Yes | ListEndpoint::WithRuns) => {
                edits.append("limit", self.unasked(dialect));
            }
            (Occurrence::Absent, ListEndpoint::No) | (Occurrence::Kept | Occurrence::Lowered, _) => {}
        }
        match (runs, endpoint) {
            (Occurrence::Absent, ListEndpoint::WithRuns) if self.maximum < RUNS_IN_CODE => {
                edits.append("dag_runs_limit", self.maximum);
            }
            (Occurrence::Absent | Occurrence::Kept | Occurrence::Lowered, _) => {}
        }
        edits.finish(rows == Occurrence::Lowered || runs == Occurrence::Lowered)
    }

    /// The page that Airflow 2 gives for a `limit` of its stable API, decoded; `None` where there is none.
    pub fn rows(&self, asked: Option<&str>) -> Rows {
        let page = |rows: NonZeroU32, lowered| Rows::Page { rows: rows.get(), lowered };
        match asked.map(number::python_int) {
            None => page(self.unasked(Dialect::Airflow2), false),
            Some(Reading::Refused) => Rows::NoNumber,
            Some(Reading::Negative) => Rows::Negative,
            Some(Reading::Number(0)) => page(self.fallback, false),
            Some(Reading::Number(rows)) => match u32::try_from(rows).ok().and_then(NonZeroU32::new) {
                Some(rows) if rows <= self.maximum => page(rows, false),
                Some(_) | None => page(self.maximum, true),
            },
        }
    }

    /// The page of a list without `limit`. Airflow 2 and FAB have 100 in their code there, clamped
    /// to the maximum, whatever the documentation of `fallback_page_limit` says.
    fn unasked(&self, dialect: Dialect) -> NonZeroU32 {
        const IN_CODE: NonZeroU32 = NonZeroU32::new(100).unwrap();
        match dialect {
            Dialect::Airflow3 => self.fallback,
            Dialect::Airflow3Fab | Dialect::Airflow2 | Dialect::AnyFab => IN_CODE.min(self.maximum),
        }
    }

    fn edit(
        &self,
        edits: &mut Edits<'_>,
        pair: &Pair<'_>,
        parameter: Parameter,
        dialect: Dialect,
    ) -> Occurrence {
        match (self.judge(pair, parameter, dialect), pair.value_range()) {
            (Page::Fits, _) | (_, None) => Occurrence::Kept,
            (Page::Fallback, Some(range)) => {
                edits.replace(range, self.fallback);
                Occurrence::Kept
            }
            (Page::TooLarge, Some(range)) => {
                edits.replace(range, self.maximum);
                Occurrence::Lowered
            }
        }
    }

    /// Whether the page that a parameter asks for is too large, in any way to read it.
    fn judge(&self, pair: &Pair<'_>, parameter: Parameter, dialect: Dialect) -> Page {
        if dialect == Dialect::AnyFab {
            let of = |dialect| self.judge(pair, parameter, dialect);
            return match (of(Dialect::Airflow3Fab), of(Dialect::Airflow2)) {
                (Page::TooLarge, _) | (_, Page::TooLarge) => Page::TooLarge,
                (Page::Fallback, _) | (_, Page::Fallback) => Page::Fallback,
                (Page::Fits, Page::Fits) => Page::Fits,
            };
        }
        if let Some(number) = plain(pair.raw_value()) {
            return self.page(Reading::Number(number), parameter, dialect);
        }
        let read = |raw| {
            let text = pair.value(raw);
            let reading = match dialect {
                Dialect::Airflow3 | Dialect::Airflow3Fab => number::pydantic(&text),
                Dialect::Airflow2 | Dialect::AnyFab => number::python_int(&text),
            };
            self.page(reading, parameter, dialect)
        };
        let page = read(Raw::Utf8);
        // Bytes outside ASCII may yet be encoded on their way, and then they are UTF-8.
        if page == Page::Fits && !pair.raw_value().is_ascii() { read(Raw::Latin1) } else { page }
    }

    fn page(&self, reading: Reading, parameter: Parameter, dialect: Dialect) -> Page {
        match (reading, parameter, dialect) {
            (Reading::Refused, _, _) => Page::Fits,
            (Reading::Negative, Parameter::Limit, Dialect::Airflow3 | Dialect::Airflow3Fab) => Page::Fits,
            (Reading::Negative, Parameter::Limit, Dialect::Airflow2 | Dialect::AnyFab) => Page::TooLarge,
            (Reading::Negative, Parameter::DagRunsLimit, _) => Page::TooLarge,
            (Reading::Negative, Parameter::PageLimit, _) => Page::Fits,
            (
                Reading::Number(0),
                Parameter::Limit,
                Dialect::Airflow3Fab | Dialect::Airflow2 | Dialect::AnyFab,
            ) => Page::Fallback,
            (Reading::Number(rows), _, _) if rows > u64::from(self.maximum.get()) => Page::TooLarge,
            (Reading::Number(_), _, _) => Page::Fits,
        }
    }
}

/// The runs to each DAG where `dag_runs_limit` is absent, in the code of Airflow 3.
const RUNS_IN_CODE: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// What carries a page size. These are all that Airflow 3.3 has, in its public
/// API, its UI's and the FAB provider's, and all that Airflow 2.11 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    /// `limit`, of every list.
    Limit,
    /// `dag_runs_limit`, of `/ui/dags`: runs to each DAG. A plain `int` in Airflow, which passes a
    /// negative one on to the database; SQLite then knows no limit.
    DagRunsLimit,
    /// `page_limit`, in the body of a list. Both Airflows refuse a negative one.
    PageLimit,
}

/// What a page size calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// Nothing: it is not too large, or the upstream refuses it.
    Fits,
    /// The fallback, which the upstream would take from its own configuration.
    Fallback,
    /// The maximum.
    TooLarge,
}

/// What became of the last parameter of a name, which is the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occurrence {
    Absent,
    Kept,
    Lowered,
}

/// A number in its usual spelling, which needs no decoding and no room.
fn plain(value: &str) -> Option<u64> {
    let usual = (1..=9).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    if usual { value.parse().ok() } else { None }
}

/// A query with some values replaced. Copies nothing before the first replacement.
struct Edits<'q> {
    query: &'q str,
    written: String,
    copied: usize,
}

impl<'q> Edits<'q> {
    fn new(query: &'q str) -> Self {
        Self { query, written: String::new(), copied: 0 }
    }

    fn replace(&mut self, range: std::ops::Range<usize>, number: NonZeroU32) {
        self.written.reserve(self.query.len() - self.copied + 16);
        self.written.push_str(&self.query[self.copied..range.start]);
        self.number(number);
        self.copied = range.end;
    }

    fn append(&mut self, name: &str, number: NonZeroU32) {
        self.written.reserve(self.query.len() - self.copied + 24);
        self.written.push_str(&self.query[self.copied..]);
        self.copied = self.query.len();
        if !self.written.is_empty() {
            self.written.push('&');
        }
        self.written.push_str(name);
        self.written.push('=');
        self.number(number);
    }

    fn number(&mut self, number: NonZeroU32) {
        // Writing to a string cannot fail.
        let _ = write!(self.written, "{number}");
    }

    fn finish(mut self, lowered: bool) -> Clamped {
        if self.written.is_empty() {
            return Clamped::Unchanged;
        }
        self.written.push_str(&self.query[self.copied..]);
        Clamped::Rewritten { query: self.written, lowered }
    }
}

#[cfg(test)]
mod tests;
