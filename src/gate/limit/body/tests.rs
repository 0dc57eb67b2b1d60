use std::num::NonZeroU32;

use super::*;

fn limits(maximum: u32, fallback: u32) -> PageLimit {
    PageLimit::new(NonZeroU32::new(maximum).unwrap(), NonZeroU32::new(fallback).unwrap())
}

/// What is sent, where it is not what came, and the page that the client is told of.
fn clamped(limits: PageLimit, body: &[u8], dialect: Dialect) -> Option<(Vec<u8>, Option<u32>)> {
    match limits.clamp_body(body, dialect) {
        ClampedBody::Unchanged => None,
        ClampedBody::Rewritten { body, lowered } => Some((body, lowered)),
    }
}

/// With a maximum of 5 and a fallback of 3: name, body, what Airflow 3 and Airflow 2 are sent.
type Row = (&'static str, &'static str, Option<(&'static str, Option<u32>)>, Same);

/// Whether Airflow 2 is sent the same, or what came.
enum Same {
    Yes,
    No,
}

#[test]
fn bodies_are_clamped() {
    use Same::{No, Yes};
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("small", r#"{"page_limit":5}"#, None, Yes),
        ("large", r#"{"page_limit":6}"#, Some((r#"{"page_limit":5}"#, Some(5))), Yes),
        ("the rest stays as it is", "\n{ \"a\" : 1.50e+3,\t\"page_limit\" :\r 1000 , \"a\":[\"\\u00e9\u{e9}\",{}]} ",
            Some(("\n{ \"a\" : 1.50e+3,\t\"page_limit\" :\r 5 , \"a\":[\"\\u00e9\u{e9}\",{}]} ", Some(5))), Yes),
        ("absent", "{}", Some((r#"{"page_limit":3}"#, Some(3))), Yes),
        ("absent, with white space", " { } ", Some((" {\"page_limit\":3 } ", Some(3))), Yes),
        ("absent, among others", r#"{"dag_ids":["~"]}"#, Some((r#"{"page_limit":3,"dag_ids":["~"]}"#, Some(3))), Yes),
        ("only further in", r#"{"a":{"page_limit":9}}"#, Some((r#"{"page_limit":3,"a":{"page_limit":9}}"#, Some(3))), Yes),
        ("another case", r#"{"Page_limit":9}"#, Some((r#"{"page_limit":3,"Page_limit":9}"#, Some(3))), Yes),
        ("twice, the last is large", r#"{"page_limit":1,"page_limit":9}"#, Some((r#"{"page_limit":1,"page_limit":5}"#, Some(5))), Yes),
        ("twice, the first is large", r#"{"page_limit":9,"page_limit":1}"#, Some((r#"{"page_limit":5,"page_limit":1}"#, None)), Yes),
        ("twice, both are large", r#"{"page_limit":9,"page_limit":8}"#, Some((r#"{"page_limit":5,"page_limit":5}"#, Some(5))), Yes),
        ("escapes in the key", r#"{"\u0070age\u005Flimit":9}"#, Some((r#"{"\u0070age\u005Flimit":5}"#, Some(5))), Yes),
        ("a key that only looks alike", r#"{"page\\u005flimit":5,"page_limit ":5,"page_limit\u0000":5}"#,
            Some((r#"{"page_limit":3,"page\\u005flimit":5,"page_limit ":5,"page_limit\u0000":5}"#, Some(3))), Yes),
        ("more than any integer type", r#"{"page_limit":100000000000000000000000}"#, Some((r#"{"page_limit":5}"#, Some(5))), Yes),
        ("zero", r#"{"page_limit":0}"#, None, Yes),
        ("negative: refused", r#"{"page_limit":-9}"#, None, Yes),
        ("a float", r#"{"page_limit":9.0}"#, Some((r#"{"page_limit":5}"#, Some(5))), No),
        ("an exponent", r#"{"page_limit":1e1}"#, Some((r#"{"page_limit":5}"#, Some(5))), No),
        ("an exponent below", r#"{"page_limit":900E-2}"#, Some((r#"{"page_limit":5}"#, Some(5))), No),
        ("a small float", r#"{"page_limit":5.0}"#, None, Yes),
        ("a fraction: refused", r#"{"page_limit":9.5}"#, None, Yes),
        ("past 64 bits as a float: refused", r#"{"page_limit":1e19}"#, None, Yes),
        ("infinite: refused", r#"{"page_limit":1e999}"#, None, Yes),
        ("a text", r#"{"page_limit":"9"}"#, Some((r#"{"page_limit":5}"#, Some(5))), No),
        ("a text with an escape", r#"{"page_limit":" \u0039.0\n"}"#, Some((r#"{"page_limit":5}"#, Some(5))), No),
        ("a text that is no number: refused", r#"{"page_limit":"9e1"}"#, None, Yes),
        ("true is 1", r#"{"page_limit":true}"#, None, Yes),
        ("null: refused", r#"{"page_limit":null}"#, None, Yes),
        ("a list: refused", r#"{"page_limit":[9]}"#, None, Yes),
        ("no object", "[9]", None, Yes),
        ("no JSON", r#"{"page_limit":9"#, None, Yes),
        ("no JSON, behind", r#"{"page_limit":9}}"#, None, Yes),
        ("no JSON, a comma too many", r#"{"page_limit":9,}"#, None, Yes),
        ("no JSON, single quotes", "{'page_limit':9}", None, Yes),
        ("no JSON, a plus", r#"{"page_limit":+9}"#, None, Yes),
        ("empty", "", None, Yes),
        ("a lone surrogate elsewhere", r#"{"a":"\ud800","page_limit":9}"#, Some((r#"{"a":"\ud800","page_limit":5}"#, Some(5))), Yes),
        ("not a number elsewhere", r#"{"a":-Infinity,"b":NaN,"page_limit":9}"#, Some((r#"{"a":-Infinity,"b":NaN,"page_limit":5}"#, Some(5))), Yes),
    ];
    for (name, body, expected, same) in rows {
        let expected = expected.map(|(body, told)| (body.as_bytes().to_vec(), told));
        assert_eq!(clamped(limits(5, 3), body.as_bytes(), Dialect::Airflow3), expected, "{name}");
        let expected = match same {
            Same::Yes => expected,
            Same::No => None,
        };
        assert_eq!(clamped(limits(5, 3), body.as_bytes(), Dialect::Airflow2), expected, "Airflow 2: {name}");
    }
}

#[test]
fn airflows_own_page_is_left_alone_where_it_is_allowed() {
    for body in ["{}", r#"{"page_limit":100}"#, r#"{"a":1}"#] {
        assert_eq!(clamped(limits(100, 50), body.as_bytes(), Dialect::Airflow3), None, "{body}");
    }
}

#[test]
fn every_encoding_that_python_guesses() {
    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }
    fn utf32(text: &str, unit: fn(u32) -> [u8; 4]) -> Vec<u8> {
        text.chars().map(u32::from).flat_map(unit).collect()
    }
    type Encode = fn(&str) -> Vec<u8>;
    let encodings: [(&str, Encode); 6] = [
        ("UTF-8", |text| text.into()),
        ("UTF-8 with a mark", |text| format!("\u{feff}{text}").into()),
        ("UTF-16, big end first", |text| utf16(text, u16::to_be_bytes)),
        ("UTF-16 with a mark", |text| utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)),
        ("UTF-32, little end first", |text| utf32(text, u32::to_le_bytes)),
        ("UTF-32 with a mark", |text| utf32(&format!("\u{feff}{text}"), u32::to_be_bytes)),
    ];
    for (name, encode) in encodings {
        let came = encode("{\"a\":\"é✓🎈\",\"page_limit\":9,\"b\":\"🎈\"}");
        let sent = encode("{\"a\":\"é✓🎈\",\"page_limit\":5,\"b\":\"🎈\"}");
        assert_eq!(clamped(limits(5, 3), &came, Dialect::Airflow3), Some((sent, Some(5))), "{name}");
        let sent = encode("{\"page_limit\":3,\"a\":\"🎈\"}");
        assert_eq!(
            clamped(limits(5, 3), &encode("{\"a\":\"🎈\"}"), Dialect::Airflow3),
            Some((sent, Some(3))),
            "{name}"
        );
    }
    let surrogate = b"{\"a\":\"\xed\xa0\x80\",\"page_limit\":9}";
    let sent = b"{\"a\":\"\xed\xa0\x80\",\"page_limit\":5}".to_vec();
    assert_eq!(clamped(limits(5, 3), surrogate, Dialect::Airflow3), Some((sent, Some(5))));
    assert_eq!(clamped(limits(5, 3), b"{\"a\":\"\xff\",\"page_limit\":9}", Dialect::Airflow3), None);
}

#[test]
fn no_depth_exhausts_the_stack() {
    for depth in [1_000, 30_000] {
        let deep = format!("{{\"a\":{}{},\"page_limit\":9}}", "[".repeat(depth), "]".repeat(depth));
        assert!(clamped(limits(5, 3), deep.as_bytes(), Dialect::Airflow3).is_some(), "{depth}");
        assert!(
            clamped(limits(5, 3), "{\"a\":".repeat(depth).as_bytes(), Dialect::Airflow3).is_none(),
            "{depth}"
        );
    }
}

#[test]
fn content_types_that_may_be_json() {
    let rows: [(&[&str], bool); 12] = [
        (&["application/json"], true),
        (&["application/JSON; charset=utf-8"], true),
        (&["application/vnd.api+json"], true),
        (&["text/json"], true),
        (&["text/plain", "application/json"], true),
        (&["text/plain", " "], true),
        (&[], true),
        (&[""], true),
        (&["text/plain"], false),
        (&["application/x-www-form-urlencoded"], false),
        (&["application/js on"], false),
        (&["multipart/form-data"], false),
    ];
    for (lines, expected) in rows {
        assert_eq!(may_be_json(lines.iter().map(|line| line.as_bytes())), expected, "{lines:?}");
    }
}
