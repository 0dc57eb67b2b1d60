//! An Airflow 3.0, as far as its OpenAPI document goes, made of the real one of today: it refuses what that document does not
//! know, and answers no field that is not in it. All that was recorded is asked again in front of it, so that each call that
//! is made, for whichever operation, is one that both releases know, and what is read of its answer is there in both.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use airgate::gate::translate::Old;
use serde_json::{Value, json};

use super::{Row, differences, replay};
use crate::openapi::{Operation, Operations, operations};
use crate::support::upstream::{Seen, Upstream, answer, pass_on};
use crate::support::{Airgate, airflow, ask};

/// Releases of whose documents each call must be. The first is the one that is played.
const RELEASES: [&str; 2] = ["3.0.6", "3.3.2"];

/// Fields that are elsewhere today.
const RENAMED: [(&str, &str); 2] = [("/scheduled_dags", "consuming_dags"), ("/action/name", "name")];

/// An Airflow 3.0, and what it was asked for that a document does not have.
struct Older {
    upstream: Upstream,
    unknown: Arc<Mutex<BTreeSet<String>>>,
}

impl Older {
    fn before(airflow: SocketAddr) -> Self {
        let unknown = Arc::<Mutex<BTreeSet<String>>>::default();
        let documents = RELEASES.map(|release| (release, operations(release)));
        let noted = unknown.clone();
        let upstream = Upstream::answering(move |seen| {
            let found: Vec<_> = documents
                .iter()
                .flat_map(|(release, document)| unknown_in(document, release, seen))
                .collect();
            if !found.is_empty() {
                eprintln!("{found:#?}");
                noted.lock().unwrap().extend(found);
                return answer(500, &[], "{}");
            }
            let told = pass_on(seen, airflow);
            match find(&documents[0].1, seen) {
                Some(operation) => cut(&told, operation),
                None => told,
            }
        });
        Self { upstream, unknown }
    }

    #[track_caller]
    fn assert_all_known(&self) {
        let unknown = self.unknown.lock().unwrap();
        assert!(unknown.is_empty(), "{unknown:#?}");
    }
}

/// The operation of a document that a request is for: the one with the fewest parameters.
fn find<'a>(document: &'a Operations, seen: &Seen) -> Option<&'a Operation> {
    let path = seen.target.split('?').next().unwrap();
    let fits = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template.iter().zip(&path).all(|(name, part)| *name == "{}" || name == part)
    };
    let of_method =
        document.iter().filter(|((method, template), _)| *method == seen.method && fits(template));
    of_method.min_by_key(|((_, template), _)| template.matches("{}").count()).map(|(_, operation)| operation)
}

/// What of a request a document does not have.
fn unknown_in(document: &Operations, release: &str, seen: &Seen) -> Vec<String> {
    if !seen.target.starts_with("/api/v2/") && !seen.target.starts_with("/auth/fab/") {
        return Vec::new();
    }
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let at = format!("{release}: {} {path}", seen.method);
    let Some(operation) = find(document, seen) else { return vec![at] };
    let keys = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|key| !key.is_empty());
    let mut unknown: Vec<_> =
        keys.filter(|key| !operation.query.contains(*key)).map(|key| format!("{at}: query {key}")).collect();
    if let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&seen.body) {
        let names = body.keys().filter(|name| !operation.body.contains(*name));
        unknown.extend(names.map(|name| format!("{at}: body {name}")));
    }
    unknown
}

/// An answer without what the document does not have. Lines of a log have fields of their own.
fn cut(told: &[u8], operation: &Operation) -> Vec<u8> {
    let text = String::from_utf8_lossy(told);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let is_log = operation.answer.contains("continuation_token");
    let is_good = head.starts_with("HTTP/1.1 2");
    let (Ok(mut json), true, false) = (serde_json::from_str::<Value>(body), is_good, is_log) else {
        return told.to_vec();
    };
    strip(&mut json, "", &operation.answer);
    answer(head[9..12].parse().unwrap(), &[], &json.to_string())
}

fn strip(value: &mut Value, at: &str, fields: &BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let prefix = if at.is_empty() { String::new() } else { format!("{at}.") };
            // What users keep has names of its own.
            if !fields.iter().any(|field| field.starts_with(&prefix)) {
                return;
            }
            for (today, then) in
                RENAMED.into_iter().filter(|(_, then)| fields.contains(&format!("{prefix}{then}")))
            {
                let moved = Value::Object(object.clone()).pointer(today).cloned();
                moved.into_iter().for_each(|value| drop(object.insert(then.to_owned(), value)));
            }
            object.retain(|name, _| fields.contains(&format!("{prefix}{name}")));
            for (name, value) in object {
                strip(value, &format!("{prefix}{name}"), fields);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|one| strip(one, &format!("{at}[]"), fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn as_airflow_2_answered_in_front_of_airflow_3_0() {
    let airflow = airflow::v1();
    let older = Older::before(airflow.address());
    let mut rows = Row::read("v1");
    rows.extend(Row::read("v1-no-public-role"));
    replay((&older.upstream.url(), &airflow), rows, "v1.toml", differences);
    older.assert_all_known();
}

/// Each operation of the other API once, or twice where it makes other calls the second time.
#[test]
fn the_experimental_api_in_front_of_airflow_3_0() {
    let airflow = airflow::v1();
    let older = Older::before(airflow.address());
    let gate = Airgate::before(
        &older.upstream.url(),
        &format!(
            "auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\n[api]\nenable_experimental_api = true\n",
            airflow.config().display()
        ),
    );
    let run = || Some(json!({"run_id": "older", "execution_date": "2024-03-01T00:00:00Z", "conf": {"a": 1}}));
    let pool = || Some(json!({"name": "older", "slots": 2, "description": "d"}));
    let mut translated = BTreeSet::new();
    for (method, path, body, status) in [
        ("GET", "test", None, 200),
        ("GET", "info", None, 200),
        ("POST", "dags/fx_dag_02/dag_runs", run(), 200),
        ("POST", "dags/fx_dag_02/dag_runs", run(), 400),
        ("GET", "dags/fx_dag_02/dag_runs?state=queued", None, 200),
        ("GET", "dags/fx_dag_02/dag_runs/2024-03-01T00:00:00Z", None, 200),
        ("GET", "dags/fx_dag_02/dag_runs/2024-03-01T00:00:00Z/tasks/one", None, 200),
        ("GET", "dags/fx_dag_02/tasks/one", None, 200),
        ("GET", "dags/fx_dag_02/code", None, 200),
        ("GET", "dags/fx_dag_02/paused", None, 200),
        ("GET", "dags/fx_dag_02/paused/true", None, 200),
        ("GET", "latest_runs", None, 200),
        ("GET", "lineage/fx_dag_02/2024-03-01T00:00:00Z", None, 404),
        ("GET", "pools", None, 200),
        ("POST", "pools", pool(), 200),
        ("POST", "pools", pool(), 200),
        ("GET", "pools/older", None, 200),
        ("DELETE", "pools/older", None, 200),
        ("DELETE", "dags/fx_dag_02", None, 200),
    ] {
        let asked = ask(method, format!("/api/experimental/{path}")).basic("admin", "admin-pw");
        let answer = gate.send(match body {
            Some(body) => asked.json(body),
            None => asked,
        });
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        translated.extend(answer.header("x-airgate-translated").map(str::to_owned));
    }
    let all: BTreeSet<String> = Old::Experimental.rows().map(|row| row.new.to_string()).collect();
    assert_eq!(translated, all, "each operation is asked for");
    older.assert_all_known();
}
