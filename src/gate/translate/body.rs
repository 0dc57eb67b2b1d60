//! Bodies: what Airflow 2 took, and what each property is today.
//!
//! Values that are sent on stay as they were written, byte for byte.

mod members;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;

pub use members::{MAX_READ, Members};

use super::fault::Fault;
use super::python::{repr, repr_text};
use super::value;
use crate::gate::limit::{PageLimit, Rows};

/// A property of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// What Airflow 2 calls it.
    pub name: &'static str,
    /// What Airflow 3 calls it. Nothing: it is not sent, and looked at by the row's function, if by anybody.
    pub today: &'static str,
    /// What its value is.
    pub kind: Type,
    /// Whether it must be there.
    pub need: Need,
    /// Whether it may be `null`.
    pub null: Null,
}

/// What the value of a property is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// An integer.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// An object.
    Object,
    /// A list of texts.
    Texts,
    /// A list of some of these, or of `null`, which may be written as `none`.
    States(&'static [&'static str]),
    /// One of these.
    Among(&'static [&'static str]),
    /// A date and time with a zone.
    Date,
    /// The size of a page.
    PageLimit,
    /// A column to order by.
    Order(&'static [(&'static str, &'static str)]),
    /// Airflow 2 answers it, and refuses to be given it.
    ReadOnly,
}

/// Whether a property must be there, and which part of Airflow 2 says that it is missing: each has its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It may be left out.
    No,
    /// The OpenAPI document: `'x' is a required property`.
    Document,
    /// The model: `{'x': ['Missing data for required field.']}`.
    Model,
    /// The operation's code: `Missing required property(ies): ['x']`.
    Code,
}

/// Whether a property may be `null`, and which part of Airflow 2 refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    /// It may.
    Allowed,
    /// The OpenAPI document.
    Document,
    /// The model.
    Model,
}

/// A property that may be left out, and is called the same.
pub const fn may(name: &'static str, kind: Type) -> Property {
    Property { name, today: name, kind, need: Need::No, null: Null::Document }
}

/// A property that must be there.
pub const fn must(name: &'static str, kind: Type, need: Need) -> Property {
    Property { name, today: name, kind, need, null: Null::Document }
}

/// A property that is known, and not sent.
pub const fn held(name: &'static str, kind: Type) -> Property {
    Property { name, today: "", kind, need: Need::No, null: Null::Document }
}

/// Properties that an answer has and a request must not have.
pub const fn read_only(name: &'static str) -> Property {
    held(name, Type::ReadOnly)
}

impl Property {
    /// The same, under another name today.
    pub const fn today(self, today: &'static str) -> Self {
        Self { today, ..self }
    }

    /// The same, which may be `null`.
    pub const fn or_null(self) -> Self {
        Self { null: Null::Allowed, ..self }
    }

    /// The same, whose `null` the model refuses.
    pub const fn null_in_model(self) -> Self {
        Self { null: Null::Model, ..self }
    }
}

/// A body, read by the properties of a row.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// What came.
    pub came: Members,
    /// What is sent to Airflow 3.
    pub today: Members,
    /// Whether the page is smaller than the one asked for.
    pub lowered: bool,
}

impl Read {
    /// Reads a body.
    ///
    /// # Errors
    /// Airflow 2 would refuse it.
    pub fn new(properties: &[Property], body: &Bytes, limit: &PageLimit) -> Result<Self, Fault> {
        let came = Members::parse(body)?;
        let mut read = Self::default();
        // As connexion does: the document first, then the model.
        for property in properties {
            read.check(property, came.part(property.name), limit)?;
        }
        let missing = |need| {
            let of = properties.iter().filter(move |property| property.need == need);
            of.filter(|property| came.raw(property.name).is_none()).map(|property| property.name)
        };
        if let Some(name) = missing(Need::Document).next() {
            return Err(Fault::bad_request(format!("{} is a required property", repr_text(name))));
        }
        let mut faults: Vec<String> = Vec::new();
        let mut fault = |name: &str, what: &str| faults.push(format!("{}: ['{what}']", repr_text(name)));
        missing(Need::Model).for_each(|name| fault(name, "Missing data for required field."));
        for name in came.names() {
            match properties.iter().find(|property| property.name == name) {
                None => fault(name, "Unknown field."),
                Some(property) if property.null == Null::Model && came.raw(name) == Some("null") => {
                    fault(name, "Field may not be null.");
                }
                Some(_) => {}
            }
        }
        if !faults.is_empty() {
            return Err(Fault::bad_request(format!("{{{}}}", faults.join(", "))));
        }
        let names: Vec<_> = missing(Need::Code).map(repr_text).collect();
        if !names.is_empty() {
            return Err(Fault::bad_request(format!(
                "Missing required property(ies): [{}]",
                names.join(", ")
            )));
        }
        read.came = came;
        Ok(read)
    }

    fn check(
        &mut self,
        property: &Property,
        raw: Option<&ByteString>,
        limit: &PageLimit,
    ) -> Result<(), Fault> {
        let name = property.name;
        let Some(raw) = raw else {
            if property.kind == Type::PageLimit
                && let Rows::Page { rows, lowered: _ } = limit.rows(None)
            {
                self.today.set(property.today, rows.to_string());
            }
            return Ok(());
        };
        // What users keep is not read, however much it is.
        let is_kept = property.kind == Type::Any
            || (property.kind == Type::Object && raw.starts_with('{'))
            || (property.kind == Type::Text && raw.starts_with('"'))
            || (property.kind == Type::Texts && raw.len() > MAX_READ && are_texts(raw));
        let invalid = || Fault::bad_request("Request body is not valid JSON");
        if is_kept {
            // Half of a surrogate pair is no text.
            if property.kind == Type::Text && raw.contains("\\u") {
                serde_json::from_str::<String>(raw).map_err(|_| invalid())?;
            }
            if !property.today.is_empty() {
                self.today.set(property.today, raw.clone());
            }
            return Ok(());
        }
        if raw.len() > MAX_READ {
            return Err(Fault::bad_request(format!("{} is too long", repr_text(name))));
        }
        let value: Value = serde_json::from_str(raw).map_err(|_| invalid())?;
        let not_of = |kind: &str| {
            Err(Fault::bad_request(format!("{} is not of type '{kind}' - '{name}'", repr(&value))))
        };
        let mut sent = raw.clone();
        match (property.kind, &value) {
            (Type::ReadOnly, _) => {
                return Err(Fault::bad_request(format!("Property is read-only - '{name}'")));
            }
            (kind, Value::Null) if property.null == Null::Document => return not_of(kind.name()),
            (_, Value::Null) => {}
            (Type::Number, Value::Number(_)) | (Type::Flag, Value::Bool(_)) => {}
            (Type::Whole, Value::Number(_)) if !raw.contains(['.', 'e', 'E']) => {}
            (Type::Texts, Value::Array(list)) => {
                if let Some((at, odd)) = list.iter().enumerate().find(|(_, one)| !one.is_string()) {
                    let detail = format!("{} is not of type 'string' - '{name}.{at}'", repr(odd));
                    return Err(Fault::bad_request(detail));
                }
            }
            (Type::States(known), Value::Array(list)) => {
                for (at, one) in list.iter().enumerate() {
                    let is_known = one.is_null() || one.as_str().is_some_and(|one| known.contains(&one));
                    if !is_known {
                        let all: Vec<_> = std::iter::once("None".to_owned())
                            .chain(known.iter().map(|known| repr_text(known)))
                            .collect();
                        let detail =
                            format!("{} is not one of [{}] - '{name}.{at}'", repr(one), all.join(", "));
                        return Err(Fault::bad_request(detail));
                    }
                }
                let states = list.iter().map(|one| if one == "none" { Value::Null } else { one.clone() });
                sent = Value::Array(states.collect()).to_string().into();
            }
            (Type::Among(known), Value::String(text)) => {
                if !known.contains(&&**text) {
                    let all: Vec<_> = known.iter().map(|known| repr_text(known)).collect();
                    let detail = format!("{} is not one of [{}] - '{name}'", repr(&value), all.join(", "));
                    return Err(Fault::bad_request(detail));
                }
            }
            (Type::Date, Value::String(text)) => {
                if value::Date::parse(text).is_none() {
                    let detail = format!("{} is not a 'date-time' - '{name}'", repr(&value));
                    return Err(Fault::bad_request(detail));
                }
            }
            (Type::PageLimit, Value::Number(_)) if !raw.contains(['.', 'e', 'E']) => {
                match limit.rows(Some(raw)) {
                    Rows::Page { rows, lowered } if value.as_f64() != Some(0.0) => {
                        sent = rows.to_string().into();
                        self.lowered |= lowered;
                    }
                    Rows::Page { .. } | Rows::Negative | Rows::NoNumber => {
                        let detail = format!("{raw} is less than the minimum of 1 - '{name}'");
                        return Err(Fault::bad_request(detail));
                    }
                }
            }
            (Type::Order(columns), Value::String(text)) => {
                let (sign, column) = text.strip_prefix('-').map_or(("", &**text), |column| ("-", column));
                match columns.iter().find(|(then, _)| *then == column) {
                    Some((_, today)) => sent = value::json(&format!("{sign}{today}")).into(),
                    None => {
                        let detail = format!(
                            "Ordering with '{column}' is disallowed or the attribute does not exist on the model"
                        );
                        return Err(Fault::bad_request(detail));
                    }
                }
            }
            (kind, _) => return not_of(kind.name()),
        }
        if !property.today.is_empty() {
            self.today.set(property.today, sent);
        }
        Ok(())
    }
}

/// Whether it is a list of texts. Nothing of it is kept meanwhile.
fn are_texts(json: &str) -> bool {
    struct Texts;
    impl<'de> Visitor<'de> for Texts {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<(), A::Error> {
            while texts.next_element::<Cow<'de, str>>()?.is_some() {}
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_seq(Texts).is_ok()
}

impl Type {
    /// What OpenAPI calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Any | Self::ReadOnly | Self::Object => "object",
            Self::Text | Self::Date | Self::Among(_) | Self::Order(_) => "string",
            Self::Whole | Self::PageLimit => "integer",
            Self::Number => "number",
            Self::Flag => "boolean",
            Self::Texts | Self::States(_) => "array",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const PROPERTIES: &[Property] = &[
        must("name", Type::Text, Need::Code),
        must("uri", Type::Text, Need::Document).today("asset"),
        must("conn_type", Type::Text, Need::Model),
        may("slots", Type::Whole),
        may("ids", Type::Texts),
        may("conf", Type::Object).or_null(),
        may("extra", Type::Object).null_in_model(),
        may("page_limit", Type::PageLimit),
        may("state", Type::States(&["success", "none"])),
        held("dry_run", Type::Flag),
        read_only("open_slots"),
    ];

    fn read(body: &str) -> Result<Read, String> {
        let limit = PageLimit::new(NonZeroU32::new(7).unwrap(), NonZeroU32::new(5).unwrap());
        Read::new(PROPERTIES, &body.to_owned().into(), &limit).map_err(|fault| match fault {
            Fault::Refused(refusal) => refusal.detail.unwrap_or_default(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn what_is_sent() {
        for (more, expected) in [
            ("", r#""page_limit":7"#),
            (r#","page_limit":9"#, r#""page_limit":7"#),
            (r#","page_limit":2,"page\u005flimit":99999999999999999999999"#, r#""page_limit":7"#),
            (r#","page_limit":3"#, r#""page_limit":3"#),
            (
                r#","conf":{"b": 1.50, "a":12345678901234567890},"dry_run":true"#,
                r#""conf":{"b": 1.50, "a":12345678901234567890},"page_limit":7"#,
            ),
            (r#","state":["none",null,"success"]"#, r#""page_limit":7,"state":[null,null,"success"]"#),
            (r#","conf":null"#, r#""conf":null,"page_limit":7"#),
        ] {
            let read = read(&format!(r#"{{"name":"n","uri":"u","conn_type":"t"{more}}}"#)).unwrap();
            let expected = format!(r#"{{"name":"n","asset":"u","conn_type":"t",{expected}}}"#);
            assert_eq!(read.today.json(), expected, "{more}");
        }
    }

    #[test]
    fn of_members_of_one_name_the_last_counts() {
        let members = Members::parse(&r#"{"a":1,"b":2,"a":3,"c":4,"b":5}"#.into()).unwrap();
        assert_eq!(members.json(), r#"{"a":3,"c":4,"b":5}"#);
    }

    /// Each would be named in the answer, and take many times what it is.
    #[test]
    fn many_members_are_refused() {
        let body = |count| {
            let many: Vec<_> = (0..count).map(|name| format!("\"m{name}\":{name}")).collect();
            Members::parse(&format!("{{{}}}", many.join(",")).into())
        };
        assert_eq!(body(Members::MOST).unwrap().names().count(), Members::MOST);
        assert!(matches!(body(Members::MOST + 1), Err(Fault::Refused(_))));
        let named =
            |length| Members::parse(&format!("{{\"name\":1,\"{}\":2}}", "\u{7f}".repeat(length)).into());
        assert!(named(Members::LONGEST_NAME).is_ok());
        let Err(Fault::Refused(refusal)) = named(Members::LONGEST_NAME + 1) else { panic!("it is read") };
        let detail = "Request body has a member whose name is longer than 256 bytes";
        assert_eq!(refusal.detail.as_deref(), Some(detail));
    }

    /// Each element takes many times what is written.
    #[test]
    fn what_is_read_is_not_too_long() {
        let list = |of: &str| format!("[{of}{}]", format!(",{of}").repeat(MAX_READ / of.len()));
        assert!(matches!(Members::parse(&list("1").into()), Err(Fault::Refused(_))));
        for (name, value, expected) in [
            ("slots", list("1"), Err("'slots' is too long")),
            ("slots", list(r#"{"":0}"#), Err("'slots' is too long")),
            ("ids", list(r#"{"":0}"#), Err("'ids' is too long")),
            ("ids", format!("[{},1]", list(r#""a""#).trim_matches(['[', ']'])), Err("'ids' is too long")),
            ("ids", list(r#""a""#), Ok(())),
        ] {
            let body = format!(r#"{{"name":"n","uri":"u","conn_type":"t","{name}":{value}}}"#);
            let sent = read(&body).map(|read| read.today.raw(name).map(str::to_owned));
            assert_eq!(sent, expected.map(|()| Some(value)).map_err(str::to_owned), "{name}");
        }
    }

    /// What is sent on lies where it came, and not once more beside it.
    #[test]
    fn values_are_parts_of_the_body() {
        let body =
            Bytes::from(format!("{{\"name\":\"n\",\"uri\":\"u\",\"conn_type\":\"{}\"}}", "t".repeat(9000)));
        let limit = PageLimit::new(NonZeroU32::new(7).unwrap(), NonZeroU32::new(5).unwrap());
        let read = Read::new(PROPERTIES, &body, &limit).unwrap();
        for members in [&read.came, &read.today] {
            assert!(body.as_ptr_range().contains(&members.raw("conn_type").unwrap().as_ptr()));
        }
    }

    #[test]
    fn what_is_refused() {
        let whole = |more: &str| format!(r#"{{"name":"n","uri":"u","conn_type":"t",{more}}}"#);
        for (body, expected) in [
            (String::new(), "Request body must not be empty"),
            ("x".into(), "Request body is not valid JSON"),
            ("null".into(), "Request body is not valid JSON"),
            ("[]".into(), "[] is not of type 'object'"),
            ("{}".into(), "'uri' is a required property"),
            (r#"{"uri":"u"}"#.into(), "{'conn_type': ['Missing data for required field.']}"),
            (r#"{"uri":"u","conn_type":"t"}"#.into(), "Missing required property(ies): ['name']"),
            (whole(r#""nope":1"#), "{'nope': ['Unknown field.']}"),
            (whole(r#""dry_run":"\ud800""#), "Request body is not valid JSON"),
            (r#"{"name":"\ud800","uri":"u","conn_type":"t"}"#.into(), "Request body is not valid JSON"),
            (whole(r#""slots":"x""#), "'x' is not of type 'integer' - 'slots'"),
            (whole(r#""slots":1.0"#), "1.0 is not of type 'integer' - 'slots'"),
            (whole(r#""slots":null"#), "None is not of type 'integer' - 'slots'"),
            (whole(r#""extra":null"#), "{'extra': ['Field may not be null.']}"),
            (whole(r#""open_slots":1"#), "Property is read-only - 'open_slots'"),
            (whole(r#""page_limit":0"#), "0 is less than the minimum of 1 - 'page_limit'"),
            (whole(r#""page_limit":-0"#), "-0 is less than the minimum of 1 - 'page_limit'"),
            (whole(r#""page_limit":1e9"#), "1000000000.0 is not of type 'integer' - 'page_limit'"),
            (whole(r#""state":["nope"]"#), "'nope' is not one of [None, 'success', 'none'] - 'state.0'"),
        ] {
            assert_eq!(read(&body).map(|_| ()), Err(expected.into()), "{body}");
        }
    }
}
