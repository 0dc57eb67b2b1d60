//! The source `file`: passwords in a file, either that of Airflow's simple auth manager or one of
//! our own with hashes.

mod read;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use tokio::runtime::Handle;

use super::check::{Source, SourceVerdict};
use super::hash::HashWorkers;
use crate::auth::cache::Seal;
use crate::auth::{Health, Identity, Onward, Origin, Outage};
use crate::secret::Secret;
pub use read::{FileError, LineFault};
use read::{Record, Stamp, Stored, Table};

/// A file of users and passwords, read again when it changes.
pub struct PasswordFile {
    path: PathBuf,
    fingerprint: Box<str>,
    format: Format,
    table: ArcSwap<Table>,
    /// What the file looked like when it was last read.
    seen: Mutex<Option<Stamp>>,
    trouble: ArcSwapOption<Arc<str>>,
    workers: Arc<HashWorkers>,
}

/// How the file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// `[core] simple_auth_manager_passwords_file`: a JSON object of names and plain passwords, by
    /// Airflow's own design. Only the users named in `simple_auth_manager_users` count, as there.
    Simple {
        /// Those names.
        users: HashSet<Box<str>>,
    },
    /// Names and hashes: a TOML table `[users]`, or lines `name:hash` as of `htpasswd -B`. Which
    /// one is told by the first line that is neither empty nor a comment: TOML's begins with `[`.
    Hashes,
}

/// What a look at the file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing new.
    Unchanged,
    /// A change: these many users are in force now.
    Read {
        /// How many.
        users: usize,
    },
    /// The first state that can be read after one that could not.
    Mended {
        /// How many users are in force now.
        users: usize,
    },
}

impl PasswordFile {
    /// How often to [`watch`](Self::watch): the longest that a removed password still works.
    pub const INTERVAL: Duration = Duration::from_secs(1);

    /// Reads the file. Blocks: for start and reload.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or has a line that is not understood: [`FileError`].
    pub fn open(
        path: impl Into<PathBuf>,
        format: Format,
        workers: Arc<HashWorkers>,
    ) -> Result<Self, FileError> {
        let path = path.into();
        let (table, stamp) = read::load(&path, &format)?;
        let fingerprint = match &format {
            Format::Simple { .. } => format!("simple {}", path.display()),
            Format::Hashes => format!("hashes {}", path.display()),
        };
        Ok(Self {
            path,
            fingerprint: fingerprint.into(),
            format,
            table: ArcSwap::from_pointee(table),
            seen: Mutex::new(Some(stamp)),
            trouble: ArcSwapOption::empty(),
            workers,
        })
    }

    /// Who is in it now.
    pub fn names(&self) -> Vec<Box<str>> {
        self.table.load().names().map(Box::from).collect()
    }

    /// Reads the file again if it has changed since, and says so. Blocks. On a fault the users last read
    /// stay in force, and [`Source::health`] says so.
    ///
    /// # Errors
    /// As of [`open`](Self::open), once for each change of the file.
    pub fn refresh(&self) -> Result<Look, FileError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Stamp::of(&self.path);
        if now.is_some() && now == *seen {
            return Ok(Look::Unchanged);
        }
        if now.is_none() && seen.is_none() {
            return Ok(Look::Unchanged);
        }
        match read::load(&self.path, &self.format) {
            Ok((table, stamp)) => {
                *seen = Some(stamp);
                let users = table.names().count();
                self.table.store(Arc::new(table));
                match self.trouble.swap(None) {
                    None => Ok(Look::Read { users }),
                    Some(_) => Ok(Look::Mended { users }),
                }
            }
            Err(fault) => {
                // Looked at, and not again until it changes.
                *seen = now;
                self.trouble.store(Some(Arc::new(fault.to_string().into())));
                Err(fault)
            }
        }
    }

    /// Keeps the file under watch until it is dropped: looks at it `every` so often, away from the
    /// request threads, so that a request never waits for a disk.
    pub fn watch(file: &Arc<Self>, runtime: &Handle, every: Duration) {
        let file = Arc::downgrade(file);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(file) = file.upgrade() else { return };
                let look = tokio::task::spawn_blocking(move || (file.refresh(), file));
                let Ok((found, file)) = look.await else { continue };
                let path = file.path.display();
                match found {
                    Ok(Look::Unchanged) => {}
                    Ok(Look::Read { users }) => {
                        tracing::info!(%path, users, "users file has changed, and is in force as it is now");
                    }
                    Ok(Look::Mended { users }) => {
                        tracing::info!(%path, users, "users file is right again, and in force as it is now");
                    }
                    Err(fault) => {
                        tracing::error!(%path, error = %fault, "users file not taken over, the last one stays in force");
                    }
                }
            }
        });
    }

    async fn compare(&self, record: Arc<Record>, password: &Secret) -> Result<bool, super::hash::Busy> {
        match &record.stored {
            Stored::Plain(stored) => Ok(stored == password),
            Stored::Hash(_) => {
                let password = password.clone();
                self.workers.run(move || record.matches(&password)).await
            }
        }
    }
}

#[async_trait]
impl Source for PasswordFile {
    fn name(&self) -> &'static str {
        "file"
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    async fn check(&self, username: &str, password: &Secret, _now: SystemTime) -> SourceVerdict {
        let table = self.table.load_full();
        let (record, known) = match table.find(username) {
            Some(record) => (record, true),
            // The password of some user is compared all the same, and the answer thrown away, so
            // that the time does not tell who exists.
            None => match table.stand_in(username) {
                Some(record) => (record, false),
                None => return SourceVerdict::Unknown,
            },
        };
        let seal = record.seal;
        match (self.compare(record, password).await, known) {
            (Ok(true), true) => SourceVerdict::Accepted {
                identity: Identity { origin: Origin::File, name: username.into() },
                onward: Onward::Minted { jti: None },
                expires: None,
                seal: Some(seal),
            },
            (Ok(false), true) => SourceVerdict::Rejected,
            (Ok(true | false), false) => SourceVerdict::Unknown,
            (Err(busy), _) => SourceVerdict::Unavailable(Outage {
                cause: busy.to_string().into(),
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    fn vouches(&self, username: &str, seal: Option<&Seal>) -> bool {
        self.table.load().seal(username).as_ref() == seal
    }

    fn health(&self) -> Health {
        match self.trouble.load_full() {
            None => Health::Up,
            Some(cause) => Health::Degraded(Arc::clone(&cause)),
        }
    }
}

#[cfg(test)]
mod tests;
