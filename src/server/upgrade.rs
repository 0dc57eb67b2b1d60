//! The program replaced while requests are served: the process that follows is given the listening sockets.
//!
//! The one that serves starts the program anew, with the arguments it was started with itself, and hands its
//! sockets over on the other's standard input, a socket pair (`SCM_RIGHTS`): there is no file that somebody else
//! could connect to, and nothing to be cleaned up. When the other one serves it says so, and the first drains.
//! When it does not, nothing has changed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, IoSlice, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::config::held;

/// Tells a process that its standard input is where it gets its sockets.
pub const VARIABLE: &str = "AIRGATE_INHERIT_SOCKETS";
/// Longest time until the other one serves. It may have to look at its upstream first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most sockets that are handed over, and most bytes of their names.
const MOST: usize = 64;
const NAMES: usize = 16 * 1024;
/// What is said once requests are served.
const READY: &[u8] = b"ready";

/// A listening socket, by what it was asked for: the option that names it and the place as it is written there.
pub struct Named {
    /// `[server] listen 127.0.0.1:8081`.
    pub name: String,
    /// The socket.
    pub socket: OwnedFd,
}

/// What the process before has left.
#[derive(Default)]
pub struct Inherited {
    sockets: Vec<Named>,
    wire: Option<OwnedFd>,
}

impl Inherited {
    /// Takes over what stands ready on standard input, where the environment says so.
    ///
    /// # Errors
    /// There is nothing of the kind.
    pub fn take(announced: bool) -> Result<Self> {
        if !announced {
            return Ok(Self::default());
        }
        let wire = rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 3)?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let mut names = vec![0; NAMES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            &wire,
            &mut [IoSliceMut::new(&mut names)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        names.truncate(received.bytes);
        let names = String::from_utf8(names).map_err(Error::other)?;
        let mut sockets = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                sockets.extend(rights);
            }
        }
        if names.lines().count() != sockets.len() {
            return Err(Error::other("the process before has handed over something else than sockets"));
        }
        let sockets = names.lines().zip(sockets);
        let sockets = sockets.map(|(name, socket)| Named { name: name.to_owned(), socket }).collect();
        Ok(Self { sockets, wire: Some(wire) })
    }

    /// The socket of this name, if there was one.
    pub fn socket(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.sockets.iter().position(|named| named.name == name)?;
        Some(self.sockets.swap_remove(at).socket)
    }

    /// Tells the process before that requests are served here, which it must be before the first is taken. What it
    /// has handed over and nobody asked for is closed.
    ///
    /// # Errors
    /// There is nobody any more: it was stopped meanwhile, and so must this process be.
    pub fn ready(self) -> Result<()> {
        let Self { sockets, wire } = self;
        // First: who is told so looks at once whether anybody listens there.
        drop(sockets);
        let Some(wire) = wire else { return Ok(()) };
        rustix::net::send(&wire, READY, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// How this process was started, and what the next one is given.
pub struct Handover {
    program: OsString,
    arguments: Vec<OsString>,
    sockets: Vec<Named>,
    attempt: Mutex<Attempt>,
}

/// How far it is.
enum Attempt {
    /// Nobody is being started.
    None,
    /// Somebody is, and will say on this wire when it serves.
    UnderWay(Arc<OwnedFd>),
    /// Nobody will be any more.
    Cancelled,
}

impl Handover {
    /// `command` is how this process was started: the program, then its arguments. The program is looked for
    /// anew, by the name that it was started by.
    pub fn new(command: impl IntoIterator<Item = OsString>, sockets: Vec<Named>) -> Self {
        let mut command = command.into_iter();
        let program = command.next().unwrap_or_else(|| "airgate".into());
        Self { program, arguments: command.collect(), sockets, attempt: Mutex::new(Attempt::None) }
    }

    /// Starts the next process, gives it the sockets, and waits until it serves, which it does not without the
    /// files that are `held`: those of the configuration in force that nobody has named. Blocks.
    ///
    /// # Errors
    /// It does not serve. It is gone then.
    pub fn begin(&self, held: &[PathBuf]) -> Result<Successor> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let ours = Arc::new(ours);
        self.attempt(Attempt::UnderWay(ours.clone()))?;
        let successor = self.start(&ours, theirs, held);
        // Fails when it was given up meanwhile. Then whoever gave it up ends the successor, if there is one.
        let _ = self.attempt(Attempt::None);
        successor
    }

    /// Gives up what [`Handover::begin`] is at, which then ends soon, and lets nothing begin any more. If the other
    /// one serves already, it ends with that one.
    pub fn cancel(&self) {
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Attempt::UnderWay(wire) = std::mem::replace(&mut *attempt, Attempt::Cancelled) {
            hang_up(&wire);
        }
    }

    fn attempt(&self, next: Attempt) -> Result<()> {
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        match *attempt {
            Attempt::Cancelled => Err(Error::other("this process was told to stop")),
            Attempt::None | Attempt::UnderWay(_) => {
                *attempt = next;
                Ok(())
            }
        }
    }

    fn start(&self, ours: &OwnedFd, theirs: OwnedFd, held: &[PathBuf]) -> Result<Successor> {
        let started = Command::new(&self.program)
            .args(&self.arguments)
            .env(VARIABLE, "1")
            .env(held::VARIABLE, held::told(held))
            .stdin(Stdio::from(theirs))
            .spawn();
        let mut child = started.map_err(|error| {
            let program = self.program.display();
            let text = format!(
                "{program} cannot be started: {error}. It must be there, by the name that this process was started \
                 by; then send SIGUSR2 again"
            );
            Error::new(error.kind(), text)
        })?;
        match self.hand_over(ours) {
            Ok(()) => Ok(Successor(child)),
            Err(error) => Err(ended(&mut child, error)),
        }
    }

    fn hand_over(&self, wire: &OwnedFd) -> Result<()> {
        let names: String = self.sockets.iter().map(|named| format!("{}\n", named.name)).collect();
        if self.sockets.len() > MOST || names.len() > NAMES {
            return Err(Error::other(format!("there are more than {MOST} listeners")));
        }
        let rights: Vec<_> = self.sockets.iter().map(|named| named.socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&rights)) {
            return Err(Error::other("the sockets do not fit into one message"));
        }
        let bytes = [IoSlice::new(names.as_bytes())];
        match rustix::net::sendmsg(wire, &bytes, &mut control, SendFlags::NOSIGNAL) {
            // It has ended already, which shows below.
            Err(Errno::PIPE) => {}
            sent => drop(sent?),
        }
        let patience = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
        let late = poll(&mut [PollFd::new(wire, PollFlags::IN)], Some(&patience))? == 0;
        // From here on it either has said that it serves, or cannot say so any more and does not serve.
        hang_up(wire);
        let mut said = [0; READY.len()];
        // One that ended without reading resets the connection, which says no more than that.
        let length = rustix::net::recv(wire, &mut said, RecvFlags::empty()).map_or(0, |(length, _)| length);
        match said.get(..length) == Some(READY) {
            true => Ok(()),
            false if late => Err(Error::other(format!("the new process does not serve within {PATIENCE:?}"))),
            false => Err(Error::other("the new process does not serve")),
        }
    }
}

/// The process that serves in this one's place.
pub struct Successor(Child);

impl Successor {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Tells it to stop, and waits until it has: as long as its own requests last. Blocks.
    pub fn stop(mut self) {
        if let Some(process) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Nothing that is not said yet can be said on it any more. What is said can still be read.
fn hang_up(wire: &OwnedFd) {
    // Fails where there is nobody at the other end.
    let _ = rustix::net::shutdown(wire, Shutdown::Both);
}

/// Ends a process that does not serve, and says why it does not.
fn ended(child: &mut Child, error: Error) -> Error {
    let began = Instant::now();
    // One that ended by itself has a status worth telling.
    while began.elapsed() < Duration::from_secs(1) {
        if let Ok(Some(status)) = child.try_wait() {
            return Error::other(format!(
                "{error}; it ended by itself ({status}). What it wrote to standard error says why, as does \
                 `airgate check` with its configuration. Mend that, and send SIGUSR2 again"
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    Error::other(format!("{error}; it was ended. Its log says what it was at. Send SIGUSR2 to try again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn named(name: &str) -> (Named, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (Named { name: name.into(), socket: listener.into() }, address)
    }

    #[test]
    fn without_an_announcement_nothing_is_inherited() {
        let mut inherited = Inherited::take(false).unwrap();
        assert!(inherited.socket("[server] listen 127.0.0.1:0").is_none());
        inherited.ready().unwrap();
    }

    #[test]
    fn one_that_does_not_serve_is_told_and_the_sockets_go_on() {
        let (socket, address) = named("[server] listen 127.0.0.1:0");
        let handover = Handover::new(["false".into()], vec![socket]);
        let said = handover.begin(&[]).err().unwrap().to_string();
        for part in [
            "the new process does not serve; it ended by itself (exit status: 1)",
            "`airgate check`",
            "SIGUSR2",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(TcpStream::connect(address).is_ok());

        let missing = Handover::new(["/nowhere/airgate".into()], Vec::new());
        let refused = missing.begin(&[]).err().unwrap();
        assert_eq!(refused.kind(), std::io::ErrorKind::NotFound);
        let said = refused.to_string();
        assert!(said.starts_with("/nowhere/airgate cannot be started: No such file"), "{said}");
        assert!(said.contains("send SIGUSR2 again"), "{said}");
    }
    #[test]
    fn one_that_is_given_up_is_gone_and_no_other_begins() {
        let handover = Handover::new(["sleep".into(), "600".into()], Vec::new());
        let began = Instant::now();
        std::thread::scope(|scope| {
            let beginning = scope.spawn(|| handover.begin(&[]));
            while matches!(*handover.attempt.lock().unwrap(), Attempt::None) {
                std::thread::yield_now();
            }
            handover.cancel();
            assert!(beginning.join().unwrap().is_err());
        });
        assert!(handover.begin(&[]).is_err());
        assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    }

    /// What is told to stop after it has said that it serves is waited for.
    #[test]
    fn a_successor_that_serves_is_told_to_stop() {
        let said = "printf ready >&0; exec sleep 600";
        let handover = Handover::new(["sh".into(), "-c".into(), said.into()], Vec::new());
        let successor = handover.begin(&[]).unwrap();
        let process = successor.id();
        handover.cancel();
        successor.stop();
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
    }
}
