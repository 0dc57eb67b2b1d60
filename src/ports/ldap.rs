//! LDAP (RFC 4511) as far as logging in takes it: bind, search for an entry, StartTLS.
//!
//! Of our own, since what a server sends must neither take memory without bound nor end the process:
//! messages are bounded, and nothing is read deeper than it is known to go.

pub mod ber;
mod connection;
pub mod dn;
pub mod filter;
pub mod message;
pub mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::secret::Secret;
use connection::Connected;
use filter::Filter;
use tls::Tls;

/// A directory's server: one of those that hold the same entries.
#[async_trait]
pub trait LdapServer: Send + Sync {
    /// Its URL, for logs.
    fn name(&self) -> &str;

    /// A new connection, encrypted where that is asked for.
    ///
    /// # Errors
    /// There is none: [`LdapError`].
    async fn connect(&self) -> Result<Box<dyn LdapConnection>, LdapError>;
}

/// A connection to a server. Ends when it is dropped.
#[async_trait]
pub trait LdapConnection: Send {
    /// A simple bind. An outcome of any code is `Ok`: what it means is for the caller.
    ///
    /// # Errors
    /// There is no outcome.
    async fn bind(&mut self, name: &str, password: &Secret) -> Result<Outcome, LdapError>;

    /// Searches. References to other servers are not followed.
    ///
    /// # Errors
    /// There is no outcome.
    async fn search(&mut self, search: &Search<'_>) -> Result<Found, LdapError>;

    /// Says good-bye. Without it the server logs a lost connection.
    async fn unbind(&mut self);
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result code (RFC 4511, appendix A): 0 is success.
    pub code: u32,
    /// The server's own words, without control characters, at most 256 characters. For logs.
    pub text: Box<str>,
    /// What the password policy says against it.
    pub policy: Option<Policy>,
}

/// What a password policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The password has expired.
    Expired,
    /// The account is locked.
    Locked,
    /// The password was reset, and must be changed first.
    MustChange,
    /// Something else, which no bind is answered with.
    Other,
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Where in the tree.
    pub base: &'a str,
    /// How deep.
    pub scope: Scope,
    /// Which entries.
    pub filter: &'a Filter,
    /// The attribute to give.
    pub attribute: &'a str,
    /// How long the server may search, in whole seconds. It is told so, and waited for no longer than
    /// for any other operation.
    pub time: Duration,
}

impl Search<'_> {
    /// Entries that are asked for at most: one is wanted, and a second tells that it is not the only
    /// one.
    pub const MOST: u32 = 2;
}

/// How deep a search goes. The values are those of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The entry itself.
    Base = 0,
    /// It and all below it.
    Subtree = 2,
}

/// What a search gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The entries, at most [`Search::MOST`].
    pub entries: Vec<Entry>,
    /// How it ended.
    pub outcome: Outcome,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its distinguished name.
    pub name: Box<str>,
    /// Attribute and value, once for each value.
    pub values: Vec<(Box<str>, Box<[u8]>)>,
}

/// Why there is no outcome. For logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LdapError {
    /// Not within the time.
    #[error("no answer in time")]
    Timeout,
    /// No connection: name not found, refused.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// TLS was not agreed on, or the certificate is not to be trusted.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// What came is no answer to what was asked.
    #[error("not understood: {0}")]
    Protocol(&'static str),
}

/// `ldap://host:port` or `ldaps://host:port`.
#[derive(Clone)]
pub struct Url {
    /// How the connection begins.
    pub security: Security,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port: 389, or 636 for `ldaps`, if none was written.
    pub port: u16,
}

/// How a connection is protected.
#[derive(Clone)]
pub enum Security {
    /// Not at all: everybody on the way reads the passwords.
    Plain,
    /// TLS after a first message in the clear (RFC 4511, section 4.14). Refused by the server, there is
    /// no connection.
    StartTls(Arc<Tls>),
    /// TLS from the first byte.
    Tls(Arc<Tls>),
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.security {
            Security::Plain | Security::StartTls(_) => "ldap",
            Security::Tls(_) => "ldaps",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// A server over TCP.
pub struct Server {
    url: Url,
    name: String,
    timeouts: Timeouts,
}

/// Longest waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// For each operation.
    pub read: Duration,
}

impl Server {
    /// The server at this URL.
    pub fn new(url: Url, timeouts: Timeouts) -> Self {
        Self { name: url.to_string(), url, timeouts }
    }
}

#[async_trait]
impl LdapServer for Server {
    fn name(&self) -> &str {
        &self.name
    }

    async fn connect(&self) -> Result<Box<dyn LdapConnection>, LdapError> {
        let connected = Connected::open(&self.url, self.timeouts.read);
        let connected = tokio::time::timeout(self.timeouts.connect, connected).await;
        Ok(Box::new(connected.map_err(|_| LdapError::Timeout)??))
    }
}

#[cfg(test)]
mod tests;
