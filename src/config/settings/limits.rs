//! `[limits]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// The most that `max_body` and `max_translated_body` may be: 32 MiB.
pub const LARGEST_BODY: usize = 32 << 20;

/// `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `header_timeout`: the whole request head must have come by then. Default 10 s.
    pub header_timeout: Duration,
    /// `max_headers`: header lines of a request. Default 100. 1 to 256.
    pub max_headers: usize,
    /// `max_body`: bytes of a body that is read here. Default 128 KiB. What is only forwarded streams
    /// and has no limit.
    pub max_body: usize,
    /// `max_translated_body`: bytes of a body that is translated. Default 4 MiB.
    pub max_translated_body: usize,
    /// `max_connections` at a time. `None` (0) is no limit. Default 10,000.
    pub max_connections: Option<NonZeroUsize>,
    /// `max_connections_per_address` at a time; of IPv6, from one /64. `None` (0, the default) is no limit: behind a
    /// proxy all connections have its address.
    pub max_connections_per_address: Option<NonZeroUsize>,
    /// `requests_per_user`. `None`, the default, is no limit.
    pub requests_per_user: Option<RequestRate>,
}

impl Limits {
    /// Bytes that the bodies of all users which are read here may have at a time, and those of everybody else: room for
    /// two of the largest, 32 MiB at least. One that is translated is there once more while Airflow is asked.
    pub fn room(&self) -> usize {
        (2 * self.max_body.max(self.max_translated_body)).max(32 << 20)
    }
}

/// `[limits] requests_per_user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// So many.
    pub requests: NonZeroU32,
    /// In this time: a second, a minute or an hour.
    pub per: Duration,
}
