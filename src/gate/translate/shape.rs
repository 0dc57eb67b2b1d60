//! What an answer holds: the fields of Airflow 2, and where in Airflow 3's answer each comes from.
//!
//! Values stay as they were written, byte for byte: numbers of any length, and whatever users keep in `conf`,
//! `params` or a variable.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value;

/// The fields of an object.
#[derive(Debug)]
pub struct Shape(pub &'static [Field]);

/// A field of an object of Airflow 2.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Where it comes from.
    pub how: How,
}

/// Where the value of a field comes from.
pub enum How {
    /// From a field of this name, as it is. `null` where there is none.
    From(&'static str),
    /// From a field of this name, a date: `+00:00` rather than `Z`.
    Date(&'static str),
    /// From a field of this name; this JSON in place of `null`.
    Or(&'static str, &'static str),
    /// Always this JSON.
    Always(&'static str),
    /// An object, from a field of this name.
    One(&'static str, &'static Shape),
    /// A list of objects, from a field of this name.
    Each(&'static str, &'static Shape),
    /// JSON made by a function, which reads these fields.
    By(&'static [&'static str], fn(&Object<'_>) -> String),
    /// Likewise. `None` where they cannot be read: then the whole object cannot.
    TryBy(&'static [&'static str], fn(&Object<'_>) -> Option<String>),
}

impl fmt::Debug for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.reads()).finish()
    }
}

impl How {
    /// The fields of Airflow 3's answer that are read.
    pub fn reads(&self) -> &[&'static str] {
        match self {
            Self::From(name)
            | Self::Date(name)
            | Self::Or(name, _)
            | Self::One(name, _)
            | Self::Each(name, _) => std::slice::from_ref(name),
            Self::Always(_) => &[],
            Self::By(names, _) | Self::TryBy(names, _) => names,
        }
    }
}

/// A field that is called the same.
pub const fn same(name: &'static str) -> Field {
    Field { name, how: How::From(name) }
}

/// A field that is called otherwise today.
pub const fn from(name: &'static str, today: &'static str) -> Field {
    Field { name, how: How::From(today) }
}

/// A date that is called the same.
pub const fn date(name: &'static str) -> Field {
    Field { name, how: How::Date(name) }
}

/// A date that is called otherwise today.
pub const fn date_from(name: &'static str, today: &'static str) -> Field {
    Field { name, how: How::Date(today) }
}

/// A field that is called the same and was never `null`: JSON in its place.
pub const fn or(name: &'static str, json: &'static str) -> Field {
    Field { name, how: How::Or(name, json) }
}

/// A field that Airflow 3 does not have: the JSON that it always is.
pub const fn always(name: &'static str, json: &'static str) -> Field {
    Field { name, how: How::Always(json) }
}

/// A field that a function makes of others.
pub const fn by(
    name: &'static str,
    reads: &'static [&'static str],
    make: fn(&Object<'_>) -> String,
) -> Field {
    Field { name, how: How::By(reads, make) }
}

/// Likewise, by one that may find nothing that it can read.
pub const fn try_by(
    name: &'static str,
    reads: &'static [&'static str],
    make: fn(&Object<'_>) -> Option<String>,
) -> Field {
    Field { name, how: How::TryBy(reads, make) }
}

/// A list of objects.
pub const fn each(name: &'static str, today: &'static str, shape: &'static Shape) -> Field {
    Field { name, how: How::Each(today, shape) }
}

impl Shape {
    /// Writes an object of Airflow 3's as one of this shape. `None` where it is no object, or has no room for what
    /// it should.
    pub fn write(&self, json: &str, out: &mut String) -> Option<()> {
        self.members(&Object::read(json)?, |_| true, out)
    }

    /// Likewise, with some of its fields only.
    pub fn write_with(&self, json: &str, fields: &[&str], out: &mut String) -> Option<()> {
        let object = Object::read(json)?;
        self.members(&object, |field| fields.contains(&field.name), out)
    }

    /// Writes a list of such objects.
    pub fn write_list(&self, json: &str, out: &mut String) -> Option<()> {
        list(json, out, |one, out| self.write(one, out))
    }

    /// Likewise, with some of their fields only.
    pub fn write_list_with(&self, json: &str, fields: &[&str], out: &mut String) -> Option<()> {
        list(json, out, |one, out| self.write_with(one, fields, out))
    }

    fn members(&self, object: &Object<'_>, wanted: impl Fn(&Field) -> bool, out: &mut String) -> Option<()> {
        out.push('{');
        for (at, field) in self.0.iter().filter(|field| wanted(field)).enumerate() {
            out.push_str(if at == 0 { "\"" } else { ",\"" });
            out.push_str(field.name);
            out.push_str("\":");
            field.write(object, out)?;
        }
        out.push('}');
        Some(())
    }

    /// Whether it has a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.name == name)
    }
}

fn list(json: &str, out: &mut String, mut write: impl FnMut(&str, &mut String) -> Option<()>) -> Option<()> {
    let list: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    out.push('[');
    for (at, one) in list.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(one.get(), out)?;
    }
    out.push(']');
    Some(())
}

impl Field {
    fn write(&self, object: &Object<'_>, out: &mut String) -> Option<()> {
        let raw = |name| object.raw(name).unwrap_or("null");
        match &self.how {
            How::From(name) => out.push_str(raw(name)),
            How::Date(name) => value::push_date(raw(name), out),
            How::Or(name, json) => out.push_str(match raw(name) {
                "null" => json,
                other => other,
            }),
            How::Always(json) => out.push_str(json),
            How::One(name, shape) => match raw(name) {
                "null" => out.push_str("null"),
                other => shape.write(other, out)?,
            },
            How::Each(name, shape) => match raw(name) {
                "null" => out.push_str("[]"),
                other => shape.write_list(other, out)?,
            },
            How::By(_, make) => out.push_str(&make(object)),
            How::TryBy(_, make) => out.push_str(&make(object)?),
        }
        Some(())
    }
}

/// An object of JSON, with its values as they were written.
#[derive(Debug)]
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads an object. `None` for anything else.
    pub fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Reads an object, and keeps so many of its members: of a small one that is many times what is written.
    ///
    /// # Errors
    /// It is no object.
    pub fn read_first(json: &'a str, most: usize) -> serde_json::Result<Self> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let object = reader.deserialize_map(First(most))?;
        reader.end().map(|()| object)
    }

    /// The value of a field, as it was written.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        // The last one counts, as in Python.
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, raw)| raw.get())
    }

    /// The value of a field that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// The elements of a field that is a list, as they were written.
    pub fn list(&self, name: &str) -> Option<Vec<&'a RawValue>> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// The names and values, as they were written.
    pub fn members(&self) -> impl DoubleEndedIterator<Item = (&str, &'a RawValue)> + ExactSizeIterator {
        self.0.iter().map(|(name, raw)| (&**name, *raw))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(First(usize::MAX))
    }
}

/// The first so many members of an object.
struct First(usize);

impl<'de> Visitor<'de> for First {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::with_capacity(40);
        while members.len() < self.0
            && let Some((Name(name), raw)) = map.next_entry::<Name<'de>, &'de RawValue>()?
        {
            members.push((name, raw));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Object(members))
    }
}

/// A name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static INNER: Shape = Shape(&[from("uri", "name")]);
    static SHAPE: Shape = Shape(&[
        same("a"),
        from("b", "c"),
        date("d"),
        or("conf", "{}"),
        always("e", "[]"),
        by("f", &["a"], |object| format!("[{}]", object.raw("a").unwrap_or("0"))),
        each("g", "h", &INNER),
    ]);

    #[test]
    fn values_stay_as_they_were_written() {
        for (name, json, expected) in [
            (
                "all there",
                r#"{"a": 12345678901234567890.50 , "c":"\u00e4Z", "d":"2024-01-01T00:00:00Z","conf":{"z":1,"d":"2024-01-01T00:00:00Z","a":1e5},"more":1,"h":[{"name":"x"},{"name":null}]}"#,
                r#"{"a":12345678901234567890.50,"b":"\u00e4Z","d":"2024-01-01T00:00:00+00:00","conf":{"z":1,"d":"2024-01-01T00:00:00Z","a":1e5},"e":[],"f":[12345678901234567890.50],"g":[{"uri":"x"},{"uri":null}]}"#,
            ),
            (
                "nothing there",
                r#"{"conf":null,"d":null}"#,
                r#"{"a":null,"b":null,"d":null,"conf":{},"e":[],"f":[0],"g":[]}"#,
            ),
        ] {
            let mut out = String::new();
            assert_eq!(SHAPE.write(json, &mut out), Some(()), "{name}");
            assert_eq!(out, expected, "{name}");
        }
        for json in ["[]", "1", "", "{", r#"{"h":1}"#, r#"{"h":[1]}"#] {
            assert_eq!(SHAPE.write(json, &mut String::new()), None, "{json}");
        }
    }
}
