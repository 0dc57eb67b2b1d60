//! Validation errors, as pydantic words them and as Airflow sends them.

use super::json::{InvalidJson, Text, Value};
use super::python::{repr, type_name, write_json, write_json_chars, write_json_text};

/// Where pydantic explains its errors. Has the version that Airflow 3.3 comes with.
const EXPLANATIONS: &str = "https://errors.pydantic.dev/2.14/v/";

/// The longest `input_value` that pydantic shows whole, in bytes.
const MAX_INPUT: usize = 50;
/// Faults that are told one by one. Airflow tells them all, and makes 3 MB of 128 KiB.
const MAX_FAULTS: usize = 100;

/// How an endpoint sends its validation errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `repr` of pydantic's exception as one text: `/auth/token` of the simple auth manager.
    Text,
    /// FastAPI's list of objects: everywhere else.
    List,
}

/// One validation error.
pub(super) struct Fault<'a> {
    pub(super) kind: Kind,
    pub(super) at: At<'a>,
    pub(super) input: Input<'a>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    StringType,
    StringUnicode,
    ExtraForbidden,
    DictType,
    ModelAttributesType,
    /// A `grant_type` other than `password`.
    LiteralPassword,
    /// A `grant_type` that is none of Keycloak's. The input is the whole body.
    UnionTag,
}

/// The grants of the Keycloak provider, as pydantic lists them.
const TAGS: &str = "'password', 'client_credentials', 'urn:ietf:params:oauth:grant-type:jwt-bearer'";

/// Where it is wrong.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// The body as a whole.
    Body,
    /// A field that there should be.
    Field(&'static str),
    /// A field that the client named.
    Key(&'a Text),
    /// A field that there should be, of one of the models in a union.
    Tagged(&'static str, &'static str),
    /// A field that the client named, likewise.
    TaggedKey(&'static str, &'a Text),
}

/// What the client sent there.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Value(&'a Value),
    Text(&'a Text),
    Nothing,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::StringType => "string_type",
            Self::StringUnicode => "string_unicode",
            Self::ExtraForbidden => "extra_forbidden",
            Self::DictType => "dict_type",
            Self::ModelAttributesType => "model_attributes_type",
            Self::LiteralPassword => "literal_error",
            Self::UnionTag => "union_tag_invalid",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Missing => "Field required",
            Self::StringType => "Input should be a valid string",
            Self::StringUnicode => {
                "Input should be a valid string, unable to parse raw data as a unicode string"
            }
            Self::ExtraForbidden => "Extra inputs are not permitted",
            Self::DictType => "Input should be a valid dictionary",
            Self::ModelAttributesType => {
                "Input should be a valid dictionary or object to extract fields from"
            }
            Self::LiteralPassword => "Input should be 'password'",
            Self::UnionTag => "Input tag found using 'grant_type' does not match any of the expected tags",
        }
    }
}

/// The whole answer for a body that was read and is not what it should be. Repeats what the client
/// sent, its password included, as Airflow does: it goes to that client and into no log.
pub(super) fn body(style: Style, faults: &[Fault<'_>]) -> String {
    let mut out = String::from("{\"detail\":");
    match style {
        Style::Text => write_json_chars(&mut out, text(faults).chars()),
        Style::List => write_list(&mut out, faults),
    }
    out.push('}');
    out
}

/// The whole answer for a body that is not JSON. As a list it is FastAPI's. As a text it is ours,
/// in pydantic's words and without the input: Airflow answers 500 there.
pub(super) fn not_json(style: Style, error: InvalidJson) -> String {
    let mut out = String::from("{\"detail\":");
    match (style, error) {
        (Style::List, InvalidJson::Syntax { message, position }) => {
            out.push_str(&format!("[{{\"type\":\"json_invalid\",\"loc\":[\"body\",{position}],"));
            out.push_str("\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":");
            write_json_chars(&mut out, message.chars());
            out.push_str("}}]");
        }
        (Style::List, error @ (InvalidJson::Encoding | InvalidJson::Depth | InvalidJson::Digits)) => {
            out.push_str("[{\"type\":\"json_invalid\",\"loc\":[\"body\"],");
            out.push_str("\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":");
            write_json_chars(&mut out, error.to_string().chars());
            out.push_str("}}]");
        }
        (Style::Text, error) => {
            let place = match error {
                InvalidJson::Syntax { position, .. } => format!(" (char {position})"),
                InvalidJson::Encoding | InvalidJson::Depth | InvalidJson::Digits => String::new(),
            };
            let text = format!(
                "1 validation error for LoginBody\n  Invalid JSON: {error}{place} [type=json_invalid]\n    \
                 For further information visit {EXPLANATIONS}json_invalid"
            );
            write_json_chars(&mut out, text.chars());
        }
    }
    out.push('}');
    out
}

/// `repr(ValidationError)`.
fn text(faults: &[Fault<'_>]) -> String {
    let plural = if faults.len() == 1 { "" } else { "s" };
    let mut out = format!("{} validation error{plural} for LoginBody", faults.len());
    for fault in faults.iter().take(MAX_FAULTS) {
        out.push('\n');
        match fault.at {
            At::Body => {}
            At::Field(name) | At::Tagged(_, name) => {
                out.push_str(name);
                out.push('\n');
            }
            At::Key(key) | At::TaggedKey(_, key) => {
                let key: String = replaced(key).collect();
                // A dot would read as a path.
                if key.contains('.') {
                    out.push_str(&format!("`{key}`\n"));
                } else {
                    out.push_str(&format!("{key}\n"));
                }
            }
        }
        let (name, message) = (fault.kind.name(), fault.kind.message());
        let (input, input_type) = match fault.input {
            Input::Value(value) => (repr(value), type_name(value)),
            Input::Text(text) => (repr(&Value::Text(text.clone())), "str"),
            Input::Nothing => (repr(&Value::Null), type_name(&Value::Null)),
        };
        let input = shortened(&input);
        out.push_str(&format!(
            "  {message} [type={name}, input_value={input}, input_type={input_type}]\n    \
             For further information visit {EXPLANATIONS}{name}"
        ));
    }
    out
}

/// At most the first 25 and the last 24 bytes, cut between characters.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_INPUT {
        return text.to_owned();
    }
    let half = MAX_INPUT.div_ceil(2);
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - (half - 1));
    format!("{}...{}", &text[..head], &text[tail..])
}

fn write_list(out: &mut String, faults: &[Fault<'_>]) {
    out.push('[');
    for (at, fault) in faults.iter().take(MAX_FAULTS).enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&format!("{{\"type\":\"{}\",\"loc\":[\"body\"", fault.kind.name()));
        match fault.at {
            At::Body => {}
            At::Field(name) => out.push_str(&format!(",\"{name}\"")),
            At::Key(key) => {
                out.push(',');
                write_json_text(out, key);
            }
            At::Tagged(tag, name) => out.push_str(&format!(",\"{tag}\",\"{name}\"")),
            At::TaggedKey(tag, key) => {
                out.push_str(&format!(",\"{tag}\","));
                write_json_text(out, key);
            }
        }
        out.push_str("],\"msg\":");
        let tag = tag_of(fault);
        match &tag {
            Some(tag) => {
                let message = format!(
                    "Input tag '{tag}' found using 'grant_type' does not match any of the expected tags: {TAGS}"
                );
                write_json_chars(out, message.chars());
            }
            None => write_json_chars(out, fault.kind.message().chars()),
        }
        out.push_str(",\"input\":");
        match fault.input {
            Input::Value(value) => write_json(out, value),
            Input::Text(text) => write_json_text(out, text),
            Input::Nothing => out.push_str("null"),
        }
        match (fault.kind, tag) {
            (Kind::LiteralPassword, _) => out.push_str(",\"ctx\":{\"expected\":\"'password'\"}"),
            (_, Some(tag)) => {
                out.push_str(",\"ctx\":{\"discriminator\":\"'grant_type'\",\"tag\":");
                write_json_chars(out, tag.chars());
                out.push_str(&format!(",\"expected_tags\":\"{TAGS}\"}}"));
            }
            (_, None) => {}
        }
        out.push('}');
    }
    out.push(']');
}

/// `str()` of the `grant_type` that is at fault.
fn tag_of(fault: &Fault<'_>) -> Option<String> {
    match (fault.kind, fault.input) {
        (Kind::UnionTag, Input::Value(body)) => Some(match body.get("grant_type") {
            Some(Value::Text(tag)) => replaced(tag).collect(),
            Some(other) => repr(other),
            None => repr(&Value::Null),
        }),
        (_, Input::Value(_) | Input::Text(_) | Input::Nothing) => None,
    }
}

fn replaced(text: &Text) -> impl Iterator<Item = char> {
    text.chars().map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
}
