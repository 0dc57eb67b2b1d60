//! Values as Python writes them: `repr` for pydantic's texts, `json.dumps` for answers.

use super::json::{Text, Value};
use super::printable::is_printable;

/// `repr(value)`. Follows CPython 3.11.
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

/// The name of the value's type, as in `type(value).__name__`.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "str",
        Value::List(_) => "list",
        Value::Dict(_) => "dict",
    }
}

/// Appends the value as FastAPI and Starlette send it: `jsonable_encoder`, which leaves out keys
/// that start with `_sa`, then `json.dumps` without spaces and without escapes for what is not
/// ASCII. What JSON cannot carry makes Airflow answer 500; here a lone surrogate becomes U+FFFD,
/// and `nan` and the infinities become `null`.
pub(super) fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(digits) => out.push_str(digits),
        Value::Float(number) if number.is_finite() => write_float(out, *number),
        Value::Float(_) => out.push_str("null"),
        Value::Text(text) => write_json_text(out, text),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Dict(members) => {
            out.push('{');
            let kept = members.iter().filter(|(key, _)| !key.starts_with("_sa"));
            for (at, (key, item)) in kept.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json_text(out, key);
                out.push(':');
                write_json(out, item);
            }
            out.push('}');
        }
    }
}

/// Appends a JSON string, lone surrogates as U+FFFD.
pub(super) fn write_json_text(out: &mut String, text: &Text) {
    write_json_chars(out, text.chars().map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Appends a JSON string.
pub(super) fn write_json_chars(out: &mut String, text: impl Iterator<Item = char>) {
    out.push('"');
    for c in text {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(digits) => out.push_str(digits),
        Value::Float(number) => write_float(out, *number),
        Value::Text(text) => write_text_repr(out, text),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Dict(members) => {
            out.push('{');
            for (at, (key, item)) in members.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_text_repr(out, key);
                out.push_str(": ");
                write_repr(out, item);
            }
            out.push('}');
        }
    }
}

/// In single quotes, unless that would need escapes and double quotes would not.
fn write_text_repr(out: &mut String, text: &Text) {
    let has = |quote: char| text.code_points().contains(&u32::from(quote));
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    out.push(quote);
    for &code_point in text.code_points() {
        match char::from_u32(code_point) {
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c) if c == quote => {
                out.push('\\');
                out.push(c);
            }
            Some(c @ ' '..='\x7e') => out.push(c),
            Some(c) if code_point > 0x7e && is_printable(code_point) => out.push(c),
            Some(_) | None => out.push_str(&match code_point {
                0..=0xff => format!("\\x{code_point:02x}"),
                0x100..=0xffff => format!("\\u{code_point:04x}"),
                0x1_0000.. => format!("\\U{code_point:08x}"),
            }),
        }
    }
    out.push(quote);
}

/// The fewest digits that give the number back, of these the nearest, and of two as near the even
/// one; with an exponent below 1e-4 and from 1e16 on.
fn write_float(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("nan");
        return;
    }
    if number.is_infinite() {
        out.push_str(if number > 0.0 { "inf" } else { "-inf" });
        return;
    }
    let shortest = format!("{number:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Rust's shortest form rounds a half up; its form of a given length rounds it to even.
    let even = |even: String, shortest: String| if even.parse() == Ok(number) { even } else { shortest };
    if number == 0.0 || (1e-4..1e16).contains(&number.abs()) {
        let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0).max(1);
        out.push_str(&even(format!("{number:.decimals$}"), number.to_string()));
    } else {
        let scientific = even(format!("{number:.*e}", digits - 1), shortest.clone());
        let mantissa = scientific.split_once('e').map_or("0", |(mantissa, _)| mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs()));
    }
}
