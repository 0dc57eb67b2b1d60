//! Room for large bodies that are translated: so much for all of them together.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::http::RequestHeader;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gate::reply::Problem;

/// The most KiB of bodies beyond `[limits] max_body` that are translated at a time, all together.
const ALL: usize = 64 * 1024;
/// When a request may come again that found no room. Most are translated in less.
const AGAIN: Duration = Duration::from_secs(1);

/// The room. Its copies are one and the same.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL)))
    }
}

impl Room {
    /// Takes room for the body of a request, which is read up to `max` bytes, and given back when the permit is
    /// dropped. A body of at most `small` bytes needs none.
    ///
    /// # Errors
    /// There is not enough left.
    pub fn take(
        &self,
        head: &RequestHeader,
        small: usize,
        max: usize,
    ) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        let length = most(head).min(max);
        if length <= small {
            return Ok(None);
        }
        let kib = u32::try_from(length.div_ceil(1024).min(ALL)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.0).try_acquire_many_owned(kib);
        room.map(Some).map_err(|_| Problem::TooManyRequests(AGAIN))
    }
}

/// The most bytes that a body may have by its head.
fn most(head: &RequestHeader) -> usize {
    match head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()) {
        Some(length) => length,
        // HTTP/2 need not say that there is a body.
        None if head.version < http::Version::HTTP_2 && !head.headers.contains_key(TRANSFER_ENCODING) => 0,
        None => usize::MAX,
    }
}
