//! Values as Python prints them, for Airflow 2's own words.

use serde_json::Value;

/// `repr` of a value.
pub fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => repr_text(text),
        Value::Array(list) => format!("[{}]", list.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(object) => {
            let members: Vec<_> =
                object.iter().map(|(name, value)| format!("{}: {}", repr_text(name), repr(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// `repr` of a text.
pub fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
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
    out.push(quote);
    out
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
