//! Reading password files.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::Format;
use crate::auth::basic::hash::{InvalidHash, StoredHash};
use crate::auth::cache::Seal;
use crate::secret::Secret;

/// The largest file that is read: some ten thousand users.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// Why a password file is not taken. Never tells a password or a hash.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("{}: no such file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there, but cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It holds no user.
    #[error("{}: holds no user", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// More than 4 MiB.
    #[error("{}: larger than 4 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8.
    #[error("{}: not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// Lines that are not understood: all of them.
    #[error("{}", list(path, faults))]
    Lines {
        /// The file.
        path: PathBuf,
        /// Line numbers, from 1, and what is wrong there, in order.
        faults: Vec<(usize, LineFault)>,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Not as the format asks.
    #[error("{0}")]
    Malformed(&'static str),
    /// TOML, and no table of users in it.
    #[error(
        "no table `[users]`, but `{0}`: write names and hashes below a line `[users]`, as `name = \"hash\"`"
    )]
    NoUsers(Box<str>),
    /// The user stands there twice.
    #[error("user `{0}` stands here a second time")]
    Duplicate(Box<str>),
    /// The hash of this user is not taken.
    #[error("user `{0}`: {1}")]
    Hash(Box<str>, InvalidHash),
}

fn list(path: &Path, faults: &[(usize, LineFault)]) -> String {
    let lines: Vec<_> =
        faults.iter().map(|(line, fault)| format!("{}:{line}: {fault}", path.display())).collect();
    lines.join("\n")
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The file at a path now; none if it cannot be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The users of a file.
pub struct Table {
    records: Records,
    /// The same records, to pick one for a user who is not there.
    order: Vec<Arc<Record>>,
    pick: RandomState,
}

/// What is stored for one user.
pub struct Record {
    pub stored: Stored,
    pub seal: Seal,
}

/// A password as it is stored.
pub enum Stored {
    Plain(Secret),
    Hash(StoredHash),
}

impl Record {
    fn new(name: &str, text: &str, stored: Stored) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(text.as_bytes());
        let mut seal = [0; 32];
        seal.copy_from_slice(context.finish().as_ref());
        Self { stored, seal: Seal(seal) }
    }

    /// Compares. A hash takes long.
    pub fn matches(&self, password: &Secret) -> bool {
        match &self.stored {
            Stored::Plain(stored) => stored == password,
            Stored::Hash(hash) => hash.verify(password),
        }
    }
}

impl Table {
    fn new(records: Records) -> Self {
        let order = records.values().cloned().collect();
        Self { records, order, pick: RandomState::new() }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.records.keys().map(|name| &**name)
    }

    pub fn find(&self, username: &str) -> Option<Arc<Record>> {
        self.records.get(username).cloned()
    }

    pub fn seal(&self, username: &str) -> Option<Seal> {
        self.records.get(username).map(|record| record.seal)
    }

    /// The record to spend time on for a user who is not there: always the same one for the same
    /// name, as a user who is there also has always the same kind of hash.
    pub fn stand_in(&self, username: &str) -> Option<Arc<Record>> {
        let count = u64::try_from(self.order.len()).ok().filter(|count| *count > 0)?;
        let place = usize::try_from(self.pick.hash_one(username) % count).ok()?;
        self.order.get(place).cloned()
    }
}

/// Reads a file.
pub fn load(path: &Path, format: &Format) -> Result<(Table, Stamp), FileError> {
    let (text, stamp) = text(path)?;
    let records = match format {
        Format::Simple { users } => simple(&text).map(|mut passwords| {
            passwords.retain(|name, _| users.contains(name));
            passwords
        }),
        Format::Hashes if is_toml(&text) => toml_users(&text),
        Format::Hashes => htpasswd(&text),
    };
    let records = records.map_err(|faults| FileError::Lines { path: path.into(), faults })?;
    if records.is_empty() {
        return Err(FileError::Empty { path: path.into() });
    }
    Ok((Table::new(records), stamp))
}

type Records = HashMap<Box<str>, Arc<Record>, ahash::RandomState>;
type Faults = Vec<(usize, LineFault)>;

fn text(path: &Path) -> Result<(Secret, Stamp), FileError> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => FileError::Missing { path: path.into() },
        _ => FileError::Unreadable { path: path.into(), error },
    };
    let file = File::open(path).map_err(unreadable)?;
    // Taken before reading: a change while we read makes another stamp.
    let stamp = Stamp::from(&file.metadata().map_err(unreadable)?);
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(FileError::TooLarge { path: path.into() });
    }
    let text = String::from_utf8(bytes).map_err(|_| FileError::NotUtf8 { path: path.into() })?;
    Ok((Secret::new(text), stamp))
}

/// As Airflow reads it: no content is no users, and the last of several equal names counts.
fn simple(text: &Secret) -> Result<Records, Faults> {
    let text = text.expose().trim();
    if text.is_empty() {
        return Ok(Records::default());
    }
    // The parser's own message would quote what it met, which may be a password.
    let passwords: HashMap<Box<str>, Secret> = serde_json::from_str::<HashMap<Box<str>, Box<str>>>(text)
        .map_err(|error| {
            vec![(error.line(), LineFault::Malformed("not a JSON object of names and passwords"))]
        })?
        .into_iter()
        .map(|(name, password)| (name, Secret::new(password)))
        .collect();
    let record = |(name, password): (Box<str>, Secret)| {
        let record = Record::new(&name, password.expose(), Stored::Plain(password.clone()));
        (name, Arc::new(record))
    };
    Ok(passwords.into_iter().map(record).collect())
}

fn significant(text: &Secret) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.expose().lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn is_toml(text: &Secret) -> bool {
    significant(text).next().is_some_and(|(_, line)| line.starts_with('['))
}

fn toml_users(text: &Secret) -> Result<Records, Faults> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct UsersFile {
        users: HashMap<Box<str>, Spanned<Box<str>>>,
    }
    let text = text.expose();
    let line = |at: usize| text.bytes().take(at).filter(|&b| b == b'\n').count() + 1;
    let file: UsersFile = toml::from_str(text).map_err(|error| {
        if let Some((at, other)) = instead_of_users(text) {
            return vec![(line(at), LineFault::NoUsers(other))];
        }
        let at = error.span().map_or(0, |span| span.start);
        let fault = "not as asked: one table `[users]` of `name = \"hash\"`, each name once";
        vec![(line(at), LineFault::Malformed(fault))]
    })?;
    collect(file.users.into_iter().map(|(name, hash)| {
        let at = line(hash.span().start);
        (at, Ok((name, hash.into_inner())))
    }))
}

/// What stands at the top of a TOML file without a table of users, and where.
fn instead_of_users(text: &str) -> Option<(usize, Box<str>)> {
    let file = DeTable::parse(text).ok()?;
    let mut keys: Vec<_> = file.get_ref().iter().map(|(key, _)| (key.span().start, key.get_ref())).collect();
    keys.sort();
    let (at, first) = *keys.first()?;
    (!keys.iter().any(|(_, key)| *key == "users")).then(|| (at, format!("[{first}]").into()))
}

fn htpasswd(text: &Secret) -> Result<Records, Faults> {
    collect(significant(text).map(|(at, line)| {
        let entry = line.split_once(':').map(|(name, hash)| (name.trim().into(), hash.trim().into()));
        (at, entry.ok_or(LineFault::Malformed(NO_ENTRY)))
    }))
}

/// What a line without a colon is told. A file with TOML in it may lack its first line.
const NO_ENTRY: &str = "not `name:hash`; a file of `name = \"hash\"` begins with a line `[users]`";

type Entry = Result<(Box<str>, Box<str>), LineFault>;

/// Takes names and hashes together, or says everything that is wrong with them.
fn collect(entries: impl Iterator<Item = (usize, Entry)>) -> Result<Records, Faults> {
    let mut records = Records::default();
    let mut faults = Faults::new();
    for (line, entry) in entries {
        match entry.and_then(|(name, hash)| record(&records, name, &hash)) {
            Ok((name, record)) => {
                records.insert(name, Arc::new(record));
            }
            Err(fault) => faults.push((line, fault)),
        }
    }
    faults.sort_by_key(|(line, _)| *line);
    if faults.is_empty() { Ok(records) } else { Err(faults) }
}

fn record(records: &Records, name: Box<str>, hash: &str) -> Result<(Box<str>, Record), LineFault> {
    if name.is_empty() {
        return Err(LineFault::Malformed("no user name"));
    }
    if records.contains_key(&name) {
        return Err(LineFault::Duplicate(name));
    }
    match StoredHash::parse(hash) {
        Ok(stored) => {
            let record = Record::new(&name, hash, Stored::Hash(stored));
            Ok((name, record))
        }
        Err(invalid) => Err(LineFault::Hash(name, invalid)),
    }
}
