//! The APIs of Airflow 2 in front of a real Airflow 3.

use serde_json::json;

use crate::support::{Airgate, airflow, get};

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
