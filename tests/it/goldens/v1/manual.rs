//! The parts of `docs/v1.md` that are made from what these tests know.

use std::collections::BTreeSet;
use std::path::Path;

use super::deviations::Deviations;

const PAGE: &str = "docs/v1.md";

/// Says that a part of the page is this text. `AIRGATE_WRITE_SAMPLE=1` writes it instead.
#[track_caller]
pub fn holds(part: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {part}: made by tests -->\n"), format!("<!-- end of {part} -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{PAGE} has no {begin}"));
    let (is, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{PAGE} has no {end}"));
    let should_be = format!("\n{text}\n");
    if is == should_be {
        return;
    }
    if std::env::var_os("AIRGATE_WRITE_SAMPLE").is_some() {
        std::fs::write(path, format!("{before}{begin}{should_be}{end}{after}")).unwrap();
        return;
    }
    panic!("the part {part} of {PAGE} is out of date; AIRGATE_WRITE_SAMPLE=1 writes it:\n{text}");
}

#[test]
fn what_differs() {
    let mut table = String::from("| What | Why |\n|---|---|\n");
    let mut told = BTreeSet::new();
    for file in ["v1.toml", "v1-options.toml", "v1-af2.toml", "v1-client.toml"] {
        for deviation in Deviations::read(file).all() {
            // By the first of the same name.
            if told.insert(deviation.name.clone()) {
                assert!(!deviation.why.is_empty(), "{}: why?", deviation.name);
                table += &format!("| {} | {} |\n", deviation.name, deviation.why);
            }
        }
    }
    holds("differences", &table);
}
