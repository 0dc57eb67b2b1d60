//! What the table of translations asks of Airflow 3 is there, in its first release and in today's. What functions of rows
//! ask besides, `goldens/v1/older.rs` finds out.
//!
//! `tests/openapi` has what the OpenAPI files of both say; `tests/openapi/fields.py` makes it from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use airgate::gate::translate::Old;
use airgate::gate::translate::row::{Answer, Body, Row};
use airgate::gate::translate::shape::{How, Shape};
use serde_json::Value;

use crate::support::airflow;

/// An operation of Airflow 3: query keys, fields of the body, fields of the answer.
pub struct Operation {
    pub query: BTreeSet<String>,
    pub body: BTreeSet<String>,
    pub answer: BTreeSet<String>,
}

/// All of a release, by method and path without the names of its parameters.
pub type Operations = BTreeMap<(String, String), Operation>;

/// Those of a release.
pub fn operations(release: &str) -> Operations {
    let path = format!("{}/tests/openapi/{release}.jsonl", env!("CARGO_MANIFEST_DIR"));
    read(&std::fs::read_to_string(path).unwrap())
}

fn read(text: &str) -> Operations {
    // What the document of FAB 2 misspells.
    let spelled = |name: &str| name.replace("failed_login_count", "fail_login_count");
    let names = |value: &Value| {
        value.as_array().unwrap().iter().map(|name| spelled(name.as_str().unwrap())).collect()
    };
    text.lines()
        .map(|line| {
            let read: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| read[name].as_str().unwrap().to_owned();
            let operation = Operation {
                query: names(&read["query"]),
                body: names(&read["body"]),
                answer: names(&read["answer"]),
            };
            ((text("method"), nameless(&text("path"))), operation)
        })
        .collect()
}

fn nameless(template: &str) -> String {
    template.split(['{', '}']).step_by(2).collect::<Vec<_>>().join("{}")
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [Old::Stable, Old::Experimental].into_iter().flat_map(Old::rows)
}

/// Pairs of fields of which a shape reads the one that is there: one came or went between the releases.
const EITHER: [[&str; 2]; 1] = [["scheduled_dags", "consuming_dags"]];

/// Operations whose functions make other calls first, for what is asked here of the last.
const BY_OTHER_CALLS: [&str; 3] = [
    "PATCH /api/v1/dags",
    "DELETE /api/experimental/pools/{name}",
    "GET /api/experimental/dags/{dag_id}/dag_runs/{execution_date}",
];

fn missing(row: &Row, operation: &Operation) -> Vec<String> {
    let mut missing = Vec::new();
    for key in row.query.iter().filter(|key| !key.today.is_empty()) {
        if !operation.query.contains(key.today) {
            missing.push(format!("query {}", key.today));
        }
    }
    if let Body::Object(properties) = row.body {
        for property in properties.iter().filter(|property| !property.today.is_empty()) {
            if !operation.body.contains(property.today) {
                missing.push(format!("body {}", property.today));
            }
        }
    }
    match row.answer {
        Answer::Nothing | Answer::Own => {}
        Answer::One(shape) => walk(shape, "", operation, &mut missing),
        Answer::Page(_, today, shape) | Answer::List(_, today, shape) => {
            walk(shape, &format!("{today}[]."), operation, &mut missing);
        }
    }
    missing
}

fn walk(shape: &Shape, at: &str, operation: &Operation, missing: &mut Vec<String>) {
    for field in shape.0 {
        let is_there = |name: &str| operation.answer.contains(&format!("{at}{name}"));
        let reads = field.how.reads();
        let pair = EITHER.iter().find(|pair| reads.iter().all(|name| pair.contains(name)) && reads.len() > 1);
        match pair {
            Some(pair) if pair.iter().any(|name| is_there(name)) => continue,
            Some(_) | None => {
                let lacks = reads.iter().filter(|name| !is_there(name));
                missing.extend(lacks.map(|name| format!("answer {at}{name}")));
            }
        }
        match &field.how {
            How::One(name, shape) => walk(shape, &format!("{at}{name}."), operation, missing),
            How::Each(name, shape) => walk(shape, &format!("{at}{name}[]."), operation, missing),
            How::From(_) | How::Date(_) | How::Or(..) | How::Always(_) | How::By(..) | How::TryBy(..) => {}
        }
    }
}

#[test]
fn what_the_rows_ask_for_is_there() {
    for release in ["3.0.6", "3.3.2"] {
        let operations = operations(release);
        let mut wrong = Vec::new();
        for row in rows() {
            let (verb, path) = (row.new.verb.to_string(), nameless(row.new.path));
            // `~` stands for all of what a parameter names.
            let general = (verb.clone(), path.replace('~', "{}"));
            match operations.get(&(verb, path)).or_else(|| operations.get(&general)) {
                None => wrong.push(format!("{}: no {}", row.old, row.new)),
                Some(_) if BY_OTHER_CALLS.contains(&&*row.old.to_string()) => {}
                Some(operation) => {
                    wrong.extend(
                        missing(row, operation).into_iter().map(|what| format!("{}: {what}", row.old)),
                    );
                }
            }
        }
        assert!(wrong.is_empty(), "{release}: {wrong:#?}");
    }
}

/// The file of today is what the package of today says.
#[test]
fn the_description_of_today_is_up_to_date() {
    const FILES: [&str; 2] = [
        "api_fastapi/core_api/openapi/v2-rest-api-generated.yaml",
        "providers/fab/auth_manager/api_fastapi/openapi/v2-fab-auth-manager-generated.yaml",
    ];
    let python = airflow::python();
    let library = python.parent().and_then(Path::parent).unwrap().join("lib");
    let version = std::fs::read_dir(library).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        path.join("site-packages/airflow").is_dir().then_some(path)
    });
    let package = version.unwrap().join("site-packages/airflow");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/fields.py");
    let mut fields = Command::new(python);
    fields.arg(script).args(FILES.map(|file| package.join(file)));
    let output = fields.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let recorded = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/3.3.2.jsonl"));
    assert!(
        String::from_utf8_lossy(&output.stdout) == recorded.unwrap(),
        "tests/openapi/3.3.2.jsonl is out of date"
    );
}
