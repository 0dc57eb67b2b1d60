//! Our own file. Input: a file.

use std::path::Path;

use airgate::config::layer::Findings;
use airgate::config::{Location, file};

/// Any file is read to its end, and every mistake is on one of its lines. What is there twice is there before.
pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut findings = Findings::default();
    let layer = file::read(text, "airgate.toml", Path::new("/etc/airgate"), &mut findings);
    let lines: Vec<&str> = text.split('\n').collect();
    let places = findings.errors.iter().chain(&findings.warnings).map(|note| &note.at);
    for place in places.chain(layer.entries.values().map(|entry| &entry.at)) {
        match place {
            Location::Column { line, column, .. } => {
                let characters = line.checked_sub(1).and_then(|at| lines.get(at)).map(|l| l.chars().count());
                assert!(characters.is_some_and(|n| (1..=n + 1).contains(column)), "{place}: {text:?}");
            }
            Location::File(_) => {}
            Location::Default | Location::Line { .. } | Location::Variable(_) | Location::Set(_) => {
                panic!("{place} is no place in the file")
            }
        }
    }
    for note in findings.errors.iter() {
        let Some((_, rest)) = note.message.split_once(" is written a second time: the first time is at ")
        else {
            continue;
        };
        let first = rest.trim_end_matches(". Write it once").trim_start_matches("airgate.toml:");
        let first =
            first.split_once(':').map(|(line, column)| (line.parse().unwrap(), column.parse().unwrap()));
        let Location::Column { line, column, .. } = note.at else { panic!("{note}") };
        assert!(first.unwrap() < (line, column), "{note}: {text:?}");
    }
}
