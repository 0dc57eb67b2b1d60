//! The translation of Airflow 2's APIs. Input: a query, a line feed, and a body.

use std::num::NonZeroU32;

use airgate::gate::limit::PageLimit;
use airgate::gate::translate::Old;
use airgate::gate::translate::body::Read;
use airgate::gate::translate::path::Params;
use airgate::gate::translate::query::Query;
use airgate::gate::translate::row::{Answer, Body};
use airgate::gate::translate::value::Date;
use serde_json::Value;

const MAXIMUM: u32 = 7;

/// Whatever comes, Airflow is asked for no larger page, and for nothing that the operation does not know; what it
/// answers is JSON again, or not told at all; and a value stays in its segment of the path.
pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (query, body) = text.split_once('\n').unwrap_or((text, text));
    let limit = PageLimit::new(NonZeroU32::new(MAXIMUM).unwrap(), NonZeroU32::new(3).unwrap());
    let fits = |value: &str| value.parse::<u32>().is_ok_and(|rows| (1..=MAXIMUM).contains(&rows));
    for row in Old::Stable.rows().chain(Old::Experimental.rows()) {
        if let Ok(read) = Query::read(row.query, query, &limit) {
            let pages: Vec<_> = read.today.iter().filter(|(name, _)| name == "limit").collect();
            let known = row.query.iter().filter(|key| key.today == "limit").count();
            assert_eq!(pages.len(), known, "{}: {query:?} became {:?}", row.old, read.today);
            for (name, value) in &read.today {
                assert!(name != "limit" || fits(value), "{}: {query:?} asks for {value}", row.old);
                assert!(row.query.iter().any(|key| key.today == name), "{}: {name}", row.old);
            }
        }
        if let Body::Object(properties) = row.body
            && let Ok(read) = Read::new(properties, body.as_bytes(), &limit)
        {
            let sent: Value = serde_json::from_str(&read.today.json()).unwrap();
            let pages = properties.iter().any(|property| property.today == "page_limit");
            assert_eq!(sent.get("page_limit").is_some(), pages, "{}: {body:?} became {sent}", row.old);
            for (name, value) in sent.as_object().unwrap() {
                assert!(
                    name != "page_limit" || fits(&value.to_string()),
                    "{}: {body:?} asks for {value}",
                    row.old
                );
                assert!(properties.iter().any(|property| property.today == name), "{}: {name}", row.old);
            }
        }
        if let Answer::One(shape) | Answer::Page(_, _, shape) | Answer::List(_, _, shape) = row.answer {
            let mut out = String::new();
            if shape.write(body, &mut out).is_some() {
                assert!(serde_json::from_str::<Value>(&out).is_ok(), "{}: {body:?} became {out}", row.old);
            }
        }
    }
    if let Some(date) = Date::parse(query) {
        assert_eq!(Date::parse(&date.iso()), Some(date), "{query}");
    }
    let mut params = Params::default();
    params.set("dag_id", query);
    if let Some(path) = params.path("/api/v2/dags/{dag_id}/tasks") {
        let decoded = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap().into_owned();
        let inner =
            decoded.strip_prefix("/api/v2/dags/").and_then(|rest| rest.strip_suffix("/tasks")).unwrap();
        assert!(inner == query && !inner.contains('/') && !matches!(inner, "." | ".."), "{path}");
    }
}
