//! Our own file: TOML, read with every error in it collected.

mod repeated;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Entry, Findings, Key, Layer, Source, Value};
use super::location::{Located, Location};
use super::names;
use super::options;
use super::table::Table;
use repeated::Repeated;

/// Reads a file's text. `name` is what messages call the file; relative paths in it start at
/// `folder`.
pub fn read(text: &str, name: &str, folder: &Path, findings: &mut Findings) -> Layer {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        text,
        name: name.into(),
        folder,
        findings,
        layer: Layer::default(),
        seen: BTreeMap::new(),
        broken: Vec::new(),
    };
    for error in errors {
        let at = match error.span() {
            Some(span) => {
                reader.broken.push(span.start);
                reader.at(span.start)
            }
            None => Location::File(Arc::clone(&reader.name)),
        };
        let message = match error.span().filter(|_| error.message() == DUPLICATE) {
            Some(span) => reader.written_again(Repeated::find(text, span)),
            None => error.message().to_owned(),
        };
        reader.findings.errors.push(&at, message);
    }
    reader.sections(table.get_ref());
    reader.layer
}

/// What the parser says of a key that is there already.
const DUPLICATE: &str = "duplicate key";

struct Reader<'a> {
    text: &'a str,
    name: Arc<str>,
    folder: &'a Path,
    findings: &'a mut Findings,
    layer: Layer,
    /// How the options read so far were written.
    seen: BTreeMap<Key, String>,
    /// Where the text is no TOML. What the parser made of a value there says nothing.
    broken: Vec<usize>,
}

impl Reader<'_> {
    /// The line and column of a byte.
    fn at(&self, byte: usize) -> Location {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Location::Column { file: Arc::clone(&self.name), line, column }
    }

    fn written_again(&self, Repeated { name, first }: Repeated) -> String {
        let first = first.map(|byte| format!(": the first time is at {}", self.at(byte)));
        format!("{name} is written a second time{}. Write it once", first.unwrap_or_default())
    }

    fn sections(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let at = self.at(name.span().start);
            let name = name.get_ref().as_ref();
            match (name, value.get_ref()) {
                ("jwt", DeValue::Table(table)) => self.jwt(table),
                ("callout", DeValue::Table(table)) => self.named(name, table, Self::callout),
                (names::BACKEND, DeValue::Table(table)) => self.named(name, table, Self::backend),
                (_, DeValue::Table(table)) => match names::section(name) {
                    Ok(()) => self.section(name, table),
                    Err(message) => self.findings.errors.push(&at, message),
                },
                (_, _) => match names::section(name) {
                    Ok(()) => {
                        let found = type_of(value.get_ref());
                        self.findings
                            .errors
                            .push(&at, format!("[{name}]: expected a section, found {found}"));
                    }
                    Err(message) => self.findings.errors.push(&at, stray(name, message)),
                },
            }
        }
    }

    /// Tables with names in a section.
    fn named(
        &mut self,
        section: &str,
        tables: &DeTable<'_>,
        read: fn(&mut Self, &str, Location, &Spanned<DeValue<'_>>, &DeTable<'_>),
    ) {
        for (key, value) in tables {
            let at = self.at(key.span().start);
            let name = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(table) if names::is_name(name) => read(self, name, at, value, table),
                DeValue::Table(_) => {
                    let message = format!("[{section}.{name}]: {}", names::NO_NAME);
                    self.findings.errors.push(&at, message);
                }
                other => {
                    let found = type_of(other);
                    let message = format!("[{section}.{name}]: expected a table, found {found}");
                    self.findings.errors.push(&at, message);
                }
            }
        }
    }

    fn callout(&mut self, name: &str, at: Location, _: &Spanned<DeValue<'_>>, table: &DeTable<'_>) {
        let mut entries = BTreeMap::new();
        let section = format!("callout.{name}");
        for (key, value) in table {
            let at = self.at(key.span().start);
            if let Some(option) = self.findings.own_option(&section, key.get_ref(), &at) {
                entries.insert((option.section, option.key), self.entry(value));
            }
        }
        self.layer.callouts.insert(name.to_owned(), (at, entries));
    }

    fn backend(&mut self, name: &str, at: Location, value: &Spanned<DeValue<'_>>, _: &DeTable<'_>) {
        let span = value.span();
        if self.broken.iter().any(|at| (span.start..=span.end).contains(at)) {
            return;
        }
        let table = Table::new(name, at, self.text, self.folder);
        self.layer.backends.insert(name.to_owned(), table);
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let at = self.at(key.span().start);
            let name = key.get_ref().as_ref();
            if let DeValue::Table(table) = value.get_ref()
                && names::has_table(section, name)
            {
                self.section(&format!("{section}.{name}"), table);
                continue;
            }
            let Some(option) = self.findings.own_option(section, name, &at) else { continue };
            let id = (option.section, option.key);
            let written = format!("[{section}] {name}");
            if let Some(twin) = self.seen.insert(id, written.clone()) {
                let message = format!("{written} and {twin} are one option: write it once");
                self.findings.errors.push(&at, message);
                continue;
            }
            let entry = self.entry(value);
            self.layer.entries.insert(id, entry);
        }
    }

    /// `[[jwt.issuers]]`, and nothing else.
    fn jwt(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let at = self.at(key.span().start);
            let name = key.get_ref().as_ref();
            match (name, value.get_ref()) {
                ("issuers", DeValue::Array(items)) => {
                    for item in items.iter() {
                        self.issuer(item);
                    }
                }
                ("issuers", value) => {
                    let found = type_of(value);
                    let message = format!("[[jwt.issuers]]: expected an array of tables, found {found}");
                    self.findings.errors.push(&at, message);
                }
                (name, _) => {
                    let message = format!("unknown key {name} in [jwt]; there is [[jwt.issuers]]");
                    self.findings.errors.push(&at, message);
                }
            }
        }
    }

    fn issuer(&mut self, item: &Spanned<DeValue<'_>>) {
        let at = self.at(item.span().start);
        let DeValue::Table(table) = item.get_ref() else {
            let found = type_of(item.get_ref());
            self.findings.errors.push(&at, format!("[[jwt.issuers]]: expected a table, found {found}"));
            return;
        };
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let at = self.at(key.span().start);
            if let Some(option) = self.findings.own_option(options::ISSUERS, key.get_ref(), &at) {
                entries.insert((option.section, option.key), self.entry(value));
            }
        }
        self.layer.issuers.push((at, entries));
    }

    fn entry(&mut self, value: &Spanned<DeValue<'_>>) -> Entry {
        let written = match value.get_ref() {
            DeValue::String(_) | DeValue::Table(_) => None,
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => self.text.get(value.span()).map(str::to_owned),
        };
        let Located { value, at } = self.value(value);
        Entry { value, at, source: Source::Own, written }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Located<Value> {
        let at = self.at(value.span().start);
        let span = value.span();
        let value = match value.get_ref() {
            _ if self.broken.iter().any(|at| (span.start..=span.end).contains(at)) => {
                Value::Refused(String::new())
            }
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                match i128::from_str_radix(&digits, number.radix()) {
                    Ok(number) => Value::Integer(number.to_string()),
                    Err(_) => Value::Integer(digits),
                }
            }
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.value(item)).collect()),
            DeValue::Table(table) => self.table(table, &at),
            other @ (DeValue::Float(_) | DeValue::Datetime(_)) => Value::Other(type_of(other)),
        };
        Located { value, at }
    }

    /// `{ file = "…" }`.
    fn table(&mut self, table: &DeTable<'_>, at: &Location) -> Value {
        let mut entries = table.iter();
        match (entries.next(), entries.next()) {
            (Some((key, value)), None) if key.get_ref() == "file" => match value.get_ref() {
                DeValue::String(path) => Value::File(self.folder.join(path.as_ref())),
                other => {
                    let at = self.at(value.span().start);
                    let message = format!("{{ file = … }}: expected a path, found {}", type_of(other));
                    self.findings.errors.push(&at, message);
                    Value::Refused(String::new())
                }
            },
            (Some(_) | None, _) => {
                let message = "expected a value or { file = \"…\" }, found another table";
                self.findings.errors.push(at, message);
                Value::Refused(String::new())
            }
        }
    }
}

/// A key outside of any section, which may belong into one.
fn stray(name: &str, message: String) -> String {
    match options::ALL.iter().find(|o| o.key == name && !o.repeats()) {
        Some(option) => format!("{name} stands in no section; there is {}", option.title()),
        None => message,
    }
}

/// A TOML type, as messages call it.
fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
