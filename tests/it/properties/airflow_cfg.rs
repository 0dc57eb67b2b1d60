//! `airflow.cfg`. Input: a file.

use airgate::config::airflow::cfg::Cfg;
use airgate::config::airflow::expand::{Environment, expand};
use airgate::config::airflow::{FabSection, read_file};
use airgate::config::layer::{Findings, Value};

/// Any file is read to its end: every mistake is on one of its lines, and no value grows without
/// bound. Nothing is run.
pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let environment: Environment = [("HOME", "/home/x"), ("A", "$B-$B"), ("B", "%(c)s"), ("LOOP", "x$LOOP")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let lines = text.lines().count() + text.matches('\r').count();
    let (cfg, bad) = Cfg::parse(text);
    assert!(bad.iter().all(|bad| (1..=lines).contains(&bad.line)), "{bad:?}");
    if let Some((_, line)) = cfg.get("core", "auth_manager") {
        assert!((1..=lines).contains(&line));
    }
    for fab in [FabSection::Read, FabSection::Ignored] {
        let mut findings = Findings::default();
        let layer = read_file(text, "airflow.cfg", &environment, fab, &mut findings);
        for entry in layer.entries.values() {
            if let Value::Untyped(value) = &entry.value {
                assert!(value.len() <= 2 << 20, "{} bytes", value.len());
                assert_eq!(expand(value, &environment).as_ref(), Ok(value), "not expanded to the end");
            }
        }
    }
}
