//! Where a translation of `/api/v1` could answer 200 and be wrong: each trap against a real Airflow 3, and against an
//! upstream that records what it is asked for.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::airflow::{self, Airflow};
use crate::support::client::ask;
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Upstream, delete, get, post};

fn gate(airflow: &Airflow) -> Airgate {
    Airgate::before(
        &airflow.url,
        &format!("auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\n", airflow.config().display()),
    )
}

/// In front of an upstream that records, with the token passed on as it is.
fn recording(upstream: &Upstream) -> Airgate {
    Airgate::before(&upstream.url(), "auth_manager = \"fab\"\nidentity = \"passthrough\"\n")
}

fn patch(target: &str) -> Ask {
    ask("PATCH", target)
}

fn admin(gate: &Airgate, request: Ask) -> Answer {
    gate.send(request.basic("admin", "admin-pw"))
}

#[track_caller]
fn told(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

/// Trap 1: Airflow 3 ignores what it does not know, and answers with everything.
#[test]
fn a_filter_that_airflow_3_does_not_know_filters() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    for (name, path, list, expected) in [
        ("date", "/api/v1/dags/fx_dag_01/dagRuns?execution_date_gte=2030-01-01T00:00:00Z", "dag_runs", 0),
        (
            "dates",
            "/api/v1/dags/fx_dag_01/dagRuns?execution_date_gte=2024-01-03T00:00:00Z&execution_date_lte=2024-01-04T00:00:00Z",
            "dag_runs",
            2,
        ),
        ("tags with a comma", "/api/v1/dags?tags=shape,data&dag_id_pattern=fx_c", "dags", 2),
        ("states with a comma", "/api/v1/dags/~/dagRuns?state=failed,success", "dag_runs", 4),
        ("statistics with a comma", "/api/v1/dagStats?dag_ids=fx_work,fx_fail", "dags", 2),
        ("DAGs of datasets with a comma", "/api/v1/datasets?dag_ids=fx_producer,fx_nope", "datasets", 1),
        (
            "events with a comma",
            "/api/v1/eventLogs?dag_id=fx_fail&included_events=running,failed",
            "event_logs",
            2,
        ),
        ("a variable's order", "/api/v1/variables?order_by=-value&limit=1", "variables", 1),
        ("what is all DAGs today", "/api/v1/dags?dag_id_pattern=~", "dags", 0),
        ("what is two DAGs today", "/api/v1/dags?dag_id_pattern=fx_work%7Cfx_fail", "dags", 0),
        ("what is all datasets today", "/api/v1/datasets?uri_pattern=~", "datasets", 0),
        ("a pattern", "/api/v1/datasets?uri_pattern=FX%25one", "datasets", 1),
        ("the last of two lists", "/api/v1/datasets?dag_ids=fx_producer&dag_ids=fx_nope", "datasets", 0),
        ("a state that no run has", "/api/v1/dags/~/dagRuns?state=failed,", "dag_runs", 1),
    ] {
        let answer = told(&admin(&gate, get(path)), 200);
        assert_eq!(answer[list].as_array().unwrap().len(), expected, "{name}: {answer}");
    }
    for path in [
        "/api/v1/dags/fx_dag_01/dagRuns?logical_date_gte=2030-01-01T00:00:00Z",
        "/api/v1/pools?pool_name_pattern=x",
    ] {
        let refused = admin(&gate, get(path));
        assert!(refused.text().contains("not in spec"), "{path}: {}", refused.text());
        assert_eq!(refused.status, 400, "{path}");
    }
    let either = admin(&gate, get("/api/v1/datasets?uri_pattern=one%7Ctwo"));
    assert_eq!((either.status, either.detail().contains("'|'")), (400, true), "{}", either.text());
    for pattern in ["fx_work%7Cfx_fail", "%7C"] {
        let is_paused = || told(&admin(&gate, get("/api/v1/dags/fx_work")), 200)["is_paused"].clone();
        let before = is_paused();
        let other = json!({"is_paused": before == false});
        let none = patch(&format!("/api/v1/dags?dag_id_pattern={pattern}")).json(other);
        assert_eq!(told(&admin(&gate, none), 200), json!({"dags": [], "total_entries": 0}));
        assert_eq!(is_paused(), before, "{pattern}");
    }
}

/// Airflow 3 takes now for a begin or an end that there is not yet, no duration for 0, and 0 for no filter. The numbers are
/// those of a real Airflow 2 with the same data.
#[test]
fn what_has_not_begun_is_not_found_by_its_begin() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let total = |request: Ask| told(&admin(&gate, request), 200)["total_entries"].clone();
    for (path, expected) in [
        ("fx_dag_01/dagRuns?end_date_lte=2030-01-01T00:00:00Z", 0),
        ("fx_dag_01/dagRuns?start_date_gte=2000-01-01T00:00:00Z", 0),
        ("~/dagRuns?end_date_gte=2000-01-01T00:00:00Z", 4),
        ("~/dagRuns?end_date_gte=2000-01-01T00:00:00Z&state=success,queued&order_by=-execution_date", 3),
        (
            "fx_work/dagRuns?start_date_gte=2000-01-01T00:00:00Z&execution_date_gte=2024-02-01T02:00:00%2B02:00",
            1,
        ),
        ("nope/dagRuns?start_date_gte=2000-01-01T00:00:00Z", 0),
        ("~/dagRuns/~/taskInstances?end_date_lte=2030-01-01T00:00:00Z", 12),
        ("~/dagRuns/~/taskInstances?start_date_gte=2000-01-01T00:00:00Z&pool=default_pool,nope", 11),
        ("fx_dag_01/dagRuns/~/taskInstances?start_date_lte=2030-01-01T00:00:00Z", 0),
        (
            "fx_work/dagRuns/fx_work_1/taskInstances?end_date_gte=2000-01-01T00:00:00Z&state=success&duration_gte=0",
            8,
        ),
        ("~/dagRuns/~/taskInstances?duration_gte=0", 12),
        ("~/dagRuns/~/taskInstances?duration_lte=0.0", 3),
    ] {
        assert_eq!(total(get(format!("/api/v1/dags/{path}&limit=1"))), expected, "{path}");
    }
    for (body, expected) in [(json!({"duration_lte": 0.0}), 3), (json!({"duration_gte": 0}), 12)] {
        assert_eq!(
            total(post("/api/v1/dags/~/dagRuns/~/taskInstances/list").json(body.clone())),
            expected,
            "{body}"
        );
    }
    let both = "/api/v1/dags/~/dagRuns?end_date_gte=2000-01-01T00:00:00Z&updated_at_gte=2000-01-01T00:00:00Z";
    told(&admin(&gate, get(both)), 400);
}

/// Airflow 2 takes nothing, and 0, for a filter that was not given, where Airflow 3 looks for it.
#[test]
fn a_filter_for_nothing_is_none() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    for (list, filter) in [
        ("eventLogs", "map_index=0"),
        ("eventLogs", "try_number=0"),
        ("eventLogs", "event=&included_events=&excluded_events="),
        ("eventLogs", "dag_id=&task_id=&run_id=&owner="),
        ("datasets/events", "source_map_index=0"),
        ("datasets/events", "dataset_id=0"),
        ("datasets/events", "source_dag_id=&source_task_id=&source_run_id="),
        ("datasets", "dag_ids="),
        ("dagWarnings", "warning_type=&dag_id="),
    ] {
        let total = |query: &str| {
            let answer = told(&admin(&gate, get(format!("/api/v1/{list}?{query}"))), 200);
            answer["total_entries"].as_u64().unwrap()
        };
        let all = total("limit=1");
        assert!(all > 0, "{list}");
        assert_eq!(total(&format!("limit=1&{filter}")), all, "{list}?{filter}");
    }
    for (path, title) in [
        ("dags", "DAGCollectionSchema error"),
        ("dags/fx_dag_01", "DAGSchema init error"),
        ("dags/fx_dag_01/dagRuns", "DAGRunCollectionSchema error"),
    ] {
        for fields in ["", "dag_id,"] {
            let refused = told(&admin(&gate, get(format!("/api/v1/{path}?fields={fields}"))), 400);
            assert_eq!(refused["title"], title, "{path}?fields={fields}: {refused}");
        }
    }
}

/// Airflow 2 looks at no keys where an operation has none.
#[test]
fn an_operation_without_keys_takes_any() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    for (request, status) in [
        (get("/api/v1/version?foo=1"), 200),
        (get("/api/v1/providers?foo=1"), 200),
        (post("/api/v1/dags/~/dagRuns/list?foo=1").json(json!({})), 200),
        (post("/api/v1/dags/~/dagRuns/~/taskInstances/list?foo=1").json(json!({})), 200),
        (post("/api/v1/pools?foo=1").json(json!({"name": "foo", "slots": 1})), 200),
        (post("/api/v1/variables?foo=1").json(json!({"key": "foo", "value": "1"})), 200),
        (post("/api/v1/connections?foo=1").json(json!({"connection_id": "foo", "conn_type": "http"})), 200),
        // Switched off.
        (post("/api/v1/connections/test?foo=1").json(json!({"conn_type": "http"})), 403),
        (post("/api/v1/datasets/events?foo=1").json(json!({"dataset_uri": "s3://fx/one"})), 200),
        (post("/api/v1/roles?foo=1").json(json!({"name": "foo", "actions": []})), 200),
        (
            post("/api/v1/users?foo=1").json(json!({
                "username": "foo", "first_name": "f", "last_name": "o", "email": "f@example.com", "password": "foo",
                "roles": [{"name": "Viewer"}],
            })),
            200,
        ),
    ] {
        let answer = admin(&gate, request);
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    for request in [get("/api/v1/pools/foo?foo=1"), delete("/api/v1/dags/fx_dag_01?foo=1")] {
        told(&admin(&gate, request), 400);
    }
}

/// Trap 1, too: `a,b` is one name for Airflow 3, which changes nothing and answers 200.
#[test]
fn a_mask_with_a_comma_masks() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let pool = patch("/api/v1/pools/fx_pool_02?update_mask=slots,description")
        .json(json!({"name": "fx_pool_02", "slots": 12, "description": "changed"}));
    let changed = told(&admin(&gate, pool), 200);
    assert_eq!((&changed["slots"], &changed["description"]), (&json!(12), &json!("changed")));
    let deferred = patch("/api/v1/pools/fx_pool_02?update_mask=include_deferred")
        .json(json!({"include_deferred": true}));
    let changed = told(&admin(&gate, deferred), 200);
    assert_eq!((&changed["slots"], &changed["include_deferred"]), (&json!(12), &json!(true)), "{changed}");
}

/// Trap 1: a page that is not asked for is Airflow 2's largest, and `limit=0` is its fallback: Airflow 3 has others.
#[test]
fn a_page_is_as_large_as_it_was() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    for (query, expected) in [("", 5), ("?limit=0", 3), ("?limit=2", 2), ("?limit=1000", 5)] {
        let answer = told(&admin(&gate, get(format!("/api/v1/pools{query}"))), 200);
        assert_eq!(answer["pools"].as_array().unwrap().len(), expected, "{query:?}");
    }
    for (body, expected) in [(json!({}), 5), (json!({"page_limit": 2}), 2), (json!({"page_limit": 1000}), 5)]
    {
        let answer = told(&admin(&gate, post("/api/v1/dags/~/dagRuns/list").json(body.clone())), 200);
        assert_eq!(answer["dag_runs"].as_array().unwrap().len(), expected, "{body}");
    }
    for list in ["dags/~/dagRuns/list", "dags/~/dagRuns/~/taskInstances/list"] {
        let none = admin(&gate, post(format!("/api/v1/{list}")).json(json!({"page_limit": 0})));
        assert_eq!((none.status, none.header("content-type")), (400, Some("application/problem+json")));
    }
    let negative = admin(&gate, get("/api/v1/pools?limit=-1"));
    assert_eq!((negative.status, negative.header("content-type")), (400, Some("application/problem+json")));
}

/// Trap 1: without `map_index`, Airflow 3 changes all instances of a mapped task. And without `reset_dag_runs` it sets a run
/// back to be run again.
#[test]
fn one_mapped_task_is_changed_and_no_run_is_reset() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let work = "/api/v1/dags/fx_work/dagRuns/fx_work_1/taskInstances";
    let failed = json!({"dry_run": false, "new_state": "failed"});
    told(&admin(&gate, patch(&format!("{work}/double/1")).json(failed.clone())), 200);
    let all = told(&admin(&gate, get(format!("{work}/double/listMapped?order_by=map_index"))), 200);
    let states: Vec<&str> =
        all["task_instances"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["success", "failed", "success"]);
    assert_ne!(
        admin(&gate, patch(&format!("{work}/double")).json(failed)).status,
        200,
        "no task without an index"
    );

    // One that has the state already is there all the same.
    let same = told(&admin(&gate, patch(&format!("{work}/make")).json(json!({"new_state": "success"}))), 200);
    assert_eq!((&same["task_id"], &same["dag_run_id"]), (&json!("make"), &json!("fx_work_1")));
    let cleared = |body: Value| admin(&gate, post("/api/v1/dags/fx_work/clearTaskInstances").json(body));
    // Unless told otherwise, those that have failed: which do not run.
    told(&cleared(json!({"only_running": true})), 400);
    let zones = json!({"only_failed": false, "start_date": "2024-02-01T02:00:00+02:00", "end_date": "2024-02-01T00:00:00Z"});
    assert_eq!(told(&cleared(zones), 200)["task_instances"].as_array().unwrap().len(), 8);

    let clear =
        json!({"dry_run": false, "dag_run_id": "fx_fail_1", "task_ids": ["boom"], "only_failed": true});
    told(&admin(&gate, post("/api/v1/dags/fx_fail/clearTaskInstances").json(clear)), 200);
    let run = told(&admin(&gate, get("/api/v1/dags/fx_fail/dagRuns/fx_fail_1")), 200);
    assert_eq!(run["state"], "failed");
}

/// Trap 2: a run may have no date in Airflow 3, and always had one in Airflow 2.
#[test]
fn a_run_without_a_date_has_one() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let run = json!({"dag_run_id": "dateless", "logical_date": null});
    told(&admin(&gate, post("/api/v2/dags/fx_w_runs/dagRuns").json(run)), 200);
    let today = told(&admin(&gate, get("/api/v2/dags/fx_w_runs/dagRuns/dateless")), 200);
    assert_eq!(today["logical_date"], Value::Null);
    let run_after = today["run_after"].as_str().unwrap().replace('Z', "+00:00");
    for path in [
        "/api/v1/dags/fx_w_runs/dagRuns/dateless",
        "/api/v1/dags/fx_w_runs/dagRuns/dateless/taskInstances/one",
    ] {
        let then = told(&admin(&gate, get(path)), 200);
        assert_eq!(then["execution_date"], run_after.as_str(), "{path}");
    }
    // A filter by date does not find it: it has none.
    let filtered = "/api/v1/dags/fx_w_runs/dagRuns?execution_date_gte=2000-01-01T00:00:00Z&limit=100";
    let found = told(&admin(&gate, get(filtered)), 200);
    assert!(!found["dag_runs"].as_array().unwrap().iter().any(|run| run["dag_run_id"] == "dateless"));
}

/// What a test has added to a file, until it ends.
struct Grown {
    path: std::path::PathBuf,
    length: u64,
}

impl Grown {
    fn by(path: std::path::PathBuf, lines: impl Iterator<Item = String>) -> Self {
        let length = std::fs::metadata(&path).unwrap().len();
        let mut file = std::io::BufWriter::new(std::fs::File::options().append(true).open(&path).unwrap());
        lines.for_each(|line| writeln!(file, "{line}").unwrap());
        Self { path, length }
    }
}

impl Drop for Grown {
    fn drop(&mut self) {
        let file = std::fs::File::options().write(true).open(&self.path).unwrap();
        file.set_len(self.length).unwrap();
    }
}

/// Trap 4: a log comes whole in either form, however long it is, and no more of it is held than a part.
#[test]
fn a_long_log_comes_whole() {
    const LINES: usize = 9_000;
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let path = "/api/v1/dags/fx_work/dagRuns/fx_work_1/taskInstances/say/logs/1";
    let asked = |form: &str| {
        let answer = admin(&gate, get(path).with("Accept", form));
        assert_eq!((answer.status, answer.header("x-airgate-translated").is_some()), (200, true));
        answer
    };
    let short = asked("text/plain").text();
    asked("application/json");
    let before = gate.allocated();
    let file = "logs/dag_id=fx_work/run_id=fx_work_1/task_id=say/attempt=1.log";
    let _grown = Grown::by(
        airflow.home.join(file),
        (0..LINES).map(|line| {
            let event = format!("line {line} isn't \"short\": {}", "x".repeat(2000));
            json!({"timestamp": "2026-01-01T00:00:00Z", "level": "info", "logger": "t", "event": event})
                .to_string()
        }),
    );
    let text = asked("text/plain").text();
    assert!(
        text.len() > 17 << 20 && text.contains("[2026-01-01T00:00:00.000+0000] {t} INFO - line 8999 isn't")
    );
    assert_eq!(text.lines().count(), short.lines().count() + LINES);
    let answer = asked("application/json").json();
    // As Python prints a list of a pair of texts, of which the second is the log.
    let printed = answer["content"].as_str().unwrap();
    let printed = printed.strip_prefix("[('', '").and_then(|rest| rest.strip_suffix("')]")).unwrap();
    assert_eq!(printed.replace("\\n", "\n").replace("\\'", "'"), text);
    assert_eq!(answer["continuation_token"], "airgate-end-of-log");
    let grown = gate.allocated().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more");
}

/// Airflow has no limit of a run's `conf`. Ours is far above what fits into a log-in.
#[test]
fn a_large_conf_goes_through() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let trigger = |id: &str, size: usize| {
        let conf = json!({"text": "x".repeat(size), "big": 0.1});
        let run = json!({"dag_run_id": id, "conf": conf});
        (admin(&gate, post("/api/v1/dags/fx_w_runs/dagRuns").json(run)), conf)
    };
    let (made, conf) = trigger("large", 3 << 20);
    assert!(told(&made, 200)["conf"] == conf);
    let run = told(&admin(&gate, get("/api/v1/dags/fx_w_runs/dagRuns/large")), 200);
    assert!(run["conf"] == conf && run["dag_run_id"] == "large");
    let (refused, _) = trigger("larger", 4 << 20);
    assert_eq!((refused.status, refused.header("content-type")), (413, Some("application/problem+json")));
    assert_eq!(admin(&gate, get("/api/v1/dags/fx_w_runs/dagRuns/larger")).status, 404);
}

/// Trap 3: what Airflow 3 shows in place of a secret is not written over it.
#[test]
fn a_masked_secret_is_not_written_back() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let secret = json!({"key": "db_password", "value": "s3cret", "description": "d"});
    told(&admin(&gate, post("/api/v1/variables").json(secret)), 200);
    let read = told(&admin(&gate, get("/api/v1/variables/db_password")), 200);
    assert_eq!(read["value"], "***");
    for request in [
        patch("/api/v1/variables/db_password").json(read.clone()),
        patch("/api/v1/variables/db_password?update_mask=value").json(read.clone()),
        post("/api/v1/variables").json(read.clone()),
    ] {
        let refused = admin(&gate, request);
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.detail().contains("***"), "{}", refused.text());
    }
    // What is not the value can be changed.
    let described = json!({"key": "db_password", "value": "***", "description": "new"});
    let changed = patch("/api/v1/variables/db_password?update_mask=description").json(described);
    assert_eq!(told(&admin(&gate, changed), 200)["description"], "new");
    // Of a value that is JSON its texts are masked.
    let nested = [
        ("a_password", r#""s3cret""#, r#""***""#, r#""***""#),
        (
            "an_object",
            r#"{"password":"s3cret","n":1}"#,
            r#"{"password": "***", "n": 1}"#,
            r#"{"password":"***","n":2}"#,
        ),
        ("a_secret", r#"["s3cret", "b"]"#, r#"["***", "***"]"#, r#"["c", "\u002a**"]"#),
    ];
    for (key, value, shown, written) in nested {
        told(&admin(&gate, post("/api/v1/variables").json(json!({"key": key, "value": value}))), 200);
        let path = format!("/api/v1/variables/{key}");
        assert_eq!(told(&admin(&gate, get(&path)), 200)["value"], shown, "{key}");
        for value in [shown, written] {
            let body = json!({"key": key, "value": value});
            for request in [patch(&path).json(body.clone()), post("/api/v1/variables").json(body)] {
                let refused = admin(&gate, request);
                assert_eq!((refused.status, refused.detail().contains("***")), (400, true), "{key}");
            }
        }
    }
    assert_eq!(stored(&airflow, VARIABLE, "db_password"), "s3cret");
    for (key, value, ..) in nested {
        assert_eq!(stored(&airflow, VARIABLE, key), value);
    }
}

const VARIABLE: &str = "select val from variable where key=?";
const EXTRA: &str = "select extra from connection where conn_id=?";

/// What Airflow 3's own database has: the one value of a row.
fn stored(airflow: &Airflow, select: &str, key: &str) -> String {
    let script = "import sqlite3,sys; print(*sqlite3.connect(sys.argv[1]).execute(*sys.argv[2:3], sys.argv[3:]).fetchone())";
    let mut python = std::process::Command::new(airflow::python());
    let database = airflow.home.join("airflow.db");
    let output = python.args(["-c", script]).arg(database).args([select, key]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Trap 3: Airflow 3 masks a secret that it knows within any text, and keeps none of those when they are written back.
#[test]
fn a_mask_within_a_text_is_not_written_back() {
    const SECRET: &str = "a-long-secret";
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let extra = format!(r#"{{"uri": "pg://u:{SECRET}@h", "plain": "{SECRET}", "password": "another"}}"#);
    let connection =
        json!({"connection_id": "masked", "conn_type": "http", "password": SECRET, "extra": extra});
    told(&admin(&gate, post("/api/v1/connections").json(connection)), 200);
    let uri = format!("pg://u:{SECRET}@h/ü");
    told(&admin(&gate, post("/api/v1/variables").json(json!({"key": "a_uri", "value": uri}))), 200);

    let variable = told(&admin(&gate, get("/api/v1/variables/a_uri")), 200);
    assert_eq!(variable["value"], "pg://u:***@h/ü");
    let variable = json!({"key": "a_uri", "value": variable["value"]});
    let connection = told(&admin(&gate, get("/api/v1/connections/masked")), 200);
    let shown = connection["extra"].as_str().unwrap();
    assert_eq!(shown, r#"{"uri": "pg://u:***@h", "plain": "***", "password": "***"}"#);
    let change = |query: &str, body: Value| patch(&format!("/api/v1/connections/masked{query}")).json(body);
    for (name, request, of) in [
        ("a variable", patch("/api/v1/variables/a_uri").json(variable.clone()), "value"),
        ("a variable made again", post("/api/v1/variables").json(variable), "value"),
        ("a connection", change("", connection.clone()), "extra"),
        ("by its mask", change("?update_mask=host,extra", json!({"host": "h", "extra": shown})), "extra"),
        ("escaped", change("", json!({"extra": r#"{"plain":"\u002a\u002A*"}"#})), "extra"),
        ("in a host", change("", json!({"host": "u:***@h"})), "host"),
        (
            "in a new one",
            post("/api/v1/connections").json(json!({
                "connection_id": "masked_too", "conn_type": "http", "extra": shown,
            })),
            "extra",
        ),
    ] {
        let refused = admin(&gate, request);
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
        assert!(refused.detail().starts_with(&format!("'{of}' has *** in it")), "{name}: {}", refused.text());
    }
    // What is not masked can be changed.
    let other = told(&admin(&gate, change("?update_mask=host", connection.clone())), 200);
    assert_eq!((&other["host"], &other["extra"]), (&Value::Null, &json!(shown)));
    assert_eq!(stored(&airflow, VARIABLE, "a_uri"), uri);
    let kept: Value = serde_json::from_str(&stored(&airflow, EXTRA, "masked")).unwrap();
    assert_eq!(kept, serde_json::from_str::<Value>(&extra).unwrap());
    assert_eq!(admin(&gate, get("/api/v1/connections/masked_too")).status, 404);
}

/// Trap 5: an URI in the path is one value, and goes into a query.
#[test]
fn an_uri_in_the_path_is_one_value() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    for (uri, expected) in [
        ("s3%3A%2F%2Ffx%2Fone", Some("s3://fx/one")),
        ("s3%3A%2F%2Ffx%2Ftwo%20words", Some("s3://fx/two words")),
        // Patterns for Airflow 3, and no URIs.
        ("s3%3A%2F%2Ffx%2F%25", None),
        ("s3%3A%2F%2Ffx%2Fon_", None),
        ("%25", None),
        ("~", None),
        ("S3%3A%2F%2FFX%2FONE", None),
        ("s3%3A%2F%2Ffx%2Fone%7Cs3%3A%2F%2Ffx%2Ftwo%20words", None),
    ] {
        let answer = admin(&gate, get(format!("/api/v1/datasets/{uri}")));
        match expected {
            Some(expected) => assert_eq!(told(&answer, 200)["uri"], expected),
            None => assert_eq!(answer.status, 404, "{uri}: {}", answer.text()),
        }
    }
    assert_eq!(admin(&gate, delete("/api/v1/datasets/queuedEvent/%25")).status, 404);
    assert_eq!(
        told(&admin(&gate, get("/api/v1/dags/fx_both/datasets/queuedEvent")), 200)["total_entries"],
        1
    );
}

/// Trap 9: a token that Airflow 2 made leads nowhere, and nobody is asked for it.
#[test]
fn a_file_token_of_airflow_2_leads_nowhere() {
    let upstream = Upstream::start();
    let gate = recording(&upstream);
    let token = "Ii9vcHQvZGFncy9hLnB5Ig.sRnCd1rVn1sVbTCYPnyLjQ0S1fU";
    for request in
        [get(format!("/api/v1/dagSources/{token}")), ask("PUT", format!("/api/v1/parseDagFile/{token}"))]
    {
        let answer = gate.send(request.bearer("a.b.c"));
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")));
    }
    assert!(upstream.seen().is_empty());
}

/// Trap 6: the gate's own answers have the form of the API that is asked.
#[test]
fn refusals_of_the_gate_are_problems() {
    let upstream = Upstream::start();
    let gate = recording(&upstream);
    for (name, request, status) in [
        ("no credential", get("/api/v1/pools"), 401),
        ("bad credential", get("/api/v1/pools").with("Authorization", "Basic !!!"), 401),
        ("no operation", get("/api/v1/nope").bearer("a.b.c"), 404),
        ("no method", delete("/api/v1/pools").bearer("a.b.c"), 405),
        ("unknown key", get("/api/v1/pools?nope=1").bearer("a.b.c"), 400),
        ("ambiguous target", get("/api/v1/./pools").bearer("a.b.c"), 400),
        ("another one", get("//api/v1/pools%zz").bearer("a.b.c"), 400),
    ] {
        let answer = gate.send(request);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        assert_eq!(answer.json()["status"], status, "{name}");
    }
}

/// Trap 7: numbers, order and dates in what users keep stay as they are written.
#[test]
fn what_users_keep_stays_as_it_is_written() {
    const CONF: &str = r#"{"z": 12345678901234567890123, "a": 1.50, "d": "2024-01-01T00:00:00Z", "e":1E5}"#;
    let upstream = Upstream::answering(|seen| match seen.target.as_str() {
        "/api/v2/version" => answer(200, &[], r#"{"version":"3.3.2"}"#),
        target if target.starts_with("/api/v2/variables/") => answer(
            200,
            &[],
            r#"{"key":"k","value":"2024-01-01T00:00:00Z","description":"d\u00fc","is_encrypted":false}"#,
        ),
        target if target.starts_with("/api/v2/assets/events") => answer(
            200,
            &[],
            &format!(
                r#"{{"asset_events":[{{"id":1,"asset_id":2,"uri":"u","extra":{CONF},"timestamp":"2024-01-01T00:00:00Z","created_dagruns":[]}}],"total_entries":1}}"#
            ),
        ),
        _ => answer(404, &[], "{}"),
    });
    let gate = recording(&upstream);
    let variable = gate.send(get("/api/v1/variables/k").bearer("a.b.c"));
    assert_eq!(variable.text(), r#"{"key":"k","value":"2024-01-01T00:00:00Z","description":"d\u00fc"}"#);
    let events = gate.send(get("/api/v1/datasets/events").bearer("a.b.c")).text();
    assert!(events.contains(&format!("\"extra\":{CONF}")), "{events}");
    assert!(events.contains(r#""timestamp":"2024-01-01T00:00:00+00:00""#), "{events}");
}

/// Trap 7: but the value of a variable that is JSON, which Airflow 3 writes anew for each answer.
#[test]
fn a_variable_in_json_is_as_airflow_3_writes_it() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    for (key, value, shown) in [
        ("of_json", r#"{"b":1.50,"a":"ü"}"#, r#"{"b": 1.5, "a": "\u00fc"}"#),
        ("of_text", "1.50 ü, 2024-01-01T00:00:00Z", "1.50 ü, 2024-01-01T00:00:00Z"),
    ] {
        let variable = json!({"key": key, "value": value});
        assert_eq!(told(&admin(&gate, post("/api/v1/variables").json(variable)), 200)["value"], value);
        assert_eq!(told(&admin(&gate, get(format!("/api/v1/variables/{key}"))), 200)["value"], shown);
    }
}

/// What Airflow 3 always tells is not told as none where it cannot be read.
#[test]
fn what_cannot_be_read_is_not_none() {
    let upstream = Upstream::answering(|seen| match seen.target.split('?').next().unwrap() {
        "/api/v2/version" => answer(200, &[], r#"{"version":"3.3.2"}"#),
        "/api/v2/assets" => answer(
            200,
            &[],
            r#"{"assets":[{"id":1,"uri":"u","scheduled_dags":{},"producing_tasks":[],"aliases":[]}],"total_entries":1}"#,
        ),
        "/api/v2/dagSources/d" => answer(200, &[], r#"{"dag_id":"d"}"#),
        _ => answer(200, &[], r#"{"total_entries":0}"#),
    });
    let gate = recording(&upstream);
    for path in ["datasets", "datasets/u", "dagSources/t~ZA", "dags/d/dagRuns/r/taskInstances/t/links"] {
        let answer =
            gate.send(get(format!("/api/v1/{path}")).bearer("a.b.c").with("Accept", "application/json"));
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        let detail = answer.detail();
        assert!(detail.starts_with("Airflow's answer cannot be translated: "), "{path}: {detail}");
    }
    let line = gate.access("\"status\":502");
    assert_eq!(line["refused"], "upstream_odd", "{line}");
}

/// Airflow 3.0 tells of an XCom no time from which its run may run: where the run has no date, it is asked for it.
#[test]
fn an_xcom_of_airflow_3_0_has_a_date() {
    let entry = |run: &str, date: Value| {
        json!({"key": "k", "timestamp": "2026-01-02T00:00:00Z", "logical_date": date, "map_index": -1, "task_id": "t",
            "dag_id": "d", "run_id": run, "value": {"a": 1.50}})
    };
    let upstream = Upstream::answering(move |seen| match seen.target.split('?').next().unwrap() {
        "/api/v2/dags/d/dagRuns/~/taskInstances/t/xcomEntries" => {
            let entries = [
                entry("dated", json!("2026-01-01T00:00:00Z")),
                entry("not", Value::Null),
                entry("not", Value::Null),
            ];
            answer(200, &[], &json!({"xcom_entries": entries, "total_entries": 3}).to_string())
        }
        "/api/v2/dags/d/dagRuns/not/taskInstances/t/xcomEntries/k" => {
            answer(200, &[], &entry("not", Value::Null).to_string())
        }
        "/api/v2/dags/d/dagRuns/not" => answer(200, &[], r#"{"run_after":"2026-01-03T00:00:00Z"}"#),
        _ => answer(404, &[], "{}"),
    });
    let gate = recording(&upstream);
    let send =
        |path: &str| told(&gate.send(get(format!("/api/v1/dags/d/dagRuns/{path}")).bearer("a.b.c")), 200);
    let one = send("not/taskInstances/t/xcomEntries/k");
    assert_eq!(
        (&one["execution_date"], &one["value"]),
        (&json!("2026-01-03T00:00:00+00:00"), &json!({"a": 1.5}))
    );
    upstream.forget();
    let page = send("~/taskInstances/t/xcomEntries");
    let dates: Vec<_> = page["xcom_entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["execution_date"].as_str().unwrap())
        .collect();
    assert_eq!(
        dates,
        ["2026-01-01T00:00:00+00:00", "2026-01-03T00:00:00+00:00", "2026-01-03T00:00:00+00:00"]
    );
    assert_eq!(page["total_entries"], 3);
    assert_eq!(upstream.seen().len(), 2, "each run is asked once");
}

/// The rest of a page is told where a run of it is not: gone with its entries, or not to be read by who may read XComs.
#[test]
fn an_xcom_of_airflow_3_0_whose_run_is_not_told() {
    const RUNS: &str = "/api/v1/dags/d/dagRuns";
    let known = "2026-01-03T00:00:00+00:00";
    for (name, status, expected, one) in [
        ("gone", 404, vec![json!(["known", known])], 404),
        ("not to be read", 403, vec![json!(["asked", null]), json!(["known", known])], 200),
    ] {
        let entry = |run: &str| {
            json!({"key": run, "timestamp": "2026-01-02T00:00:00Z", "logical_date": null, "map_index": -1, "task_id": "t",
                "dag_id": "d", "run_id": run, "value": "v"})
        };
        let upstream = Upstream::answering(move |seen| match seen.target.split('?').next().unwrap() {
            "/api/v2/dags/d/dagRuns/~/taskInstances/t/xcomEntries" => {
                let page = json!({"xcom_entries": [entry("asked"), entry("known")], "total_entries": 2});
                answer(200, &[], &page.to_string())
            }
            "/api/v2/dags/d/dagRuns/asked/taskInstances/t/xcomEntries/k" => {
                answer(200, &[], &entry("asked").to_string())
            }
            "/api/v2/dags/d/dagRuns/known" => answer(200, &[], r#"{"run_after":"2026-01-03T00:00:00Z"}"#),
            _ => answer(status, &[], r#"{"detail":"no"}"#),
        });
        let gate = recording(&upstream);
        let send = |path: &str| gate.send(get(format!("{RUNS}/{path}")).bearer("a.b.c"));
        let page = told(&send("~/taskInstances/t/xcomEntries"), 200);
        let entries = page["xcom_entries"].as_array().unwrap();
        let dates: Vec<_> = entries.iter().map(|one| json!([one["key"], one["execution_date"]])).collect();
        assert_eq!((&dates, &page["total_entries"]), (&expected, &json!(expected.len())), "{name}");
        let value = send("asked/taskInstances/t/xcomEntries/k");
        assert_eq!(value.status, one, "{name}: {}", value.text());
    }
}

/// Actions, each once, whichever FAB tells them: the newer one with the resources that they are for, page by page.
#[test]
fn permissions_are_actions() {
    let names: Vec<String> = (0..250).map(|pair| format!("can_{}", pair % 7)).collect();
    for (name, newer, calls) in [("FAB 3", true, 4), ("FAB 2, of Airflow 3.0", false, 2)] {
        let names: Vec<String> = if newer { names.clone() } else { names[..7].to_vec() };
        let upstream = Upstream::answering(move |seen| {
            let number = |name: &str| -> usize {
                let value = seen.target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name));
                value.map_or(0, |value| value.parse().unwrap())
            };
            let page = names.iter().skip(number("offset=")).take(number("limit="));
            let pair = |name: &String| json!({"action": {"name": name}, "resource": {"name": "DAGs"}});
            let told: Vec<_> =
                page.map(|name| if newer { pair(name) } else { json!({"name": name}) }).collect();
            answer(200, &[], &json!({"actions": told, "total_entries": names.len()}).to_string())
        });
        let gate = recording(&upstream);
        for (query, expected) in
            [("", 0..7), ("?limit=3", 0..3), ("?limit=2&offset=6", 6..7), ("?offset=9", 0..0)]
        {
            upstream.forget();
            let page = told(&gate.send(get(format!("/api/v1/permissions{query}")).bearer("a.b.c")), 200);
            let actions: Vec<_> = expected.map(|number| json!({"name": format!("can_{number}")})).collect();
            assert_eq!(page, json!({"actions": actions, "total_entries": 7}), "{name}{query}");
            assert_eq!(upstream.seen().len(), calls, "{name}{query}");
        }
    }
}

/// FAB 2, which Airflow 3.0 has, tells failures as Airflow 2 did: they are told, and not taken for an Airflow without FAB.
#[test]
fn failures_of_fab_2_are_told() {
    let upstream = Upstream::answering(|_| {
        let problem = json!({"detail": "Role with name 'r' was not found", "status": 404, "title": "Role not found", "type": "x"});
        answer(404, &[("content-type", "application/problem+json")], &problem.to_string())
    });
    let gate = recording(&upstream);
    let missing = told(&gate.send(get("/api/v1/roles/r").bearer("a.b.c")), 404);
    assert_eq!(
        (&missing["title"], &missing["detail"]),
        (&json!("Role not found"), &json!("Role with name 'r' was not found"))
    );
}

/// The same actions as Airflow 2's, whose order is none.
#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn permissions_are_those_of_airflow_2() {
    let airflow = airflow::v1_options();
    let gate = gate(airflow);
    let names = |answer: Answer| {
        let answer = told(&answer, 200);
        let actions = answer["actions"].as_array().unwrap();
        assert_eq!(answer["total_entries"], actions.len());
        let mut names: Vec<_> =
            actions.iter().map(|action| action["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        assert!(names.len() >= 5, "{answer}");
        names
    };
    let asked = || get("/api/v1/permissions").basic("admin", "admin-pw");
    let then = asked().send(airflow::airflow_2_v1().address());
    assert_eq!(names(gate.send(asked())), names(then));
    let page = told(&admin(&gate, get("/api/v1/permissions?limit=2&offset=1")), 200);
    assert_eq!((page["actions"].as_array().unwrap().len(), &page["total_entries"]), (2, &json!(5)), "{page}");
}

/// Trap 8: whatever the upstream sends, and however it packs it.
#[test]
fn an_answer_without_end_is_given_up() {
    let upstream = Upstream::by_hand(|seen, wire| {
        let stream = wire.get_mut();
        if seen.target == "/api/v2/version" {
            let _ = stream.write_all(&answer(200, &[], r#"{"version":"3.3.2"}"#));
            return;
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        // A gigabyte, unless the other end closes.
        for _ in 0..16_384 {
            if stream.write_all(chunk.as_bytes()).is_err() {
                return;
            }
        }
    });
    let gate = recording(&upstream);
    let before = gate.allocated();
    let answer = gate.send(get("/api/v1/pools").bearer("a.b.c"));
    assert_eq!(answer.status, 502, "{}", answer.text());
    let grown = gate.allocated().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

/// Trap 8: what is asked for is bounded, and so is the number of calls for it.
#[test]
fn calls_are_few_and_pages_small() {
    let upstream = Upstream::answering(|seen| match seen.target.split('?').next().unwrap() {
        "/api/v2/version" => answer(200, &[], r#"{"version":"3.3.2"}"#),
        "/api/v2/assets" => {
            let asset = r#"{"id":1,"uri":"another","scheduled_dags":[],"producing_tasks":[],"aliases":[]}"#;
            answer(200, &[], &format!("{{\"assets\":[{asset}],\"total_entries\":1000000}}"))
        }
        "/api/v2/providers" => answer(
            200,
            &[],
            r#"{"providers":[{"package_name":"p","description":"d","version":"v"}],"total_entries":1000000}"#,
        ),
        _ => answer(404, &[], "{}"),
    });
    let gate = recording(&upstream);
    for path in ["/api/v1/datasets/wanted", "/api/v1/providers"] {
        let before = upstream.seen().len();
        let answer = gate.send(get(path).bearer("a.b.c"));
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let calls = &upstream.seen()[before..];
        assert!(calls.len() <= 33, "{path}: {} calls", calls.len());
        for call in calls.iter().filter(|call| call.target != "/api/v2/version") {
            assert!(call.target.contains("limit=100"), "{}", call.target);
        }
    }
}

/// What is not FAB's has no users and roles: Airflow 2 says so, and Airflow 3 answers with the page of its user interface.
#[test]
fn users_and_roles_need_fab() {
    let airflow = airflow::simple();
    let gate = Airgate::before(&airflow.url, "");
    for request in [
        get("/api/v1/roles"),
        get("/api/v1/users/admin"),
        post("/api/v1/roles").json(json!({"name": "r", "actions": []})),
        delete("/api/v1/users/admin"),
        get("/api/v1/permissions"),
    ] {
        let answer = admin(&gate, request);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(
            answer.json()["detail"],
            "This endpoint is only available when using the default auth manager FabAuthManager."
        );
    }
}

/// Airflow 2 adds actions to a role. Airflow 3 replaces them, which would take rights away from people.
#[test]
fn a_role_keeps_its_actions() {
    let airflow = airflow::v1();
    let gate = gate(&airflow);
    let action =
        |action: &str, resource: &str| json!({"action": {"name": action}, "resource": {"name": resource}});
    let made =
        json!({"name": "keeper", "actions": [action("can_read", "DAGs"), action("can_edit", "Pools")]});
    told(&admin(&gate, post("/api/v1/roles").json(made)), 200);
    let more =
        json!({"name": "keeper", "actions": [action("can_read", "Pools"), action("can_read", "DAGs")]});
    told(&admin(&gate, patch("/api/v1/roles/keeper").json(more)), 200);
    let role = told(&admin(&gate, get("/api/v1/roles/keeper")), 200);
    assert_eq!(role["actions"].as_array().unwrap().len(), 3, "{role}");
    // However many they are, within what a body may have.
    let again = vec![action("can_read", "Pools"); 4_000];
    let many = json!({"name": "keeper", "actions": again});
    assert!(many.to_string().len() > 3 * (64 << 10));
    let role = told(&admin(&gate, patch("/api/v1/roles/keeper").json(many)), 200);
    assert_eq!(role["actions"].as_array().unwrap().len(), 3, "{role}");
    let endless = json!({"name": "keeper", "actions": vec![json!({}); 20_001]});
    told(&admin(&gate, patch("/api/v1/roles/keeper").json(endless)), 400);
}
