//! The experimental API of Airflow 2, in front of a real Airflow 3.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::goldens::parity::{self, Tally};
use crate::goldens::reason::Reason;
use crate::support::airflow::{self, Airflow};
use crate::support::client::ask;
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Upstream, delete, get, post, token};

const EXPERIMENTAL: &str = "[api]\nenable_experimental_api = true\n";

fn before(airflow: &Airflow) -> Airgate {
    Airgate::before(&airflow.url, &format!("auth_manager = \"fab\"\n{EXPERIMENTAL}"))
}

/// The same with a page of one.
fn before_small(airflow: &Airflow) -> Airgate {
    let settings = format!("auth_manager = \"fab\"\n{EXPERIMENTAL}maximum_page_limit = 1\n");
    Airgate::before(&airflow.url, &settings)
}

fn send(gate: &Airgate, ask: Ask) -> Answer {
    gate.send(ask.basic("admin", "admin-pw"))
}

/// What Airflow 2 answered, and what of it is otherwise here.
struct Recorded(Value);

impl Recorded {
    fn all() -> Vec<Self> {
        let path = format!("{}/tests/goldens/af2.jsonl", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().map(|line| Self(serde_json::from_str(line).unwrap()));
        rows.filter(|row| row.0["variant"] == "default" && row.name().starts_with("experimental.")).collect()
    }

    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    fn send(&self, gate: &Airgate) -> Answer {
        let request = &self.0["request"];
        let mut ask = ask(request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        for header in request["headers"].as_array().unwrap() {
            ask = ask.with(header[0].as_str().unwrap(), header[1].as_str().unwrap());
        }
        if let Some(body) = request["body"].as_str() {
            ask = ask.body(body);
        }
        gate.send(ask)
    }
}

/// Takes out what Airflow 3 does not tell, or tells otherwise: ids, and where the page of a run is.
fn compared(mut body: Value) -> Value {
    let mut all = vec![&mut body];
    while let Some(value) = all.pop() {
        match value {
            Value::Object(object) => {
                object.remove("id");
                object.remove("dag_run_url");
                all.extend(object.values_mut());
            }
            Value::Array(list) => all.extend(list),
            _ => {}
        }
    }
    body
}

/// What is otherwise here on purpose, but for ids and addresses.
fn reason(name: &str) -> Option<Reason> {
    match name {
        "info" | "code" | "lineage" | "task" | "latest-runs" => Some(Reason::Translated),
        "pools" | "dag-runs" => Some(Reason::Clamped),
        // Airflow 2 has a page for people, a text, or the other API's form.
        "pool-create-invalid-json" | "trigger-empty-body" | "bad-basic.test" | "method-not-allowed" => {
            Some(Reason::ExperimentalError)
        }
        "bearer.test" => Some(Reason::WholeChain),
        "unauth.code" | "unauth.pause" => Some(Reason::PublicRole),
        "viewer.pool-create" | "viewer.pool-delete" => Some(Reason::Rights),
        _ => None,
    }
}

/// Whether an answer is what it is to be for the reason.
fn fits(name: &str, answer: &Answer, recorded: &Value) -> bool {
    let body = || compared(answer.json());
    let refused = |status| answer.status == status && answer.json()["error"].is_string();
    match name {
        "info" => answer.status == 200 && body()["version"].as_str().unwrap().starts_with("3."),
        // The file is another, and no page to a browser.
        "code" => {
            answer.status == 200
                && answer.header("content-type") == Some("text/plain; charset=utf-8")
                && answer.text().contains("EmptyOperator(task_id=\"one\")")
        }
        "lineage" => refused(404),
        // Of the attributes of a task those that Airflow 3 tells.
        "task" => {
            let body = answer.json();
            let task = body.as_object().unwrap();
            answer.status == 200
                && task.len() >= 20
                && task.iter().all(|(name, said)| *said == recorded["body"][name] || name == "weight_rule")
        }
        // Other DAGs have run, too.
        "latest-runs" => {
            let expected = compared(recorded["body"].clone())["items"][0].clone();
            answer.status == 200 && body()["items"].as_array().unwrap().contains(&expected)
        }
        // The Airflow behind has a maximum of 5, which Airflow 2 does not look at here. Of runs the latest.
        "pools" | "dag-runs" => {
            let (listed, recorded) = (body(), compared(recorded["body"].clone()));
            let (listed, recorded) = (listed.as_array().unwrap(), recorded.as_array().unwrap());
            let from = if name == "pools" { 0 } else { recorded.len() - listed.len() };
            answer.status == 200
                && listed.len() == 5
                && answer.header("x-airgate-page-limit").is_some()
                && recorded[from..from + 5] == listed[..]
        }
        "pool-create-invalid-json" | "trigger-empty-body" => refused(400),
        "bad-basic.test" | "unauth.code" | "unauth.pause" => refused(401),
        "bearer.test" => answer.told() == (200, r#"{"status":"OK"}"#.into()),
        "viewer.pool-create" => refused(403),
        // It was not made.
        "viewer.pool-delete" => refused(404),
        "method-not-allowed" => refused(405),
        _ => false,
    }
}

#[test]
fn as_airflow_2_answered() {
    let airflow = airflow::v1();
    let gate = before(&airflow);
    let (mut equal, mut not_replayable, mut wrong) = (0, 0, Vec::new());
    let mut on_purpose: BTreeMap<Reason, usize> = BTreeMap::new();
    for row in Recorded::all() {
        let name = row.name().trim_start_matches("experimental.");
        // The run that they delete was made by a request that is not recorded.
        if row.0["replayable"] != true || name == "delete-run-v1" {
            not_replayable += 1;
            continue;
        }
        let answer = row.send(&gate);
        let response = &row.0["response"];
        let is_status = response["status"] == u64::from(answer.status);
        let verdict = match reason(name) {
            Some(reason) => fits(name, &answer, response).then_some(Some(reason)),
            None if !is_status => None,
            None if response["body"].is_null() => answer.body.is_empty().then_some(None),
            None if answer.json() == response["body"] => Some(None),
            None => {
                let same = compared(answer.json()) == compared(response["body"].clone());
                same.then_some(Some(Reason::Translated))
            }
        };
        let says = answer.header("deprecation") == Some("true")
            && answer.header("link").is_some_and(|link| link.contains("rel=\"deprecation\""));
        match verdict.filter(|_| says) {
            Some(None) => equal += 1,
            Some(Some(reason)) => *on_purpose.entry(reason).or_default() += 1,
            None => {
                wrong.push(format!("{name}: {response}\n   airgate: {} {}", answer.status, answer.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let tally = Tally { equal, on_purpose, wrong: 0, not_replayable };
    parity::hold("Airflow 3, the experimental API", "af2 default", &["experimental"], &tally);
}

/// A run without `logical_date`, which Airflow 2 did not have, is where its date puts it.
#[test]
fn a_run_without_a_logical_date_is_the_latest() {
    let airflow = airflow::v1();
    let (gate, small) = (before(&airflow), before_small(&airflow));
    let of = "/api/v2/dags/fx_fail/dagRuns";
    let made = send(&gate, post(of).json(json!({"dag_run_id": "undated", "logical_date": null})));
    assert_eq!((made.status, &made.json()["logical_date"]), (200, &Value::Null), "{}", made.text());
    for (name, gate) in [("the usual page", &gate), ("a page of one", &small)] {
        let runs = send(gate, get("/api/experimental/dags/fx_fail/dag_runs")).json();
        let runs = runs.as_array().unwrap();
        assert_eq!(runs.last().unwrap()["run_id"], "undated", "{name}: {runs:?}");
        let dates: Vec<_> = runs.iter().map(|run| run["execution_date"].as_str().unwrap()).collect();
        assert!(dates.is_sorted(), "{name}: {dates:?}");
        let latest = send(gate, get("/api/experimental/latest_runs")).json();
        let items = latest["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["dag_id"] == "fx_fail").unwrap();
        assert_eq!(item["dag_run_url"], "/dags/fx_fail/runs/undated", "{name}: {items:?}");
        assert_eq!(item["execution_date"], runs.last().unwrap()["execution_date"], "{name}");
    }
    assert_eq!(send(&gate, delete(format!("{of}/undated"))).status, 204);
}

/// By its date, as in Airflow 2, though another one may have been made after it and be due later.
#[test]
fn the_latest_run_has_the_latest_date() {
    let airflow = airflow::v1();
    let (gate, small) = (before(&airflow), before_small(&airflow));
    let latest = |gate: &Airgate| {
        let latest = send(gate, get("/api/experimental/latest_runs")).json();
        let items = latest["items"].as_array().unwrap();
        let ids: Vec<_> = items.iter().map(|item| item["dag_id"].as_str().unwrap()).collect();
        assert!(ids.is_sorted() && ids.len() >= 4, "each DAG once, in order: {ids:?}");
        items.iter().find(|item| item["dag_id"] == "fx_dag_01").unwrap()["dag_run_url"].clone()
    };
    let before = [latest(&gate), latest(&small)];
    assert_eq!(before, ["/dags/fx_dag_01/runs/fx_run_08", "/dags/fx_dag_01/runs/fx_run_08"]);
    let run = json!({"run_id": "of_long_ago", "execution_date": "2020-01-01T00:00:00Z"});
    let made = send(&gate, post("/api/experimental/dags/fx_dag_01/dag_runs").json(run));
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!([latest(&gate), latest(&small)], before);
}

/// With `conf`, `run_id` and `execution_date`, and what is left of them in Airflow 3.
#[test]
fn a_run_is_triggered_and_read_again() {
    let airflow = airflow::v1();
    let gate = before(&airflow);
    let send = |ask: crate::support::Ask| gate.send(ask.basic("admin", "admin-pw"));
    let body = json!({
        "run_id": "exp+1", "conf": {"big": 12_345_678_901_234_567_890_u64, "d": "2024-01-01T00:00:00Z"},
        "execution_date": "2024-03-01 01:02:03.456+02:00",
    });
    let triggered = send(post("/api/experimental/dags/fx_dag_02/dag_runs").body(body.to_string()));
    assert_eq!(triggered.status, 200, "{}", triggered.text());
    assert_eq!(triggered.json()["execution_date"], "2024-02-29T23:02:03.456000+00:00");
    assert_eq!(triggered.json()["run_id"], "exp+1");
    let message = triggered.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with(
            "Created <DagRun fx_dag_02 @ 2024-02-29 23:02:03.456000+00:00: exp+1, state:queued, "
        ),
        "{message}"
    );

    let state = send(get("/api/experimental/dags/fx_dag_02/dag_runs/2024-02-29T23:02:03.456"));
    assert_eq!(state.told(), (200, r#"{"state":"queued"}"#.into()));
    let instance = send(get("/api/experimental/dags/fx_dag_02/dag_runs/2024-02-29T23:02:03.456Z/tasks/one"));
    assert_eq!((instance.status, &instance.json()["run_id"]), (200, &json!("exp+1")));
    assert_eq!(instance.json()["state"], "None");
    let run = send(get("/api/v1/dags/fx_dag_02/dagRuns/exp%2B1"));
    assert_eq!(run.json()["conf"], body["conf"]);

    let again = send(post("/api/experimental/dags/fx_dag_02/dag_runs").body(body.to_string()));
    assert_eq!(again.status, 400);
    assert!(
        again.json()["error"].as_str().unwrap().starts_with("A DAG Run already exists for DAG fx_dag_02 at ")
    );
    let none = send(get("/api/experimental/dags/fx_dag_02/dag_runs/2030-01-01"));
    assert_eq!(none.json()["error"], "Dag Run for date 2030-01-01 00:00:00+00:00 not found in dag fx_dag_02");
    let bad = send(get("/api/experimental/dags/fx_dag_02/dag_runs/yesterday"));
    assert_eq!(bad.status, 400);

    let runs = send(get("/api/experimental/dags/fx_dag_01/dag_runs"));
    assert_eq!(runs.json().as_array().unwrap().len(), 5);
    assert_eq!(runs.json()[4]["dag_run_url"], "/dags/fx_dag_01/runs/fx_run_08");
    assert_eq!(send(get("/api/experimental/dags/fx_dag_01/dag_runs?state=failed")).json(), json!([]));
    assert_eq!(send(get("/api/experimental/dags/fx_dag_01/dag_runs?state=nope")).status, 400);
    assert_eq!(send(delete("/api/experimental/dags/fx_dag_08")).json()["count"], Value::Null);
    assert_eq!(
        send(delete("/api/experimental/dags/fx_dag_08")).told(),
        (404, r#"{"error":"Dag id fx_dag_08 not found"}"#.into())
    );
    assert_eq!(send(get("/api/experimental/dags/fx_dag_08/paused")).status, 404);
    gate.counts("airgate_translations_total{operation=\"DELETE /api/v2/dags/{dag_id}\"}", 2.0);
    let line = gate.access("\"translated\":\"POST /api/v2/dags/{dag_id}/dagRuns\"");
    assert_eq!(line["route"], "/api/experimental/dags/{dag_id}/dag_runs");
    // Under the route that was asked for, with its method, and not under Airflow 3's.
    for (method, route, status, count) in [
        ("POST", "/api/experimental/dags/{dag_id}/dag_runs", 200, 1.0),
        ("POST", "/api/experimental/dags/{dag_id}/dag_runs", 400, 1.0),
        ("GET", "/api/experimental/dags/{dag_id}/dag_runs", 200, 2.0),
        ("DELETE", "/api/experimental/dags/{dag_id}", 404, 1.0),
    ] {
        gate.counts(
            &format!(
                "airgate_requests_total{{backend=\"basic_auth\",method=\"{method}\",route=\"{route}\",\
                 status=\"{status}\"}}"
            ),
            count,
        );
    }
    assert!(!gate.admin("/metrics").text().contains("route=\"/api/v2/dags"), "no call of ours is a request");
}

/// Nobody in particular is somebody on this API alone, with the rights that Airflow gives to that user.
#[test]
fn who_has_no_credential() {
    let airflow = airflow::simple();
    let with = |backends: &str| {
        let config = airflow.config();
        Airgate::before(
            &airflow.url,
            &format!(
                "[gate]\nairflow_cfg = \"{}\"\n{EXPERIMENTAL}auth_backends = {backends}\n",
                config.display()
            ),
        )
    };
    let gate = with("\"basic_auth, jwt, airflow.api.auth.backend.default\"\nanonymous_user = \"viewer\"");
    let pool = post("/api/experimental/pools").body(r#"{"name":"nobodys","slots":1,"description":""}"#);
    for (name, ask, status) in [
        ("reads", get("/api/experimental/pools"), 200),
        ("changes", pool.clone(), 403),
        ("the API of Airflow 2", get("/api/v1/pools"), 401),
        ("the API of Airflow 3", get("/api/v2/pools"), 401),
        ("a wrong password", get("/api/experimental/pools").basic("admin", "wrong"), 401),
    ] {
        let answer = gate.send(ask);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    assert_eq!(gate.access("\"user\":\"anonymous:viewer\"")["route"], "/api/experimental/pools");
    let gate = with("\"jwt, airflow.api.auth.backend.default\"\nanonymous_user = \"admin\"");
    // To what they are: other tests read them at the same time.
    let paused = "/api/experimental/dags/fx_dag_03/paused";
    let is_paused = gate.send(get(paused)).json()["is_paused"].as_bool().unwrap();
    let pause = get(format!("{paused}/{is_paused}"));
    let made =
        post("/api/experimental/pools").body(r#"{"name":"fx_pool_01","slots":1,"description":"fixture"}"#);
    // To send nothing is what a browser does for any page.
    for (name, header, status) in [
        ("a foreign page", Some(("Origin", "https://evil.example")), 403),
        ("a page without an origin", Some(("Origin", "null")), 403),
        ("a foreign page, without Origin", Some(("Sec-Fetch-Site", "cross-site")), 403),
        ("another host of ours, without Origin", Some(("Sec-Fetch-Site", "same-site")), 403),
        ("no browser", None, 200),
    ] {
        for (what, ask, status) in [
            ("pauses", pause.clone(), status),
            ("makes a pool", made.clone(), status),
            ("reads", get(paused), 200),
        ] {
            let answer = gate.send(header.iter().fold(ask, |ask, (name, value)| ask.with(name, value)));
            assert_eq!(answer.status, status, "{name} {what}: {}", answer.text());
        }
    }
    let gate = with("\"jwt, airflow.api.auth.backend.deny_all\"");
    for ask in
        [get("/api/experimental/test"), get("/api/experimental/pools").basic("admin", "admin-pw"), pool]
    {
        assert_eq!(gate.send(ask).told(), (403, r#"{"error":"Forbidden"}"#.into()));
    }
}

/// A viewer of Airflow 3's is one here.
#[test]
fn rights_are_those_of_airflow_3() {
    let airflow = airflow::v1();
    let gate = before(&airflow);
    let body = r#"{"name":"viewer_pool","slots":1,"description":""}"#;
    let refused = gate.send(post("/api/experimental/pools").basic("viewer", "viewer-pw").body(body));
    assert_eq!((refused.status, refused.header("deprecation")), (403, Some("true")), "{}", refused.text());
    let paused = gate.send(get("/api/experimental/dags/fx_dag_03/paused/false").basic("viewer", "viewer-pw"));
    assert_eq!(paused.status, 403);
    assert_eq!(gate.send(get("/api/experimental/test")).status, 401);
}

#[test]
#[ignore = "needs Airflow 2's own packages: make test-all"]
fn airflow_2s_own_client() {
    let airflow = airflow::v1();
    let gate = before(&airflow);
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(airflow::python_of_airflow_2())
        .arg(format!("{}/tests/clients/json_client.py", env!("CARGO_MANIFEST_DIR")))
        .args([&gate.url(), "admin", "admin-pw", "fx_dag_02", "fx_dag_08"])
        .env("AIRFLOW_HOME", home.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<(String, Value)> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |name: &str| {
        &said.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name}: {text}")).1
    };
    let begins = |name: &str, start: &str| {
        let text = of(name)["error"].as_str().or(of(name).as_str()).unwrap_or_default().to_owned();
        assert!(text.starts_with(start), "{name}: {text}");
    };
    begins("trigger", "Created <DagRun fx_dag_02 @ 2031-05-01 00:00:00+00:00: json_client, state:queued");
    begins(
        "trigger again",
        "A DAG Run already exists for DAG fx_dag_02 at 2031-05-01 00:00:00+00:00 with run id json_client",
    );
    begins("trigger nothing", "Dag id no_such_dag not found in DagModel");
    begins("trigger now", "Created <DagRun fx_dag_02 @ ");
    begins("get_pool of none", "Pool 'json_client' doesn't exist");
    begins("delete_dag", "Removed the DAG fx_dag_08");
    begins("delete_dag again", "Dag id fx_dag_08 not found");
    begins("lineage", "Airflow 3 does not keep lineage");
    for (name, expected) in [
        ("state", json!({"state": "queued"})),
        ("runs", json!(["json_client_now", "json_client"])),
        ("latest", json!(["fx_dag_02"])),
        ("code", json!(true)),
        ("task", json!("one")),
        ("instance", json!("json_client")),
        ("pause", json!({"response": "ok"})),
        ("paused", json!({"is_paused": false})),
        ("create_pool", json!(["json_client", 3, "made", false])),
        ("create_pool again", json!(["json_client", 4, "changed", false])),
        ("get_pool", json!(["json_client", 4, "changed"])),
        ("get_pools", json!([["default_pool", 128, "Default pool"]])),
        ("delete_pool", json!(["json_client", 4, "changed"])),
    ] {
        assert_eq!(of(name), &expected, "{name}");
    }
}

/// A page that is smaller than what Airflow 2 would have answered says so.
#[test]
fn translated_lists_are_clamped() {
    let upstream = Upstream::answering(|seen| {
        let rows = if seen.target.contains("limit=2") { 2 } else { 9 };
        let pools: Vec<_> = (0..rows).map(|at| json!({"name": format!("p{at}"), "slots": 1})).collect();
        let runs: Vec<_> =
            (0..rows).map(|at| json!({"dag_run_id": format!("r{at}"), "dag_id": "d"})).collect();
        let body = json!({ "pools": pools, "dag_runs": runs, "total_entries": 9 });
        answer(200, &[("content-type", "application/json")], &body.to_string())
    });
    let gate = Airgate::before(
        &upstream.url(),
        &format!(
            "identity = \"passthrough\"\n[api_auth]\njwt_secret = \"{}\"\n{EXPERIMENTAL}maximum_page_limit = 2\n",
            token::SECRET
        ),
    );
    for path in ["pools", "pools?limit=1000", "dags/d/dag_runs", "dags/d/dag_runs?limit=1000&page_limit=9"] {
        let answer = gate.send(get(format!("/api/experimental/{path}")).bearer(&token::good("admin")));
        assert_eq!(answer.json().as_array().map(Vec::len), Some(2), "{path}: {}", answer.text());
        assert_eq!(answer.header("x-airgate-page-limit"), Some("2"), "{path}");
    }
}

/// `GET …/paused/true` changes something, whatever its method says.
#[test]
fn a_foreign_page_cannot_have_a_browser_pause_a_dag() {
    let airflow = airflow::fab();
    let gate = before(airflow);
    let pause = get("/api/experimental/dags/fx_dag_03/paused/true").basic("admin", "admin-pw");
    let foreign = gate.send(pause.with("Origin", "https://evil.example"));
    assert_eq!(foreign.status, 403);
    assert_eq!(foreign.json()["error"], "A change that another site asks for needs a Bearer token");
    let read = get("/api/experimental/dags/fx_dag_03/paused").basic("admin", "admin-pw");
    assert_eq!(gate.send(read.with("Origin", "https://evil.example")).status, 200);
}
