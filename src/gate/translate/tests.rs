//! Walks all rows.

use std::collections::BTreeSet;

use super::row::{Answer, Body, Row, Work};
use super::shape::Shape;
use super::*;
use crate::gate::route::{RouteSettings, Routes};
use crate::gate::target::Target;

const OLD: [Old; 2] = [Old::Stable, Old::Experimental];

fn rows() -> impl Iterator<Item = (Old, &'static Row)> {
    OLD.into_iter().flat_map(|old| old.rows().map(move |row| (old, row)))
}

fn parameters(template: &str) -> BTreeSet<&str> {
    template
        .split(['{', '}'])
        .skip(1)
        .step_by(2)
        .map(|name| name.strip_suffix(":path").unwrap_or(name))
        .collect()
}

/// A template without the names of its parameters: Airflow 3 calls some otherwise, which is nobody's business.
fn nameless(template: &str) -> String {
    template.split(['{', '}']).step_by(2).collect::<Vec<_>>().join("{}")
}

/// An example of a path.
fn example(template: &str) -> String {
    template.replace(['{', '}'], "").replace(":path", "")
}

#[test]
fn each_row_can_be_reached_and_leads_to_a_route() {
    let routes = Routes::new(RouteSettings { experimental: true, ..RouteSettings::default() });
    for (_, row) in rows() {
        for operation in [row.old, row.new] {
            let path = example(operation.path);
            let target = Target::parse(path.as_bytes(), None).unwrap();
            let route = routes.find(&target, &operation.verb.into()).unwrap();
            assert_eq!(nameless(route.template), nameless(operation.path), "{operation}");
            let kind = format!("{:?}", route.kind);
            assert!(kind.contains("Api(") || kind.contains("Experimental("), "{operation}: {kind}");
        }
    }
}

#[test]
fn no_operation_is_there_twice() {
    let mut seen = BTreeSet::new();
    for (_, row) in rows() {
        assert!(seen.insert(row.old.to_string()), "{}", row.old);
    }
}

#[test]
fn a_table_row_has_all_that_its_path_needs() {
    for (_, row) in rows() {
        match row.work {
            Work::Table => {
                let missing: Vec<_> =
                    parameters(row.new.path).difference(&parameters(row.old.path)).copied().collect();
                assert!(missing.is_empty(), "{}: {missing:?}", row.old);
                assert!(!matches!(row.answer, Answer::Own), "{} says nothing of its answer", row.old);
                assert!(!matches!(row.body, Body::Own), "{} says nothing of its body", row.old);
            }
            Work::By(_) => {}
        }
    }
}

#[test]
fn who_looks_for_something_is_told_that_it_is_not_there() {
    for (_, row) in rows() {
        let named = row.old.path.contains('{');
        let told = row.texts.iter().any(|text| text.status == 404);
        assert!(told || !named || matches!(row.work, Work::By(_)), "{} has no text for 404", row.old);
    }
}

#[test]
fn lists_have_a_page_size() {
    for (old, row) in rows() {
        let page = matches!(row.answer, Answer::Page(..)) && row.old.verb == Verb::Get;
        let known = row.query.iter().any(|key| key.name == "limit");
        // Neither Airflow has pages of these.
        let whole = ["/tasks", "/upstreamDatasetEvents"].iter().any(|end| row.old.path.ends_with(end));
        assert!(!page || known || whole || old == Old::Experimental, "{}: no limit", row.old);
        if let (true, Body::Object(properties)) = (row.old.path.ends_with("/list"), row.body) {
            assert!(properties.iter().any(|property| property.name == "page_limit"), "{}", row.old);
        }
    }
}

#[test]
fn names_are_there_once() {
    for (_, row) in rows() {
        let mut names = BTreeSet::new();
        for key in row.query {
            assert!(names.insert(key.name), "{}: {} twice", row.old, key.name);
        }
        let mut names = BTreeSet::new();
        if let Body::Object(properties) = row.body {
            for property in properties {
                assert!(names.insert(property.name), "{}: {} twice", row.old, property.name);
            }
        }
        if let Answer::One(shape) | Answer::Page(_, _, shape) | Answer::List(_, _, shape) = row.answer {
            walk(row, shape);
        }
    }
}

fn walk(row: &Row, shape: &Shape) {
    let mut names = BTreeSet::new();
    for field in shape.0 {
        assert!(names.insert(field.name), "{}: {} twice", row.old, field.name);
        let json = match &field.how {
            super::shape::How::Always(json) | super::shape::How::Or(_, json) => json,
            super::shape::How::One(_, shape) | super::shape::How::Each(_, shape) => {
                walk(row, shape);
                continue;
            }
            super::shape::How::From(_)
            | super::shape::How::Date(_)
            | super::shape::How::By(..)
            | super::shape::How::TryBy(..) => continue,
        };
        assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{}: {}", row.old, field.name);
    }
}
