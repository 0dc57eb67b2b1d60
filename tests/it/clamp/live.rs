//! No recorded request for a page gets more than the maximum from a real Airflow, whatever Airflow itself allows.

use crate::goldens::row::Row;
use crate::support::{Airgate, airflow};

/// Less than what the Airflows of the tests allow: nobody but airgate lowers anything to it.
const MAXIMUM: usize = 2;

fn limits() -> String {
    format!("maximum_page_limit = {MAXIMUM}\nfallback_page_limit = 1\n")
}

/// Sends every request for a page. `unpaged` are those of endpoints that have no pages.
#[track_caller]
fn compare(gate: &Airgate, file: &str, unpaged: &[&str]) {
    let (mut asked, mut full, mut larger) = (0, 0, Vec::new());
    for row in Row::read(file, "default", &["limit", "batch"]) {
        let answer = row.ask(gate.address()).unwrap_or_else(|error| panic!("{}: {error}", row.name()));
        asked += 1;
        let Some(items) = row.items(&answer) else {
            assert_ne!(answer.status, 200, "{}: {}", row.name(), answer.text());
            continue;
        };
        full += usize::from(items == MAXIMUM);
        if items > MAXIMUM {
            larger.push(row.name().to_owned());
        }
    }
    assert_eq!(larger, unpaged, "{file}");
    assert!(asked > 150 && full > 60, "{file}: {full} full pages of {asked}");
}

#[test]
fn the_simple_auth_manager() {
    let airflow = airflow::simple();
    let config = format!(
        "[gate]\nairflow_cfg = \"{}\"\n[lockout]\nattempts = 0\n[api]\n{}",
        airflow.config().display(),
        limits()
    );
    compare(&Airgate::before(&airflow.url, &config), "af3-simple.jsonl", &[]);
}

#[test]
fn fab() {
    let airflow = airflow::fab();
    let config = format!("auth_manager = \"fab\"\n[lockout]\nattempts = 0\n[api]\n{}", limits());
    compare(&Airgate::before(&airflow.url, &config), "af3-fab.jsonl", &[]);
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
    compare(&Airgate::before(&airflow.url, &config), "af2.jsonl", PROVIDERS);
}
