//! What systemd is told of a service of `Type=notify`: `sd_notify(3)`.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The socket of `NOTIFY_SOCKET`, if there is one.
pub struct ServiceManager(Option<SocketAddr>);

impl ServiceManager {
    /// `socket` is the value of `NOTIFY_SOCKET`: a path, or a name in the abstract namespace with an `@` before.
    pub fn new(socket: Option<&OsStr>) -> Self {
        let address = socket.and_then(|socket| match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
            [b'/', ..] => SocketAddr::from_pathname(socket).ok(),
            _ => None,
        });
        Self(address)
    }

    /// Requests are served.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// From now on another process is the service.
    pub fn handed_over(&self, to: u32) {
        self.say(&format!("MAINPID={to}"));
    }

    /// No more requests are taken.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// A service manager that cannot be told is no reason to serve nobody.
    fn say(&self, what: &str) {
        let Some(address) = &self.0 else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(what.as_bytes(), address));
        if let Err(error) = sent {
            tracing::warn!(%error, "the service manager cannot be told {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("airgate-test-{}", std::process::id());
        let abstracted = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, value) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstracted).unwrap(), format!("@{name}").into()),
        ] {
            let manager = ServiceManager::new(Some(&value));
            manager.ready();
            manager.handed_over(7);
            manager.stopping();
            for expected in ["READY=1", "MAINPID=7", "STOPPING=1"] {
                let mut said = [0; 64];
                let length = socket.recv(&mut said).unwrap();
                assert_eq!(std::str::from_utf8(&said[..length]).unwrap(), expected);
            }
        }
        ServiceManager::new(None).ready();
        ServiceManager::new(Some(OsStr::new("elsewhere"))).ready();
    }
}
