//! The signals that airgate answers.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: start the program anew, and leave the sockets to it.
    Upgrade,
    /// SIGTERM or SIGINT: drain, then leave.
    Stop,
}

/// Handlers for all of them. From their installation on none of them kills the process.
pub struct Signals {
    hang_up: Stream,
    upgrade: Stream,
    terminate: Stream,
    interrupt: Stream,
}

impl Signals {
    /// Installs the handlers. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hang_up.recv() => Signal::Reload,
            _ = self.upgrade.recv() => Signal::Upgrade,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }
}
