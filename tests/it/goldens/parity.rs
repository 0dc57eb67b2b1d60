//! `docs/parity.md` says what the comparisons find, and is held to it.
//!
//! `AIRGATE_WRITE_PARITY=1` has the tests write it instead.

use std::collections::{BTreeMap, BTreeSet};
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

/// What is recorded and not in the table: file, variant, group (`*` for all of them), and why.
const NOT_IN_THE_TABLE: &[[&str; 4]] = &[
    ["*", "*", "startup", "how Airflow was started: nothing was asked"],
    ["af3-simple", "jwt-rs256", "keys", "the key pair: nothing was asked"],
    ["af3-simple", "all-admins", "all-admins", "airgate does not have it: `docs/parity.md` says so"],
    ["af2", "backend-default", "*", "`default` looks at no credential there: `docs/parity.md` says so"],
    ["af2", "cors-origin-star", "cors", "airgate does not start with `*`: `docs/parity.md` says so"],
    ["af2", "kerberos", "kerberos", "in `af2-kerberos`, with tickets made anew"],
    ["af2", "kerberos-no-public-role", "kerberos", "likewise"],
    ["af2", "kerberos-basic-no-public-role", "kerberos", "likewise"],
    ["af2", "session-kerberos-no-public-role", "kerberos", "likewise"],
];

/// Files of answers that have pages or tests of their own.
const OTHER_FILES: &[&str] = &["af2-v1.jsonl", "keycloak.jsonl"];

/// Every recorded answer is in the table, or is left out for a reason; and each line of the table is of answers that
/// there are, and of a test that there is.
#[test]
fn nothing_recorded_is_left_out() {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut recorded = BTreeSet::<[String; 3]>::new();
    for entry in std::fs::read_dir(tests.join("goldens")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(file) = name.strip_suffix(".jsonl").filter(|_| !OTHER_FILES.contains(&&*name)) else {
            continue;
        };
        for line in std::fs::read_to_string(tests.join("goldens").join(&name)).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(variant) = row["variant"].as_str() else { continue };
            let group = row["name"].as_str().unwrap().split('.').next().unwrap();
            recorded.insert([file, variant, group].map(str::to_owned));
        }
    }
    let _one = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let page = std::fs::read_to_string(page()).unwrap();
    let sources: String = ["it/goldens.rs", "it/experimental.rs", "it/kerberos/goldens.rs"]
        .into_iter()
        .map(|file| tests.join(file))
        .chain(std::fs::read_dir(tests.join("it/goldens")).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.is_file() && !path.ends_with("parity.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut told = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ") && line.contains("`: ")) {
        let cells: Vec<&str> = row.trim_start_matches("| ").split(" | ").collect();
        let (place, groups) = cells[1].trim_start_matches('`').split_once("`: ").unwrap();
        let (file, variant) = place.split_once(' ').unwrap();
        assert!(sources.contains(&format!("\"{}\"", cells[0])), "no test is so called: {row}");
        assert!(sources.contains(&format!("\"{variant}\"")), "no test asks this variant: {row}");
        let keys: Vec<_> =
            groups.split(", ").map(|group| [file, variant, group].map(str::to_owned)).collect();
        assert!(keys.iter().any(|key| recorded.contains(key)), "nothing is recorded: {row}");
        told.extend(keys);
    }
    let excused = |key: &[String; 3]| {
        let is = |pattern: &str, name: &str| pattern == "*" || pattern == name;
        NOT_IN_THE_TABLE.iter().position(|[file, variant, group, _]| {
            is(file, &key[0]) && is(variant, &key[1]) && is(group, &key[2])
        })
    };
    let left: Vec<_> = recorded.iter().filter(|key| !told.contains(key) && excused(key).is_none()).collect();
    assert!(left.is_empty(), "neither in docs/parity.md nor named here: {left:?}");
    let used: Vec<_> = recorded.iter().filter(|key| !told.contains(key)).filter_map(excused).collect();
    for (at, row) in NOT_IN_THE_TABLE.iter().enumerate() {
        assert!(used.contains(&at), "{row:?} excuses nothing");
    }
}
