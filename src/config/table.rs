//! `[backend.NAME]`: a table whose keys are known to the backend of one's own alone.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::Note;
use super::location::Location;
use super::names;

/// The table, with the place of every value in it, so that what is wrong is said with line and column. Does
/// not print: any value may be a secret.
#[derive(Clone)]
pub struct Table {
    name: Arc<str>,
    at: Location,
    /// The whole file: values are read out of it anew, since a parsed one borrows from it.
    text: Arc<str>,
    /// What stands in the place of a `{ file = "…" }`, by where that is.
    contents: BTreeMap<usize, Arc<str>>,
    folder: PathBuf,
}

impl Table {
    /// The table of this name in a file's text. Relative paths in it start at `folder`.
    pub fn new(name: &str, at: Location, text: &str, folder: &Path) -> Self {
        let contents = BTreeMap::new();
        Self { name: name.into(), at, text: text.into(), contents, folder: folder.to_owned() }
    }

    /// A table that nobody has written.
    pub fn empty(name: &str) -> Self {
        Self::new(name, Location::Default, "", Path::new(""))
    }

    /// Where it is written.
    pub fn at(&self) -> &Location {
        &self.at
    }

    /// Reads the table into a type of the backend's own. With `#[serde(deny_unknown_fields)]` a misspelt key
    /// is an error.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value is of another type: with its place, and without the value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Note> {
        let mut whole = self.parsed();
        whole.get_mut().iter_mut().for_each(|(_, value)| self.put(value));
        T::deserialize(whole.into_deserializer()).map_err(|error| {
            let place = error.span().and_then(|span| self.place(span.start));
            let (name, said) = (&self.name, without_texts(error.message()));
            Note {
                at: place.unwrap_or_else(|| self.at.clone()),
                message: format!("[backend.{name}]: {said}"),
            }
        })
    }

    /// Reads the file of each `{ file = "…" }`, and names it.
    pub(super) fn read_files(&mut self, files: &mut Vec<PathBuf>) -> Result<(), Note> {
        let mut places = Vec::new();
        self.parsed().get_ref().iter().for_each(|(_, value)| file_values(value, &mut places));
        for (start, path) in places {
            let path = self.folder.join(path);
            files.push(path.clone());
            let text = std::fs::read_to_string(&path).map_err(|error| Note {
                at: self.place(start).unwrap_or_else(|| self.at.clone()),
                message: format!("[backend.{}]: {} cannot be read: {error}", self.name, path.display()),
            })?;
            let text = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
            self.contents.insert(start, text.into());
        }
        Ok(())
    }

    /// The table as it is written; an empty one where it is not.
    fn parsed(&self) -> Spanned<DeTable<'_>> {
        let (document, _) = DeTable::parse_recoverable(&self.text);
        let mut tables = document.into_inner();
        for name in [names::BACKEND, &*self.name] {
            let found = tables.into_iter().find(|(key, _)| key.get_ref() == name);
            tables = match found.map(|(_, value)| value.into_inner()) {
                Some(DeValue::Table(table)) => table,
                Some(
                    DeValue::String(_)
                    | DeValue::Integer(_)
                    | DeValue::Float(_)
                    | DeValue::Boolean(_)
                    | DeValue::Datetime(_)
                    | DeValue::Array(_),
                )
                | None => DeTable::new(),
            };
        }
        Spanned::new(0..0, tables)
    }

    fn put(&self, value: &mut Spanned<DeValue<'_>>) {
        if let Some(content) = self.contents.get(&value.span().start) {
            *value.get_mut() = DeValue::String(content.to_string().into());
            return;
        }
        match value.get_mut() {
            DeValue::Table(table) => table.iter_mut().for_each(|(_, value)| self.put(value)),
            DeValue::Array(items) => items.iter_mut().for_each(|item| self.put(item)),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    /// The line and column of a byte.
    fn place(&self, byte: usize) -> Option<Location> {
        let Location::Column { file, .. } = &self.at else { return None };
        let before = self.text.get(..byte).filter(|before| !before.is_empty())?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some(Location::Column { file: Arc::clone(file), line, column })
    }
}

/// Where each `{ file = "…" }` is, and its path.
fn file_values(value: &Spanned<DeValue<'_>>, found: &mut Vec<(usize, String)>) {
    match value.get_ref() {
        DeValue::Table(table) => match (table.len(), table.iter().next()) {
            (1, Some((key, path))) if key.get_ref() == "file" && path.get_ref().is_str() => {
                let path = path.get_ref().as_str().unwrap_or_default();
                found.push((value.span().start, path.to_owned()));
            }
            (_, Some(_) | None) => table.iter().for_each(|(_, value)| file_values(value, found)),
        },
        DeValue::Array(items) => items.iter().for_each(|item| file_values(item, found)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({}, ***)", self.name)
    }
}

/// A message of serde's without the texts that it repeats: `invalid type: string "hunter2", expected u16`.
fn without_texts(message: &str) -> String {
    match (message.find("string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => {
            format!("{}a text{}", &message[..start], &message[end + 1..])
        }
        (Some(_) | None, Some(_) | None) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        header: String,
        #[serde(default)]
        limit: u16,
        #[serde(default)]
        keys: BTreeMap<String, String>,
    }

    const AT: &str = "a.toml:3:2";

    fn table(text: &str) -> Table {
        let folder = std::env::temp_dir();
        let at = Location::Column { file: "a.toml".into(), line: 3, column: 2 };
        Table::new("mine", at, text, &folder)
    }

    #[test]
    fn a_table_is_read_into_a_type_of_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ann.key"), "s3cret\r\n").unwrap();
        let text = "[api]\nauth_backends = \"mine\"\n[backend.mine]\nheader = \"X-Key\"\nlimit = 7\n\
                    [backend.mine.keys]\nann = { file = \"ann.key\" }\nbob = \"plain\"\n[backend.other]\nx = 1\n";
        let mut table = Table { folder: folder.path().to_owned(), ..table(text) };
        let mut files = Vec::new();
        table.read_files(&mut files).unwrap();
        assert_eq!(files, [folder.path().join("ann.key")]);
        let keys = [("ann", "s3cret"), ("bob", "plain")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let expected = Settings { header: "X-Key".into(), limit: 7, keys: keys.into() };
        assert_eq!(table.read::<Settings>().unwrap(), expected);
        assert_eq!(format!("{table:?}"), "Table(mine, ***)");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_the_value() {
        for (name, text, expected) in [
            ("missing", "[backend.mine]\n", format!("{AT}: [backend.mine]: missing field `header`")),
            ("not there at all", "[api]\n", format!("{AT}: [backend.mine]: missing field `header`")),
            (
                "unknown",
                "[backend.mine]\nheader = \"a\"\nheadr = \"hunter2\"\n",
                "a.toml:3:1: [backend.mine]: unknown field `headr`, expected one of `header`, `limit`, `keys`".into(),
            ),
            (
                "of another type",
                "[backend.mine]\nheader = \"a\"\nlimit = \"hunter2, expected\"\n",
                "a.toml:3:9: [backend.mine]: invalid type: a text, expected u16".into(),
            ),
        ] {
            assert_eq!(table(text).read::<Settings>().unwrap_err().to_string(), expected, "{name}");
        }
        let empty = Table::empty("mine").read::<Settings>().unwrap_err();
        assert_eq!(empty.at, Location::Default);
    }
}
