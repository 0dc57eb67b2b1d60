//! Airflow 2's official client for Python, unchanged, and every operation that it has: in front of Airflow 3 it gets what it
//! got from Airflow 2.11, but for what `v1-client.toml` names.
//!
//! `tests/goldens/af2-v1-client.json` is what `tests/clients/airflow_2.py` got from a real Airflow 2.11 with the same data.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::compare::{compare, today};
use super::deviations::Deviations;
use crate::support::Airgate;
use crate::support::airflow::{self, Airflow};

/// The Python that has the client.
fn python() -> PathBuf {
    std::env::var("AIRGATE_TEST_CLIENT_2_PYTHON").map_or_else(
        |_| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/airflow/venv.sh");
            let output = Command::new(script).arg("client2").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().into()
        },
        PathBuf::from,
    )
}

fn run(host: &str, airflow: &Airflow) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/airflow_2.py");
    let output =
        Command::new(python()).arg(script).arg(format!("{host}/api/v1")).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&today(&String::from_utf8_lossy(&output.stdout), airflow)).unwrap()
}

#[test]
fn the_official_client_gets_what_it_got() {
    let airflow = airflow::v1();
    let gate = Airgate::before(
        &airflow.url,
        &format!("auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\n", airflow.config().display()),
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/af2-v1-client.json");
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let got = run(&gate.url(), &airflow);
    let mut deviations = Deviations::read("v1-client.toml");
    let (recorded, got) = (recorded.as_object().unwrap(), got.as_object().unwrap());
    assert!(recorded.keys().eq(got.keys()), "not the same calls");
    let mut wrong = Vec::new();
    for (call, recorded) in recorded {
        let got = &got[call];
        let mut found = Vec::new();
        let volatile = volatile(recorded, &mut String::new());
        let volatile: Vec<&str> = volatile.iter().map(String::as_str).collect();
        compare(recorded, got, &mut String::new(), &volatile, &mut found);
        let status = got["error"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or(200);
        if let Err(left) = deviations.explain(call, (status, &got.to_string()), &found) {
            wrong.push(format!("{call}: {left}\n      Airflow 2: {recorded}\n      airgate:   {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), recorded.len(), wrong.join("\n"));
    deviations.assert_all_used(recorded.keys().map(String::as_str));
}

/// Pointers to what differs by nature: the times of the recording (the data's are of 2024), and what counts or measures.
fn volatile(recorded: &Value, at: &mut String) -> Vec<String> {
    const COUNTS: [&str; 5] = ["duration", "pid", "login_count", "fail_login_count", "value"];
    let length = at.len();
    let mut found = Vec::new();
    match recorded {
        Value::Object(object) => {
            for (key, value) in object {
                at.push('/');
                at.push_str(key);
                found.extend(volatile(value, at));
                at.truncate(length);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                at.push('/');
                at.push_str(&index.to_string());
                found.extend(volatile(value, at));
                at.truncate(length);
            }
        }
        Value::String(text) if text.starts_with("2026-") => found.push(at.clone()),
        Value::Number(_) if COUNTS.contains(&at.rsplit('/').next().unwrap_or_default()) => {
            found.push(at.clone())
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
    found
}

/// The recording is what a real Airflow 2.11 answers today, with the same data: each call, and whatever is in its answer.
#[test]
#[ignore = "needs Airflow 2, so Python 3.11 or 3.12: make test"]
fn the_recording_is_what_airflow_2_answers() {
    let airflow = airflow::airflow_2_v1();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/af2-v1-client.json");
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let got = run(&airflow.url, airflow);
    let (recorded, got) = (recorded.as_object().unwrap(), got.as_object().unwrap());
    assert!(recorded.keys().eq(got.keys()), "not the same calls");
    let mut wrong = Vec::new();
    for (call, recorded) in recorded {
        let mut volatile = volatile(recorded, &mut String::new());
        // How much of the log there is, signed.
        volatile.extend(recorded.get("continuation_token").map(|_| "/continuation_token".to_owned()));
        let volatile: Vec<&str> = volatile.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        let sorted = [recorded, &got[call]].map(with_sorted_lists);
        compare(&sorted[0], &sorted[1], &mut String::new(), &volatile, &mut found);
        if !found.is_empty() {
            wrong.push(format!(
                "{call}: {found:?}\n      recorded: {recorded}\n      today:    {}",
                got[call]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), recorded.len(), wrong.join("\n"));
}

/// Airflow 2 tells these in an order that is another in each process, or each database.
fn with_sorted_lists(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| {
                let mut value = with_sorted_lists(value);
                match (&mut value, name.as_str()) {
                    (Value::Array(list), "tags" | "actions") => list.sort_by_key(Value::to_string),
                    (Value::Array(list), "task_instances") => {
                        list.sort_by_key(|one| {
                            ["dag_run_id", "task_id", "map_index"].map(|name| one[name].to_string())
                        });
                    }
                    (Value::Array(list), "dags") if list.iter().all(|dag| dag.get("stats").is_some()) => {
                        list.sort_by_key(|dag| dag["dag_id"].to_string());
                    }
                    _ => {}
                }
                (name.clone(), value)
            })
            .collect(),
        Value::Array(list) => list.iter().map(with_sorted_lists).collect(),
        other => other.clone(),
    }
}
