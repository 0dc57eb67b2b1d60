//! What Airflow 2.11 answered on `/api/v1`, asked again through airgate in front of Airflow 3.3, which translates it.
//!
//! The same data on both sides: see `tests/airflow/prepare_v1.py`. An answer is equal in status, content type and body, or
//! differs where `v1.toml` says that it does, and why; what differs by nature (times, ids of rows, host names) is compared
//! by its shape. The tally per operation is in `docs/v1.md`, and held there.
//!
//! `AIRGATE_V1_ROWS=v1.dags-list` asks the rows alone whose names begin so, and everything that they need.

mod client;
mod compare;
mod deviations;
mod manual;
mod older;
mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;

use serde_json::Value;

use crate::support::Airgate;
use crate::support::airflow::{self, Airflow};
use crate::support::client::{Answer, ask, get};
use compare::{differences, outlines};
use deviations::Deviations;
use operations::OPERATIONS;

/// A recorded request to Airflow 2, and its answer.
pub struct Row(Value);

impl Row {
    fn read(variant: &str) -> Vec<Self> {
        Self::read_file("af2-v1.jsonl", variant)
    }

    fn read_file(file: &str, variant: &str) -> Vec<Self> {
        let path = format!("{}/tests/goldens/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().map(|line| Self(serde_json::from_str(line).unwrap()));
        rows.filter(|row| row.0["variant"] == variant && row.0["request"].is_object()).collect()
    }

    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    /// The operation's number in the table of translations; none where no operation was meant.
    pub fn operation(&self) -> Option<u64> {
        self.0["operation"].as_u64()
    }

    /// What is asked: for an event of the log by its id of today, for a file by the token of today.
    fn path(&self, gate: SocketAddr) -> String {
        let path = self.0["request"]["path"].as_str().unwrap();
        let one = |path: &str, pointer: &str| {
            let answer = get(path).basic("admin", "admin-pw").send(gate);
            let value = answer.json().pointer(pointer).cloned();
            let value = value.unwrap_or_else(|| panic!("{}: no {pointer}: {}", self.name(), answer.text()));
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        if let Some(dag) = self.0["file_token_of"].as_str() {
            let token = one(&format!("/api/v1/dags/{dag}"), "/file_token");
            return path.replace("<file_token>", &token);
        }
        if path == "/api/v1/eventLogs/57" {
            let event = "/api/v1/eventLogs?dag_id=fx_fail&run_id=fx_fail_1&event=running";
            return format!("/api/v1/eventLogs/{}", one(event, "/event_logs/0/event_log_id"));
        }
        path.to_owned()
    }

    /// Whether the request can be sent again: one has a token that only the recorded server knew.
    fn is_replayable(&self) -> bool {
        self.0["replayable"] == true || self.0["file_token_of"].is_string()
    }

    fn ask(&self, gate: SocketAddr) -> std::io::Result<Answer> {
        let request = &self.0["request"];
        let mut ask = ask(request["method"].as_str().unwrap(), self.path(gate));
        for header in request["headers"].as_array().unwrap() {
            ask = ask.with(header[0].as_str().unwrap(), header[1].as_str().unwrap());
        }
        if let Some(body) = request["body"].as_str() {
            ask = ask.body(body);
        }
        ask.try_send(gate)
    }

    fn shown(&self) -> String {
        let (request, response) = (&self.0["request"], &self.0["response"]);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!(
            "{} {} {}\n      Airflow 2: {} {}",
            text(&request["method"]),
            text(&request["path"]),
            text(&request["body"]),
            response["status"],
            short(&response["body"].to_string())
        )
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(700).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[test]
fn as_airflow_2_answered() {
    let airflow = airflow::v1();
    let mut rows = Row::read("v1");
    rows.extend(Row::read("v1-no-public-role"));
    let tally = replay((&airflow.url, &airflow), rows, "v1.toml", differences);
    // Of a part there is no whole tally.
    if std::env::var("AIRGATE_V1_ROWS").is_err() {
        manual::holds("tally", &tally);
    }
}

#[test]
#[ignore = "needs another configuration: make test-all"]
fn as_airflow_2_answered_with_other_options() {
    let airflow = airflow::v1_options();
    let mut rows = Row::read("v1-options");
    // With the usual page it has an answer.
    rows.extend(Row::read("v1").into_iter().filter(|row| row.name() == "v1.crud-lists.27-permissions"));
    replay((&airflow.url, airflow), rows, "v1-options.toml", differences);
}

/// What Airflow 2.11 answered with other data to sizes of pages, to spellings of paths and to credentials: equal in status,
/// content type and error, and in the length of lists.
#[test]
fn as_airflow_2_answered_to_oddities() {
    let is_asked = |row: &Row| {
        let group = row.name().split('.').next();
        let of_v1 = row.0["request"]["path"].as_str().is_some_and(|path| path.starts_with("/api/v1"));
        match group {
            Some("path") => true,
            Some("limit" | "batch" | "public" | "basic") => of_v1,
            Some(_) | None => false,
        }
    };
    let rows = Row::read_file("af2.jsonl", "default").into_iter().filter(is_asked).collect();
    replay((&airflow::fab().url, airflow::fab()), rows, "v1-af2.toml", outlines);
}

/// How often an operation's answers are equal, and differ for reasons.
#[derive(Default)]
struct Count {
    equal: usize,
    differ: usize,
    reasons: BTreeSet<String>,
}

/// Says what differs between a recorded answer and one of today.
type Compare = fn(&Row, &Answer, &Airflow) -> Vec<String>;

/// Asks rows of an airgate in front of a URL, behind which there is this Airflow.
fn replay((url, airflow): (&str, &Airflow), rows: Vec<Row>, deviations: &str, compare: Compare) -> String {
    let gate = Airgate::before(
        url,
        &format!(
            "auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\n[lockout]\nattempts = 0\n",
            airflow.config().display()
        ),
    );
    let only = std::env::var("AIRGATE_V1_ROWS").unwrap_or_default();
    let mut deviations = Deviations::read(deviations);
    let (mut counts, mut wrong): (BTreeMap<u64, Count>, Vec<String>) = Default::default();
    let (mut pending, mut asked) = (0, Vec::new());
    for row in rows.iter().filter(|row| row.is_replayable() && row.name().starts_with(&only)) {
        if deviations.is_pending(row) {
            pending += 1;
            continue;
        }
        asked.push(row.name());
        let answer = match row.ask(gate.address()) {
            Ok(answer) => answer,
            Err(error) => {
                wrong.push(format!("{}: no answer: {error}", row.name()));
                continue;
            }
        };
        let count = counts.entry(row.operation().unwrap_or_default()).or_default();
        let found = compare(row, &answer, airflow);
        match deviations.explain(row.name(), (answer.status, &answer.text()), &found) {
            Ok(reasons) if reasons.is_empty() => count.equal += 1,
            Ok(reasons) => {
                count.differ += 1;
                count.reasons.extend(reasons);
            }
            Err(unexplained) => wrong.push(format!(
                "{}: {unexplained}\n      {}\n      airgate:   {} {:?} {}",
                row.name(),
                row.shown(),
                answer.status,
                answer.header("content-type").unwrap_or_default(),
                short(&answer.text())
            )),
        }
    }
    let sum = |of: fn(&Count) -> usize| counts.values().map(of).sum::<usize>();
    let (equal, differ) = (sum(|count| count.equal), sum(|count| count.differ));
    // Past the harness, which keeps to itself what a test prints that passes.
    let tally = format!(
        "af2-v1: {equal} equal, {differ} differ for a reason, {} wrong, {pending} pending\n",
        wrong.len()
    );
    std::io::stderr().write_all(tally.as_bytes()).unwrap();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    if only.is_empty() {
        deviations.assert_all_used(asked.iter().copied());
    }
    table(&counts)
}

fn table(counts: &BTreeMap<u64, Count>) -> String {
    let mut table =
        String::from("| Operation | Recorded | Equal | Differ | In what |\n|---|---|---|---|---|\n");
    for (operation, count) in counts {
        let (equal, differ) = (count.equal, count.differ);
        let reasons: Vec<_> = count.reasons.iter().map(String::as_str).collect();
        let name = usize::try_from(*operation).ok().and_then(|number| OPERATIONS.get(number)).unwrap();
        table += &format!("| {name} | {} | {equal} | {differ} | {} |\n", equal + differ, reasons.join(", "));
    }
    table
}
