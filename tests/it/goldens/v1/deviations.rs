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
    /// A sentence for the manual. None where an earlier entry of the same name has it.
    #[serde(default)]
    pub why: String,
    /// Names of rows; `*` stands for any text. None where other tests show it, or none can.
    #[serde(default)]
    rows: Vec<String>,
    /// What may differ, as [`super::compare::differences`] names it; `*` stands for any text.
    #[serde(default)]
    differs: Vec<String>,
    /// The status that is answered. Wherever there are rows.
    status: Option<u16>,
    /// What the answer must say. Wherever all of its body may differ: nothing, with quotes around it, is an empty one.
    says: Option<String>,
    #[serde(skip)]
    met: BTreeSet<usize>,
}

impl Deviations {
    /// Reads a file of `tests/it/goldens`.
    pub fn read(name: &str) -> Self {
        let path = format!("{}/tests/it/goldens/{name}", env!("CARGO_MANIFEST_DIR"));
        let read: Self = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let loose: Vec<_> = read.deviation.iter().filter(|deviation| !deviation.is_bound()).collect();
        let loose: Vec<_> = loose.into_iter().map(|loose| (&loose.name, &loose.rows)).collect();
        assert!(loose.is_empty(), "{name}: another wrong answer would pass, too: {loose:#?}");
        read
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
            if deviation.status == Some(status) && deviation.is_said(text) {
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

impl Deviation {
    /// Whether it says what is answered instead: else it were right whatever that is.
    fn is_bound(&self) -> bool {
        let is_all = |name: &String| matches!(&**name, "*" | "/*" | "#body");
        self.rows.is_empty()
            || self.status.is_some() && (self.says.is_some() || !self.differs.iter().any(is_all))
    }

    fn is_said(&self, text: &str) -> bool {
        match self.says.as_deref() {
            None => true,
            Some("") => text.is_empty(),
            Some(says) => text.contains(says),
        }
    }
}

#[test]
fn a_deviation_says_what_is_answered_instead() {
    for (name, entry, expected) in [
        ("no rows", "", true),
        ("a status", "rows = ['a']\ndiffers = ['/title']\nstatus = 200", true),
        ("no status", "rows = ['a']\ndiffers = ['/title']\nsays = 'b'", false),
        ("all of it", "rows = ['a']\ndiffers = ['*']\nstatus = 200", false),
        ("the body", "rows = ['a']\ndiffers = ['#body']\nstatus = 200", false),
        ("all but what is said", "rows = ['a']\ndiffers = ['/*']\nstatus = 200\nsays = 'b'", true),
    ] {
        let entry: Deviation = toml::from_str(&format!("name = 'n'\n{entry}")).unwrap();
        assert_eq!(entry.is_bound(), expected, "{name}");
    }
    let entry = |says| toml::from_str::<Deviation>(&format!("name = 'n'\nsays = '{says}'")).unwrap();
    for (says, text, expected) in [("b", "abc", true), ("b", "a", false), ("", "", true), ("", "a", false)] {
        assert_eq!(entry(says).is_said(text), expected, "{says:?} {text:?}");
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
