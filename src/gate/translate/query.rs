//! Query keys: what Airflow 2 knew, and what each is today.
//!
//! Airflow 3 leaves out of account what it does not know, so that a filter that is not translated would answer
//! with everything and 200. Airflow 2 refuses it; so do we.

use std::collections::HashSet;

use super::fault::Fault;
use super::python::repr_text;
use super::value;
use crate::gate::limit::{PageLimit, Rows};

/// A query key of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// What Airflow 2 calls it.
    pub name: &'static str,
    /// What Airflow 3 calls it. Nothing: it is not sent, and looked at by the row's function alone.
    pub today: &'static str,
    /// What its value is.
    pub kind: Kind,
}

/// What the value of a query key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text, of which an empty one is none: Airflow 2 does not look for it.
    SomeText,
    /// What is to be found in a name, which has letters, digits, and `_`, `-` and `.` alone: see [`Kind::InUri`].
    InName,
    /// What is to be found in a URI. Airflow 3 takes `|` for "or" and `~` for everything; for Airflow 2 both are
    /// letters like others.
    InUri,
    /// An integer.
    Whole,
    /// An integer, of which 0 is none: Airflow 2 does not look for it.
    WholeButZero,
    /// A number.
    Number,
    /// `true` or `false`, in any case.
    Flag,
    /// A date and time with a zone (RFC 3339).
    Date,
    /// Texts, by repetition or with commas between them. Airflow 3 knows repetition only, and takes `a,b` for one.
    List,
    /// The size of a page.
    Limit,
    /// A column to order by, with `-` for the other way round. All that there are, then and today.
    Order(&'static [(&'static str, &'static str)]),
    /// The columns that the answer has, with commas between them.
    Fields(FieldsOf),
}

/// Which words an unknown column is refused with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldsOf {
    /// A list of DAGs.
    Dags,
    /// A DAG.
    Dag,
    /// Details of a DAG.
    Details,
    /// A list of runs.
    Runs,
    /// A run.
    Run,
}

impl FieldsOf {
    /// Title and detail.
    pub fn refusal(self, field: &str) -> (&'static str, String) {
        let schema =
            |name| format!("Invalid fields for <{name}(many=False)>: OrderedSet([{}]).", repr_text(field));
        let run = || format!("{field} not in DAGRunSchema");
        match self {
            Self::Dags => ("DAGCollectionSchema error", schema("DAGSchema")),
            Self::Dag => ("DAGSchema init error", schema("DAGSchema")),
            Self::Details => ("DAGDetailSchema init error", schema("DAGDetailSchema")),
            Self::Runs => ("DAGRunCollectionSchema error", run()),
            Self::Run => ("DAGRunSchema error", run()),
        }
    }
}

/// A text that is called the same.
pub const fn text(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::Text }
}

/// A text that is called the same, of which an empty one is none.
pub const fn some_text(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::SomeText }
}

/// An integer that is called the same, of which 0 is none.
pub const fn whole_but_zero(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::WholeButZero }
}

/// An integer that is called the same.
pub const fn whole(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::Whole }
}

/// A number that is called the same.
pub const fn number(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::Number }
}

/// A flag that is called the same.
pub const fn flag(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::Flag }
}

/// A list that is called the same.
pub const fn list(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::List }
}

/// A date that is called the same.
pub const fn date(name: &'static str) -> Key {
    Key { name, today: name, kind: Kind::Date }
}

/// A key that is called otherwise today.
pub const fn renamed(name: &'static str, today: &'static str, kind: Kind) -> Key {
    Key { name, today, kind }
}

/// A key that only the row's function looks at.
pub const fn own(name: &'static str, kind: Kind) -> Key {
    Key { name, today: "", kind }
}

/// `order_by`.
pub const fn order(columns: &'static [(&'static str, &'static str)]) -> Key {
    Key { name: "order_by", today: "order_by", kind: Kind::Order(columns) }
}

/// `fields`.
pub const fn fields(of: FieldsOf) -> Key {
    Key { name: "fields", today: "", kind: Kind::Fields(of) }
}

/// Any other key, which is left out of account, as Airflow 2 does where it looks at none.
pub const OTHERS: Key = Key { name: "", today: "", kind: Kind::Text };
/// `limit`.
pub const LIMIT: Key = Key { name: "limit", today: "limit", kind: Kind::Limit };
/// `offset`.
pub const OFFSET: Key = Key { name: "offset", today: "offset", kind: Kind::Whole };

/// A query, read by the keys of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What is sent to Airflow 3.
    pub today: Vec<(String, String)>,
    /// What came, decoded.
    pub came: Vec<(String, String)>,
    /// Whether the page is smaller than the one asked for.
    pub lowered: bool,
}

impl Query {
    /// Reads a query without its `?`.
    ///
    /// # Errors
    /// It has a key that the operation does not know, or a value that is not what the key is for.
    pub fn read(keys: &[Key], query: &str, limit: &PageLimit) -> Result<Self, Fault> {
        let came = pairs(query);
        let mut told = HashSet::new();
        let is_known = |name: &str| keys.iter().any(|key| key.name == name || *key == OTHERS);
        let names = came.iter().map(|(name, _)| &**name);
        let unknown: Vec<&str> = names.filter(|name| !is_known(name) && told.insert(*name)).collect();
        if !unknown.is_empty() {
            let detail = format!("Extra query parameter(s) {} not in spec", unknown.join(", "));
            return Err(Fault::refused(http::StatusCode::BAD_REQUEST, None, Some(detail)));
        }
        let mut read = Self { came, ..Self::default() };
        for key in keys {
            read.take(key, limit)?;
        }
        Ok(read)
    }

    /// The value of a key that came; the last one, if there are more.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.came.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// All values of a key, by repetition and by commas.
    pub fn values(&self, name: &str) -> Vec<String> {
        let of = self.came.iter().filter(|(known, _)| known == name);
        of.flat_map(|(_, value)| value.split(',')).map(str::to_owned).collect()
    }

    fn take(&mut self, key: &Key, limit: &PageLimit) -> Result<(), Fault> {
        let last = self.get(key.name).map(str::to_owned);
        let wrong = |kind: &str| {
            Fault::bad_request(format!("Wrong type, expected '{kind}' for query parameter '{}'", key.name))
        };
        let value = match (key.kind, last) {
            (Kind::Limit, last) => match limit.rows(last.as_deref()) {
                Rows::Page { rows, lowered } => {
                    self.lowered |= lowered;
                    rows.to_string()
                }
                Rows::Negative => {
                    return Err(Fault::refused(
                        http::StatusCode::BAD_REQUEST,
                        Some("Page limit must be a positive integer"),
                        None,
                    ));
                }
                Rows::NoNumber => return Err(wrong("integer")),
            },
            (_, None) => return Ok(()),
            (Kind::Text, Some(value)) => value,
            (Kind::SomeText, Some(value)) if value.is_empty() => return Ok(()),
            (Kind::SomeText, Some(value)) => value,
            // No name has either letter, so that neither finds one.
            (Kind::InName, Some(value)) => literal(value.replace('|', "~")),
            (Kind::InUri, Some(value)) if value.contains('|') => {
                return Err(Fault::bad_request(format!(
                    "Airflow 3 takes '|' in '{}' for \"or\": one pattern at a time can be looked for",
                    key.name
                )));
            }
            (Kind::InUri, Some(value)) => literal(value),
            (Kind::Whole, Some(value)) => value::whole(&value).ok_or_else(|| wrong("integer"))?.to_string(),
            (Kind::WholeButZero, Some(value)) => {
                match value::whole(&value).ok_or_else(|| wrong("integer"))? {
                    0 => return Ok(()),
                    other => other.to_string(),
                }
            }
            (Kind::Number, Some(value)) => {
                let read: f64 = value.trim().parse().map_err(|_| wrong("number"))?;
                // Airflow 3 reads neither as Python does, and compares with nothing.
                if read.is_finite() {
                    value::bound(key.name, value.trim())
                } else {
                    return Err(wrong("number"));
                }
            }
            (Kind::Flag, Some(value)) => match value.to_ascii_lowercase().as_str() {
                known @ ("true" | "false") => known.to_owned(),
                _ => return Err(wrong("boolean")),
            },
            (Kind::Date, Some(value)) => {
                if value::Date::parse(&value).is_none() {
                    let text = repr_text(&value);
                    return Err(Fault::bad_request(format!(
                        "{text} is not a 'date-time'\n\nFailed validating 'format' in schema:\n    {{'type': 'string', 'format': 'date-time'}}\n\nOn instance:\n    {text}"
                    )));
                }
                value
            }
            (Kind::List, Some(_)) => {
                if !key.today.is_empty() {
                    let values = self.values(key.name);
                    self.today.extend(values.into_iter().map(|value| (key.today.to_owned(), value)));
                }
                return Ok(());
            }
            (Kind::Order(columns), Some(value)) => {
                let (sign, column) = match value.strip_prefix('-') {
                    Some(column) => ("-", column),
                    None => ("", &*value),
                };
                let known = columns.iter().find(|(then, _)| *then == column);
                let (_, today) = known.ok_or_else(|| {
                    Fault::bad_request(format!(
                        "Ordering with '{column}' is disallowed or the attribute does not exist on the model"
                    ))
                })?;
                format!("{sign}{today}")
            }
            (Kind::Fields(_), Some(_)) => return Ok(()),
        };
        if !key.today.is_empty() {
            self.today.push((key.today.to_owned(), value));
        }
        Ok(())
    }
}

/// A pattern that finds `~` where it is all there is of it, which Airflow 3 takes for `%`.
fn literal(pattern: String) -> String {
    if pattern == "~" { "%~%".into() } else { pattern }
}

/// The pairs of a query, decoded as `urllib.parse.parse_qsl` does.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|pair| !pair.is_empty());
    parts
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const KEYS: &[Key] = &[
        LIMIT,
        OFFSET,
        list("tags"),
        flag("paused"),
        number("duration_gte"),
        renamed("execution_date_gte", "logical_date_gte", Kind::Date),
        order(&[("dag_id", "dag_id"), ("execution_date", "logical_date")]),
        own("only_active", Kind::Flag),
        some_text("owner"),
        whole_but_zero("map_index"),
        renamed("dag_id_pattern", "dag_id_pattern", Kind::InName),
        renamed("uri_pattern", "uri_pattern", Kind::InUri),
    ];

    fn limit() -> PageLimit {
        PageLimit::new(NonZeroU32::new(7).unwrap(), NonZeroU32::new(5).unwrap())
    }

    #[test]
    fn what_is_sent() {
        for (query, expected) in [
            ("", "limit=7"),
            ("limit=3&offset=2", "limit=3&offset=2"),
            ("limit=0", "limit=5"),
            ("limit=8", "limit=7"),
            ("limit=1&limit=%EF%BC%91%EF%BC%90", "limit=7"),
            ("tags=a,b&tags=c%2Cd", "limit=7&tags=a&tags=b&tags=c&tags=d"),
            ("paused=True&only_active=False", "limit=7&paused=true"),
            (
                "execution_date_gte=2024-01-01T00:00:00%2B00:00",
                "limit=7&logical_date_gte=2024-01-01T00%3A00%3A00%2B00%3A00",
            ),
            ("order_by=-execution_date", "limit=7&order_by=-logical_date"),
            ("duration_gte=1.5", "limit=7&duration_gte=1.5"),
            ("duration_gte=-0.0", "limit=7&duration_gte=-1e-300"),
            ("owner=&map_index=0", "limit=7"),
            ("owner=a&map_index=-1", "limit=7&owner=a&map_index=-1"),
            ("dag_id_pattern=%25a_&uri_pattern=~a", "limit=7&dag_id_pattern=%25a_&uri_pattern=~a"),
            ("dag_id_pattern=~&uri_pattern=~", "limit=7&dag_id_pattern=%25~%25&uri_pattern=%25~%25"),
            ("dag_id_pattern=a%7Cb", "limit=7&dag_id_pattern=a~b"),
            ("dag_id_pattern=|", "limit=7&dag_id_pattern=%25~%25"),
        ] {
            let read = Query::read(KEYS, query, &limit()).unwrap();
            assert_eq!(super::super::path::query(&read.today), expected, "{query}");
        }
    }

    /// Minutes, if each name were looked for among those before it.
    #[test]
    fn many_unknown_keys_cost_no_more_than_they_are() {
        let query: Vec<_> = (0..100_000).map(|key| format!("k{key}&k{key}=1")).collect();
        let Err(Fault::Refused(refusal)) = Query::read(KEYS, &query.join("&"), &limit()) else { panic!() };
        let detail = refusal.detail.unwrap();
        assert!(detail.starts_with("Extra query parameter(s) k0, k1, k2, "), "{}", &detail[..80]);
        assert!(detail.ends_with('…'), "it is cut");
    }

    #[test]
    fn what_is_refused() {
        for (query, expected) in [
            ("nope=1", "Extra query parameter(s) nope not in spec"),
            (
                "logical_date_gte=2024-01-01T00:00:00Z&x=1&x=2",
                "Extra query parameter(s) logical_date_gte, x not in spec",
            ),
            ("limit%3D2", "Extra query parameter(s) limit=2 not in spec"),
            ("limit=x", "Wrong type, expected 'integer' for query parameter 'limit'"),
            ("limit=7.0", "Wrong type, expected 'integer' for query parameter 'limit'"),
            ("limit=-1", ""),
            ("offset=", "Wrong type, expected 'integer' for query parameter 'offset'"),
            ("duration_gte=x", "Wrong type, expected 'number' for query parameter 'duration_gte'"),
            ("duration_gte=inf", "Wrong type, expected 'number' for query parameter 'duration_gte'"),
            ("map_index=x", "Wrong type, expected 'integer' for query parameter 'map_index'"),
            (
                "uri_pattern=a%7Cb",
                "Airflow 3 takes '|' in 'uri_pattern' for \"or\": one pattern at a time can be looked for",
            ),
            ("paused=1", "Wrong type, expected 'boolean' for query parameter 'paused'"),
            ("order_by=x", "Ordering with 'x' is disallowed or the attribute does not exist on the model"),
            (
                "execution_date_gte=2024-01-07T00:00:00+00:00",
                "'2024-01-07T00:00:00 00:00' is not a 'date-time'\n\nFailed validating 'format' in schema:\n    {'type': 'string', 'format': 'date-time'}\n\nOn instance:\n    '2024-01-07T00:00:00 00:00'",
            ),
        ] {
            let Err(Fault::Refused(refusal)) = Query::read(KEYS, query, &limit()) else { panic!("{query}") };
            assert_eq!(refusal.detail.unwrap_or_default(), expected, "{query}");
        }
    }
}
