//! The members of an object, which are read, changed and written without touching their values.

use std::collections::HashSet;

use bytes::Bytes;
use bytestring::ByteString;
use serde_json::Value;
use serde_json::value::RawValue;

use super::invalid;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::python::repr;
use crate::gate::translate::shape::Object;
use crate::gate::translate::value;

/// Longest JSON of a client's, in bytes, that is read into values: those take up to a hundred times as much memory, for
/// a list of small objects. What is longer and of use is a text, an object that is sent on as it is, or a list of texts.
pub const MAX_READ: usize = 64 << 10;

/// The members of a JSON object, in order, with their values as they were written: parts of the body that they came
/// in, of which there is one copy, however large it is.
#[derive(Debug, Clone, Default)]
pub struct Members(Vec<(String, ByteString)>);

impl Members {
    /// Most members of a body. No operation knows as many as thirty; each that it does not know is named in the answer.
    pub const MOST: usize = 1000;

    /// Longest name of a member, in bytes: ten times what any operation knows.
    pub const LONGEST_NAME: usize = 256;

    /// Reads a body.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn parse(body: &Bytes) -> Result<Self, Fault> {
        if body.is_empty() {
            return Err(Fault::bad_request("Request body must not be empty"));
        }
        let text = ByteString::try_from(body.clone()).map_err(|_| invalid())?;
        match Object::read_first(&text, Self::MOST + 1) {
            Ok(object) if object.members().len() > Self::MOST => {
                Err(Fault::bad_request(format!("Request body has more than {} members", Self::MOST)))
            }
            Ok(object) if object.members().any(|(name, _)| name.len() > Self::LONGEST_NAME) => {
                let detail = format!(
                    "Request body has a member whose name is longer than {} bytes",
                    Self::LONGEST_NAME
                );
                Err(Fault::bad_request(detail))
            }
            Ok(object) => {
                let mut seen = HashSet::new();
                // Of several of one name the last counts, in its own place.
                let last = object.members().rev().filter(|(name, _)| seen.insert(*name));
                let owned = |(name, raw): (&str, &RawValue)| (name.to_owned(), text.slice_ref(raw.get()));
                let mut members: Vec<_> = last.map(owned).collect();
                members.reverse();
                Ok(Self(members))
            }
            Err(_) if text.len() > MAX_READ => Err(Fault::bad_request("Request body is not a JSON object")),
            Err(_) => match serde_json::from_str::<Value>(&text) {
                Ok(Value::Null) | Err(_) => Err(invalid()),
                Ok(other) => Err(Fault::bad_request(format!("{} is not of type 'object'", repr(&other)))),
            },
        }
    }

    /// The value of a member, as it was written.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.part(name).map(|raw| &**raw)
    }

    /// The same, to be given to another object without a copy.
    pub fn part(&self, name: &str) -> Option<&ByteString> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, raw)| raw)
    }

    /// The value of a member that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// The value of a member that is a flag, or what it is if there is none.
    pub fn flag(&self, name: &str, absent: bool) -> bool {
        match self.raw(name) {
            Some("true") => true,
            Some("false") => false,
            Some(_) | None => absent,
        }
    }

    /// Gives a member a value, which is JSON.
    pub fn set(&mut self, name: &str, json: impl Into<ByteString>) {
        self.remove(name);
        self.0.push((name.to_owned(), json.into()));
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// As JSON.
    pub fn json(&self) -> String {
        // Names need no more than that, but for odd ones.
        let length = self.0.iter().map(|(name, raw)| name.len() + raw.len() + 4).sum::<usize>() + 2;
        let mut out = String::with_capacity(length);
        out.push('{');
        for (at, (name, raw)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(&value::json(name));
            out.push(':');
            out.push_str(raw);
        }
        out.push('}');
        out
    }
}
