//! The series that every request counts in, looked up once a thread for each combination of labels.
//!
//! A look-up in `prometheus` hashes all label values, and takes a lock and a reference count that
//! all threads share. That costs several times what the counting itself does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode};
use prometheus::{Error, Histogram, IntCounter};

use super::Metrics;
use crate::auth::Origin;
use crate::exchange::Exchange;

/// Tells one [`Metrics`] from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(u64);

impl Id {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The series of one combination of labels.
pub(super) struct Handles {
    pub(super) requests: IntCounter,
    pub(super) own_time: Histogram,
    /// If the upstream has answered.
    pub(super) upstream_time: Option<Histogram>,
    /// Hits or misses, if a credential was verified.
    pub(super) cache: Option<IntCounter>,
}

/// What selects the series. Texts by their address: they live as long as the process.
#[derive(PartialEq, Eq)]
struct Key {
    metrics: Id,
    route: (usize, usize),
    backend: Option<(usize, usize)>,
    method: &'static str,
    status: Option<StatusCode>,
    upstream: bool,
    cache: Option<Cache>,
}

impl Hash for Key {
    /// Of what tells most keys apart, as one number: hashing each field costs more than all the counting.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let status = self.status.map_or(0, |status| u64::from(status.as_u16()));
        let backend = self.backend.map_or(0, |(address, _)| address as u64);
        let route = self.route.0 as u64;
        state.write_u64(route ^ backend.rotate_left(20) ^ status.rotate_left(40) ^ self.method.len() as u64);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    Hit,
    Miss,
}

/// Combinations remembered by a thread. Far more than come up; beyond, it starts again.
const MAX: usize = 4096;

thread_local! {
    static TABLE: RefCell<HashMap<Key, Handles, ahash::RandomState>> = RefCell::default();
}

/// Calls `act` with the series that a finished request counts in.
pub(super) fn with(metrics: &Metrics, exchange: &Exchange<'_>, act: impl FnOnce(&Handles)) {
    let outcome = exchange.outcome;
    let key = Key {
        metrics: metrics.id,
        route: address(outcome.route),
        backend: outcome.backend.map(address),
        method: method_label(exchange.method),
        status: exchange.status,
        upstream: exchange.first_byte.is_some(),
        cache: cache(exchange),
    };
    TABLE.with_borrow_mut(|table| {
        if let Some(handles) = table.get(&key) {
            return act(handles);
        }
        // Never an error: the labels are as many as the series were made with.
        if let Ok(handles) = Handles::find(metrics, exchange) {
            if table.len() >= MAX {
                table.clear();
            }
            act(table.entry(key).or_insert(handles));
        }
    });
}

impl Handles {
    fn find(metrics: &Metrics, exchange: &Exchange<'_>) -> Result<Self, Error> {
        let outcome = exchange.outcome;
        let route = if outcome.route.is_empty() { NONE } else { outcome.route };
        let backend = outcome.backend.unwrap_or(NONE);
        let (method, status) = (method_label(exchange.method), status_label(exchange.status.as_ref()));
        Ok(Self {
            requests: metrics.requests.get_metric_with_label_values(&[route, method, status, backend])?,
            own_time: metrics.own_time.get_metric_with_label_values(&[route])?,
            upstream_time: match exchange.first_byte {
                Some(_) => Some(metrics.upstream_time.get_metric_with_label_values(&[route])?),
                None => None,
            },
            cache: match cache(exchange) {
                Some(Cache::Hit) => Some(metrics.cache_hits.get_metric_with_label_values(&[backend])?),
                Some(Cache::Miss) => Some(metrics.cache_misses.get_metric_with_label_values(&[backend])?),
                None => None,
            },
        })
    }
}

/// For a label whose question did not come up.
const NONE: &str = "none";

/// For a label value that is not one of those that are told apart.
const OTHER: &str = "other";

fn address(text: &'static str) -> (usize, usize) {
    (text.as_ptr() as usize, text.len())
}

/// Whether a cache knew the credential. `None` if none was accepted by the chain, or it is of a
/// kind that nobody verifies.
fn cache(exchange: &Exchange<'_>) -> Option<Cache> {
    let outcome = exchange.outcome;
    outcome.backend?;
    match outcome.grant.as_ref()?.identity.origin {
        Origin::Unverified | Origin::Anonymous => None,
        Origin::Airflow
        | Origin::Upstream
        | Origin::File
        | Origin::Ldap
        | Origin::Keycloak
        | Origin::Database(_)
        | Origin::Issuer(_)
        | Origin::Kerberos
        | Origin::Callout(_)
        | Origin::Custom(_) => Some(if outcome.cached { Cache::Hit } else { Cache::Miss }),
    }
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => OTHER,
    }
}

fn status_label(status: Option<&StatusCode>) -> &str {
    match status {
        None => NONE,
        Some(status) if status.as_u16() < 600 => status.as_str(),
        Some(_) => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use crate::exchange::testing::Sample;
    use crate::metrics::{Gauges, Metrics};
    use std::path::Path;

    /// Handles belong to the metrics that they were looked up in, and threads share the counts.
    #[test]
    fn counts_do_not_get_lost() {
        let (one, two) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        let count = |metrics: &Metrics, times: u32| {
            (0..times).for_each(|_| metrics.observe(&Sample::accepted().exchange()));
        };
        std::thread::scope(|scope| {
            scope.spawn(|| count(&one, 2));
            scope.spawn(|| count(&one, 3));
        });
        count(&one, 1);
        count(&two, 1);
        for (metrics, expected) in [(one, " 6"), (two, " 1")] {
            let text = metrics.render(&Gauges::default(), Path::new("/nowhere")).unwrap();
            let text = String::from_utf8(text).unwrap();
            let line = text.lines().find(|line| line.starts_with("airgate_requests_total{")).unwrap();
            assert!(line.ends_with(expected), "{line}");
        }
    }
}
