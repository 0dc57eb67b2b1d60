//! Values as they were read, not yet typed, and the layers they are merged from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::errors::{Errors, Note, Warning};
use super::location::{Located, Location};
use super::names::{self, Known};
use super::options::{Alias, Opt};
use super::table::Table;

/// A value as it was read.
#[derive(Clone)]
pub enum Value {
    /// A text without a type: of a variable, of `--set`, of `airflow.cfg`, of a file.
    Untyped(String),
    /// A text that says that it is one.
    Text(String),
    /// A whole number, in decimal digits.
    Integer(String),
    /// True or false.
    Boolean(bool),
    /// Several values.
    Array(Vec<Located<Value>>),
    /// The content of a file, which is read when the value is used. One newline at the end is not
    /// part of it.
    File(PathBuf),
    /// What a command prints, which is run when the value is used.
    Command {
        /// The command.
        line: String,
        /// What a newline at the end is.
        newline: Newline,
    },
    /// A value of a type that no option has, by the name of the type.
    Other(&'static str),
    /// A value that cannot be had, and why. An error only when nothing else overrides it.
    Refused(String),
}

/// What a newline at the end of a command's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newline {
    /// Part of the value, as in Airflow.
    Kept,
    /// Not part of the value.
    Dropped,
}

/// Whose source a value is from. Airflow's lists are read as Airflow reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `airflow.cfg` and `AIRFLOW__…`.
    Airflow,
    /// Our own file, `AIRGATE__…` and `--set`.
    Own,
}

/// One option's value in one layer.
#[derive(Clone)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub at: Location,
    /// Whose source that is.
    pub source: Source,
    /// The value as it was written, when that is not the text itself: an array of TOML.
    pub written: Option<String>,
}

/// Option, by section and key.
pub type Key = (&'static str, &'static str);

/// The values of one source, or of all of them merged.
#[derive(Clone, Default)]
pub struct Layer {
    /// The values.
    pub entries: BTreeMap<Key, Entry>,
    /// The tables of `[[jwt.issuers]]`, each with its own place.
    pub issuers: Vec<(Location, BTreeMap<Key, Entry>)>,
    /// The tables of `[callout.NAME]`, by their names, each with its own place.
    pub callouts: BTreeMap<String, (Location, BTreeMap<Key, Entry>)>,
    /// The tables of `[backend.NAME]`, by their names.
    pub backends: BTreeMap<String, Table>,
}

impl Layer {
    /// Puts another layer on top.
    pub fn overlay(&mut self, upper: Layer) {
        self.entries.extend(upper.entries);
        if !upper.issuers.is_empty() {
            self.issuers = upper.issuers;
        }
        for (name, (at, entries)) in upper.callouts {
            self.callouts.entry(name).or_insert_with(|| (at, BTreeMap::new())).1.extend(entries);
        }
        self.backends.extend(upper.backends);
    }

    /// The values of a section: of a callout's, or of all that have no name.
    pub fn entries_of(&mut self, section: &str, at: &Location) -> &mut BTreeMap<Key, Entry> {
        match names::callout(section) {
            Some(name) => {
                let table = || (at.clone(), BTreeMap::new());
                &mut self.callouts.entry(name.to_owned()).or_insert_with(table).1
            }
            None => &mut self.entries,
        }
    }

    /// The value of an option.
    pub fn get(&self, option: &Opt) -> Option<&Entry> {
        self.entries.get(&(option.section, option.key))
    }
}

/// What reading leads to besides values.
#[derive(Default)]
pub struct Findings {
    /// What is wrong.
    pub errors: Errors,
    /// What is worth saying.
    pub warnings: Vec<Warning>,
}

impl Findings {
    /// Adds a warning.
    pub fn warn(&mut self, at: &Location, message: impl Into<String>) {
        self.warnings.push(Note { at: at.clone(), message: message.into() });
    }

    /// The option that a name of our own sources means: warns when the name is an old one, errs when
    /// there is none.
    pub fn own_option(&mut self, section: &str, key: &str, at: &Location) -> Option<&'static Opt> {
        match names::lookup(section, key) {
            Known::Option(option) => Some(option),
            Known::Alias(option, alias) => {
                self.warn(at, renamed(option, alias));
                Some(option)
            }
            Known::Unavailable(message) | Known::Unknown(message) => {
                self.errors.push(at, message);
                None
            }
        }
    }
}

/// The warning about a name that has a successor.
pub fn renamed(option: &Opt, alias: &Alias) -> String {
    format!("[{}] {} is read as {}: please rename it", alias.section, alias.key, option.title())
}
