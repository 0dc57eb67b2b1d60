//! What goes out: traits here, what implements them below. The core sees the traits alone.

pub mod http;
pub mod upstream;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Sends a request and reads the whole answer. Time and size are bounded by the implementation.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends the request; an answer of any status is `Ok`.
    ///
    /// # Errors
    /// No complete answer arrived within the bounds.
    async fn send(&self, request: ::http::Request<Bytes>) -> Result<::http::Response<Bytes>, SendError>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not within this time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The answer is longer than this many bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or what came is not HTTP.
    #[error("{0}")]
    Broken(String),
}
