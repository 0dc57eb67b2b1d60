//! What goes out: the traits behind which sockets live, so that the core can be tested without any.

pub mod database;
pub mod gssapi;
pub mod http;
pub mod keycloak;
pub mod ldap;
pub mod redis;
pub mod upstream;

use std::sync::{Arc, OnceLock};

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

/// Sends one HTTP request and reads the whole answer.
///
/// Timeouts, the size bound of an answer, TLS and connection reuse belong to the implementation.
/// Redirects are not followed. An answer of any status is `Ok`: what it means is for the caller.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends `request`, whose URI is absolute, and returns the answer with its body.
    ///
    /// # Errors
    /// No answer came, or none that may be read: see [`SendError`].
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendError>;

    /// Why nobody would answer now, where that is watched; `None` where it is not.
    fn trouble(&self) -> Option<Arc<str>> {
        None
    }
}

/// Sends one HTTP request, and hands over the answer's body as it comes.
///
/// For answers that are too long to be held. Dropping the body before its end closes the connection, so that
/// the server stops too.
#[async_trait]
pub trait StreamClient: Send + Sync {
    /// Sends `request`, of whose URI path and query are looked at, and returns the head of the answer.
    ///
    /// # Errors
    /// No answer came: see [`SendError`].
    async fn open(&self, request: Request<Bytes>) -> Result<Response<Box<dyn Chunks>>, SendError>;
}

/// A body that comes in pieces.
#[async_trait]
pub trait Chunks: Send {
    /// The next piece. `None` at the end.
    ///
    /// # Errors
    /// The body broke off, or stalled.
    async fn next(&mut self) -> Result<Option<Bytes>, SendError>;
}

/// Reads a body to its end.
///
/// # Errors
/// It broke off, or has more than `max_body` bytes.
pub async fn read_whole(body: &mut dyn Chunks, max_body: usize) -> Result<Bytes, SendError> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await? {
        if whole.len() + chunk.len() > max_body {
            return Err(SendError::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Why there is no answer. For logs: no part of it goes to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The time allowed for connecting, sending and reading has passed. The request may have been
    /// carried out.
    #[error("no answer in time")]
    Timeout,
    /// No connection: name not found, refused, TLS not agreed on. The request was not sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The answer is larger than what is read here.
    #[error("the answer is too large")]
    TooLarge,
    /// The connection broke, or the answer is not HTTP. The request may have been carried out.
    #[error("{0}")]
    Other(String),
}

/// How something fares that is asked over the network, or that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Works, as far as is known.
    Up,
    /// Works with what it has (last known keys, say), but what it depends on does not answer; or answers, and not
    /// as it should.
    Degraded(Arc<str>),
    /// Cannot tell at the moment.
    Down(Arc<str>),
}

/// A store that all replicas share, and that runs scripts as one transaction each.
///
/// Timeouts, reconnecting and TLS belong to the implementation. A call takes tens of milliseconds at
/// most, and none at all while the store is known to be down.
#[async_trait]
pub trait ScriptStore: Send + Sync {
    /// Runs `script` and returns its answer, a list of numbers.
    ///
    /// # Errors
    /// There is no answer, or not such a one: see [`StoreError`].
    async fn run(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<i64>, StoreError>;

    /// Runs `script` and returns its answer, a list of texts.
    ///
    /// # Errors
    /// As [`ScriptStore::run`].
    async fn run_texts(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<String>, StoreError>;
}

/// A script of a [`ScriptStore`], in Lua.
#[derive(Debug)]
pub struct Script {
    code: &'static str,
    compiled: OnceLock<::redis::Script>,
}

impl Script {
    /// The script with this text.
    pub const fn new(code: &'static str) -> Self {
        Self { code, compiled: OnceLock::new() }
    }
}

/// Why a store does not answer. For logs: no part of it goes to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection, so it was not asked.
    #[error("not connected")]
    Down,
    /// No answer in time. The script may have been run.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke, or the store refused. The script may have been run.
    #[error("{0}")]
    Failed(String),
    /// Not the answer that the script gives.
    #[error("an answer that no script gives")]
    Answer,
}
