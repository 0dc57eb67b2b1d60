//! Everything that is wrong with a configuration, collected and said at once.

use std::fmt;

use super::location::Location;

/// Something worth saying about a place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub at: Location,
    /// What. Never holds a secret.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// Something that works, but not for ever or not as its writer may think.
pub type Warning = Note;

/// All errors of a configuration, one a line. Empty is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(Vec<Note>);

impl Errors {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. `message` says what was read and what is allowed, and holds no secret.
    pub fn push(&mut self, at: &Location, message: impl Into<String>) {
        self.0.push(Note { at: at.clone(), message: message.into() });
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much is wrong.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The errors, in the order they are printed.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter()
    }

    /// `Ok` when nothing is wrong.
    ///
    /// # Errors
    /// All that is wrong, in the order of the files' lines.
    pub fn into_result(mut self) -> Result<(), Self> {
        if self.is_empty() {
            return Ok(());
        }
        self.sort();
        Err(self)
    }

    /// Our own file from top to bottom first, then the rest in the order found.
    fn sort(&mut self) {
        self.0.sort_by_key(|note| match &note.at {
            Location::Column { line, column, .. } => (0, *line, *column),
            Location::Line { line, .. } => (1, *line, 0),
            Location::File(_) | Location::Default | Location::Variable(_) | Location::Set(_) => (2, 0, 0),
        });
        self.0.dedup();
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, note) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{note}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
