use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::number::{pydantic, python_int};
use super::query::pairs;
use super::*;

fn limits(maximum: u32, fallback: u32) -> PageLimit {
    PageLimit::new(NonZeroU32::new(maximum).unwrap(), NonZeroU32::new(fallback).unwrap())
}

fn goldens(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A recorded answer of a validator: an integer of any size in digits, or null.
fn recorded(answer: &Value) -> Reading {
    match answer.as_str() {
        None => Reading::Refused,
        Some(digits) if digits.starts_with('-') => Reading::Negative,
        Some(digits) => Reading::Number(digits.parse().unwrap_or(u64::MAX)),
    }
}

#[test]
fn texts_are_read_as_the_validators_read_them() {
    let rows = goldens("limit-readings.jsonl");
    assert!(rows.len() > 400);
    for row in rows {
        let text = row["text"].as_str().unwrap();
        assert_eq!(pydantic(text), recorded(&row["pydantic"]), "pydantic, {text:?}");
        if text.len() < 4300 {
            assert_eq!(python_int(text), recorded(&row["int"]), "int(), {text:?}");
        }
    }
}

#[test]
fn queries_are_split_and_decoded_as_starlette_does() {
    let rows = goldens("limit-queries.jsonl");
    assert!(rows.len() > 100);
    for row in rows {
        let query = row["query"].as_str().unwrap();
        let expected = row["pairs"].as_array().unwrap();
        let found: Vec<_> = pairs(query).collect();
        assert_eq!(found.len(), expected.len(), "{query:?}");
        for (pair, expected) in found.iter().zip(expected) {
            assert_eq!(pair.value(Raw::Latin1), expected[1].as_str().unwrap(), "{query:?}");
            for name in ["limit", "dag_runs_limit"] {
                assert_eq!(pair.is(name), expected[0] == name, "{query:?} {name}");
            }
        }
    }
}

/// Name, query, dialect, whether it is a list; the query that is sent on, and whether the page was
/// lowered.
type Row = (&'static str, Option<&'static str>, Dialect, ListEndpoint, Option<(&'static str, bool)>);

#[test]
fn queries_are_clamped() {
    use Dialect::{Airflow2, Airflow3, Airflow3Fab};
    use ListEndpoint::{No, WithRuns, Yes};
    // with a maximum of 100 and a fallback of 50
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("ordinary", Some("limit=10"), Airflow3, Yes, None),
        ("the maximum itself", Some("limit=100"), Airflow3, Yes, None),
        ("one more", Some("limit=101"), Airflow3, Yes, Some(("limit=100", true))),
        ("anywhere", Some("limit=101"), Airflow3, No, Some(("limit=100", true))),
        ("no query", None, Airflow3, Yes, Some(("limit=50", false))),
        ("empty query", Some(""), Airflow3, Yes, Some(("limit=50", false))),
        ("no limit", Some("order_by=-dag_id"), Airflow3, Yes, Some(("order_by=-dag_id&limit=50", false))),
        ("no limit, not a list", Some("a=b%20c"), Airflow3, No, None),
        ("no query, not a list", None, Airflow2, No, None),
        ("limit is part of another name", Some("xlimit=1000&limits=9&Limit=9"), Airflow3, Yes,
            Some(("xlimit=1000&limits=9&Limit=9&limit=50", false))),
        ("limit in a value", Some("q=limit=1000"), Airflow3, Yes, Some(("q=limit=1000&limit=50", false))),
        ("the rest stays as it is", Some("&a=%zz&&%6cimit=1_000.0&b=+;limit=5&=&"), Airflow3, Yes,
            Some(("&a=%zz&&%6cimit=100&b=+;limit=5&=&", true))),
        ("twice, both are lowered", Some("limit=1000&limit=2000"), Airflow3, Yes,
            Some(("limit=100&limit=100", true))),
        ("twice, the last is small", Some("limit=1000&limit=1"), Airflow3, Yes,
            Some(("limit=100&limit=1", false))),
        ("twice, the last is refused", Some("limit=1000&limit=abc"), Airflow3, Yes,
            Some(("limit=100&limit=abc", false))),
        ("a sign, encoded", Some("limit=%2B1000"), Airflow3, Yes, Some(("limit=100", true))),
        ("white space", Some("limit=+1000%E3%80%80"), Airflow3, Yes, Some(("limit=100", true))),
        ("all of it encoded", Some("%6C%69%6D%69%74=%31%30%30%30"), Airflow3, Yes,
            Some(("%6C%69%6D%69%74=100", true))),
        ("more than any integer type", Some("limit=100000000000000000000000"), Airflow3, Yes,
            Some(("limit=100", true))),
        ("raw bytes that might be encoded on their way", Some("limit=\u{a0}1000"), Airflow3, Yes,
            Some(("limit=100", true))),
        ("refused: no number", Some("limit=abc"), Airflow3, Yes, None),
        ("refused: empty", Some("limit="), Airflow3, Yes, None),
        ("refused: bare", Some("limit"), Airflow3, Yes, None),
        ("refused: exponent", Some("limit=1e3"), Airflow3, Yes, None),
        ("refused: full width", Some("limit=%EF%BC%91%EF%BC%90%EF%BC%90%EF%BC%90"), Airflow3, Yes, None),
        ("refused: negative", Some("limit=-1"), Airflow3, Yes, None),
        ("refused: NUL in the value", Some("limit=1000%00"), Airflow3, Yes, None),
        ("another name: NUL in it", Some("limit%00=1000"), Airflow3, No, None),
        ("another name: brackets", Some("limit[]=1000"), Airflow3, No, None),
        ("an encoded & separates nothing", Some("limit=1%26limit=1000"), Airflow3, Yes, None),
        ("zero is an empty page", Some("limit=0"), Airflow3, Yes, None),
        ("zero is the fallback", Some("limit=0"), Airflow3Fab, Yes, Some(("limit=50", false))),
        ("minus zero too", Some("limit=-0.0"), Airflow3Fab, Yes, Some(("limit=50", false))),
        ("FAB, absent, 100 is in its code", Some("a"), Airflow3Fab, Yes, Some(("a&limit=100", false))),
        ("FAB refuses a negative one", Some("limit=-1"), Airflow3Fab, Yes, None),
        ("FAB, large", Some("limit=%201_000"), Airflow3Fab, Yes, Some(("limit=100", true))),
        ("runs to each DAG", Some("dag_runs_limit=1000&limit=5"), Airflow3, Yes,
            Some(("dag_runs_limit=100&limit=5", true))),
        ("runs to each DAG, no limit", Some("dag_runs_limit=-1"), Airflow3, Yes,
            Some(("dag_runs_limit=100&limit=50", true))),
        ("runs to each DAG, none", Some("dag_runs_limit=0&limit=5"), Airflow3, Yes, None),
        ("runs to each DAG, encoded", Some("dag%5Fruns_limit=1000&limit=5"), Airflow3, Yes,
            Some(("dag%5Fruns_limit=100&limit=5", true))),
        ("runs to each DAG, absent: 10 are in the code", None, Airflow3, WithRuns, Some(("limit=50", false))),
        ("2: ordinary", Some("limit=7"), Airflow2, Yes, None),
        ("2: large", Some("limit=1000"), Airflow2, Yes, Some(("limit=100", true))),
        ("2: zero", Some("limit=0"), Airflow2, Yes, Some(("limit=50", false))),
        ("2: negative", Some("limit=-1"), Airflow2, Yes, Some(("limit=100", true))),
        ("2: full width", Some("limit=%EF%BC%91%EF%BC%90%EF%BC%90%EF%BC%90"), Airflow2, Yes,
            Some(("limit=100", true))),
        ("2: full width, raw", Some("limit=１０００"), Airflow2, Yes, Some(("limit=100", true))),
        ("2: scripts mixed", Some("limit=1%D9%A0%D9%A0_0"), Airflow2, Yes, Some(("limit=100", true))),
        ("2: refused: fraction", Some("limit=1000.0"), Airflow2, Yes, None),
        ("2: absent, 100 is in its code", None, Airflow2, Yes, Some(("limit=100", false))),
        ("2: absent, endpoint does not know it", Some("a=b"), Airflow2, No, None),
    ];
    for (name, query, dialect, list, expected) in rows {
        let expected = expected.map_or(Clamped::Unchanged, |(query, lowered)| Clamped::Rewritten {
            query: query.to_owned(),
            lowered,
        });
        assert_eq!(limits(100, 50).clamp(*query, *dialect, *list), expected, "{name}");
    }
    for (maximum, query, sent) in [
        (9, None, "limit=9&dag_runs_limit=9"),
        (9, Some("limit=2"), "limit=2&dag_runs_limit=9"),
        (9, Some("a&dag_runs_limit=-1"), "a&dag_runs_limit=9&limit=9"),
        (10, None, "limit=10"),
    ] {
        let clamped = limits(maximum, 50).clamp(query, Airflow3, WithRuns);
        let lowered = query.is_some_and(|query| query.contains("-1"));
        assert_eq!(clamped, Clamped::Rewritten { query: sent.to_owned(), lowered }, "{maximum}: {query:?}");
    }
}

#[test]
fn a_fallback_above_the_maximum_is_the_maximum() {
    assert_eq!(limits(10, 50).fallback(), 10);
    assert_eq!(limits(10, 5).fallback(), 5);
}

/// The page that the upstream gives for a query: what it reads in the last `limit`.
fn reading(query: &str, dialect: Dialect) -> Option<Reading> {
    let last = pairs(query).filter(|pair| pair.is("limit")).last()?;
    Some(match dialect {
        Dialect::Airflow3 | Dialect::Airflow3Fab => pydantic(&last.value(Raw::Latin1)),
        Dialect::Airflow2 | Dialect::AnyFab => python_int(&last.value(Raw::Utf8)),
    })
}

/// Each recorded request went to an Airflow with a maximum of 5 and a fallback of 3. Its answer
/// tells what Airflow read, and our clamp with the same two numbers must leave the answer as it is.
#[test]
fn recorded_answers_stay_the_same() {
    let mut checked = 0;
    for (file, dialect) in [
        ("af3-simple.jsonl", Dialect::Airflow3),
        ("af3-fab.jsonl", Dialect::Airflow3),
        ("af2.jsonl", Dialect::Airflow2),
    ] {
        for row in goldens(file) {
            let name = row["name"].as_str().unwrap();
            if row["variant"] != "default" || !name.starts_with("limit.") || row["request"]["method"] != "GET"
            {
                continue;
            }
            let path = row["request"]["path"].as_str().unwrap();
            let (path, query) =
                path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
            // refused by the server's own parser, or an endpoint that does not clamp
            if query.is_some_and(|query| !query.is_ascii()) || path == "/api/v1/providers" {
                continue;
            }
            let fab = path.starts_with("/auth/fab/v1") && dialect == Dialect::Airflow3;
            let dialect = if fab { Dialect::Airflow3Fab } else { dialect };
            let sent = match limits(5, 3).clamp(query, dialect, ListEndpoint::Yes) {
                Clamped::Unchanged => query.unwrap_or_default().to_owned(),
                Clamped::Rewritten { query, .. } => query,
            };
            let page = reading(&sent, dialect);
            let items = row["derived"]["n_items"].as_u64();
            let endless = name.starts_with("limit.taskInstances") && dialect == Dialect::Airflow2;
            match (row["response"]["status"].as_u64().unwrap(), items, page) {
                (200 | 500, _, Some(Reading::Number(1..=5))) if endless => {}
                (200, Some(items), Some(Reading::Number(page))) => {
                    let total = row["derived"]["total_entries"].as_u64().unwrap_or(u64::MAX);
                    let skipped = match query {
                        Some(query) if query.contains("offset=100") => 100,
                        Some(query) if query.contains("offset=2") => 2,
                        Some(_) | None => 0,
                    };
                    let left = total.saturating_sub(skipped);
                    assert_eq!(items, page.min(left), "{file} {name}: {sent}");
                }
                (400 | 422, None, Some(Reading::Refused)) => {}
                // Airflow 2 refuses a negative one on most endpoints; the clamp makes it a page.
                (400, None, Some(Reading::Number(5))) if sent != query.unwrap_or_default() => {}
                (422, None, Some(Reading::Negative)) => {}
                // refused for another parameter
                (400 | 422, None, Some(Reading::Number(page))) => {
                    let body = row["response"]["body"].to_string();
                    let other =
                        ["offset", "whatever", "not in spec"].iter().any(|other| body.contains(other));
                    assert!(other && page <= 5, "{file} {name}: {body}");
                }
                unexpected => panic!("{file} {name}: {unexpected:?} {sent}"),
            }
            checked += 1;
        }
    }
    assert!(checked > 350, "{checked}");
}

/// Deterministic: xorshift64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    /// Encodes some bytes that need no encoding, and all that do.
    fn encode(&mut self, text: &str) -> String {
        let mut encoded = String::new();
        for byte in text.bytes() {
            match byte {
                b' ' if self.roll(2) == 0 => encoded.push('+'),
                b'0'..=b'9' | b'a'..=b'z' | b'_' | b'.' | b'-' if self.roll(4) > 0 => {
                    encoded.push(char::from(byte));
                }
                _ if self.roll(2) == 0 => encoded.push_str(&format!("%{byte:02X}")),
                _ => encoded.push_str(&format!("%{byte:02x}")),
            }
        }
        encoded
    }
}

/// Reads queries by other code than ours, and numbers by what the validators themselves recorded.
#[test]
fn no_query_gets_more_than_the_maximum() {
    const NOISE: &[&str] = &[
        "",
        "a=b",
        "limits=1000",
        "limit%00=1000",
        "limit[]=1000",
        "%FFlimit=1000",
        "limit%2=1000",
        "%zz",
        "=",
        "order_by=-x%26limit=1000",
        "q=1;limit=1000",
        "Limit=1000",
        "%",
        "+limit=1000",
    ];
    let readings = goldens("limit-readings.jsonl");
    for (dialect, column) in
        [(Dialect::Airflow3, "pydantic"), (Dialect::Airflow3Fab, "pydantic"), (Dialect::Airflow2, "int")]
    {
        let rows: Vec<(&str, Reading)> = readings
            .iter()
            .map(|row| (row["text"].as_str().unwrap(), recorded(&row[column])))
            .filter(|(text, _)| text.len() < 100)
            .collect();
        let known: HashMap<&str, Reading> = rows.iter().copied().collect();
        let upstream = |query: &str| {
            let last = query.split('&').rfind(|pair| decoded(pair.split('=').next().unwrap()) == "limit");
            last.map(|pair| decoded(pair.split_once('=').map_or("", |(_, value)| value)))
        };
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for _ in 0..20_000 {
            let mut query = Vec::new();
            for _ in 0..dice.roll(4) {
                if dice.roll(2) == 0 {
                    query.push(dice.pick(NOISE).to_owned());
                } else {
                    let (text, _) = rows[dice.roll(rows.len())];
                    query.push(format!("{}={}", dice.encode("limit"), dice.encode(text)));
                }
            }
            let query = query.join("&");
            let (maximum, fallback) = (1 + dice.roll(200) as u32, 1 + dice.roll(200) as u32);
            let clamped = limits(maximum, fallback).clamp(Some(&query), dialect, ListEndpoint::Yes);
            let sent = match &clamped {
                Clamped::Unchanged => &query,
                Clamped::Rewritten { query: sent, .. } => sent,
            };
            let maximum = u64::from(maximum);
            let fallback = u64::from(fallback).min(maximum);
            let after = upstream(sent).expect("a list endpoint always gets a limit");
            let after = known.get(after.as_str()).copied().unwrap_or_else(|| {
                Reading::Number(after.parse().unwrap_or_else(|_| panic!("{query} -> {sent}")))
            });
            let before = upstream(&query).map(|text| known[text.as_str()]);
            let expected = match (before, dialect) {
                (None, Dialect::Airflow3) => Reading::Number(fallback),
                (None, Dialect::Airflow3Fab | Dialect::Airflow2 | Dialect::AnyFab) => {
                    Reading::Number(maximum.min(100))
                }
                (Some(Reading::Number(0)), Dialect::Airflow3Fab | Dialect::Airflow2) => {
                    Reading::Number(fallback)
                }
                (Some(Reading::Number(rows)), _) => Reading::Number(rows.min(maximum)),
                (Some(Reading::Negative), Dialect::Airflow2) => Reading::Number(maximum),
                (Some(refused), _) => refused,
            };
            assert_eq!(after, expected, "{query} -> {sent}");
            let others = |query: &str| {
                let other = |pair: &&str| decoded(pair.split('=').next().unwrap()) != "limit";
                query.split('&').filter(other).map(str::to_owned).collect::<Vec<_>>()
            };
            // An empty query is no empty pair.
            if !query.is_empty() {
                assert_eq!(others(&query), others(sent), "{query} -> {sent}");
            }
        }
    }
}

fn decoded(encoded: &str) -> String {
    percent_encoding::percent_decode_str(&encoded.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Any bytes at all: nothing panics, and a second clamp finds nothing left to do.
#[test]
fn clamping_twice_changes_nothing_more() {
    const ALPHABET: &[&str] = &[
        "limit",
        "dag_runs_limit",
        "=",
        "=",
        "&",
        "&",
        "%",
        "6c",
        "6",
        "+",
        "-",
        "_",
        ".",
        "0",
        "1",
        "9",
        "000",
        "\u{a0}",
        "１",
        "é",
        "%C2",
        "%A0",
        "%EF%BC%91",
        " ",
        "\0",
        ";",
    ];
    let mut dice = Dice(42);
    for _ in 0..50_000 {
        let query: String = (0..dice.roll(12)).map(|_| dice.pick(ALPHABET)).collect();
        for dialect in [Dialect::Airflow3, Dialect::Airflow3Fab, Dialect::Airflow2] {
            if let Clamped::Rewritten { query: once, .. } =
                limits(50, 7).clamp(Some(&query), dialect, ListEndpoint::Yes)
            {
                let twice = limits(50, 7).clamp(Some(&once), dialect, ListEndpoint::Yes);
                assert_eq!(twice, Clamped::Unchanged, "{query:?} -> {once:?}");
            }
        }
    }
}

/// What either of the two would take for too large is lowered, and what both refuse is left to them.
#[test]
fn an_airflow_that_is_not_known() {
    for (asked, sent) in [
        ("limit=8", "limit=7"),
        ("limit=0", "limit=3"),
        ("limit=-1", "limit=7"),
        ("limit=8.0", "limit=7"),
        ("limit=%EF%BC%98", "limit=7"),
        ("limit=%EF%BC%97", "limit=%EF%BC%97"),
        ("limit=x", "limit=x"),
        ("", "limit=7"),
    ] {
        let clamped = limits(7, 3).clamp(Some(asked), Dialect::AnyFab, ListEndpoint::Yes);
        let clamped = match &clamped {
            Clamped::Unchanged => asked,
            Clamped::Rewritten { query, lowered: _ } => query,
        };
        assert_eq!(clamped, sent, "{asked}");
    }
}
