//! Recorded answers of real Airflow, asked again through airgate in front of a live one.
//!
//! Each row is equal, or deviates on purpose for a reason named here, or is wrong. The tally is
//! printed; wrong must be 0, and a deviation that no row needs any more must go.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::support::client::{Answer, ask};
use crate::support::{Airgate, airflow};

/// Why an answer differs from Airflow's on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Airflow sends no `WWW-Authenticate` with a 401; RFC 9110, section 15.5.2, asks for it.
    Challenge,
    /// Airflow fails on bad input with a 500; here it is a validation error.
    ServerError,
    /// A target that two parties may read in two ways is refused.
    AmbiguousTarget,
    /// The documentation's own samples have two slashes at the start; here they work.
    LeadingSlashes,
    /// Two `Authorization` headers: gate and upstream might read different ones.
    RepeatedAuthorization,
    /// Nobody learns which routes and which input are valid before saying who they are.
    AuthenticationFirst,
    /// Beyond Airflow: Basic works.
    Basic,
    /// The gate's own answers say what varies, also where Airflow's outermost layer forgets.
    Vary,
    /// Pingora itself refuses the request before any of ours sees it.
    Framework,
}

struct Deviation {
    rows: &'static [&'static str],
    status: u16,
    reason: Reason,
}

const fn deviation(status: u16, reason: Reason, rows: &'static [&'static str]) -> Deviation {
    Deviation { rows, status, reason }
}

/// The rows that deviate, with the status that they get here.
const SIMPLE: &[Deviation] = &[];

/// Rows of the FAB auth manager that deviate.
const FAB: &[Deviation] = &[];

#[derive(Debug)]
enum Comparison {
    Equal,
    On(Reason),
    Wrong(String),
}

struct Runner {
    deviations: &'static [Deviation],
    gate: SocketAddr,
}

/// A row of a golden file that can be asked again.
struct Row<'a> {
    name: &'a str,
    request: &'a Value,
    response: &'a Value,
    derived: &'a Value,
}

#[test]
fn the_simple_auth_managers_answers() {
    let airflow = airflow::simple();
    let gate = Airgate::before(
        &airflow.url,
        &format!(
            "[gate]\nairflow_cfg = \"{}\"\nother_routes = \"all\"\n[basic]\nsources = [\"file\"]\n[lockout]\nattempts = 0\n",
            airflow.config().display()
        ),
    );
    let runner = Runner { deviations: SIMPLE, gate: gate.address() };
    runner.run("af3-simple.jsonl", &["token", "token-cli", "bearer", "cors", "limit", "path", "public"]);
}

#[test]
fn without_a_key_the_simple_auth_managers_token_endpoints() {
    let airflow = airflow::simple();
    let gate = Airgate::before(
        &airflow.url,
        "[gate]\nother_routes = \"all\"\n[lockout]\nattempts = 0\n[api]\n\
         access_control_allow_origins = [\"https://ui.example.com\"]\n",
    );
    let runner = Runner { deviations: SIMPLE, gate: gate.address() };
    runner.run("af3-simple.jsonl", &["token", "token-cli"]);
}

#[test]
fn the_fab_auth_managers_token_endpoints() {
    let airflow = airflow::fab();
    let gate = Airgate::before(
        &airflow.url,
        "auth_manager = \"fab\"\n[gate]\nother_routes = \"all\"\n[lockout]\nattempts = 0\n[api]\n\
         access_control_allow_origins = [\"https://ui.example.com\"]\n",
    );
    let runner = Runner { deviations: FAB, gate: gate.address() };
    runner.run("af3-fab.jsonl", &["token", "token-cli"]);
}

impl Runner {
    #[track_caller]
    fn run(&self, file: &str, groups: &[&str]) {
        let path = format!("{}/tests/goldens/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (mut equal, mut not_replayable, mut on_purpose, mut wrong) = (0, 0, BTreeMap::new(), Vec::new());
        for row in rows.iter().filter(|row| row["variant"] == "default" && !row["request"].is_null()) {
            let name = row["name"].as_str().unwrap();
            if !groups.contains(&name.split('.').next().unwrap()) {
                continue;
            }
            if row["replayable"] != true {
                not_replayable += 1;
                continue;
            }
            let row = Row { name, request: &row["request"], response: &row["response"], derived: &row["derived"] };
            match self.compare(&row) {
                Comparison::Equal => equal += 1,
                Comparison::On(reason) => *on_purpose.entry(reason).or_insert(0) += 1,
                Comparison::Wrong(why) => wrong.push(format!("{name}: {why}")),
            }
        }
        println!("{file} {groups:?}: {equal} equal, {} wrong, {not_replayable} not replayable", wrong.len());
        for (reason, rows) in &on_purpose {
            println!("  {rows} deviate on purpose: {reason:?}");
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert!(equal > 0, "no row was asked");
    }

    fn compare(&self, row: &Row<'_>) -> Comparison {
        let answer = match self.replay(row.request) {
            Ok(answer) => answer,
            Err(error) => return Comparison::Wrong(format!("no answer: {error}")),
        };
        let differences = differences(row, &answer);
        let named = self.deviations.iter().find(|d| d.rows.contains(&row.name));
        match (named, differences) {
            (None, found) if found.is_empty() => Comparison::Equal,
            (None, found) if found == ["www-authenticate"] => {
                let expected = matches!(answer.status, 401 | 403) && answer.header("www-authenticate").is_some();
                if expected { Comparison::On(Reason::Challenge) } else { Comparison::Wrong("a challenge".into()) }
            }
            (Some(d), found) if found.is_empty() => {
                Comparison::Wrong(format!("is equal, but named as deviating: {:?}", d.reason))
            }
            (Some(d), _) if answer.status == d.status => Comparison::On(d.reason),
            (_, found) => Comparison::Wrong(format!(
                "differs in {found:?}: {} {:?} {}\n    Airflow: {} {} {}",
                answer.status,
                answer.headers,
                answer.text().chars().take(300).collect::<String>(),
                row.response["status"],
                row.response["headers"],
                row.response["body"].to_string().chars().take(300).collect::<String>(),
            )),
        }
    }

    fn replay(&self, request: &Value) -> std::io::Result<Answer> {
        let path = request["path"].as_str().unwrap();
        // An absolute form names the server that it was recorded at.
        let path = path.replace("http://127.0.0.1:18080/", &format!("http://{}/", self.gate));
        let mut ask = ask(request["method"].as_str().unwrap(), path);
        for header in request["headers"].as_array().unwrap() {
            let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
            // The recorder wrote header bytes as latin-1.
            let bytes: Vec<u8> = value.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
            ask = ask.with(name, bytes);
        }
        if let Some(body) = request["body"].as_str() {
            ask = ask.body(body);
        } else if let Some(body) = request["body_b64"].as_str() {
            ask = ask.body(STANDARD.decode(body).unwrap());
        }
        ask.try_send(self.gate)
    }
}

/// What differs, by name. Lists are compared by count and names, tokens by claims and life.
fn differences(row: &Row<'_>, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |name: &str, same: bool| {
        if !same {
            found.push(name.to_owned());
        }
    };
    check("status", row.response["status"] == answer.status);
    for name in [
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-max-age",
        "access-control-expose-headers",
        "content-type",
        "www-authenticate",
    ] {
        let recorded: Vec<&str> = strings(&row.response["headers"][name]);
        check(name, recorded == answer.all(name));
    }
    let recorded = strings(&row.response["headers"]["vary"]);
    check("vary", tokens(&recorded) == tokens(&answer.all("vary")));
    check("body", same_body(row, answer));
    found
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn tokens(lines: &[&str]) -> Vec<String> {
    let mut tokens: Vec<String> =
        lines.iter().flat_map(|line| line.split(',')).map(|t| t.trim().to_ascii_lowercase()).collect();
    tokens.sort();
    tokens
}

fn same_body(row: &Row<'_>, answer: &Answer) -> bool {
    let recorded = &row.response["body"];
    if let (Some(key), Some(count)) = (row.derived["list_key"].as_str(), row.derived["n_items"].as_u64()) {
        // A compressed list cannot be looked into here: its length is Airflow's affair.
        if answer.header("content-encoding").is_some() {
            return true;
        }
        let body = answer.json();
        let Some(items) = body[key].as_array() else { return body[key].is_object() };
        // The event log grows with every request that changes something.
        if key == "event_logs" {
            return items.len() as u64 == count;
        }
        let names = |list: &[Value]| -> Vec<Value> {
            list.iter().map(|i| ["name", "dag_id", "key", "dag_run_id"].map(|n| i[n].clone()).into_iter().collect()).collect()
        };
        let expected = recorded[key].as_array().map(|list| names(list));
        return items.len() as u64 == count && expected.is_none_or(|expected| expected == names(items));
    }
    match recorded {
        Value::Null => answer.body.is_empty(),
        Value::String(text) if text.starts_with("{\"openapi\"") => answer.json()["openapi"] == "3.1.0",
        Value::String(text) => answer.text().starts_with(&text.chars().take(200).collect::<String>()),
        Value::Object(object) if object.contains_key("access_token") => {
            claims(recorded) == claims(&answer.json())
        }
        Value::Object(object) if object.contains_key("metadatabase") => {
            answer.json()["metadatabase"] == recorded["metadatabase"]
        }
        Value::Array(list) => answer.json().as_array().map(Vec::len) == Some(list.len()),
        Value::Object(_) | Value::Bool(_) | Value::Number(_) => answer.json() == *recorded,
    }
}

/// What a token says, but for what differs in each: its id and its times. Its life counts.
fn claims(body: &Value) -> Option<(Value, Value)> {
    let token = body["access_token"].as_str()?;
    let mut parts = token.split('.').map(|part| {
        serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).unwrap_or_default()
    });
    let (header, mut claims) = (parts.next()?, parts.next()?);
    let life = claims["exp"].as_i64()? - claims["iat"].as_i64()?;
    for name in ["jti", "exp", "iat", "nbf"] {
        claims[name].take();
    }
    claims["life"] = life.into();
    Some((header, claims))
}
