//! `airflow.cfg`, read the way Airflow reads it: Python's `ConfigParser` with its defaults, except
//! that keys keep their case (`AirflowConfigParser.optionxform`).
//!
//! So: comments are whole lines that begin with `#` or `;`; `=` or `:` separates; deeper indented
//! lines go on with the value, empty lines included; `[DEFAULT]` holds for every section; `%(x)s`
//! is another value of the section, `%%` a per cent sign. Unlike Python's, this reader goes on after
//! an error and takes a byte order mark.

use std::collections::BTreeMap;

/// A file, read.
#[derive(Default)]
pub struct Cfg {
    sections: BTreeMap<String, Options>,
    defaults: Options,
}

type Options = BTreeMap<String, Raw>;

/// A value before interpolation, and its line.
struct Raw {
    lines: Vec<String>,
    line: usize,
}

/// A line that Airflow too would refuse to start with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something before the first `[section]`.
    #[error("expected a [section] before the first option")]
    NoSection,
    /// Neither section nor option nor continuation.
    #[error("expected `key = value`, a [section], or a line that is indented to go on with a value")]
    NoOption,
    /// `[` without `]`.
    #[error("expected `]` behind the name of a section")]
    OpenSection,
    /// A section that was there before.
    #[error("section [{0}] occurs twice")]
    SectionTwice(String),
    /// An option that was there before.
    #[error("[{section}] {key} occurs twice")]
    OptionTwice {
        /// Its section.
        section: String,
        /// Its key.
        key: String,
    },
}

/// A `%` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInterpolation {
    /// A `%` alone.
    #[error("`%` must be followed by `%` or `(`: a per cent sign is written `%%`")]
    Percent,
    /// `%(` without `)s`.
    #[error("`%(` must be followed by a key and `)s`")]
    Reference,
    /// No such key in the section or in `[DEFAULT]`.
    #[error("`%({0})s` names an option that is not there")]
    Missing(String),
    /// References to references, without end.
    #[error("the references to other options go too deep")]
    Depth,
}

/// Levels of references that Python follows.
const DEPTH: usize = 10;
/// References and bytes in one value before we give up. Python has no such bound.
const REFERENCES: usize = 1000;
const BYTES: usize = 1 << 20;

impl Cfg {
    /// Reads a whole file, and says of every line that cannot be read why.
    pub fn parse(text: &str) -> (Self, Vec<BadLine>) {
        let mut reader = Reader::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in lines(text).enumerate() {
            reader.line(number + 1, line);
        }
        (reader.cfg, reader.bad)
    }

    /// The value of an option, interpolated, with its line. `None` when it is not there. Like Airflow,
    /// `[DEFAULT]` holds only for a section that the file has.
    pub fn get(&self, section: &str, key: &str) -> Option<(Result<String, BadInterpolation>, usize)> {
        let options = self.sections.get(section)?;
        let raw = options.get(key).or_else(|| self.defaults.get(key))?;
        let mut out = Interpolation { options, defaults: &self.defaults, out: String::new(), references: 0 };
        let value = out.append(&raw.joined(), 1).map(|()| out.out);
        Some((value, raw.line))
    }
}

impl Raw {
    fn joined(&self) -> String {
        trim_end(&self.lines.join("\n")).to_owned()
    }
}

/// Where the lines read so far have led.
#[derive(Default)]
struct Reader {
    cfg: Cfg,
    bad: Vec<BadLine>,
    section: Place,
    key: Option<String>,
    indent: usize,
}

#[derive(Default)]
enum Place {
    #[default]
    Nowhere,
    Defaults,
    Section(String),
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let value = trim(line);
        if value.starts_with(['#', ';']) {
            return;
        }
        if value.is_empty() {
            if let Some(raw) = self.current() {
                raw.lines.push(String::new());
            }
            return;
        }
        let indent = line.chars().take_while(|&c| is_space(c)).count();
        let deeper = indent > self.indent;
        if let Some(raw) = self.current().filter(|_| deeper) {
            raw.lines.push(value.to_owned());
            return;
        }
        self.indent = indent;
        match header(value) {
            Some(name) => self.open(number, name),
            // Python takes `[a = b` for an option, if it likes the key.
            None if value.starts_with('[') && !value.contains(['=', ':', ']']) => {
                self.key = None;
                self.bad.push(BadLine { line: number, fault: Fault::OpenSection });
            }
            None => self.option(number, value),
        }
    }

    /// The option that a continuation belongs to.
    fn current(&mut self) -> Option<&mut Raw> {
        let key = self.key.as_deref()?;
        match &self.section {
            Place::Nowhere => None,
            Place::Defaults => self.cfg.defaults.get_mut(key),
            Place::Section(section) => self.cfg.sections.get_mut(section)?.get_mut(key),
        }
    }

    fn open(&mut self, line: usize, name: &str) {
        self.key = None;
        if name == "DEFAULT" {
            self.section = Place::Defaults;
            return;
        }
        if self.cfg.sections.contains_key(name) {
            self.bad.push(BadLine { line, fault: Fault::SectionTwice(name.to_owned()) });
        } else {
            self.cfg.sections.insert(name.to_owned(), Options::new());
        }
        self.section = Place::Section(name.to_owned());
    }

    fn option(&mut self, line: usize, text: &str) {
        let (options, section) = match &self.section {
            Place::Nowhere => {
                self.bad.push(BadLine { line, fault: Fault::NoSection });
                return;
            }
            Place::Defaults => (&mut self.cfg.defaults, "DEFAULT"),
            Place::Section(name) => (self.cfg.sections.entry(name.clone()).or_default(), name.as_str()),
        };
        let Some((key, value)) =
            text.split_once(['=', ':']).map(|(k, v)| (trim_end(k), trim(v))).filter(|(k, _)| !k.is_empty())
        else {
            self.bad.push(BadLine { line, fault: Fault::NoOption });
            return;
        };
        if options.contains_key(key) {
            let fault = Fault::OptionTwice { section: section.to_owned(), key: key.to_owned() };
            self.bad.push(BadLine { line, fault });
        }
        options.insert(key.to_owned(), Raw { lines: vec![value.to_owned()], line });
        self.key = Some(key.to_owned());
    }
}

/// `[name]`, up to the last bracket of the line; what follows is ignored, as in Python.
fn header(value: &str) -> Option<&str> {
    let rest = value.strip_prefix('[')?;
    let end = rest.rfind(']')?;
    Some(&rest[..end]).filter(|name| !name.is_empty())
}

struct Interpolation<'a> {
    options: &'a Options,
    defaults: &'a Options,
    out: String,
    references: usize,
}

impl Interpolation<'_> {
    fn append(&mut self, mut rest: &str, depth: usize) -> Result<(), BadInterpolation> {
        if depth > DEPTH {
            return Err(BadInterpolation::Depth);
        }
        while let Some(at) = rest.find('%') {
            self.push(&rest[..at])?;
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                self.push("%")?;
                rest = after;
            } else if let Some(name) = rest.strip_prefix('(') {
                let end = name.find(')').filter(|&end| end > 0 && name[end..].starts_with(")s"));
                let end = end.ok_or(BadInterpolation::Reference)?;
                self.reference(&name[..end], depth)?;
                rest = &name[end + 2..];
            } else {
                return Err(BadInterpolation::Percent);
            }
        }
        self.push(rest)
    }

    fn reference(&mut self, name: &str, depth: usize) -> Result<(), BadInterpolation> {
        self.references += 1;
        if self.references > REFERENCES {
            return Err(BadInterpolation::Depth);
        }
        let raw = self.options.get(name).or_else(|| self.defaults.get(name));
        let value = raw.ok_or_else(|| BadInterpolation::Missing(name.to_owned()))?.joined();
        if value.contains('%') { self.append(&value, depth + 1) } else { self.push(&value) }
    }

    fn push(&mut self, text: &str) -> Result<(), BadInterpolation> {
        if self.out.len() + text.len() > BYTES {
            return Err(BadInterpolation::Depth);
        }
        self.out.push_str(text);
        Ok(())
    }
}

/// Lines end with `\n`, `\r\n` or `\r`, as in Python's text files.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text).filter(|t| !t.is_empty());
        };
        let ending = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + ending..]);
        Some(&text[..end])
    })
}

/// Python's white space: Unicode's, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Airflow 3.3.2 reads from `tests/data/nasty.cfg`, taken down with
    /// `tests/data/nasty.py` and `%(x)s`, `$X` and `~` resolved as Airflow does.
    #[test]
    fn a_nasty_file_reads_as_in_python() {
        let (cfg, bad) = Cfg::parse(include_str!("../../../tests/data/nasty.cfg"));
        assert_eq!(bad, []);
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/data/nasty.json")).unwrap();
        let rows = expected.as_array().unwrap();
        assert!(rows.len() > 30, "{} rows", rows.len());
        for row in rows {
            let (section, key) = (row["section"].as_str().unwrap(), row["key"].as_str().unwrap());
            let read = cfg.get(section, key).map(|(value, _)| value.ok());
            let value = match &row["value"] {
                serde_json::Value::Null => None,
                value => Some(value.as_str().map(str::to_owned)),
            };
            assert_eq!(read, value, "[{section}] {key}");
        }
    }

    #[test]
    fn every_bad_line_is_told() {
        type Row<'a> = (&'a str, &'a str, &'a [(usize, &'a str)]);
        let rows: &[Row<'_>] = &[
            ("nothing", "", &[]),
            ("byte order mark", "\u{feff}[core]\nx=1\n", &[]),
            ("no section", "x = 1\n[core]\n", &[(1, "expected a [section] before the first option")]),
            (
                "no delimiter",
                "[core]\nx\ny = 1\nz\n",
                &[
                    (
                        2,
                        "expected `key = value`, a [section], or a line that is indented to go on with a value",
                    ),
                    (
                        4,
                        "expected `key = value`, a [section], or a line that is indented to go on with a value",
                    ),
                ],
            ),
            ("no bracket", "[core\n[api]\nx = 1\n", &[(1, "expected `]` behind the name of a section")]),
            (
                "no key",
                "[core]\n= 1\n",
                &[(
                    2,
                    "expected `key = value`, a [section], or a line that is indented to go on with a value",
                )],
            ),
            (
                "twice",
                "[a]\nx = 1\nx : 2\n[a]\n",
                &[(3, "[a] x occurs twice"), (4, "section [a] occurs twice")],
            ),
        ];
        for (name, text, expected) in rows {
            let (_, bad) = Cfg::parse(text);
            let bad: Vec<_> = bad.iter().map(|b| (b.line, b.fault.to_string())).collect();
            let expected: Vec<_> = expected.iter().map(|(l, m)| (*l, (*m).to_owned())).collect();
            assert_eq!(bad, expected, "{name}");
        }
    }

    #[test]
    fn a_bad_interpolation_is_told_and_bounded() {
        let many = format!("[s]\na = {}\nb = {}\nc =\n", "%(b)s".repeat(100), "%(c)s".repeat(100));
        let rows: &[(&str, &str, BadInterpolation)] = &[
            ("a per cent sign alone", "[s]\na = 50%\n", BadInterpolation::Percent),
            ("no end", "[s]\na = %(b\n", BadInterpolation::Reference),
            ("no s", "[s]\na = %(b)d\n", BadInterpolation::Reference),
            ("no name", "[s]\na = %()s\n", BadInterpolation::Reference),
            ("not there", "[s]\na = %(b)s\n", BadInterpolation::Missing("b".to_owned())),
            ("itself", "[s]\na = x%(a)s\n", BadInterpolation::Depth),
            ("a bomb", &many, BadInterpolation::Depth),
        ];
        for (name, text, expected) in rows {
            let (cfg, _) = Cfg::parse(text);
            assert_eq!(cfg.get("s", "a").unwrap().0, Err(expected.clone()), "{name}");
        }
    }

    #[test]
    fn values_have_the_line_of_their_key() {
        let (cfg, _) = Cfg::parse("# x\n[a]\r\n\r\nx =\n  1\n  2\ry = 3");
        assert_eq!(cfg.get("a", "x"), Some((Ok("\n1\n2".to_owned()), 4)));
        assert_eq!(cfg.get("a", "y"), Some((Ok("3".to_owned()), 7)));
    }
}
