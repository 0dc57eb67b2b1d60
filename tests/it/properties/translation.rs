//! What the APIs of Airflow 2 are asked for, and what becomes of it. Input: a query, the value of a parameter of the path,
//! and a body, each on a line.

use std::num::NonZeroU32;

use airgate::gate::limit::PageLimit;
use airgate::gate::translate::Old;
use airgate::gate::translate::body::{Read, Type};
use airgate::gate::translate::events::{Document, Lines};
use airgate::gate::translate::path::Params;
use airgate::gate::translate::query::{Kind, OTHERS, Query};
use airgate::gate::translate::row::{Answer, Body, Row};
use airgate::gate::translate::value::Date;
use serde_json::Value;

const MAXIMUM: u32 = 7;

/// Whatever is asked for, in any spelling: Airflow 3 is asked for what the row knows alone, for a page no larger than the
/// maximum and never for none, and for no other path than the row's. Whatever it answers becomes JSON again, or nothing;
/// a log, the same lines wherever it is cut. What a text is filled with is not filled in turn.
pub fn holds(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let mut lines = input.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (query, value, body) = (line(), line(), line());
    let limit = PageLimit::new(NonZeroU32::new(MAXIMUM).unwrap(), NonZeroU32::new(3).unwrap());
    for row in Old::Stable.rows().chain(Old::Experimental.rows()) {
        query_holds(row, query, &limit);
        path_holds(row, value);
        body_holds(row, body, &limit);
        answer_holds(row, body);
    }
    log_holds(body.as_bytes());
    if let Some(date) = Date::parse(value) {
        assert_eq!(Date::parse(&date.iso()), Some(date), "{value}");
    }
}

fn query_holds(row: &Row, query: &str, limit: &PageLimit) {
    let Ok(read) = Query::read(row.query, query, limit) else { return };
    for (name, _) in &read.came {
        assert!(
            row.query.iter().any(|key| key.name == name || *key == OTHERS),
            "{}: {query:?} has {name}",
            row.old
        );
    }
    for (name, value) in &read.today {
        let key = row.query.iter().find(|key| key.today == name);
        let key = key.unwrap_or_else(|| panic!("{}: {query:?} sends {name}", row.old));
        if key.kind == Kind::List {
            assert!(!value.contains(','), "{}: {query:?} sends {name}={value}", row.old);
        }
    }
    if row.query.iter().any(|key| key.kind == Kind::Limit && !key.today.is_empty()) {
        let sizes: Vec<_> = read.today.iter().filter(|(name, _)| name == "limit").collect();
        let [(_, size)] = sizes.as_slice() else { panic!("{}: {query:?} sends {sizes:?}", row.old) };
        assert!((1..=MAXIMUM).contains(&size.parse().unwrap()), "{}: {query:?} sends limit={size}", row.old);
    }
}

fn path_holds(row: &Row, value: &str) {
    let mut params = Params::default();
    for name in row.old.path.split(['{', '}']).skip(1).step_by(2) {
        params.set(name, value);
    }
    let names = row.old.path.matches('{').count();
    let fixed: usize = row.old.path.split(['{', '}']).step_by(2).map(str::len).sum();
    assert_eq!(params.fill(row.old.path).len(), fixed + names * value.len(), "{}: {value:?}", row.old);
    let Some(path) = params.path(row.new.path) else { return };
    let decoded = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap().into_owned();
    let odd = |part: &str| matches!(part, "." | "..") || part.contains(|c: char| c.is_control() || c == '\\');
    assert!(!decoded.split('/').any(odd), "{}: {value:?} became {path}", row.old);
    let (segments, template) = (decoded.split('/').count(), row.new.path.split('/').count());
    let many = row.new.path.contains(":path");
    assert!(segments == template || (many && segments > template), "{}: {value:?} became {path}", row.old);
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#;".contains(&byte)), "{path}");
    let fixed = row.new.path.split('{').next().unwrap();
    assert!(path.starts_with(fixed), "{}: {value:?} became {path}", row.old);
}

fn body_holds(row: &Row, body: &str, limit: &PageLimit) {
    let Body::Object(properties) = row.body else { return };
    let Ok(read) = Read::new(properties, &body.to_owned().into(), limit) else { return };
    let sent: Value = serde_json::from_str(&read.today.json()).unwrap();
    for (name, value) in sent.as_object().unwrap() {
        let property = properties.iter().find(|property| property.today == name);
        let property = property.unwrap_or_else(|| panic!("{}: {body:?} sends {name}", row.old));
        if property.kind == Type::PageLimit {
            assert!(
                (1..=MAXIMUM.into()).contains(&value.as_u64().unwrap()),
                "{}: {body:?} sends {value}",
                row.old
            );
        }
    }
    if let Some(size) = properties.iter().find(|property| property.kind == Type::PageLimit) {
        assert!(sent.get(size.today).is_some(), "{}: {body:?} sends no page size", row.old);
    }
}

fn answer_holds(row: &Row, answer: &str) {
    if let Answer::One(shape) | Answer::Page(_, _, shape) | Answer::List(_, _, shape) = row.answer {
        let mut out = String::new();
        if shape.write(answer, &mut out).is_some() {
            assert!(serde_json::from_str::<Value>(&out).is_ok(), "{}: {answer:?} became {out}", row.old);
        }
    }
}

fn log_holds(log: &[u8]) {
    let read = |size: usize| {
        let (mut lines, mut document, mut out) =
            (Lines::default(), Document::default(), [String::new(), String::new()]);
        let [of_lines, of_document] = &mut out;
        for piece in log.chunks(size) {
            lines.feed(piece, of_lines);
            let _ = document.feed(piece, of_document);
        }
        lines.end(of_lines);
        (out, document.token())
    };
    let whole = read(log.len().max(1));
    for size in [1, 3, 64] {
        assert_eq!(read(size), whole, "cut at each {size}");
    }
}
