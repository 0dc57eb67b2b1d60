//! Who may import whom: the arrows of `ARCHITECTURE.md` point down only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module, and the modules of the crate that its code (not its tests) may name: all of them stand
/// further up in this table.
const ALLOWED: &[(&str, &[&str])] = &[
    ("secret", &[]),
    ("request", &[]),
    ("drain", &[]),
    ("config", &["secret"]),
    ("ports", &["secret"]),
    ("auth", &["ports", "request", "secret"]),
    ("gate", &["auth", "ports", "request", "secret"]),
    ("exchange", &["auth", "gate", "request"]),
    ("telemetry", &["auth", "exchange", "request"]),
    ("metrics", &["auth", "exchange", "telemetry"]),
    ("admin", &["auth", "metrics", "telemetry"]),
    ("proxy", &["auth", "drain", "exchange", "gate", "metrics", "ports", "request", "telemetry"]),
    ("registry", &["auth", "config", "gate", "request"]),
    ("assemble", &["auth", "config", "gate", "ports", "proxy", "registry", "telemetry"]),
    ("reload", &["assemble", "config", "metrics", "proxy", "telemetry"]),
    (
        "server",
        &[
            "admin",
            "assemble",
            "auth",
            "config",
            "drain",
            "metrics",
            "ports",
            "proxy",
            "registry",
            "reload",
            "telemetry",
        ],
    ),
    ("cli", &["auth", "config", "secret"]),
    ("builder", &["auth", "cli", "config", "registry", "server"]),
];

/// Who may name Pingora.
const PINGORA: &[&str] = &["admin", "ports", "proxy", "server"];

/// Time, environment and connections come to the gate as arguments.
const NOT_IN_THE_GATE: &[&str] =
    &["SystemTime::now", "Instant::now", "std::env", "std::fs", "std::net::Tcp", "tokio::net", "reqwest"];

#[test]
fn imports_point_down_only() {
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ALLOWED.iter().map(|(module, others)| (*module, others.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (file, code) in sources() {
        let module = file.split(['/', '.']).next().unwrap();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let allowed = allowed.get(module).unwrap_or_else(|| panic!("{module} is not in the table"));
        seen.insert(module.to_owned());
        for other in named(&code).filter(|other| other != module && !allowed.contains(other.as_str())) {
            wrong.push(format!("{file} names crate::{other}"));
        }
        if code.contains("pingora") && !PINGORA.contains(&module) {
            wrong.push(format!("{file} names Pingora"));
        }
        let asked = NOT_IN_THE_GATE.iter().filter(|what| module == "gate" && code.contains(*what));
        wrong.extend(asked.map(|what| format!("{file} names {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen.len(), ALLOWED.len(), "a module of the table is gone");
}

#[test]
fn the_table_points_down_only_and_has_nothing_that_is_not_needed() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, code) in sources() {
        let module = file.split(['/', '.']).next().unwrap();
        used.entry(module.to_owned()).or_default().extend(named(&code));
    }
    for (at, (module, others)) in ALLOWED.iter().enumerate() {
        for other in *others {
            let above = ALLOWED[..at].iter().any(|(above, _)| above == other);
            assert!(above, "{module} → {other} points up");
            assert!(used[*module].contains(*other), "{module} → {other} is allowed, and not used");
        }
    }
}

/// The modules that `crate::…` names, with those of `crate::{…}`.
fn named(code: &str) -> impl Iterator<Item = String> + '_ {
    code.match_indices("crate::").flat_map(|(at, found)| {
        let rest = &code[at + found.len()..];
        let list = match rest.strip_prefix('{') {
            Some(rest) => rest.split('}').next().unwrap_or_default(),
            None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default(),
        };
        let names = list.split(',').map(|item| item.trim().split("::").next().unwrap_or_default().to_owned());
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
    })
}

/// Each file of the crate with its code: no tests, no comments.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            if name.contains("test") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.push((name, lines.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(found.len() > 50, "{} files", found.len());
    found
}
