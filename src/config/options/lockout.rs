//! `[lockout]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    LOCKOUT_ATTEMPTS {
        section: "lockout", key: "attempts", shape: Shape::Integer, allowed: "a whole number from 0 to 1000000", default: "10",
        help: "Failed log-ins of one user from one network (/24 or /64) within the window before it is locked out. 0 is off"
    }
    LOCKOUT_WINDOW {
        section: "lockout", key: "window", shape: Shape::Duration, allowed: SECONDS, default: "5m",
        help: "The time within which failures are counted"
    }
    LOCKOUT_DURATION {
        section: "lockout", key: "duration", shape: Shape::Duration, allowed: SECONDS, default: "5m",
        help: "How long a lock-out lasts"
    }
    LOCKOUT_WHEN_REDIS_IS_DOWN {
        section: "lockout", key: "when_redis_is_down", allowed: "open or closed", default: "open",
        help: "With [redis] url, what becomes of log-ins while Redis does not answer. open: each replica counts by itself, so a guesser has as many tries at each of them, and nobody else notices. closed: 503; what is cached, and tokens, go on working"
    }
}
