//! The manual says what the program does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::{Airgate, Upstream, get, post, tls};

const HASH: &str = "$2y$05$FCU1BIVUTPr1i3VwKXtrZuMkFqnPgSwLwIbeqWh4DPGZbzxZcEgYq";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, with its name.
fn pages() -> Vec<(String, String)> {
    let manual = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let tops = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root().join(name));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    manual.chain(tops).map(read).collect()
}

/// The fenced blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[track_caller]
fn check(name: &str, config: &str) {
    let gate = Airgate::with(config)
        .file("users.toml", format!("[users]\nrobot = \"{HASH}\"\n"))
        .file("tls.crt", tls::read("airflow.pem"))
        .file("tls.key", tls::read("airflow.key"))
        .file("apps.crt", tls::read("wildcard.pem"))
        .file("apps.key", tls::read("wildcard.key"))
        .file("ca.pem", tls::read("ca.pem"));
    let (code, out) = gate.says(&["check", "--conf", "airgate.toml"]);
    assert_eq!(code, Some(0), "{name}:\n{config}\n{out}");
}

#[test]
fn the_sample_file_passes_check() {
    check("conf/airgate.toml", &std::fs::read_to_string(root().join("conf/airgate.toml")).unwrap());
}

#[test]
fn the_samples_of_the_manual_pass_check() {
    let mut checked = 0;
    for (name, page) in pages() {
        for block in blocks(&page, "toml") {
            check(&name, block);
            checked += 1;
        }
    }
    assert!(checked > 2, "{checked}");
}

#[test]
fn the_samples_of_json_are_json() {
    for (name, page) in pages() {
        for block in blocks(&page, "json") {
            let parsed = serde_json::from_str::<serde_json::Value>(block);
            assert!(parsed.is_ok(), "{name}: {block}: {parsed:?}");
        }
    }
}

/// The series of the manual are those of the program.
#[test]
fn every_series_is_described() {
    let upstream = Upstream::start();
    let gate = Airgate::before(&upstream.url(), "[api]\nauth_backends = \"jwt, deny_all\"\n");
    gate.send(get("/api/v2/pools"));
    gate.send(get("/api/v2/pools?limit=1000").bearer("a"));
    gate.send(post("/auth/token"));
    let served: BTreeSet<String> = gate
        .admin("/metrics")
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let series = |word: &&str| word.starts_with("airgate_") || word.starts_with("process_");
    let described: BTreeSet<String> = words.filter(series).map(str::to_owned).collect();
    let missing: Vec<_> = served.difference(&described).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
    let source = std::fs::read_to_string(root().join("src/metrics.rs")).unwrap()
        + &std::fs::read_to_string(root().join("src/metrics/gauges.rs")).unwrap();
    let gone: Vec<_> =
        described.difference(&served).filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(gone.is_empty(), "described, and not there: {gone:?}");
}

/// Every reason for a refusal has its row.
#[test]
fn every_reason_is_described() {
    let source = std::fs::read_to_string(root().join("src/gate/reply.rs")).unwrap();
    let label = source.split("fn label").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let reasons: Vec<&str> = label.split('"').skip(1).step_by(2).collect();
    assert!(reasons.len() > 15, "{reasons:?}");
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let missing: Vec<_> = reasons.iter().filter(|reason| !page.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
}

/// Links within the repository lead somewhere.
#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let anchors = |page: &str| -> BTreeSet<String> {
        let headings = page.lines().filter(|line| line.starts_with('#'));
        let anchor = |line: &str| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        headings.map(anchor).collect()
    };
    let mut wrong = Vec::new();
    for (name, page) in &pages {
        for link in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, a)| (file, Some(a)));
            let here = root().join(name);
            let target = if file.is_empty() { here.clone() } else { here.parent().unwrap().join(file) };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{name}: {link}: no such file"));
                continue;
            };
            let text = if target.is_dir() { String::new() } else { std::fs::read_to_string(target).unwrap() };
            if anchor.is_some_and(|anchor| !anchors(&text).contains(anchor)) {
                wrong.push(format!("{name}: {link}: no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
