//! Values as Python prints them, for Airflow 2's own words.

use serde_json::Value;

/// `repr` of a value.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    push(value, &mut out);
    out
}

/// `repr` of a text.
pub fn repr_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_text(text, &mut out);
    out
}

fn push(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => push_text(text, out),
        Value::Array(list) => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                push(value, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (at, (name, value)) in object.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                push_text(name, out);
                out.push_str(": ");
                push(value, out);
            }
            out.push('}');
        }
    }
}

fn push_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    push_escaped(text, quote, out);
    out.push(quote);
}

/// What `repr` has between these quotes.
pub fn escaped(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(text, quote, &mut out);
    out
}

fn push_escaped(text: &str, quote: char, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_in_python() {
        for (value, expected) in [
            (json!(null), "None"),
            (json!([true, 1, 1.5, "a"]), "[True, 1, 1.5, 'a']"),
            (json!({"a": {"b": []}}), "{'a': {'b': []}}"),
            (json!("it's"), "\"it's\""),
            (json!("it's \"\n\u{1}\\"), "'it\\'s \"\\n\\x01\\\\'"),
        ] {
            assert_eq!(repr(&value), expected);
        }
    }
}
