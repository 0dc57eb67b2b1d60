//! `[lockout]`.

use super::parse;
use super::reader::{Reader, Resolved};
use crate::config::options as o;
use crate::config::settings::{Lockout, WhenRedisIsDown};

const WHEN_DOWN: &[(&str, WhenRedisIsDown)] =
    &[("open", WhenRedisIsDown::Open), ("closed", WhenRedisIsDown::Closed)];

impl Reader<'_> {
    pub(super) fn lockout(&mut self) -> Resolved<Option<Lockout>> {
        let attempts = self.one(&o::LOCKOUT_ATTEMPTS, parse::number::<u32>(0, 1_000_000));
        let window = self.one(&o::LOCKOUT_WINDOW, parse::some_duration);
        let duration = self.one(&o::LOCKOUT_DURATION, parse::some_duration);
        let when_redis_is_down = self.one(&o::LOCKOUT_WHEN_REDIS_IS_DOWN, parse::word(WHEN_DOWN));
        let lockout = Lockout {
            attempts: attempts?.value,
            window: window?.value,
            duration: duration?.value,
            when_redis_is_down: when_redis_is_down?.value,
        };
        Ok(Some(lockout).filter(|l| l.attempts > 0))
    }
}
