//! What a start decides: listeners, threads and the like are made once, and a change of them waits for the next one.

use super::InForce;
use crate::config::options::{self, Opt};
use crate::config::{Settings, Shown};

/// An option that is written otherwise than it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What counts, as it was written at the start.
    pub in_force: Shown,
    /// What is written now.
    pub written: Shown,
}

/// Whether two configurations have the same of something.
type Same = fn(&Settings, &Settings) -> bool;

/// The options that a start decides.
const FIXED: &[(Opt, Same)] = &[
    (options::SERVER_LISTEN, |a, b| {
        let (a, b) = (&a.server.listen, &b.server.listen);
        a.iter().map(|place| &place.value).eq(b.iter().map(|place| &place.value))
    }),
    (options::SERVER_THREADS, |a, b| a.server.threads == b.server.threads),
    (options::SERVER_GRACE_PERIOD, |a, b| a.server.grace_period == b.server.grace_period),
    (options::SERVER_DRAIN_DELAY, |a, b| a.server.drain_delay == b.server.drain_delay),
    (options::ADMIN_LISTEN, |a, b| a.admin.listen.value == b.admin.listen.value),
    (options::LIMITS_HEADER_TIMEOUT, |a, b| a.limits.header_timeout == b.limits.header_timeout),
    (options::LIMITS_MAX_CONNECTIONS, |a, b| a.limits.max_connections == b.limits.max_connections),
    (options::LIMITS_MAX_CONNECTIONS_PER_ADDRESS, |a, b| {
        a.limits.max_connections_per_address == b.limits.max_connections_per_address
    }),
    (options::LOG_ACCESS, |a, b| a.log.access == b.log.access),
];

/// Which of them are written otherwise than the start found them.
pub fn waiting(first: &InForce, now: &InForce) -> Vec<Waiting> {
    let changed = FIXED.iter().filter(|(_, same)| !same(&first.settings, &now.settings));
    let waiting = |(option, _): &(Opt, Same)| Waiting {
        in_force: Shown::of(option, &first.shown),
        written: Shown::of(option, &now.shown),
    };
    changed.map(waiting).collect()
}
