//! Paths: the parameters of the one that came, and the one that is called.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use smallvec::SmallVec;

/// All but what never needs an escape (RFC 3986, section 2.3), and `~`, Airflow's word for "all".
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parameters of a path, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(SmallVec<[(&'static str, String); 4]>);

impl Params {
    /// Reads a decoded path as a template that it matches. The last parameter takes all that is left: where the
    /// template does not mean that, there is no more.
    pub fn read(template: &'static str, path: &str) -> Self {
        let mut params = SmallVec::new();
        let mut rest = path;
        let mut names = template.split('/').peekable();
        while let Some(segment) = names.next() {
            let (value, after) = match names.peek() {
                Some(_) => rest.split_once('/').unwrap_or((rest, "")),
                None => (rest, ""),
            };
            if let Some(name) = name(segment) {
                params.push((name, value.to_owned()));
            }
            rest = after;
        }
        Self(params)
    }

    /// The value of a parameter; nothing if there is none of that name.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The value of a parameter, if there is one of that name.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// Gives a parameter a value.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.into()));
    }

    /// A text with the parameters in place of their names in braces.
    pub fn fill(&self, text: &str) -> String {
        fill(text, |name| self.find(name).map(Cow::Borrowed))
    }

    /// A path with the parameters, encoded, in place of their names. `None` where a value would make it another
    /// path: Airflow decodes the whole of it before it is routed, so a slash counts, be it encoded. The last
    /// parameter may have some where the template's last segment is a parameter that ends with `:path`.
    pub fn path(&self, template: &str) -> Option<String> {
        let mut path = String::with_capacity(template.len() + 32);
        for segment in template.split('/').skip(1) {
            path.push('/');
            match name(segment) {
                None => path.push_str(segment),
                Some(name) => {
                    let (name, many) = match name.strip_suffix(":path") {
                        Some(name) => (name, true),
                        None => (name, false),
                    };
                    let value = self.get(name);
                    let odd = value.split('/').any(|part| matches!(part, "." | ".."));
                    if odd || value.is_empty() || (!many && value.contains('/')) || has_control(value) {
                        return None;
                    }
                    path.extend(utf8_percent_encode(value, ESCAPED));
                }
            }
        }
        Some(path)
    }
}

/// A text with values in place of their names in braces. What a value holds is not looked at again: it comes from the
/// client, who could have it grow without end. A name without a value stays.
pub fn fill<'v>(text: &str, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// A query, encoded.
pub fn query(pairs: &[(String, String)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend(utf8_percent_encode(name, ESCAPED));
        query.push('=');
        query.extend(utf8_percent_encode(value, ESCAPED));
    }
    query
}

/// The name of a template's parameter.
fn name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'))
}

fn has_control(value: &str) -> bool {
    value.chars().any(|c| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_in_their_segment() {
        for (name, value, expected) in [
            ("plain", "a", Some("/api/v2/dags/a/x")),
            ("all", "~", Some("/api/v2/dags/~/x")),
            ("to be encoded", "a b%/".trim_end_matches('/'), Some("/api/v2/dags/a%20b%25/x")),
            ("of another script", "ä", Some("/api/v2/dags/%C3%A4/x")),
            ("query", "a?b=c&d#e", Some("/api/v2/dags/a%3Fb%3Dc%26d%23e/x")),
            ("slash", "a/b", None),
            ("dots", "..", None),
            ("dot", ".", None),
            ("nothing", "", None),
            ("control", "a\nb", None),
            ("backslash", "a\\b", None),
        ] {
            let mut params = Params::default();
            params.set("dag_id", value);
            assert_eq!(params.path("/api/v2/dags/{dag_id}/x").as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn the_last_parameter_takes_the_rest() {
        let template = "/api/v1/dags/{dag_id}/x/{key}";
        let params = Params::read(template, "/api/v1/dags/d/x/a/b c");
        assert_eq!((params.get("dag_id"), params.get("key"), params.get("nope")), ("d", "a/b c", ""));
        assert_eq!(params.path("/a/{key:path}").as_deref(), Some("/a/a%2Fb%20c"));
        assert_eq!(params.path("/a/{key}"), None);
        assert_eq!(params.fill("{dag_id} has no `{key}`"), "d has no `a/b c`");
        assert_eq!(params.fill("{ {nope} {dag_id"), "{ {nope} {dag_id");
    }

    /// Each of these would stand for a hundred thousand of the next.
    #[test]
    fn values_are_not_filled_in_themselves() {
        let names = ["dag_id", "dag_run_id", "task_id", "map_index"];
        let mut params = Params::default();
        for (name, next) in names.into_iter().zip(names.into_iter().cycle().skip(1)) {
            params.set(name, format!("{{{next}}}").repeat(100_000));
        }
        assert_eq!(params.fill("<{dag_id}>"), format!("<{}>", "{dag_run_id}".repeat(100_000)));
    }
}
