//! Binds the listeners before anything else starts, so that an address in use is a clear error, and
//! port 0 is known by its number.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora::server::{Fds, ListenFds};

use crate::config::settings::Listen;

/// How many connections may wait to be accepted. The system's own limit is usually 4096.
const BACKLOG: u32 = 4096;

/// A bound listener.
pub struct Bound {
    /// Where it really listens: the port has a number.
    pub at: Listen,
    socket: OwnedFd,
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

/// Binds all, or says which cannot be.
///
/// # Errors
/// The first address that cannot be bound.
pub fn all<'a>(
    option: &'static str,
    places: impl IntoIterator<Item = &'a Listen>,
) -> Result<Vec<Bound>, BindError> {
    places.into_iter().map(|place| bind(option, place)).collect()
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

fn bind(option: &'static str, place: &Listen) -> Result<Bound, BindError> {
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

fn tcp(address: SocketAddr) -> std::io::Result<Bound> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    Ok(Bound { at: Listen::Tcp(listener.local_addr()?), socket: listener.into() })
}

fn unix(path: &PathBuf) -> std::io::Result<Bound> {
    if is_abandoned(path) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(Bound { at: Listen::Unix(path.clone()), socket: listener.into() })
}

/// A socket that a process left behind: it is there, and nobody answers.
fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
}
