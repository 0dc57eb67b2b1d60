//! Binds the listeners before anything else starts, so that an address in use is a clear error, and
//! port 0 is known by its number. What the process before has left is taken over.

use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora::server::{Fds, ListenFds};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::upgrade::{Inherited, Named};
use crate::config::resolve::checks::listeners;
use crate::config::settings::Listen;
use crate::ports::upstream::To;

/// How many connections may wait to be accepted. The system's own limit is usually 4096.
const BACKLOG: u32 = 4096;

/// A bound listener.
pub struct Bound {
    /// Where it really listens: the port has a number.
    pub at: Listen,
    name: String,
    socket: OwnedFd,
}

impl Bound {
    /// The same socket once more, for the process that may follow.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn again(&self) -> std::io::Result<Named> {
        Ok(Named { name: self.name.clone(), socket: self.socket.try_clone()? })
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self.at, Listen::Unix(_))
    }
}

/// Which of these listeners is reached there, if one is: a Unix socket by whatever path.
pub fn reached<'a>(
    bound: impl Iterator<Item = &'a Bound>,
) -> impl Fn(To<'_>) -> Option<String> + Send + Sync + 'static {
    let listeners: Vec<Listen> = bound.map(|bound| bound.at.clone()).collect();
    let file = |path: &Path| std::fs::metadata(path).ok().as_ref().map(identity_of);
    let leads = move |to: To<'_>, at: &Listen| match (to, at) {
        (To::Tcp(to), Listen::Tcp(at)) => {
            at.port() == to.port() && listeners::covers(*at, listeners::reached(to.ip()), is_here)
        }
        (To::Unix(to), Listen::Unix(at)) => file(to).is_some_and(|to| Some(to) == file(at)),
        (To::Tcp(_), Listen::Unix(_)) | (To::Unix(_), Listen::Tcp(_)) => false,
    };
    move |to| listeners.iter().find(|at| leads(to, at)).map(ToString::to_string)
}

/// Whether an address is this machine's. Tried by taking it; where the system lets an address be taken that is another's,
/// only those of the loopback interface are known.
fn is_here(address: IpAddr) -> bool {
    let others_too = |family: &str| {
        let setting = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"));
        setting.is_ok_and(|setting| setting.trim() != "0")
    };
    address.is_loopback()
        || UdpSocket::bind((address, 0)).is_ok() && !others_too("ipv4") && !others_too("ipv6")
}

/// The file of a Unix socket. When it is dropped it is taken away, unless it is another by then, or somebody answers
/// there: the process before, or the one that follows. So whoever holds it drops it after the socket itself.
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// What tells a socket's file from another that was put in its place: an inode alone may be used again.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> Option<Identity> {
    std::fs::symlink_metadata(path).ok().as_ref().map(identity_of)
}

fn identity_of(found: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino(), found.mtime(), found.mtime_nsec())
}

impl SocketFile {
    /// That of a listener, if it has one.
    fn of(at: &Listen) -> Option<Self> {
        match at {
            Listen::Tcp(_) => None,
            Listen::Unix(path) => Some(Self { path: path.clone(), identity: identity(path)? }),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if abandoned(&self.path) == Some(self.identity)
            && let Err(error) = take_away(&self.path, self.identity)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket's file stays");
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)
    }
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{0}: {1} is in use: end what listens there, or choose another address")]
    InUse(&'static str, String),
    /// Anything else.
    #[error("{0}: cannot listen on {1}: {2}")]
    Other(&'static str, String, std::io::Error),
}

/// Takes over or binds all, or says which cannot be. `files` gets the files of those that are bound, even then.
///
/// # Errors
/// The first address that cannot be bound.
pub fn all<'a>(
    option: &'static str,
    places: impl IntoIterator<Item = &'a Listen>,
    inherited: &mut Inherited,
    files: &mut Vec<SocketFile>,
) -> Result<Vec<Bound>, BindError> {
    let one = |place: &Listen| {
        let name = format!("{option} {place}");
        let bound = match (inherited.socket(&name), place) {
            (Some(socket), _) => taken_over(place, socket),
            (None, Listen::Tcp(address)) => tcp(*address),
            (None, Listen::Unix(path)) => unix(path),
        };
        let (at, socket) = bound.map_err(|error| failed(option, place, error))?;
        files.extend(SocketFile::of(&at));
        Ok(Bound { at, name, socket })
    };
    places.into_iter().map(one).collect()
}

fn taken_over(place: &Listen, socket: OwnedFd) -> std::io::Result<(Listen, OwnedFd)> {
    match place {
        Listen::Tcp(_) => {
            let listener = TcpListener::from(socket);
            Ok((Listen::Tcp(listener.local_addr()?), listener.into()))
        }
        Listen::Unix(path) => Ok((Listen::Unix(path.clone()), socket)),
    }
}

/// The listeners in the form in which Pingora takes over those of another process. They are Pingora's
/// from then on: it closes them when it stops accepting.
pub fn hand_over(bound: Vec<Bound>) -> ListenFds {
    let mut fds = Fds::new();
    for listener in bound {
        fds.add(key(&listener.at), listener.socket.into_raw_fd());
    }
    Arc::new(parking_lot::Mutex::new(fds))
}

/// The name under which Pingora looks a listener up.
fn key(at: &Listen) -> String {
    match at {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => path.display().to_string(),
    }
}

fn failed(option: &'static str, place: &Listen, error: std::io::Error) -> BindError {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        BindError::InUse(option, place.to_string())
    } else {
        BindError::Other(option, place.to_string(), error)
    }
}

fn tcp(address: SocketAddr) -> std::io::Result<(Listen, OwnedFd)> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    Ok((Listen::Tcp(listener.local_addr()?), listener.into()))
}

fn unix(path: &PathBuf) -> std::io::Result<(Listen, OwnedFd)> {
    if let Some(file) = abandoned(path) {
        take_away(path, file)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok((Listen::Unix(path.clone()), listener.into()))
}

/// A socket that a process left behind: it is there, and nobody answers.
fn abandoned(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::FileTypeExt;
    let found = std::fs::symlink_metadata(path).ok().filter(|found| found.file_type().is_socket())?;
    (connects(path) == Err(Errno::CONNREFUSED)).then(|| identity_of(&found))
}

/// Takes this file away, unless it is gone or another by now.
///
/// A file is removed by its name alone. So in the microseconds between the look and the removal two others could act,
/// one that takes the file away and one that binds the path anew, and the latter would lose its name. That needs a
/// start or a stop of two processes at the very same path and moment, which are not kept apart in any case: between
/// `bind` and `listen` a socket looks abandoned.
fn take_away(path: &Path, file: Identity) -> std::io::Result<()> {
    if identity(path) != Some(file) {
        return Ok(());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Does not wait: where the queue of who listens is full, that is `AGAIN`, and a blocking call would wait for ever.
fn connects(path: &Path) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn a_socket_file_goes_with_its_socket_alone() {
        type Meanwhile = fn(&Path) -> Option<UnixListener>;
        // Renamed and not removed: then no other file gets its inode.
        fn away(path: &Path) {
            std::fs::rename(path, path.with_extension("old")).unwrap();
        }
        let rows: [(&str, Meanwhile, bool); 5] = [
            ("it is ours", |_| None, false),
            (
                "its rights were changed",
                |path| {
                    let rights = std::os::unix::fs::PermissionsExt::from_mode(0o660);
                    std::fs::set_permissions(path, rights).unwrap();
                    None
                },
                false,
            ),
            (
                "another listens",
                |path| {
                    away(path);
                    Some(UnixListener::bind(path).unwrap())
                },
                true,
            ),
            (
                "another has bound it, and does not listen",
                |path| {
                    away(path);
                    drop(UnixListener::bind(path).unwrap());
                    None
                },
                true,
            ),
            (
                "a file of another kind",
                |path| {
                    away(path);
                    std::fs::write(path, "").unwrap();
                    None
                },
                true,
            ),
        ];
        for (name, meanwhile, stays) in rows {
            let (_folder, path, bound, files) = bound();
            let another = meanwhile(&path);
            drop(bound);
            drop(files);
            assert_eq!(path.exists(), stays, "{name}");
            drop(another);
        }
    }

    #[test]
    fn a_socket_file_stays_with_the_process_that_has_the_socket_too() {
        let (_folder, path, bound, files) = bound();
        let others = bound.again().unwrap();
        drop(bound);
        drop(files);
        assert!(UnixStream::connect(path).is_ok());
        drop(others);
    }

    /// Somebody is there, who is not quick enough to accept.
    #[test]
    fn a_socket_whose_queue_is_full_is_in_use() {
        let (_folder, path, bound, files) = bound();
        let others = bound.again().unwrap();
        drop(bound);
        rustix::net::listen(&others.socket, 0).unwrap();
        let _waits = UnixStream::connect(&path).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let place = Listen::Unix(path.clone());
        std::thread::spawn(move || {
            let started = all("[server] listen", [&place], &mut Inherited::default(), &mut Vec::new());
            drop(files);
            tell.send(started.err().map(|error| error.to_string())).unwrap();
        });
        let error = told.recv_timeout(Duration::from_secs(30)).expect("neither waits").unwrap();
        assert!(error.contains("is in use"), "{error}");
        assert!(path.exists());
    }

    /// Between the look at a file and its end.
    #[test]
    fn a_file_that_is_taken_away_meanwhile_is_gone_and_another_stays() {
        let (folder, path, bound, _files) = bound();
        drop(bound);
        let file = abandoned(&path).unwrap();
        let others = folder.path().join(format!("airgate.sock.{}", std::process::id()));
        std::fs::write(&others, "").unwrap();
        // Not removed: then no other file gets its inode.
        let old = path.with_extension("old");
        std::fs::rename(&path, &old).unwrap();
        take_away(&path, file).unwrap();

        let _another = UnixListener::bind(&path).unwrap();
        take_away(&path, file).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(names.collect::<std::collections::BTreeSet<_>>(), [old, others, path].into());
    }

    #[test]
    fn a_start_that_fails_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let path = folder.path().join("airgate.sock");
        let places = [Listen::Unix(path.clone()), Listen::Tcp(taken.local_addr().unwrap())];
        let mut files = Vec::new();
        let started = all("[server] listen", &places, &mut Inherited::default(), &mut files);
        assert!(matches!(started.err(), Some(BindError::InUse(..))));
        drop(files);
        assert!(!path.exists());
    }

    fn bound() -> (tempfile::TempDir, PathBuf, Bound, Vec<SocketFile>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("airgate.sock");
        let (place, mut files) = (Listen::Unix(path.clone()), Vec::new());
        let mut bound = all("[server] listen", [&place], &mut Inherited::default(), &mut files).unwrap();
        (folder, path, bound.remove(0), files)
    }
}
