//! The options in force as an operator may see them: without secrets.

use super::layer::{Entry, Layer, Value};
use super::options::{self, Opt};
use super::{Loaded, Location};

/// An option that somebody has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its section, with brackets and the name of its own table: `[callout.corp]`.
    pub section: String,
    /// Its key.
    pub key: &'static str,
    /// Its value as it was written. Of a secret, and of what a file or command gives, only that it is.
    pub value: String,
    /// Where it was written.
    pub at: String,
}

impl Shown {
    /// An option among those that somebody has set, else its default.
    pub fn of(option: &Opt, all: &[Self]) -> Self {
        let section = format!("[{}]", option.section);
        let set = all.iter().find(|shown| shown.section == section && shown.key == option.key);
        set.cloned().unwrap_or_else(|| Self {
            section,
            key: option.key,
            value: if option.default.is_empty() { "not set".to_owned() } else { option.default.to_owned() },
            at: Location::Default.to_string(),
        })
    }
}

impl Loaded {
    /// What somebody has set, in the order of the manual. Of `[backend.NAME]` only that it is there: what is in
    /// it, the backend alone knows.
    pub fn shown(&self) -> Vec<Shown> {
        let Layer { entries, issuers, callouts, backends } = &self.layer;
        let shown = |section: &str, option: &Opt, entry: &Entry| Shown {
            section: section.to_owned(),
            key: option.key,
            value: value(option, entry),
            at: entry.at.to_string(),
        };
        let mut all = Vec::new();
        for option in options::ALL {
            let key = (option.section, option.key);
            if let Some(entry) = entries.get(&key) {
                all.push(shown(&format!("[{}]", option.section), option, entry));
            }
        }
        for (_, entries) in issuers {
            let section = format!("[[{}]]", options::ISSUERS);
            for option in options::ALL.iter().filter(|option| option.section == options::ISSUERS) {
                let entry = entries.get(&(option.section, option.key));
                all.extend(entry.map(|entry| shown(&section, option, entry)));
            }
        }
        for (name, (_, entries)) in callouts {
            for option in options::ALL.iter().filter(|option| option.section == options::CALLOUTS) {
                let entry = entries.get(&(option.section, option.key));
                all.extend(entry.map(|entry| shown(&format!("[callout.{name}]"), option, entry)));
            }
        }
        for (name, table) in backends {
            all.push(Shown {
                section: format!("[backend.{name}]"),
                key: "",
                value: "read by the backend itself".to_owned(),
                at: table.at().to_string(),
            });
        }
        all
    }
}

fn value(option: &Opt, entry: &Entry) -> String {
    match &entry.value {
        _ if option.secret => "set, and not shown".to_owned(),
        // Anything may be in the query of a URL.
        Value::Text(text) | Value::Untyped(text) => without_query(text),
        Value::Integer(digits) => digits.clone(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Array(items) => {
            let item = |value: &Value| match value {
                Value::Text(text) | Value::Untyped(text) => without_query(text),
                Value::Integer(digits) => digits.clone(),
                Value::Boolean(flag) => flag.to_string(),
                Value::File(path) => format!("{{ file = {:?} }}", path.display().to_string()),
                Value::Array(_) | Value::Command { .. } | Value::Other(_) | Value::Refused(_) => {
                    "…".to_owned()
                }
            };
            items.iter().map(|located| item(&located.value)).collect::<Vec<_>>().join(", ")
        }
        Value::File(path) => format!("{{ file = {:?} }}", path.display().to_string()),
        Value::Command { .. } => "what a command prints".to_owned(),
        Value::Other(kind) => (*kind).to_owned(),
        Value::Refused(_) => "refused".to_owned(),
    }
}

/// A text; of a URL, nothing that may be a password or a key.
fn without_query(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_what_may_be_secret() {
        for (text, expected) in [
            ("admin:admin, bob:viewer", "admin:admin, bob:viewer"),
            ("http://a:8080", "http://a:8080"),
            ("https://u:p@a/verify?key=s3cret#x", "https://a/verify"),
            ("https://a?key=s3cret", "https://a"),
        ] {
            assert_eq!(without_query(text), expected);
        }
    }
}
