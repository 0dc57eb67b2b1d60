//! What the `Content-Type` makes of a body. Airflow's endpoints have two rules for it.

const JSON: &[u8] = b"application/json";
const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// A body as the simple auth manager's `/auth/token` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// JSON.
    Json,
    /// A form.
    Form,
    /// Passes for a form, but the form parser finds it is none and reads no field.
    EmptyForm,
    /// Neither.
    Other,
}

impl Media {
    /// Reads a `Content-Type` by Airflow's own rule: compares the first letters, in this very
    /// case; none at all is JSON.
    pub(super) fn parse(content_type: Option<&[u8]>) -> Self {
        let Some(value) = content_type else { return Self::Json };
        if value.starts_with(JSON) {
            Self::Json
        } else if value.starts_with(FORM) {
            if essence(value).trim_ascii_end() == FORM { Self::Form } else { Self::EmptyForm }
        } else {
            Self::Other
        }
    }
}

/// Whether FastAPI reads a body as JSON: `application/json` or `application/…+json`, in any case,
/// with any parameters. Without a `Content-Type` it does not.
pub(super) fn is_json(content_type: Option<&[u8]>) -> bool {
    // Python has the header decoded from Latin-1, and strips what is a space there.
    let essence: String = essence(content_type.unwrap_or_default()).iter().map(|&b| char::from(b)).collect();
    let essence = essence.trim_matches(is_python_space).to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("application", subtype)) => {
            !subtype.contains('/') && (subtype == "json" || subtype.ends_with("+json"))
        }
        Some(_) | None => false,
    }
}

/// What stands before the parameters.
fn essence(value: &[u8]) -> &[u8] {
    value.split(|&b| b == b';').next().unwrap_or_default()
}

/// `str.isspace`, as far as Latin-1 goes.
fn is_python_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\x1c'..=' ' | '\u{85}' | '\u{a0}')
}
