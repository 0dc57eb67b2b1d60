//! Every operation that Airflow has, by its own list of them: none is sent a page size above the maximum, and the bodies
//! of lists alone are read.

use std::path::Path;

use serde_json::Value;

use super::before;
use crate::support::client::ask;
use crate::support::token;
use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Ask, Upstream, get};

/// An operation of Airflow's.
struct Operation {
    method: String,
    /// With its parameters filled in.
    path: String,
    /// Whether it knows `limit`.
    has_limit: bool,
    /// Whether there is `page_limit` in its body.
    has_page_limit: bool,
}

impl Operation {
    /// All of a release, of `tests/goldens/routes-*.jsonl`.
    fn all(file: &str) -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| {
            let has =
                |list: &str, name: &str| row[list].as_array().unwrap().iter().any(|known| known == name);
            // What stands between braces is the name of a parameter.
            let template = row["path"].as_str().unwrap().split(['{', '}']).enumerate();
            let path = template.map(|(at, part)| if at % 2 == 0 { part } else { "a" }).collect();
            let method = row["method"].as_str().unwrap().to_owned();
            let (has_limit, has_page_limit) = (has("query", "limit"), has("body", "page_limit"));
            Self { method, path, has_limit, has_page_limit }
        })
        .collect()
    }

    fn ask(&self, query: &str) -> Ask {
        let separator = if query.is_empty() { "" } else { "?" };
        ask(&self.method, format!("{}{separator}{query}", self.path))
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A release, and airgate in front of something that answers for it.
struct Release {
    operations: Vec<Operation>,
    upstream: Upstream,
    gate: Airgate,
    /// Logs in.
    log_in: fn(Ask) -> Ask,
    is_2: bool,
}

impl Release {
    /// With a maximum of 5, a fallback of 3, and at most 1000 bytes of a body that is read.
    fn both() -> [Self; 2] {
        let three = Upstream::start();
        let two = Upstream::answering(|seen: &Seen| match seen.header("authorization") {
            Some("Basic YWRtaW46YWRtaW4tcHc=") => answer(200, &[], "{}"),
            Some(_) | None => answer(401, &[], "{}"),
        });
        let in_front_of_2 = "airflow = 2\n[api]\nauth_backends = \"basic_auth\"\nmaximum_page_limit = 5\n\
                             fallback_page_limit = 3\n[limits]\nmax_body = 1000\n";
        [
            Self {
                operations: Operation::all("routes-airflow-3.3.2.jsonl"),
                gate: before(&three, "[limits]\nmax_body = 1000\n"),
                upstream: three,
                log_in: |ask| ask.bearer(&token::good("admin")),
                is_2: false,
            },
            Self {
                operations: Operation::all("routes-airflow-2.11.2.jsonl"),
                gate: Airgate::before(&two.url(), in_front_of_2),
                upstream: two,
                log_in: |ask| ask.basic("admin", "admin-pw"),
                is_2: true,
            },
        ]
    }

    /// What comes of a request: the status, and what the upstream is sent.
    fn send(&self, ask: Ask) -> (u16, Option<Seen>) {
        self.upstream.forget();
        let status = self.gate.send((self.log_in)(ask)).status;
        // But for the question whether Airflow 2 knows the password.
        let mut seen = self.upstream.seen().into_iter().filter(|seen| seen.header("x-request-id").is_some());
        let first = seen.next();
        assert!(seen.next().is_none(), "sent twice");
        (status, first)
    }
}

/// A query, and what becomes of it in front of Airflow 3 and of Airflow 2.
const SPELLINGS: &[[&str; 3]] = &[
    ["limit=1000", "limit=5", "limit=5"],
    ["limit=4", "limit=4", "limit=4"],
    ["%6Cim%69t=1000", "%6Cim%69t=5", "%6Cim%69t=5"],
    ["limit=%31000", "limit=5", "limit=5"],
    ["limit=+1_000", "limit=5", "limit=5"],
    ["limit=%2B1000.0", "limit=5", "limit=%2B1000.0"],
    ["limit=%EF%BC%91000", "limit=%EF%BC%91000", "limit=5"],
    ["limit=-1", "limit=-1", "limit=5"],
    ["limit=1000%00", "limit=1000%00", "limit=1000%00"],
    ["limit=1&limit=1000", "limit=1&limit=5", "limit=1&limit=5"],
    ["limit=1000&limit=1", "limit=5&limit=1", "limit=5&limit=1"],
    ["a=b%26limit=9&;limit=9&limit=9", "a=b%26limit=9&;limit=9&limit=5", "a=b%26limit=9&;limit=9&limit=5"],
    ["dag_runs_limit=1000&limit=2", "dag_runs_limit=5&limit=2", "dag_runs_limit=5&limit=2"],
];

#[test]
fn every_spelling_on_every_operation() {
    for release in Release::both() {
        let mut lists = 0;
        for operation in &release.operations {
            let name = operation.name();
            // What the code of Airflow 2 and of FAB has, and Airflow 3's own fallback.
            let in_code = release.is_2 || operation.path.starts_with("/auth/fab/");
            let unasked = match (operation.has_limit, in_code) {
                (true, true) => "limit=5",
                (true, false) => "limit=3",
                (false, _) => "",
            };
            lists += usize::from(operation.has_limit);
            for [query, three, two] in SPELLINGS.iter().copied().chain([["", unasked, unasked]]) {
                let (status, seen) = release.send(operation.ask(query));
                let expected = if release.is_2 { two } else { three };
                let target = seen.map(|seen| seen.target);
                let path = &operation.path;
                let expected = if expected.is_empty() { path.clone() } else { format!("{path}?{expected}") };
                assert_eq!((status, target), (200, Some(expected)), "{name}?{query}");
            }
        }
        assert!(lists >= 20, "{lists}");
    }
}

/// The lists of the user interface's own API, of `_private_ui.yaml` in Airflow 3.3.2.
#[test]
fn every_list_of_the_user_interface() {
    let upstream = Upstream::start();
    let gate = before(&upstream, "[gate]\nother_routes = \"ui\"\n");
    for path in [
        "/ui/dags",
        "/ui/dags/a/dagRuns/b/deadlines",
        "/ui/dags/a/deadlineAlerts",
        "/ui/backfills",
        "/ui/grid/structure/a",
        "/ui/grid/runs/a",
        "/ui/teams",
    ] {
        let runs = if path == "/ui/dags" { "&dag_runs_limit=5" } else { "" };
        let spellings = SPELLINGS.iter().map(|[query, three, _]| (*query, *three));
        for (query, expected) in spellings.chain([("", "limit=3")]) {
            upstream.forget();
            let separator = if query.is_empty() { "" } else { "?" };
            assert_eq!(gate.send(get(format!("{path}{separator}{query}"))).status, 200);
            let runs = if expected.contains("dag_runs_limit") { "" } else { runs };
            assert_eq!(upstream.only().target, format!("{path}?{expected}{runs}"), "{path}?{query}");
        }
    }
}

#[test]
fn the_bodies_of_lists_alone_are_read() {
    for release in Release::both() {
        let changes = |operation: &&Operation| operation.method != "GET";
        let mut lists = 0;
        for operation in release.operations.iter().filter(changes) {
            let name = operation.name();
            let of = |body: &str| {
                let ask = operation.ask("").with("Content-Type", "application/json").body(body);
                let (status, seen) = release.send(ask);
                (status, seen.map(|seen| String::from_utf8(seen.body).unwrap()))
            };
            let (page, large) = (r#"{"page_limit":9}"#, format!(r#"{{"page_limit":9}}{}"#, " ".repeat(1000)));
            if operation.has_page_limit {
                lists += 1;
                assert_eq!(of(page), (200, Some(r#"{"page_limit":5}"#.into())), "{name}");
                assert_eq!(of("{}"), (200, Some(r#"{"page_limit":3}"#.into())), "{name}");
                assert_eq!(of(&large), (413, None), "{name}");
            } else {
                assert_eq!(of(page), (200, Some(page.into())), "{name}");
                assert_eq!(of(&large), (200, Some(large.clone())), "{name}");
            }
        }
        assert_eq!(lists, 2, "dagRuns/list and taskInstances/list");
    }
}
