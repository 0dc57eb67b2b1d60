//! Where logs go.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Failure, Settings};

/// Where a log goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error, where the application log goes.
    Stderr,
    /// A file. Opened for appending, made if it is not there, and opened anew on reload, so that it can be rotated.
    File(PathBuf),
}

/// A log whose place can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// One line a request.
    Access,
    /// Authentication events.
    Audit,
}

impl Log {
    /// The mode of a file that is made for it, before the umask: who tries which names is not for everybody's eyes.
    fn mode(self) -> u32 {
        match self {
            Self::Access => 0o666,
            Self::Audit => 0o640,
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Access => "access log",
            Self::Audit => "audit log",
        })
    }
}

/// Which logs cannot be appended to, nor made where they are not there. Makes nothing.
pub fn try_files(settings: &Settings) -> Vec<Failure> {
    let outputs = [(Log::Access, Some(&settings.access)), (Log::Audit, settings.audit.as_ref())];
    let tried = outputs.into_iter().filter_map(|(log, output)| match output {
        Some(Output::File(path)) => try_file(log, path).err(),
        Some(Output::Stdout | Output::Stderr) | None => None,
    });
    tried.collect()
}

fn try_file(log: Log, path: &Path) -> Result<(), Failure> {
    // A pipe that nobody reads is told, and not waited for.
    let there = OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open(path);
    let could = match there {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            access(folder.unwrap_or(Path::new(".")), Access::WRITE_OK | Access::EXEC_OK)
                .map_err(io::Error::from)
        }
        other => other.map(drop),
    };
    could.map_err(|source| Failure::File { log, path: path.to_owned(), source })
}

/// Opens a log's file, and makes it where there is none. A pipe that nobody reads is told, and not waited for: neither a
/// start nor a reload would ever end. Writers wait by themselves where it is full.
pub(super) fn open(log: Log, path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(log.mode()).custom_flags(libc::O_NONBLOCK).open(path);
    opened.map_err(|source| Failure::File { log, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let failure = open(Log::Access, Path::new("/nowhere/access.log")).unwrap_err();
        assert!(
            failure.to_string().starts_with("cannot open the access log /nowhere/access.log: "),
            "{failure}"
        );
    }
}
