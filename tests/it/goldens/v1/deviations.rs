//! `v1.toml`: what differs on purpose from what Airflow 2 answered, and why.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Row;

/// The file, and which of its entries were met.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviations {
    /// Operations that are not translated yet: their rows are not asked. 0 are those that are none.
    #[serde(default)]
    pending: BTreeSet<u64>,
    #[serde(default)]
    deviation: Vec<Deviation>,
}

/// One reason, and where it applies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The short name, as the tally has it.
    pub name: String,
    /// A sentence for the manual.
    pub why: String,
    /// Names of rows; `*` stands for any text. None where other tests show it, or none can.
    #[serde(default)]
    rows: Vec<String>,
    /// What may differ, as [`super::compare::differences`] names it; `*` stands for any text.
    #[serde(default)]
    differs: Vec<String>,
    /// The status that is answered, where it is not Airflow 2's.
    status: Option<u16>,
    /// What the answer must say, where its body is not Airflow 2's.
    #[serde(default)]
    says: String,
    #[serde(skip)]
    met: BTreeSet<usize>,
}

impl Deviations {
    /// Reads a file of `tests/it/goldens`.
    pub fn read(name: &str) -> Self {
        let path = format!("{}/tests/it/goldens/{name}", env!("CARGO_MANIFEST_DIR"));
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    pub fn all(&self) -> &[Deviation] {
        &self.deviation
    }

    pub fn is_pending(&self, row: &Row) -> bool {
        self.pending.contains(&row.operation().unwrap_or_default())
    }

    /// The reasons why an answer differs; or what is left unexplained.
    pub fn explain(
        &mut self,
        name: &str,
        (status, text): (u16, &str),
        found: &[String],
    ) -> Result<BTreeSet<String>, String> {
        let mut left: BTreeSet<&String> = found.iter().collect();
        let mut reasons = BTreeSet::new();
        for deviation in &mut self.deviation {
            let Some(pattern) = deviation.rows.iter().position(|pattern| matches(pattern, name)) else {
                continue;
            };
            let before = left.len();
            let applies =
                deviation.status.is_none_or(|wanted| wanted == status) && text.contains(&deviation.says);
            if applies {
                left.retain(|name| !deviation.differs.iter().any(|pattern| matches(pattern, name)));
            }
            if left.len() < before {
                deviation.met.insert(pattern);
                reasons.insert(deviation.name.clone());
            }
        }
        if left.is_empty() { Ok(reasons) } else { Err(format!("differs in {left:?}")) }
    }

    /// Every entry explains something: what no longer differs must go from the file.
    #[track_caller]
    pub fn assert_all_used<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let names: Vec<&str> = names.collect();
        let mut unused = Vec::new();
        for deviation in &self.deviation {
            for (index, pattern) in deviation.rows.iter().enumerate() {
                if !deviation.met.contains(&index) {
                    let known = names.iter().any(|name| matches(pattern, name));
                    let what = if known { "no longer differs" } else { "is no row" };
                    unused.push(format!("{}: {pattern} {what}", deviation.name));
                }
            }
        }
        assert!(unused.is_empty(), "{unused:#?}");
    }
}

/// `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some((_, after)) = rest.split_once(middle) else { return false };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*/sla_miss", "/task_instances/0/sla_miss", true),
        ("/a/*/b", "/a/0/b", true),
        ("/a/*/b", "/a/0/c", false),
        ("/a/*/b/*", "/a/0/b/1/c", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
