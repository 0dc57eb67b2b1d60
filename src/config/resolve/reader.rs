//! How one option is read: the types that its shape allows, files, commands, lists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Folders;
use super::parse::{self, Fault, Parsed};
use crate::config::airflow::expand::{self, Environment};
use crate::config::layer::{Entry, Findings, Key, Newline, Value};
use crate::config::location::{Located, Location};
use crate::config::options::{Opt, Shape};

/// The error is already among the findings.
pub struct Failed;

/// What reading an option gives.
pub type Resolved<T> = Result<T, Failed>;

/// A text, and where it was written.
pub struct Given {
    /// The text.
    pub text: String,
    /// Its place.
    pub at: Location,
}

/// Reads option by option.
pub struct Reader<'a> {
    /// The values.
    pub entries: &'a BTreeMap<Key, Entry>,
    /// The name of the `[callout.NAME]` that they are of, if they are of one.
    pub table: Option<&'a str>,
    /// Where relative paths start.
    pub folders: &'a Folders,
    /// The environment, for commands.
    pub environment: &'a Environment,
    /// What is found wrong.
    pub findings: &'a mut Findings,
    /// The files that were read.
    pub files: &'a mut Vec<PathBuf>,
}

impl Reader<'_> {
    /// The same once more, for the entries of another table.
    pub fn again(&mut self) -> Reader<'_> {
        Reader {
            entries: self.entries,
            table: self.table,
            folders: self.folders,
            environment: self.environment,
            findings: self.findings,
            files: self.files,
        }
    }

    /// The value as read.
    pub fn entry(&self, option: &Opt) -> Option<&Entry> {
        self.entries.get(&(option.section, option.key))
    }

    /// The option as messages write it, by the name of its own table.
    fn title(&self, option: &Opt) -> String {
        match self.table {
            Some(name) => format!("[callout.{name}] {}", option.key),
            None => option.title(),
        }
    }

    /// Where it was written.
    pub fn at(&self, option: &Opt) -> Option<Location> {
        self.entry(option).map(|entry| entry.at.clone())
    }

    /// A value that is there, or has a default.
    pub fn one<T>(&mut self, option: &Opt, parse: impl Fn(&str) -> Parsed<T>) -> Resolved<Located<T>> {
        let given = match self.given(option)? {
            Some(given) => given,
            None => Given { text: option.default.to_owned(), at: Location::Default },
        };
        self.parsed(option, given, &parse)
    }

    /// A value that may be absent. The empty text counts as absent.
    pub fn optional<T>(
        &mut self,
        option: &Opt,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Resolved<Option<Located<T>>> {
        match self.given(option)?.filter(|given| !given.text.is_empty()) {
            Some(given) => self.parsed(option, given, &parse).map(Some),
            None => Ok(None),
        }
    }

    /// A value that must be there: `at` is the table that lacks it.
    pub fn required<T>(
        &mut self,
        option: &Opt,
        at: &Location,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Resolved<Located<T>> {
        self.given_somewhere(option, at)?;
        self.one(option, parse)
    }

    /// Errs when a required option is not there.
    pub fn given_somewhere(&mut self, option: &Opt, at: &Location) -> Resolved<()> {
        if self.entry(option).is_some() {
            return Ok(());
        }
        let message = format!("[[{}]]: {} is missing", option.section, option.key);
        self.findings.errors.push(at, message);
        Err(Failed)
    }

    /// A list, which may be empty.
    pub fn list<T>(&mut self, option: &Opt, parse: impl Fn(&str) -> Parsed<T>) -> Resolved<Vec<Located<T>>> {
        let given = self.items(option)?;
        let parsed: Vec<_> = given
            .into_iter()
            .filter(|given| !given.text.is_empty())
            .map(|given| self.parsed(option, given, &parse))
            .collect();
        parsed.into_iter().collect()
    }

    /// A list of at least one.
    pub fn some<T>(&mut self, option: &Opt, parse: impl Fn(&str) -> Parsed<T>) -> Resolved<Vec<Located<T>>> {
        let list = self.list(option, parse)?;
        if list.is_empty() {
            let at = self.at(option).unwrap_or(Location::Default);
            let message = format!("{}: expected at least one: {}", self.title(option), option.allowed);
            self.findings.errors.push(&at, message);
            return Err(Failed);
        }
        Ok(list)
    }

    /// Drops what a list has twice, with a warning.
    pub fn once<T: PartialEq>(&mut self, option: &Opt, list: Vec<Located<T>>) -> Vec<Located<T>> {
        let mut once: Vec<Located<T>> = Vec::with_capacity(list.len());
        for item in list {
            if once.iter().any(|seen| seen.value == item.value) {
                self.findings.warn(&item.at, format!("{}: names one thing twice", self.title(option)));
            } else {
                once.push(item);
            }
        }
        once
    }

    /// A path, which starts where its place says.
    pub fn path(&mut self, option: &Opt) -> Resolved<Option<Located<PathBuf>>> {
        let path = self.optional(option, parse::any)?;
        Ok(path.map(|path| {
            let folder = self.folders.of(&path.at);
            path.map(|text| folder.join(text))
        }))
    }

    /// The path of a file that is read once, when everything is built: a change of it is a change of the
    /// configuration.
    pub fn file_read_once(&mut self, option: &Opt) -> Resolved<Option<Located<PathBuf>>> {
        let path = self.path(option)?;
        self.files.extend(path.iter().map(|path| path.value.clone()));
        Ok(path)
    }

    /// Several of these.
    pub fn files_read_once(&mut self, option: &Opt) -> Resolved<Vec<Located<PathBuf>>> {
        let paths = self.list(option, parse::any)?;
        let paths: Vec<_> = paths
            .into_iter()
            .map(|path| {
                let folder = self.folders.of(&path.at);
                path.map(|text| folder.join(text))
            })
            .collect();
        self.files.extend(paths.iter().map(|path| path.value.clone()));
        Ok(paths)
    }

    /// A text, parsed.
    pub fn parsed<T>(
        &mut self,
        option: &Opt,
        given: Given,
        parse: &impl Fn(&str) -> Parsed<T>,
    ) -> Resolved<Located<T>> {
        match parse(&given.text) {
            Ok(value) => Ok(Located::new(value, given.at)),
            Err(fault) => Err(self.fault(option, &given.at, &given.text, fault)),
        }
    }

    fn fault(&mut self, option: &Opt, at: &Location, text: &str, fault: Fault) -> Failed {
        let message = match fault {
            Fault::Expected if option.secret => {
                format!("{}: expected {}", self.title(option), option.allowed)
            }
            Fault::Expected => {
                format!("{}: expected {}, found {text:?}", self.title(option), option.allowed)
            }
            Fault::Because(reason) => format!("{}: {reason}", self.title(option)),
        };
        self.findings.errors.push(at, message);
        Failed
    }

    /// The value of an option that is one text, whatever it was written as.
    pub fn given(&mut self, option: &Opt) -> Resolved<Option<Given>> {
        let Some(entry) = self.entry(option).cloned() else { return Ok(None) };
        let text = self.text(option, entry.value, &entry.at)?;
        Ok(Some(Given { text, at: entry.at }))
    }

    /// The items of a list.
    pub fn items(&mut self, option: &Opt) -> Resolved<Vec<Given>> {
        let Some(Entry { value, at, .. }) = self.entry(option).cloned() else {
            return Ok(cut(option.shape, option.default, &Location::Default));
        };
        let Value::Array(items) = value else {
            let text = self.text(option, value, &at)?;
            return Ok(cut(option.shape, &text, &at));
        };
        let given: Vec<_> = items
            .into_iter()
            .map(|item| {
                let text = self.text(option, item.value, &item.at)?;
                Ok(Given { text, at: item.at })
            })
            .collect();
        given.into_iter().collect()
    }

    /// A value as text, when its type is one that the option may have. Files are read and commands
    /// run here, so only for values that nothing overrides.
    fn text(&mut self, option: &Opt, value: Value, at: &Location) -> Resolved<String> {
        let found = match (value, option.shape) {
            (Value::Untyped(text), _) => return Ok(text),
            (Value::Text(text), Shape::Integer | Shape::Boolean) => format!("the text {text:?}"),
            (Value::Text(text), _) => return Ok(text),
            (Value::Integer(digits), Shape::Integer | Shape::Duration | Shape::WordOrInteger) => {
                return Ok(digits);
            }
            (Value::Integer(digits), _) => format!("the number {digits}"),
            (Value::Boolean(flag), Shape::Boolean) => return Ok(flag.to_string()),
            (Value::Boolean(flag), _) => flag.to_string(),
            (Value::Array(_), _) => "an array".to_owned(),
            (Value::Other(kind), _) => kind.to_owned(),
            (Value::File(path), _) => return self.content(option, &path, at),
            (Value::Command { line, newline }, _) => return self.output(option, &line, newline, at),
            (Value::Refused(message), _) => {
                if !message.is_empty() {
                    self.findings.errors.push(at, message);
                }
                return Err(Failed);
            }
        };
        let found = if option.secret { String::new() } else { format!(", found {found}") };
        let message = format!("{}: expected {}{found}", self.title(option), option.allowed);
        self.findings.errors.push(at, message);
        Err(Failed)
    }

    fn content(&mut self, option: &Opt, path: &Path, at: &Location) -> Resolved<String> {
        self.files.push(path.to_owned());
        match std::fs::read_to_string(path) {
            Ok(mut text) => {
                drop_newline(&mut text);
                Ok(text)
            }
            Err(error) => {
                let message = format!("{}: {} cannot be read: {error}", self.title(option), path.display());
                self.findings.errors.push(at, message);
                Err(Failed)
            }
        }
    }

    fn output(&mut self, option: &Opt, line: &str, newline: Newline, at: &Location) -> Resolved<String> {
        match expand::run(line, self.environment) {
            Ok(mut text) => {
                if newline == Newline::Dropped {
                    drop_newline(&mut text);
                }
                Ok(text)
            }
            Err(error) => {
                self.findings.errors.push(at, format!("{}: {error}", self.title(option)));
                Err(Failed)
            }
        }
    }
}

fn drop_newline(text: &mut String) {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
}

/// Cuts a text into the items of a list.
fn cut(shape: Shape, text: &str, at: &Location) -> Vec<Given> {
    let given = |item: &str| Given { text: item.to_owned(), at: at.clone() };
    match shape {
        Shape::List => text.split(|c: char| c == ',' || c.is_whitespace()).map(given).collect(),
        Shape::CommaList => text.split(',').map(|item| given(item.trim())).collect(),
        Shape::ArrayList
        | Shape::Text
        | Shape::Integer
        | Shape::Duration
        | Shape::WordOrInteger
        | Shape::Boolean => vec![given(text)],
    }
}

/// The values without their places.
pub fn values<T>(list: Vec<Located<T>>) -> Vec<T> {
    list.into_iter().map(|item| item.value).collect()
}
