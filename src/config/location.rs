//! Where a setting was written, so that every message can say so.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The place a value was read from. Displays as `airgate.toml:12:8`, `airflow.cfg:7`,
/// `AIRGATE__API__X`, `--set api.x` or `built-in default`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// Nobody wrote it.
    Default,
    /// A file as a whole, for what concerns none of its lines, such as that it cannot be read.
    File(Arc<str>),
    /// A line of `airflow.cfg`. Lines count from 1.
    Line {
        /// The file, as it was named.
        file: Arc<str>,
        /// The line.
        line: usize,
    },
    /// A line and column of our own file. Both count from 1, columns in characters.
    Column {
        /// The file, as it was named.
        file: Arc<str>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An environment variable, by its name.
    Variable(Arc<str>),
    /// `--set section.key=…`, by `section.key`.
    Set(Arc<str>),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File(file) => f.write_str(file),
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::Column { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
            Self::Set(key) => write!(f, "--set {key}"),
        }
    }
}

/// A value and the place it was read from. Reads like the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub at: Location,
}

impl<T> Located<T> {
    /// A value with its place.
    pub fn new(value: T, at: Location) -> Self {
        Self { value, at }
    }

    /// A value that nobody wrote.
    pub fn default_value(value: T) -> Self {
        Self { value, at: Location::Default }
    }

    /// Whether somebody wrote it.
    pub fn is_set(&self) -> bool {
        self.at != Location::Default
    }

    /// Another value at the same place.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: make(self.value), at: self.at }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
