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
        let names: Vec<_> = missing(Need::Code).collect();
        if !names.is_empty() {
            return Err(Fault::bad_request(format!("Missing required property(ies): [{}]", words(&names))));
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
        let Some(raw) = raw else {
            if property.kind == Type::PageLimit
                && let Rows::Page { rows, lowered: _ } = limit.rows(None)
            {
                self.today.set(property.today, rows.to_string());
            }
            return Ok(());
        };
        let sent = if is_kept(property.kind, raw) {
            // Half of a surrogate pair is no text.
            if property.kind == Type::Text && raw.contains("\\u") {
                serde_json::from_str::<String>(raw).map_err(|_| invalid())?;
            }
            raw.clone()
        } else {
            self.read(property, raw, limit)?
        };
        if !property.today.is_empty() {
            self.today.set(property.today, sent);
        }
        Ok(())
    }

    /// Reads a value, and says what is sent for it.
    fn read(
        &mut self,
        property: &Property,
        raw: &ByteString,
        limit: &PageLimit,
    ) -> Result<ByteString, Fault> {
        let name = property.name;
        let refused = |detail: String| Err(Fault::bad_request(detail));
        if raw.len() > MAX_READ {
            return refused(format!("{} is too long", repr_text(name)));
        }
        let value: Value = serde_json::from_str(raw).map_err(|_| invalid())?;
        let not_of = |kind: &str| refused(format!("{} is not of type '{kind}' - '{name}'", repr(&value)));
        match (property.kind, &value) {
            (Type::ReadOnly, _) => return refused(format!("Property is read-only - '{name}'")),
            (kind, Value::Null) if property.null == Null::Document => return not_of(kind.name()),
            (_, Value::Null) => {}
            (Type::Number, Value::Number(_)) => return Ok(value::bound(name, raw).into()),
            (Type::Flag, Value::Bool(_)) => {}
            (Type::Whole, Value::Number(_)) if !raw.contains(['.', 'e', 'E']) => {}
            (Type::Texts, Value::Array(list)) => {
                if let Some((at, odd)) = list.iter().enumerate().find(|(_, one)| !one.is_string()) {
                    return refused(format!("{} is not of type 'string' - '{name}.{at}'", repr(odd)));
                }
            }
            (Type::States(known), Value::Array(list)) => {
                let is_known =
                    |one: &Value| one.is_null() || one.as_str().is_some_and(|one| known.contains(&one));
                if let Some((at, odd)) = list.iter().enumerate().find(|(_, one)| !is_known(one)) {
                    let (odd, known) = (repr(odd), words(known));
                    return refused(format!("{odd} is not one of [None, {known}] - '{name}.{at}'"));
                }
                let states = list.iter().map(|one| if one == "none" { Value::Null } else { one.clone() });
                return Ok(Value::Array(states.collect()).to_string().into());
            }
            (Type::Among(known), Value::String(text)) => {
                if !known.contains(&&**text) {
                    let (odd, known) = (repr(&value), words(known));
                    return refused(format!("{odd} is not one of [{known}] - '{name}'"));
                }
            }
            (Type::Date, Value::String(text)) => {
                if value::Date::parse(text).is_none() {
                    return refused(format!("{} is not a 'date-time' - '{name}'", repr(&value)));
                }
            }
            (Type::PageLimit, Value::Number(_)) if !raw.contains(['.', 'e', 'E']) => {
                return match limit.rows(Some(raw)) {
                    Rows::Page { rows, lowered } if value.as_f64() != Some(0.0) => {
                        self.lowered |= lowered;
                        Ok(rows.to_string().into())
                    }
                    Rows::Page { .. } | Rows::Negative | Rows::NoNumber => {
                        refused(format!("{raw} is less than the minimum of 1 - '{name}'"))
                    }
                };
            }
            (Type::Order(columns), Value::String(text)) => {
                let (sign, column) = text.strip_prefix('-').map_or(("", &**text), |column| ("-", column));
                return match columns.iter().find(|(then, _)| *then == column) {
                    Some((_, today)) => Ok(value::json(&format!("{sign}{today}")).into()),
                    None => refused(format!(
                        "Ordering with '{column}' is disallowed or the attribute does not exist on the model"
                    )),
                };
            }
            (kind, _) => return not_of(kind.name()),
        }
        Ok(raw.clone())
    }
}

fn invalid() -> Fault {
    Fault::bad_request("Request body is not valid JSON")
}

/// As Python writes a list of texts, without its brackets.
fn words(texts: &[&str]) -> String {
    texts.iter().map(|text| repr_text(text)).collect::<Vec<_>>().join(", ")
}

/// Whether a value is sent on unread: what users keep, however much it is.
fn is_kept(kind: Type, raw: &str) -> bool {
    match kind {
        Type::Any => true,
        Type::Object => raw.starts_with('{'),
        Type::Text => raw.starts_with('"'),
        Type::Texts => raw.len() > MAX_READ && are_texts(raw),
        Type::Whole
        | Type::Number
        | Type::Flag
        | Type::States(_)
        | Type::Among(_)
        | Type::Date
        | Type::PageLimit
        | Type::Order(_)
        | Type::ReadOnly => false,
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
mod tests;
