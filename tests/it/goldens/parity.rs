//! `docs/parity.md` says what the comparisons find, and is held to it.
//!
//! `AIRGATE_WRITE_PARITY=1` has the tests write it instead.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;

use super::reason::{Reason, TEXTS};

/// What a comparison found.
pub struct Tally {
    pub equal: usize,
    pub on_purpose: BTreeMap<Reason, usize>,
    pub wrong: usize,
    pub not_replayable: usize,
}

impl Tally {
    fn reasons(&self) -> String {
        let reasons: Vec<_> =
            self.on_purpose.iter().map(|(reason, count)| format!("{count} {reason:?}")).collect();
        reasons.join(", ")
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { equal, wrong, not_replayable, .. } = self;
        let reasons = self.reasons();
        write!(f, "{equal} equal; on purpose {reasons}; {wrong} wrong; {not_replayable} not replayable")
    }
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/parity.md")
}

/// One line of the page at a time.
static WRITING: Mutex<()> = Mutex::new(());

/// Compares a line of the page with what was found, or writes it.
#[track_caller]
pub fn hold(what: &str, recorded: &str, groups: &[&str], tally: &Tally) {
    let deviating: usize = tally.on_purpose.values().sum();
    let reasons = if deviating == 0 { String::new() } else { format!(": {}", tally.reasons()) };
    let line = format!(
        "| {what} | `{recorded}`: {} | {} | {deviating}{reasons} | {} | {} |",
        groups.join(", "),
        tally.equal,
        tally.wrong,
        tally.not_replayable
    );
    let _one = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = std::fs::read_to_string(page()).unwrap();
    let begin = format!("| {what} | `{recorded}`");
    if std::env::var_os("AIRGATE_WRITE_PARITY").is_some() {
        let mut lines: Vec<&str> = text.lines().collect();
        match lines.iter().position(|line| line.starts_with(&begin)) {
            Some(place) => lines[place] = &line,
            None => {
                let table = lines.iter().position(|line| line.starts_with("|---")).unwrap();
                let end = lines[table..].iter().position(|line| !line.starts_with('|')).unwrap();
                lines.insert(table + end, &line);
            }
        }
        std::fs::write(page(), lines.join("\n") + "\n").unwrap();
    } else {
        let found = text.lines().find(|line| line.starts_with(&begin));
        assert_eq!(found, Some(&*line), "docs/parity.md; AIRGATE_WRITE_PARITY=1 writes it");
    }
}

#[test]
fn every_reason_is_told() {
    let _one = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = std::fs::read_to_string(page()).unwrap();
    let (head, _) = text.split_once("## Reasons\n").unwrap();
    let entries: Vec<String> =
        TEXTS.iter().map(|(reason, text)| format!("- **{reason:?}**: {text}")).collect();
    let wanted = format!("{head}## Reasons\n\n{}\n", entries.join("\n"));
    if std::env::var_os("AIRGATE_WRITE_PARITY").is_some() {
        std::fs::write(page(), wanted).unwrap();
    } else {
        assert_eq!(text, wanted);
    }
}

/// The page has no line that no comparison stands for, and the sums are those of its lines.
#[test]
fn the_sums_are_right() {
    let _one = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = std::fs::read_to_string(page()).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains("`: "));
    let mut sums = [0; 4];
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").skip(2).collect();
        for (sum, cell) in sums.iter_mut().zip(&cells) {
            let number: String = cell.chars().take_while(char::is_ascii_digit).collect();
            *sum += number.parse::<usize>().unwrap();
        }
    }
    let [equal, deviating, wrong, again] = sums;
    assert_eq!(wrong, 0);
    let told = format!(
        "{equal} answers are equal, {deviating} differ on purpose, 0 are wrong; {again} cannot be asked again"
    );
    if std::env::var_os("AIRGATE_WRITE_PARITY").is_some() {
        let lines = text.lines().map(|line| {
            if line.contains(" answers are equal, ") { format!("In all, {told}.") } else { line.into() }
        });
        std::fs::write(page(), lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    } else {
        assert!(text.contains(&told), "docs/parity.md must say: {told}");
    }
}
