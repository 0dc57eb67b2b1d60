//! GSSAPI (RFC 2743): accepting a Kerberos client's token, in one leg.
//!
//! The trait and what it says are here; [`library`] does it with MIT's `libgssapi_krb5`, where the
//! feature `kerberos` is built in.

#[cfg(feature = "kerberos")]
pub mod library;

use std::path::PathBuf;
use std::time::Duration;

/// Accepts tokens of clients. Blocks: it reads the keytab, and locks and writes the replay cache.
pub trait Acceptor: Send + Sync {
    /// Accepts a client's token: one of SPNEGO (RFC 4178), or of Kerberos alone (RFC 4121).
    ///
    /// # Errors
    /// The token is bad, or it cannot be told whether it is.
    fn accept(&self, token: &[u8]) -> Result<Established, Failure>;

    /// Whether a token could be accepted now.
    ///
    /// # Errors
    /// What is missing, for the log and `/readyz`.
    fn probe(&self) -> Result<(), String>;
}

/// With which keys tokens are accepted. Anything that is not said is the library's own choice, by its
/// environment (`KRB5_KTNAME`, `KRB5RCACHENAME`) and `krb5.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The keytab. It is read for each token, so one that was replaced is used at once.
    pub keytab: Option<PathBuf>,
    /// Which entry of it.
    pub service: Service,
    /// The folder of the replay cache.
    pub replay_cache: Option<PathBuf>,
}

/// Which principal of the keytab clients must have asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// Any that is in the keytab.
    Any,
    /// This one: `service/host@REALM`, or of the default realm.
    Principal(String),
    /// This service on whatever host: `service/_HOST`.
    AnyHost(String),
}

/// A client that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// Its principal, as Kerberos writes it, with escapes: `name@REALM`.
    pub principal: String,
    /// What it gets back, so that it knows whom it spoke to. Empty, if there is nothing to say.
    pub reply: Vec<u8>,
    /// How long its ticket still holds. `None` if it has no end.
    pub lifetime: Option<Duration>,
}

/// Why a token is not accepted. The texts are the library's own, for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The token is bad.
    Bad(Fault, String),
    /// It cannot be told: no keytab, or no replay cache.
    Unable(String),
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The ticket's end has passed.
    Expired,
    /// The ticket's time has not come.
    NotYetValid,
    /// It has been shown here before.
    Replayed,
    /// The client's clock differs too much from ours.
    ClockSkew,
    /// The ticket is for another service, or for a key that is not in the keytab.
    NoKey,
    /// It cannot be decrypted: made with another key than the keytab has, or changed on its way.
    WrongKey,
    /// It is not a token, or not a whole one.
    Defective,
    /// Another mechanism than Kerberos.
    Mechanism,
    /// A negotiation that takes more than one leg.
    Continued,
    /// The client wants to stay unknown.
    Anonymous,
    /// Anything else that Kerberos does not like about it.
    Other,
}
