//! What Airflow reads after the clamp, by Airflow's own libraries.
//!
//! Strings of every kind are made up, clamped, and read by `properties/page_sizes.py` before and after.

use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use airgate::gate::limit::{Clamped, ClampedBody, Dialect, ListEndpoint, PageLimit};
use airgate::gate::target::Target;

use crate::properties::Random;
use crate::support::airflow;

const FALLBACK: u32 = 3;

/// What a library makes of a page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Absent,
    Refused,
    Number(i128),
}

use Reading::{Absent, Number, Refused};

impl Reading {
    fn of(text: &str) -> Self {
        match text {
            "absent" => Absent,
            "refused" => Refused,
            digits => Number(digits.parse().unwrap()),
        }
    }
}

/// The Python that has Airflow 2.
fn python_2() -> PathBuf {
    let home = &airflow::airflow_2().home;
    home.parent().unwrap().parent().unwrap().join("venv-af2/bin/python")
}

/// Has each input read, in order.
fn read(python: &Path, mode: &str, inputs: &[Vec<u8>]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/properties/page_sizes.py");
    let mut lines = Vec::new();
    for input in inputs {
        let digit = |four: u8| b"0123456789abcdef"[usize::from(four)];
        lines.extend(input.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        lines.push(b'\n');
    }
    let mut child = Command::new(python)
        .arg(script)
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&lines).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{mode}");
    let readings: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(readings.len(), inputs.len(), "{mode}");
    readings
}

/// Texts that are numbers, or nearly.
struct Numbers(Random);

impl Numbers {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.below(from.len())]
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.0.below(times) == 0
    }

    fn space(&mut self) -> String {
        const SPACES: &[&str] = &[
            " ", "  ", "\t", "\n", "\r", "\u{b}", "\u{c}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{1f}", "\u{85}",
            "\u{a0}", "\u{1680}", "\u{2000}", "\u{2003}", "\u{200a}", "\u{2028}", "\u{2029}", "\u{202f}",
            "\u{205f}", "\u{3000}", "\u{200b}", "\u{feff}", "\u{180e}", "\u{2060}",
        ];
        self.pick(SPACES).to_owned()
    }

    /// Digits of one script, of all that there are, seldom of several.
    fn digits(&mut self, length: usize) -> String {
        // All zeros but ASCII's of Unicode 14, which every Python of the tests knows, and what only looks like digits.
        #[rustfmt::skip]
        const ZEROS: &[char] = &[
            '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}',
            '\u{be6}', '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}',
            '\u{1040}', '\u{1090}', '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1a90}',
            '\u{1b50}', '\u{1bb0}', '\u{1c40}', '\u{1c50}', '\u{a620}', '\u{a8d0}', '\u{a900}', '\u{a9d0}',
            '\u{a9f0}', '\u{aa50}', '\u{abf0}', '\u{ff10}', '\u{104a0}', '\u{10d30}', '\u{11066}',
            '\u{110f0}', '\u{11136}', '\u{111d0}', '\u{112f0}', '\u{11450}', '\u{114d0}', '\u{11650}',
            '\u{116c0}', '\u{11730}', '\u{118e0}', '\u{11950}', '\u{11c50}', '\u{11d50}', '\u{11da0}',
            '\u{16a60}', '\u{16ac0}', '\u{16b50}', '\u{1d7ce}', '\u{1d7d8}', '\u{1d7e2}', '\u{1d7ec}',
            '\u{1d7f6}', '\u{1e140}', '\u{1e2f0}', '\u{1e950}', '\u{1fbf0}', '²', '①', '一', 'Ⅷ',
        ];
        let ascii = !self.one_in(5);
        let script = self.pick(ZEROS);
        (0..length)
            .map(|_| {
                let digit = self.0.below(10) as u32;
                let zero = if self.one_in(40) {
                    self.pick(ZEROS)
                } else if ascii {
                    '0'
                } else {
                    script
                };
                char::from_u32(u32::from(zero) + digit).unwrap_or('0')
            })
            .collect()
    }

    fn text(&mut self) -> String {
        let length = match self.0.below(1500) {
            // As many as Python and pydantic read, or a few more.
            0 => 4290 + self.0.below(20),
            1..50 => 0,
            50..200 => 15 + self.0.below(10),
            _ => 1 + self.0.below(5),
        };
        let mut text = self.digits(length);
        if self.one_in(5) {
            text = format!("{}{text}", self.pick(&["0", "00", "0_", "_0", "0__"]));
        }
        if self.one_in(5) && !text.is_empty() {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            text.insert_str(
                self.pick(&places),
                self.pick(&["_", "__", ",", "'", ".", " ", "\0", "e", "x", "-", "\u{a0}"]),
            );
        }
        if self.one_in(6) {
            text.push_str(self.pick(&[
                ".0", ".00", ".", ".5", ".0_0", ".０", "e3", "E3", "e+1", "e0", "j", "L", "n", "%", "_",
            ]));
        }
        if self.one_in(5) {
            text = format!(
                "{}{text}",
                self.pick(&["+", "-", "--", "+-", "−", "＋", "0x", "0o", "0b", "~", "- ", "0-", "0-_"])
            );
        }
        if self.one_in(5) {
            text = format!("{}{text}", self.space());
        }
        if self.one_in(5) {
            text.push_str(&self.space());
        }
        if self.one_in(25) {
            text = self
                .pick(&["", "null", "None", "true", "inf", "nan", "1;limit=1000", "1000\0", "\0", "[1000]"])
                .to_owned();
        }
        text
    }

    /// Some bytes of a text encoded, all that a target cannot have, and some twice.
    fn encoded(&mut self, text: &[u8]) -> String {
        let twice = self.one_in(12);
        let all = self.one_in(8);
        let mut out = String::new();
        for &byte in text {
            let plain = byte.is_ascii_graphic() && !b"&#%+\"<>\\^`{|}".contains(&byte);
            // A space, or a plus that becomes one.
            if byte == b' ' && self.one_in(2) || byte == b'+' && self.one_in(4) {
                out.push('+');
            } else if plain && !(all || self.one_in(12)) {
                out.push(char::from(byte));
            } else {
                let percent = if twice && self.one_in(3) { "%25" } else { "%" };
                let case = self.one_in(2);
                let escape = if case { format!("{byte:02X}") } else { format!("{byte:02x}") };
                out.push_str(percent);
                out.push_str(&escape);
            }
        }
        out
    }

    /// A query with a `limit` or several, among other things.
    fn query(&mut self) -> String {
        let mut pairs = Vec::new();
        for _ in 0..1 + self.0.below(3) {
            if self.one_in(6) {
                pairs.push(
                    self.pick(&[
                        "",
                        "=",
                        "a=b",
                        "limit",
                        "limit=",
                        "Limit=9",
                        "limits=9",
                        "limit%00=9",
                        "limit[]=9",
                        "limit[a]=9",
                        "%zz=1",
                        "%6",
                        "a=%26limit=9",
                        "a=1;limit=9",
                        "limit;=9",
                        "limit==9",
                        "%EF%BB%BFlimit=9",
                        "%FFlimit=9",
                        "limit%2=9",
                        "+limit=9",
                        "limit+=9",
                        "%256cimit=9",
                        "%FF=%FF",
                        "limit=%FF9",
                        "limit=9%C3",
                        "limit=%zz9",
                        "limit=%ED%A0%809",
                        "limit=9%E2%80%8B",
                        "limit=%C0%B19",
                    ])
                    .to_owned(),
                );
                continue;
            }
            let text = self.text();
            let mut value = text.into_bytes();
            if self.one_in(30) {
                let at = self.0.below(value.len() + 1);
                value.insert(at, self.pick(&[0xff, 0xc3, 0x80, 0xe2, 0]));
            }
            let name = if self.one_in(5) { self.encoded(b"limit") } else { "limit".into() };
            let value = self.encoded(&value);
            pairs.push(format!("{name}={value}"));
        }
        let separator = if self.one_in(40) { ";" } else { "&" };
        pairs.join(separator)
    }

    /// A value of a JSON document.
    fn json(&mut self) -> String {
        let text = self.text();
        match self.0.below(8) {
            0..=2 => format!("{}{}", self.pick(&["", "", "-"]), self.0.below(2000)),
            3 => format!("{}", self.0.below(100) as f64 / self.pick(&[1.0, 2.0, 4.0])),
            4 => format!(
                "{}{}{}",
                self.0.below(50),
                self.pick(&[".0", "e0", "e1", "E+2", ".50e1", "e-1", "0e-1", "e18", "e19", "e400"]),
                ""
            ),
            5 => serde_json::to_string(&text).unwrap(),
            6 => self
                .pick(&[
                    "true",
                    "false",
                    "null",
                    "NaN",
                    "-Infinity",
                    "[]",
                    "{}",
                    "[9]",
                    r#"{"page_limit":9}"#,
                    "01",
                    "1.",
                    ".5",
                    "+1",
                    "0x9",
                    "1_0",
                    "-0",
                    "-0.0",
                ])
                .to_owned(),
            _ => text,
        }
    }

    /// A JSON string, with more escapes than it needs.
    fn quoted(&mut self, text: &str) -> String {
        let mut out = String::from('"');
        for c in text.chars() {
            if self.one_in(6) && u32::from(c) < 0x1_0000 {
                write!(out, "\\u{:04x}", u32::from(c)).unwrap();
            } else {
                out.push(c);
            }
        }
        out.push('"');
        out
    }

    /// A document with a `page_limit` or several, among other things, in any encoding that Python guesses.
    fn body(&mut self) -> Vec<u8> {
        let mut members = Vec::new();
        for _ in 0..self.0.below(4) {
            let name = self.pick(&[
                "page_limit",
                "page_limit",
                "page_limit",
                "dag_ids",
                "é🎈",
                "page\\u005flimit",
                "page_limits",
                "Page_limit",
                "",
            ]);
            let name = if name.contains('\\') { format!("\"{name}\"") } else { self.quoted(name) };
            let (left, right) = (self.pick(&["", " ", "\n\t"]), self.pick(&["", " ", "\r"]));
            let value = self.json();
            members.push(format!("{left}{name}{right}:{right}{value}{left}"));
        }
        let mut document = format!("{{{}}}", members.join(","));
        if self.one_in(30) {
            let end = self.pick(&[",", "}", "x", "\u{a0}", "{}", "\0"]);
            document.push_str(end);
        }
        if self.one_in(40) {
            document = format!("{}{document}", self.pick(&["[", " ", "\u{feff}", "//"]));
        }
        match self.0.below(12) {
            0 => document.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            1 => document.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            2 => document.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
            3 => format!("\u{feff}{document}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
            4 => {
                let mut bytes = document.into_bytes();
                let at = self.0.below(bytes.len() + 1);
                bytes.insert(at, self.pick(&[0xff, 0xed, 0, b'\\', b'"', 0x1f]));
                bytes
            }
            _ => document.into_bytes(),
        }
    }
}

fn limit(maximum: u32) -> PageLimit {
    PageLimit::new(NonZeroU32::new(maximum).unwrap(), NonZeroU32::new(FALLBACK).unwrap())
}

/// Whether a query reaches the clamp: others are refused before, with 400.
fn passes(query: &str) -> bool {
    let target = format!("/api/v2/dags?{query}");
    Target::parse(target.as_bytes(), Some(b"a")).is_ok()
}

/// What the upstream must read, by what it would have read. `None` where anything within the bounds will do.
fn expected(before: Reading, dialect: Dialect, maximum: u32) -> Option<Reading> {
    let (maximum, fallback) = (i128::from(maximum), i128::from(FALLBACK.min(maximum)));
    match (before, dialect) {
        (Absent, Dialect::Airflow3) => Some(Number(fallback)),
        (Absent, Dialect::Airflow3Fab | Dialect::Airflow2 | Dialect::AnyFab) => {
            Some(Number(maximum.min(100)))
        }
        // A number longer than Python converts is lowered all the same: it may be told to convert it.
        (Refused, _) => None,
        (Number(0), Dialect::Airflow3Fab | Dialect::Airflow2 | Dialect::AnyFab) => Some(Number(fallback)),
        (Number(rows), _) if rows < 0 => Some(Number(maximum)),
        (Number(rows), _) => Some(Number(rows.min(maximum))),
    }
}

fn queries(python: &Path, mode: &str, dialects: &[Dialect], count: usize) {
    let mut numbers = Numbers(Random(7));
    let mut came = Vec::new();
    while came.len() < count {
        let query = numbers.query();
        if passes(&query) {
            let (maximum, dialect) = (1 + numbers.0.below(200) as u32, numbers.pick(dialects));
            came.push((query, maximum, dialect));
        }
    }
    let sent: Vec<String> = came
        .iter()
        .map(|(query, maximum, dialect)| {
            match limit(*maximum).clamp(Some(query), *dialect, ListEndpoint::Yes) {
                Clamped::Unchanged => query.clone(),
                Clamped::Rewritten { query, .. } => query,
            }
        })
        .collect();
    let lines: Vec<Vec<u8>> =
        came.iter().map(|(query, _, _)| query).chain(&sent).map(|q| q.clone().into()).collect();
    let readings = read(python, mode, &lines);
    let (before, after) = readings.split_at(count);
    let (mut valid, mut lowered) = (0, 0);
    for (n, (query, maximum, dialect)) in came.iter().enumerate() {
        let (before, after) = (Reading::of(&before[n]), Reading::of(&after[n]));
        let at = || {
            format!(
                "{query:?} became {:?}: {before:?}, then {after:?} with at most {maximum}, {dialect:?}",
                sent[n]
            )
        };
        match expected(before, *dialect, *maximum) {
            Some(expected) => assert_eq!(after, expected, "{}", at()),
            None => assert!(
                after == Refused
                    || matches!(after, Number(rows) if query.len() > 4000 && rows <= i128::from(*maximum)),
                "{}",
                at()
            ),
        }
        valid += usize::from(matches!(before, Number(_)));
        lowered += usize::from(matches!((before, after), (Number(before), Number(after)) if after < before));
    }
    assert!(valid > count / 4 && lowered > count / 8, "{valid} valid, {lowered} lowered of {count}");
}

#[test]
fn airflow_3_reads_no_larger_page_in_a_query() {
    queries(&airflow::python(), "starlette", &[Dialect::Airflow3, Dialect::Airflow3Fab], 100_000);
}

#[test]
fn python_reads_no_larger_page_in_a_query() {
    queries(&airflow::python(), "int", &[Dialect::Airflow2], 100_000);
}

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn airflow_2_reads_no_larger_page_in_a_query() {
    queries(&python_2(), "connexion", &[Dialect::Airflow2], 100_000);
}

fn bodies(mode: &str, dialect: Dialect, count: usize) {
    let mut numbers = Numbers(Random(11));
    let came: Vec<_> = (0..count).map(|_| (numbers.body(), 1 + numbers.0.below(200) as u32)).collect();
    let sent: Vec<Vec<u8>> = came
        .iter()
        .map(|(body, maximum)| match limit(*maximum).clamp_body(body, dialect) {
            ClampedBody::Unchanged => body.clone(),
            ClampedBody::Rewritten { body, .. } => body,
        })
        .collect();
    let lines: Vec<Vec<u8>> = came.iter().map(|(body, _)| body).chain(&sent).cloned().collect();
    let readings = read(&airflow::python(), mode, &lines);
    let (before, after) = readings.split_at(count);
    let split = |line: &str| {
        let (page, others) = line.split_once(' ').unwrap_or((line, ""));
        (Reading::of(page), others.to_owned())
    };
    let (mut valid, mut lowered) = (0, 0);
    for (n, (body, maximum)) in came.iter().enumerate() {
        let ((before, others), (after, same)) = (split(&before[n]), split(&after[n]));
        let shown = [body, &sent[n]].map(|body| String::from_utf8_lossy(body).into_owned());
        let at = format!("{shown:?}: {before:?}, then {after:?}, with at most {maximum}");
        match (before, after) {
            (Refused, Refused) => {}
            // A longer integer than Python converts.
            (Refused, Number(rows)) => assert!(body.len() > 4000 && rows <= i128::from(*maximum), "{at}"),
            // Airflow's own 100, which is more than is allowed.
            (Number(100), Number(rows)) if rows < 100 => assert!(rows <= i128::from(*maximum), "{at}"),
            (Number(rows), _) => assert_eq!(after, Number(rows.min(i128::from(*maximum))), "{at}"),
            (Absent, _) | (Refused, Absent) => panic!("{at}"),
        }
        assert!(others == same || before == Refused, "{at}");
        valid += usize::from(before != Refused);
        lowered += usize::from(matches!((before, after), (Number(before), Number(after)) if after < before));
    }
    assert!(valid > count / 4 && lowered > count / 8, "{valid} valid, {lowered} lowered of {count}");
}

#[test]
fn airflow_3_reads_no_larger_page_in_a_body() {
    bodies("body3", Dialect::Airflow3, 30_000);
}

#[test]
fn airflow_2_reads_no_larger_page_in_a_body() {
    bodies("body2", Dialect::Airflow2, 30_000);
}
