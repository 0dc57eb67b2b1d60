//! `Accept`, where an operation answers as text or as JSON.

use http::HeaderMap;
use http::header::ACCEPT;

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `text/plain`.
    Text,
    /// `application/json`.
    Json,
}

/// The form that a client likes best. Text, where it likes both as much. `None` where it likes neither, or says nothing:
/// Airflow 2 takes that for neither.
pub fn best(headers: &HeaderMap) -> Option<Form> {
    let mut best: Option<(Form, (u16, u8))> = None;
    for form in [Form::Text, Form::Json] {
        let liked = ranges(headers)
            .filter_map(|range| likes(range, form))
            .max_by_key(|(quality, specific)| (*specific, *quality));
        if let Some((quality, specific)) = liked
            && quality > 0
            && best.is_none_or(|(_, other)| (quality, specific) > other)
        {
            best = Some((form, (quality, specific)));
        }
    }
    best.map(|(form, _)| form)
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
}

/// How much a range likes a form, in thousandths, and how exactly it names it.
fn likes(range: &str, form: Form) -> Option<(u16, u8)> {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let specific = match (&*kind, form) {
        ("text/plain", Form::Text) | ("application/json", Form::Json) => 2,
        ("text/*", Form::Text) | ("application/*", Form::Json) => 1,
        ("*/*" | "*", Form::Text | Form::Json) => 0,
        _ => return None,
    };
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality: f32 =
        quality.map_or(Some(1.0), |quality| quality.parse().ok()).filter(|q| (0.0..=1.0).contains(q))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1")]
    Some(((quality * 1000.0) as u16, specific))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_like() {
        for (accept, expected) in [
            (None, None),
            (Some("application/json"), Some(Form::Json)),
            (Some("text/plain"), Some(Form::Text)),
            (Some("*/*"), Some(Form::Text)),
            (Some("application/json, */*"), Some(Form::Json)),
            (Some("text/plain;q=0.5, application/json"), Some(Form::Json)),
            (Some("application/json;q=0.5, text/*"), Some(Form::Text)),
            (Some("application/json;q=0"), None),
            (Some("text/html"), None),
            (Some("text/html, application/xhtml+xml, */*;q=0.8"), Some(Form::Text)),
            (Some("application/json;q=nope"), None),
            (Some(""), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(best(&headers), expected, "{accept:?}");
        }
    }
}
