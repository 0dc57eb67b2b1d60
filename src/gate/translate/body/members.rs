//! The members of an object, which are read, changed and written without touching their values.

use std::collections::HashSet;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::gate::translate::fault::Fault;
use crate::gate::translate::python::repr;
use crate::gate::translate::shape::Object;
use crate::gate::translate::value;

/// The members of a JSON object, in order, with their values as they were written.
#[derive(Debug, Clone, Default)]
pub struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Reads a body.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        if body.is_empty() {
            return Err(Fault::bad_request("Request body must not be empty"));
        }
        let invalid = || Fault::bad_request("Request body is not valid JSON");
        let text = std::str::from_utf8(body).map_err(|_| invalid())?;
        match serde_json::from_str::<Object<'_>>(text) {
            Ok(object) => {
                let mut seen = HashSet::new();
                // Of several of one name the last counts, in its own place.
                let last = object.members().rev().filter(|(name, _)| seen.insert(*name));
                let mut members: Vec<_> = last.map(|(name, raw)| (name.to_owned(), raw.to_owned())).collect();
                members.reverse();
                Ok(Self(members))
            }
            Err(_) => match serde_json::from_str::<Value>(text) {
                Ok(Value::Null) | Err(_) => Err(invalid()),
                Ok(other) => Err(Fault::bad_request(format!("{} is not of type 'object'", repr(&other)))),
            },
        }
    }

    /// The value of a member, as it was written.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, raw)| raw.get())
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

    /// Gives a member a value, which is JSON. What is not is left out.
    pub fn set(&mut self, name: &str, json: impl Into<String>) {
        self.remove(name);
        if let Ok(raw) = RawValue::from_string(json.into()) {
            self.0.push((name.to_owned(), raw));
        }
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
        let mut out = String::from("{");
        for (at, (name, raw)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(&value::json(name));
            out.push(':');
            out.push_str(raw.get());
        }
        out.push('}');
        out
    }
}
