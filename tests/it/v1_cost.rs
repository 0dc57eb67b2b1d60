//! What a translated list costs beside the one that it is made of.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Airgate, airflow, get, post};

/// Runs made for it, of four task instances each.
const RUNS: usize = 34;
/// How often each list is asked for, in turns.
const TURNS: usize = 60;

/// At most 15 % more than the call to Airflow, for a page of 100 task instances.
#[test]
#[ignore = "measures, and needs another configuration: make test-all"]
fn a_page_of_a_hundred_task_instances() {
    let airflow = airflow::v1_options();
    let gate = Airgate::before(
        &airflow.url,
        &format!("auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\n", airflow.config().display()),
    );
    let token =
        gate.send(post("/auth/token").json(json!({"username": "admin", "password": "admin-pw"}))).token();
    for run in 0..RUNS {
        let run = json!({"dag_run_id": format!("page_{run}"), "logical_date": format!("2024-06-01T00:{run:02}:00Z")});
        let made = gate.send(post("/api/v2/dags/fx_w_batch/dagRuns").bearer(&token).json(run));
        assert!(matches!(made.status, 200 | 409), "{}", made.text());
    }
    let path = "dags/fx_w_batch/dagRuns/~/taskInstances?limit=100";
    let paths = [format!("/api/v2/{path}"), format!("/api/v1/{path}")];
    let timed = |path: &str| {
        let begun = Instant::now();
        let answer = gate.send(get(path).bearer(&token));
        let time = begun.elapsed();
        let count = answer.json()["task_instances"].as_array().map_or(0, Vec::len);
        assert_eq!((answer.status, count), (200, 100), "{path}: {}", answer.text());
        time
    };
    // Both at about the same time, and each first as often as the other: whatever else the machine does, it does to both.
    let mut turns: Vec<[Duration; 2]> = (0..TURNS)
        .map(|turn| {
            let [first, second] = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
            let mut times = [Duration::ZERO; 2];
            times[first] = timed(&paths[first]);
            times[second] = timed(&paths[second]);
            times
        })
        .collect();
    let ratio = |[today, then]: &[Duration; 2]| then.as_secs_f64() / today.as_secs_f64();
    turns.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let median = turns[TURNS / 2];
    let [today, then] = median;
    eprintln!(
        "100 task instances: {today:?} from /api/v2, {then:?} from /api/v1, {:.3} times",
        ratio(&median)
    );
    // A release takes no more than Airflow's own times vary by (0.97 measured); what is not optimised reads and writes the
    // same 100 kB in 10 to 15 ms.
    let most = if cfg!(debug_assertions) { 1.5 } else { 1.15 };
    assert!(ratio(&median) <= most, "{then:?} rather than {today:?}");
}
