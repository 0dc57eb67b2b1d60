//! The APIs of Airflow 2 in front of a real Airflow 3.

use std::io::{Read, Write};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use serde_json::json;

use crate::support::upstream::answer;
use crate::support::{Airgate, Connection, Upstream, airflow, get, token};

fn gate(config: &str) -> Airgate {
    Airgate::before(&airflow::fab().url, &format!("auth_manager = \"fab\"\n{config}"))
}

/// The sample of Airflow's documentation of API authentication, with its `ENDPOINT_URL` that ends with a slash.
#[test]
fn the_sample_of_the_documentation_works() {
    let gate = gate("");
    let answer = gate.send(get("//api/v1/pools?limit=1").basic("admin", "admin-pw"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-airgate-translated"), Some("GET /api/v2/pools"));
    let pool = json!({
        "name": "default_pool", "slots": 128, "occupied_slots": 0, "running_slots": 0, "queued_slots": 0,
        "scheduled_slots": 0, "open_slots": 128, "deferred_slots": 0, "description": "Default pool",
        "include_deferred": false,
    });
    assert_eq!(answer.json()["pools"], json!([pool]));
    assert!(answer.json()["total_entries"].as_u64().unwrap() >= 1);

    let line = gate.access("\"translated\":\"GET /api/v2/pools\"");
    assert_eq!(line["route"], "/api/v1/pools");
    gate.counts("airgate_translations_total{operation=\"GET /api/v2/pools\"}", 1.0);

    let refused = gate.send(get("/api/v1/pools?nope=1").basic("admin", "admin-pw"));
    assert_eq!((refused.status, refused.header("content-type")), (400, Some("application/problem+json")));
    assert_eq!(refused.json()["detail"], "Extra query parameter(s) nope not in spec");
    assert_eq!(refused.header("x-airgate-translated"), Some("GET /api/v2/pools"));
    assert_eq!(gate.send(get("/api/v1/pools")).status, 401);
    let large = gate.send(get("/api/v1/pools?limit=1000").basic("admin", "admin-pw"));
    assert_eq!(large.header("x-airgate-page-limit"), Some("100"));
}

#[test]
fn the_experimental_api_answers_where_it_is_enabled() {
    let gate = gate("[api]\nenable_experimental_api = true\n");
    let answer = gate.send(get("/api/experimental/test").basic("admin", "admin-pw"));
    assert_eq!(answer.told(), (200, r#"{"status":"OK"}"#.into()));
    assert_eq!(answer.header("deprecation"), Some("true"));
    let missing = gate.send(get("/api/experimental/pools/nope").basic("admin", "admin-pw"));
    assert_eq!(missing.told(), (404, r#"{"error":"Pool 'nope' doesn't exist"}"#.into()));
    let unknown = gate.send(get("/api/experimental/nope").basic("admin", "admin-pw"));
    assert_eq!((unknown.status, unknown.header("deprecation")), (404, Some("true")));
}

/// Where it is not enabled, both the client, in the form that it reads errors in, and the log are told what enables it.
#[test]
fn the_experimental_api_says_what_enables_it() {
    let upstream = Upstream::start();
    let off = Airgate::before(&upstream.url(), "");
    let answer = off.send(get("/api/experimental/test").with("X-Request-ID", "off"));
    let error =
        "The experimental API is not enabled. Set [api] enable_experimental_api = true to have it answered";
    assert_eq!(answer.told(), (404, format!(r#"{{"error":"{error}"}}"#)));
    assert_eq!(answer.header("deprecation"), Some("true"));
    let line = off.access("\"off\"");
    assert_eq!([&line["refused"], &line["cause"]], ["no_route", "[api] enable_experimental_api is false"]);
    assert!(upstream.seen().is_empty());
    let other = off.send(get("/api/experimentally"));
    assert!(other.json()["detail"].as_str().unwrap().contains("other_routes"), "{}", other.text());

    let forwarding = Airgate::before(&upstream.url(), "[gate]\nother_routes = \"ui\"\n");
    assert_eq!(forwarding.send(get("/api/experimental/test")).status, 200);
}

fn made_up(upstream: &Upstream) -> Airgate {
    Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{}\"\n", token::SECRET))
}

#[test]
fn a_client_that_leaves_ends_the_work_for_it() {
    let (gone, noticed) = mpsc::channel();
    let upstream = Upstream::by_hand(move |_, wire| {
        let _ = gone.send(wire.read(&mut [0]).is_ok_and(|n| n == 0));
    });
    let gate = made_up(&upstream);
    let mut connection = Connection::open(gate.address()).unwrap();
    connection.write(&get("/api/v1/pools").bearer(&token::good("admin")).bytes(gate.address())).unwrap();
    upstream.wait_for(1);
    drop(connection);
    noticed.recv_timeout(Duration::from_secs(20)).expect("the connection to Airflow is closed");
    let line = gate.access("client_gone");
    assert!(line.get("status").is_none(), "{line}");
}

/// As many DAGs as cannot be asked one by one, of which all but one have no run with a date: pages alone say which run is
/// the latest, whether they hold all runs with a date or only the last ones.
#[test]
fn dags_whose_runs_have_no_date_need_not_be_asked_one_by_one() {
    for (name, dated) in [("all", 1), ("the last ones", 500)] {
        let upstream = Upstream::answering(move |seen| {
            let (ids, other) = ((0..30).map(|n| format!("d{n}")).collect::<Vec<_>>(), "x".to_owned());
            let run = |dag: &str, date: serde_json::Value, after: &str| {
                json!({
                    "dag_id": dag, "dag_run_id": "r", "logical_date": date, "run_after": after,
                    "start_date": null, "state": "success",
                })
            };
            let told = if seen.target.starts_with("/api/v2/dagStats") {
                let stats = [json!({ "state": "success", "count": 1 })];
                let dags = ids.iter().chain([&other]);
                json!({
                    "dags": dags.map(|id| json!({ "dag_id": id, "stats": stats })).collect::<Vec<_>>(),
                    "total_entries": 31,
                })
            } else if seen.target.contains("order_by=-run_after") {
                let undated = |id: &String| run(id, json!(null), "2024-01-01T00:00:00Z");
                json!({ "dag_runs": ids.iter().map(undated).collect::<Vec<_>>(), "total_entries": 600 })
            } else {
                let date = "2023-01-01T00:00:00Z";
                json!({ "dag_runs": [run("x", json!(date), date)], "total_entries": dated })
            };
            answer(200, &[], &told.to_string())
        });
        let config = format!(
            "[api_auth]\njwt_secret = \"{}\"\n[api]\nenable_experimental_api = true\n",
            token::SECRET
        );
        let gate = Airgate::before(&upstream.url(), &config);
        let latest = gate.send(get("/api/experimental/latest_runs").bearer(&token::good("admin")));
        assert_eq!(latest.status, 200, "{name}: {}", latest.text());
        assert_eq!(latest.json()["items"].as_array().unwrap().len(), 31, "{name}");
        assert_eq!(upstream.seen().len(), 3, "{name}");
    }
}

/// Line by line, while it is written; and its end is no end where Airflow broke off.
#[test]
fn a_log_streams() {
    const EVENT: &str = "{\"timestamp\":\"2024-01-01T00:00:00Z\",\"event\":\"hello\",\"level\":\"info\"}\n";
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::by_hand(move |seen, wire| {
        assert_eq!(seen.header("accept"), Some("application/x-ndjson"));
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("{:x}\r\n{EVENT}\r\n", EVENT.len());
        wire.get_mut().write_all(format!("{head}{chunk}").as_bytes()).unwrap();
        let ends = wait.lock().unwrap().recv_timeout(Duration::from_secs(20)).is_ok();
        let rest = if seen.target.contains("map_index=1") { "0\r\n\r\n" } else { "" };
        wire.get_mut().write_all(format!("{chunk}{rest}").as_bytes()).unwrap();
        assert!(ends);
    });
    let gate = made_up(&upstream);
    for (index, whole) in [(1, true), (2, false)] {
        let mut connection = Connection::open(gate.address()).unwrap();
        let path = format!("/api/v1/dags/d/dagRuns/r/taskInstances/t/logs/1?map_index={index}");
        let ask = get(path).bearer(&token::good("admin")).with("Accept", "text/plain");
        connection.write(&ask.bytes(gate.address())).unwrap();
        while !connection.line().is_empty() {}
        assert_eq!(connection.line().to_ascii_lowercase(), "2c", "{index}");
        assert_eq!(
            connection.line(),
            "[2024-01-01T00:00:00.000+0000] INFO - hello",
            "the first line is here"
        );
        go.send(()).unwrap();
        let rest = String::from_utf8(connection.rest_of_answers()).unwrap();
        assert_eq!(rest.ends_with("0\r\n\r\n"), whole, "{index}: {rest:?}");
    }
}

/// Whatever Airflow sends, no more of it is held than a page may have.
#[test]
fn an_answer_without_end_is_given_up() {
    let upstream = Upstream::by_hand(|_, wire| {
        let _ = wire
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"pools\":[");
        let part = vec![b' '; 1 << 20];
        while wire.get_mut().write_all(&part).is_ok() {}
    });
    let gate = made_up(&upstream);
    let answer = gate.send(get("/api/v1/pools").bearer(&token::good("admin")));
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("application/problem+json")));
    assert!(gate.memory() < 400 << 20);
}

/// Nothing of the client's request goes to Airflow but who it is and what it asks for.
#[test]
fn airflow_is_told_what_it_needs() {
    let upstream = Upstream::answering(|_| {
        answer(200, &[("set-cookie", "_token=x"), ("server", "secret")], r#"{"pools":[],"total_entries":0}"#)
    });
    let gate = made_up(&upstream);
    let bearer = token::good("admin");
    let ask = get("/api/v1/pools?limit=3")
        .bearer(&bearer)
        .with("Cookie", "_token=other; session=x; a=b")
        .with("X-Forwarded-For", "192.0.2.1")
        .with("X-Auth-User", "root")
        .with("Accept-Encoding", "gzip")
        .with("Range", "bytes=0-1")
        .with("X-Request-ID", "one");
    let answered = gate.send(ask);
    assert_eq!(answered.told(), (200, r#"{"pools":[],"total_entries":0}"#.into()));
    assert_eq!((answered.header("set-cookie"), answered.header("server")), (None, None));
    assert_eq!(answered.header("x-request-id"), Some("one"));
    let seen = upstream.only();
    assert_eq!(seen.target, "/api/v2/pools?limit=3");
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {bearer}")));
    assert_eq!((seen.header("accept"), seen.header("x-request-id")), (Some("application/json"), Some("one")));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    for name in ["cookie", "x-auth-user", "accept-encoding", "range"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

/// What Airflow 3 would leave out of account, and answer with 200.
#[test]
fn no_filter_is_lost() {
    let upstream =
        Upstream::answering(|_| answer(200, &[], r#"{"dags":[],"dag_runs":[],"total_entries":0}"#));
    let gate = made_up(&upstream);
    let send = |path: &str| gate.send(get(path).bearer(&token::good("admin")));
    for (path, sent) in [
        ("dags?tags=a,b&only_active=False", "dags?limit=100&tags=a&tags=b&exclude_stale=false"),
        (
            "dags/d/dagRuns?execution_date_gte=2024-01-01T00:00:00Z&limit=0",
            "dags/d/dagRuns?limit=50&logical_date_gte=2024-01-01T00%3A00%3A00Z",
        ),
        ("dags/d/dagRuns?order_by=-execution_date", "dags/d/dagRuns?limit=100&order_by=-logical_date"),
    ] {
        upstream.forget();
        assert_eq!(send(&format!("/api/v1/{path}")).status, 200, "{path}");
        assert_eq!(upstream.only().target, format!("/api/v2/{sent}"), "{path}");
    }
    for path in [
        "dags?nope=1",
        "dags/d/dagRuns?logical_date_gte=2024-01-01T00:00:00Z",
        "dags?limit=-1",
        "dags?paused=1",
    ] {
        upstream.forget();
        assert_eq!(send(&format!("/api/v1/{path}")).status, 400, "{path}");
        assert!(upstream.seen().is_empty(), "{path}");
    }
    let off = Airgate::before(
        &upstream.url(),
        &format!("[api]\nenable_stable_v1 = false\n[api_auth]\njwt_secret = \"{}\"\n", token::SECRET),
    );
    upstream.forget();
    let answer = off.send(get("/api/v1/dags?nope=1").bearer(&token::good("admin")));
    assert_eq!((answer.status, answer.header("x-airgate-translated")), (200, None));
    assert!(upstream.only().target.starts_with("/api/v1/dags?"));
}
