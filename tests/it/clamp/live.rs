//! No recorded request for a page gets more than the maximum from a real Airflow, whatever Airflow itself allows.

use serde_json::json;

use crate::goldens::row::Row;
use crate::support::{Airgate, airflow, get, post};

/// Less than what the Airflows of the tests allow: nobody but airgate lowers anything to it.
const MAXIMUM: usize = 2;

fn limits() -> String {
    format!("maximum_page_limit = {MAXIMUM}\nfallback_page_limit = 1\n")
}

/// Sends every request for a page. `unpaged` are those of endpoints that have no pages, `refused` those that airgate
/// refuses and Airflow answered.
#[track_caller]
fn compare(gate: &Airgate, file: &str, unpaged: &[&str], refused: &[&str]) {
    let (mut asked, mut full, mut larger, mut lost) = (0, 0, Vec::new(), Vec::new());
    for row in Row::read(file, "default", &["limit", "batch"]) {
        let answer = row.ask(gate.address()).unwrap_or_else(|error| panic!("{}: {error}", row.name()));
        asked += 1;
        let Some(items) = row.items(&answer) else {
            assert_ne!(answer.status, 200, "{}: {}", row.name(), answer.text());
            if row.status() == 200 {
                lost.push(row.name().to_owned());
            }
            continue;
        };
        full += usize::from(items == MAXIMUM);
        if items > MAXIMUM {
            larger.push(row.name().to_owned());
        }
    }
    assert_eq!(larger, unpaged, "{file}");
    assert_eq!(lost, refused, "{file}");
    assert!(asked > 150 && full > 60, "{file}: {full} full pages of {asked}");
}

fn before_simple() -> Airgate {
    let airflow = airflow::simple();
    let config = format!(
        "[gate]\nairflow_cfg = \"{}\"\nother_routes = \"ui\"\n[basic]\nsources = [\"file\"]\n[lockout]\nattempts = 0\n\
         [api]\nenable_experimental_api = true\n{}",
        airflow.config().display(),
        limits()
    );
    Airgate::before(&airflow.url, &config)
}

#[test]
fn the_simple_auth_manager() {
    compare(&before_simple(), "af3-simple.jsonl", &[], &[]);
}

#[test]
fn fab() {
    let airflow = airflow::fab();
    let config = format!(
        "auth_manager = \"fab\"\n[gate]\nother_routes = \"ui\"\n[lockout]\nattempts = 0\n[api]\n{}",
        limits()
    );
    compare(&Airgate::before(&airflow.url, &config), "af3-fab.jsonl", &[], &[]);
}

/// Runs to each DAG of the user interface's list: 10 in Airflow where nothing is said, and without a maximum.
#[test]
fn runs_to_each_dag() {
    let gate = before_simple();
    let token =
        gate.send(post("/auth/token").json(json!({"username": "admin", "password": "admin-pw"}))).token();
    for query in [
        "",
        "?dag_runs_limit=1000",
        "?dag_runs_limit=-1",
        "?dag_runs_limit=%31000",
        "?dag_runs_limit=1&dag_runs_limit=1000",
    ] {
        let answer = gate.send(get(format!("/ui/dags{query}")).bearer(&token));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let body = answer.json();
        let dags = body["dags"].as_array().unwrap();
        let most = dags.iter().map(|dag| dag["latest_dag_runs"].as_array().unwrap().len()).max();
        assert_eq!(most, Some(MAXIMUM), "{query}");
        assert!(dags.len() <= MAXIMUM, "{query}");
    }
}

/// Lists of Airflow 2's APIs, translated.
#[test]
fn translated_lists() {
    let gate = before_simple();
    for path in ["/api/experimental/pools", "/api/v1/pools?limit=1000"] {
        let answer = gate.send(get(path).basic("admin", "admin-pw"));
        let body = answer.json();
        let pools = body.as_array().or_else(|| body["pools"].as_array()).map(Vec::len);
        assert_eq!((answer.status, pools), (200, Some(MAXIMUM)), "{path}: {}", answer.text());
        assert_eq!(answer.header("x-airgate-page-limit"), Some("2"), "{path}");
    }
}

/// `{"page_limit":1000}`, compressed.
const GZIP: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 72, 76, 79, 141, 207, 201, 204, 205, 44, 81, 178, 50, 52,
    48, 48, 168, 5, 0, 48, 174, 183, 226, 19, 0, 0, 0,
];

/// Types that airgate leaves to Airflow to refuse are indeed refused, or the page is clamped.
#[test]
fn bodies_of_other_types() {
    let gate = before_simple();
    let plain = br#"{"page_limit":1000}"#.as_slice();
    let list = |path: &str| post(format!("/api/v2/dags/~/{path}/list")).basic("admin", "admin-pw");
    let mut clamped = 0;
    for path in ["dagRuns", "dagRuns/~/taskInstances"] {
        for (content_type, body) in [
            (Some("application/json"), plain),
            (Some("application/JSON; charset=utf-8"), plain),
            (Some("text/plain"), plain),
            (Some("text/json"), plain),
            (Some("application/x-json"), plain),
            (Some("application/ld+json"), plain),
            (Some("application/json, text/plain"), plain),
            (Some("text/plain, application/json"), plain),
            (Some("application/octet-stream"), plain),
            (Some("application/x-www-form-urlencoded"), plain),
            (Some("multipart/form-data; boundary=x"), plain),
            (Some(""), plain),
            (None, plain),
            (Some("application/json"), GZIP),
        ] {
            let typed =
                content_type.into_iter().fold(list(path), |ask, value| ask.with("Content-Type", value));
            let typed = if body == GZIP { typed.with("Content-Encoding", "gzip") } else { typed };
            let answer = gate.send(typed.body(body));
            let at = format!("{path}, {content_type:?}: {} {}", answer.status, answer.text());
            if answer.status == 200 {
                let body = answer.json();
                let mut lists = body.as_object().unwrap().values().filter_map(|value| value.as_array());
                assert!(lists.all(|list| list.len() <= MAXIMUM), "{at}");
                assert_eq!(answer.header("x-airgate-page-limit"), Some("2"), "{at}");
                clamped += 1;
            } else {
                assert!((400..500).contains(&answer.status), "{at}");
            }
        }
    }
    assert!(clamped >= 4, "{clamped}");
}

/// Airflow 2 lists its providers whole, whatever `limit` says: there is no page to be made smaller.
const PROVIDERS: &[&str] = &[
    "limit.providers.none",
    "limit.providers.1",
    "limit.providers.6",
    "limit.providers.1000",
    "limit.providers.int64-max-plus-1",
    "limit.providers.10-to-20",
    "limit.providers.dup-1-1000",
    "limit.providers.dup-1000-1",
];

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn airflow_2() {
    let airflow = airflow::airflow_2();
    let config = format!("airflow = 2\n[lockout]\nattempts = 0\n[api]\n{}", limits());
    compare(&Airgate::before(&airflow.url, &config), "af2.jsonl", PROVIDERS, &[]);
}
