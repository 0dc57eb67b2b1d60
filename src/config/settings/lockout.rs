//! `[lockout]`.

use std::time::Duration;

/// `[lockout]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// `attempts` that may fail within the window. Default 10. At least 1.
    pub attempts: u32,
    /// `window` in which failures are counted. Default 5 min.
    pub window: Duration,
    /// `duration` of the lock-out. Default 5 min.
    pub duration: Duration,
    /// `when_redis_is_down`. Default open.
    pub when_redis_is_down: WhenRedisIsDown,
}

/// `[lockout] when_redis_is_down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenRedisIsDown {
    /// Each replica counts by itself.
    Open,
    /// 503.
    Closed,
}
