//! Routes compared with what Airflow itself says: its recorded answers, and its list of operations.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn golden(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/goldens/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn airflow_answers_without_a_credential_exactly_where_a_route_is_open() {
    let routes = routes("", OtherRoutes::Ui, false);
    let mut seen = BTreeSet::new();
    for file in ["af3-simple.jsonl", "af3-fab.jsonl"] {
        for row in golden(file) {
            let name = row["name"].as_str().unwrap();
            if !name.starts_with("public.") || row["variant"] != "default" {
                continue;
            }
            let request = &row["request"];
            let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
            let api = match find(&routes, method, path).unwrap().kind {
                RouteKind::Api(Operation { api: Api::Public, access, .. }) => access,
                RouteKind::Api(_)
                | RouteKind::Token(_)
                | RouteKind::Experimental(_)
                | RouteKind::Other(_) => continue,
            };
            match row["response"]["status"].as_u64().unwrap() {
                401 | 403 => assert_eq!(api, Access::Authenticated, "{file} {name}"),
                200..=399 => assert_eq!(api, Access::Open, "{file} {name}"),
                // An unknown path or method says nothing about rights.
                400 | 404 | 405 => {}
                status => panic!("{file} {name}: {status}"),
            }
            seen.insert(api == Access::Open);
        }
    }
    assert_eq!(seen.len(), 2, "the goldens must have open and guarded routes");
}

/// What the gate makes of the targets whose answers were recorded, each with its reason where it differs.
#[test]
fn golden_targets() {
    use InvalidTarget::*;
    let routes = routes("", OtherRoutes::Deny, false);
    let pools = Ok("/api/v2/pools");
    let unknown = Ok("/api/v2/{unknown}");
    let expected = |name: &str| match name {
        "path.plain" | "path.empty-query" | "path.absolute-form" | "path.encoded-letter" => pools,
        // Airflow answers with its UI; we count slashes at the start as one, as its documentation does.
        "path.double-slash-start" => pools,
        "path.trailing-slash" => Ok("/api/v2/pools/{pool_name}"),
        "path.uppercase" | "path.encoded-question" | "path.encoded-space-end" => unknown,
        "path.uppercase-prefix" => Ok("/{path}"),
        "path.double-slash-middle" => Err(EmptySegment),
        "path.dot" | "path.dotdot" | "path.encoded-dotdot" => Err(DotSegment),
        // Airflow answers 200 to these four, and 404 to those after them.
        "path.encoded-prefix" | "path.encoded-slash" => Err(EncodedPrefix),
        "path.fragment" => Err(Fragment),
        "path.absolute-form-other-host" => Err(OtherAuthority),
        "path.matrix-parameter" => Err(Semicolon),
        "path.nul" => Err(Control),
        "path.backslash" => Err(Backslash),
        "path.invalid-percent" => Err(PercentEncoding),
        "path.invalid-utf8" => Err(NotUtf8),
        other => panic!("a golden without a row here: {other}"),
    };
    let mut rows = 0;
    for (file, host) in [("af3-simple.jsonl", "127.0.0.1:18080"), ("af3-fab.jsonl", "127.0.0.1:18081")] {
        for row in golden(file) {
            let name = row["name"].as_str().unwrap();
            if !name.starts_with("path.") {
                continue;
            }
            rows += 1;
            let raw = row["request"]["path"].as_str().unwrap();
            let route = Target::parse(raw.as_bytes(), Some(host.as_bytes()))
                .and_then(|target| routes.find(&target, &Method::GET))
                .map(|route| route.template);
            assert_eq!(route, expected(name), "{file} {name} {raw}");
        }
    }
    assert!(rows > 20, "the goldens must have targets: {rows}");
}

/// An operation as Airflow registers it.
struct Registered {
    method: String,
    /// With `{name:path}` for parameters that span segments.
    path: String,
    effect: Effect,
    paging: Paging,
}

impl Registered {
    /// What Airflow 3 has.
    fn all() -> Vec<Self> {
        Self::of("routes-airflow-3.3.2.jsonl")
    }

    fn of(file: &str) -> Vec<Self> {
        let names = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        golden(file)
            .iter()
            .map(|row| {
                let (query, body) = (names(&row["query"]), names(&row["body"]));
                let (method, path) = (row["method"].as_str().unwrap(), row["path"].as_str().unwrap());
                let by_body = body.iter().any(|name| name == "page_limit");
                let reads = method == "GET" || by_body || path.ends_with("/dry_run");
                let paging = match (query.iter().any(|name| name == "limit"), by_body) {
                    (true, _) => Paging::Limit,
                    (false, true) => Paging::PageLimit,
                    (false, false) => Paging::None,
                };
                Self {
                    method: method.into(),
                    path: path.into(),
                    effect: if reads { Effect::Reads } else { Effect::Changes },
                    paging,
                }
            })
            .collect()
    }

    fn template(&self) -> String {
        self.path.replace(":path}", "}")
    }

    /// As starlette's pattern for the path would match.
    fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for part in self.path.split('/') {
            if part.ends_with(":path}") {
                return segments.next().is_some();
            }
            match segments.next() {
                Some(segment) if part.starts_with('{') => {
                    if segment.is_empty() {
                        return false;
                    }
                }
                Some(segment) if segment == part => {}
                Some(_) | None => return false,
            }
        }
        segments.next().is_none()
    }
}

#[test]
fn the_tables_are_airflows() {
    let span = |row: &tree::Row| match row.span {
        tree::Span::Rest => format!("{}:path}}", row.template.trim_end_matches('}')),
        tree::Span::Segment => row.template.to_owned(),
    };
    for (file, tables) in [
        ("routes-airflow-3.3.2.jsonl", &[airflow3::PUBLIC, airflow3::FAB][..]),
        ("routes-airflow-2.11.2.jsonl", &[airflow2::STABLE]),
    ] {
        let ours: BTreeSet<String> = tables
            .iter()
            .copied()
            .flatten()
            // The document of an API is none of its operations.
            .filter(|row| !row.template.contains("/openapi."))
            .flat_map(|row| {
                let path = span(row);
                row.entries.iter().map(move |entry| {
                    let method = format!("{:?}", entry.verb).to_uppercase();
                    format!("{method} {path} {:?} {:?}", entry.effect, entry.paging)
                })
            })
            .collect();
        let airflows: BTreeSet<String> = Registered::of(file)
            .iter()
            .map(|row| format!("{} {} {:?} {:?}", row.method, row.path, row.effect, row.paging))
            .collect();
        assert_eq!(ours, airflows, "{file}");
    }
}

#[test]
fn every_path_is_found_as_starlette_finds_it() {
    const VALUES: &[&str] = &[
        "x",
        "~",
        "list",
        "aliases",
        "events",
        "tries",
        "dry_run",
        "dependencies",
        "state-store",
        "xcomEntries",
        "listMapped",
        "hitlDetails",
        "queuedEvents",
        "enqueue-test",
        "test",
        "assets",
        "links",
        "importErrors",
        "logs",
        "details",
        "1",
        "-1",
        "é",
        "",
        "clear",
        "wait",
        "taskInstances",
    ];
    let routes = routes("", OtherRoutes::Deny, false);
    let registered = Registered::all();
    let mut dice = Dice::new(3);
    let mut found = BTreeSet::new();
    for _ in 0..12_000 {
        let model = &registered[dice.below(registered.len())];
        let mut segments: Vec<String> = model
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { dice.pick(VALUES).to_owned() } else { part.to_owned() })
            .collect();
        match dice.below(4) {
            0 => segments.push(dice.pick(VALUES).to_owned()),
            1 => {
                let at = 4 + dice.below(segments.len());
                if let Some(segment) = segments.get_mut(at) {
                    *segment = dice.pick(VALUES).to_owned();
                }
            }
            _ => {}
        }
        let path = segments.join("/");
        // What cannot be written raw comes encoded: an empty segment in the middle, a letter.
        let raw = path.replace("//", "/%2F").replace("é", "%C3%A9");
        let method = dice.pick(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]);
        let decoded = unquote(&raw);
        let target = Target::parse(raw.as_bytes(), None).unwrap();
        let Ok(route) = routes.find(&target, &method.parse().unwrap()) else { continue };
        let RouteKind::Api(operation) = route.kind else { panic!("{method} {raw}: {route:?}") };

        let matching = || registered.iter().filter(|row| row.matches(&decoded));
        match matching().find(|row| row.method == method) {
            Some(row) => {
                assert_eq!(route.template, row.template(), "{method} {raw}");
                assert_eq!(operation.effect, row.effect, "{method} {raw}");
                assert_eq!(operation.paging, row.paging, "{method} {raw}");
                found.insert((row.method.clone(), row.path.clone()));
            }
            None => {
                let known = !route.template.ends_with("{unknown}");
                assert_eq!(known, matching().next().is_some(), "{method} {raw}: {}", route.template);
                let reads = matches!(method, "GET" | "HEAD");
                assert_eq!(operation.effect == Effect::Reads, reads, "{method} {raw}");
            }
        }
    }
    assert_eq!(found.len(), registered.len(), "every operation must have come up");
}
