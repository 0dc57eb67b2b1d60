//! Binds the listeners before anything else starts, so that an address in use is a clear error, and
//! port 0 is known by its number. What the process before has left is taken over.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora::server::{Fds, ListenFds};

use super::upgrade::{Inherited, Named};
use crate::config::settings::Listen;

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

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
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

/// Takes over or binds all, or says which cannot be.
///
/// # Errors
/// The first address that cannot be bound.
pub fn all<'a>(
    option: &'static str,
    places: impl IntoIterator<Item = &'a Listen>,
    inherited: &mut Inherited,
) -> Result<Vec<Bound>, BindError> {
    let one = |place: &Listen| {
        let name = format!("{option} {place}");
        match inherited.socket(&name) {
            Some(socket) => taken_over(place, socket).map_err(|e| failed(option, place.to_string(), e)),
            None => bind(option, place),
        }
        .map(|(at, socket)| Bound { at, name, socket })
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
pub fn key(at: &Listen) -> String {
    match at {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => path.display().to_string(),
    }
}

fn bind(option: &'static str, place: &Listen) -> Result<(Listen, OwnedFd), BindError> {
    match place {
        Listen::Tcp(address) => tcp(*address).map_err(|e| failed(option, address.to_string(), e)),
        Listen::Unix(path) => unix(path).map_err(|e| failed(option, format!("unix:{}", path.display()), e)),
    }
}

fn failed(option: &'static str, place: String, error: std::io::Error) -> BindError {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        BindError::InUse(option, place)
    } else {
        BindError::Other(option, place, error)
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
    if is_abandoned(path) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok((Listen::Unix(path.clone()), listener.into()))
}

/// A socket that a process left behind: it is there, and nobody answers.
fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
}
