//! What goes out: the traits behind which sockets live, so that the core can be tested without any.

pub mod http;
pub mod upstream;

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;

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
