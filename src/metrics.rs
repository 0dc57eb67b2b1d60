//! The series that Prometheus scrapes, all named `airgate_*` but for those of the process.
//!
//! Every label value comes from a set that the program or its configuration bounds: route
//! templates, known methods, status codes, names of backends. Nothing that a client writes becomes
//! a label.

mod gauges;
mod handles;
mod process;
pub mod recent;
mod totals;

pub use gauges::Gauges;
pub(crate) use gauges::health_label;
pub use totals::RouteTotals;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{
    Encoder, Error, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::auth::{Grant, Origin};
use crate::exchange::{Exchange, Fault};

/// All series, in a registry of their own.
///
/// The series live as long as the process: a reload keeps them. Cheap on the request path, since
/// no label value is put together there: see [`Metrics::observe`].
#[derive(Debug)]
pub struct Metrics {
    /// About when the process was.
    started: SystemTime,
    id: handles::Id,
    registry: Registry,
    requests: IntCounterVec,
    own_time: HistogramVec,
    upstream_time: HistogramVec,
    in_flight: IntGauge,
    tokens: IntCounterVec,
    rejections: IntCounterVec,
    cache_hits: IntCounterVec,
    cache_misses: IntCounterVec,
    clamped: IntCounter,
    translations: IntCounterVec,
    lockouts: IntCounter,
    unverified: IntCounter,
    connections_rejected: IntCounterVec,
    reloads: IntCounterVec,
    reload_good: IntGauge,
    reload_time: Gauge,
    recent: recent::Recent,
}

/// A reload's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The new configuration is in force.
    Success,
    /// The new configuration was refused, and the old one stays in force.
    Failure,
}

/// Why a connection, or a request of which no head could be read, was turned away. Such requests
/// have no line in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// `[limits] max_connections` is reached.
    TooMany,
    /// `[limits] max_connections_per_address` is reached.
    TooManyPerAddress,
    /// The head was not complete within `[limits] header_timeout`.
    SlowHead,
    /// TLS could not be agreed on: no certificate where one is needed, say, or something that is not TLS.
    Handshake,
    /// The head cannot be read or is too large, or asks for a tunnel (`CONNECT`).
    BadHead,
}

/// Counts one request as being in flight, for as long as it lives.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Makes all series, at zero.
    ///
    /// # Errors
    /// None as the series are written here: it fails only for a name or label that Prometheus does
    /// not allow, or one that is used twice.
    pub fn new() -> Result<Self, Error> {
        let make = Maker(Registry::new());
        let build = make.labelled_gauge(
            "airgate_build_info",
            "Always 1. The labels tell which build this is.",
            &["version", "revision"],
        )?;
        build.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION"), env!("AIRGATE_REVISION")])?.set(1);
        let metrics = Self {
            started: SystemTime::now(),
            id: handles::Id::next(),
            requests: make.counters(
                "airgate_requests_total",
                "Requests by route template, method, status of the answer (none: the client left first), and the backend that accepted the credentials (none: nobody did, or nobody was asked).",
                &["route", "method", "status", "backend"],
            )?,
            own_time: make.histogram(
                "airgate_request_duration_seconds",
                "Time from a request's head to the end of its answer, or to the request to the upstream where there was one.",
                OWN_TIME,
            )?,
            upstream_time: make.histogram(
                "airgate_upstream_duration_seconds",
                "Time from the request to the upstream to the head of its answer.",
                UPSTREAM_TIME,
            )?,
            in_flight: make.gauge("airgate_requests_in_flight", "Requests being worked on now.")?,
            tokens: make.counters(
                "airgate_tokens_issued_total",
                "Tokens issued, by token endpoint.",
                &["endpoint"],
            )?,
            rejections: make.counters(
                "airgate_rejections_total",
                "Requests that airgate itself did not let through, by reason.",
                &["reason"],
            )?,
            cache_hits: make.counters(
                "airgate_cache_hits_total",
                "Credentials accepted from the cache of verified ones, by backend.",
                &["cache"],
            )?,
            cache_misses: make.counters(
                "airgate_cache_misses_total",
                "Credentials accepted after they had to be verified, by backend.",
                &["cache"],
            )?,
            clamped: make.counter(
                "airgate_page_limit_clamped_total",
                "Requests whose page size was lowered to [api] maximum_page_limit.",
            )?,
            translations: make.counters(
                "airgate_translations_total",
                "Requests of Airflow 2's APIs that were translated, by the operation of Airflow 3's that they became.",
                &["operation"],
            )?,
            lockouts: make.counter(
                "airgate_lockouts_total",
                "Requests whose credentials were not looked at because of too many failed log-ins.",
            )?,
            unverified: make.counter(
                "airgate_unverified_bearer_total",
                "Bearer tokens passed on without being verified, since no key is configured.",
            )?,
            connections_rejected: make.counters(
                "airgate_connections_rejected_total",
                "Connections, or requests without a readable head, that were turned away, by reason.",
                &["reason"],
            )?,
            reloads: make.counters(
                "airgate_config_reloads_total",
                "Reloads of the configuration, by result.",
                &["result"],
            )?,
            reload_good: make.gauge(
                "airgate_config_last_reload_successful",
                "Whether the last attempt to load the configuration succeeded.",
            )?,
            reload_time: make.float_gauge(
                "airgate_config_last_reload_success_timestamp_seconds",
                "When the configuration in force was loaded, in seconds since 1970.",
            )?,
            recent: recent::Recent::default(),
            registry: make.0,
        };
        metrics.reload_good.set(1);
        // A series that exists from the start at zero is one whose first increase an alert sees.
        for result in [Reload::Success, Reload::Failure] {
            metrics.reloads.get_metric_with_label_values(&[result.label()])?;
        }
        for reason in Rejected::ALL {
            metrics.connections_rejected.get_metric_with_label_values(&[reason.label()])?;
        }
        Ok(metrics)
    }

    /// Counts a request as being in flight until the guard is dropped.
    #[must_use = "dropping the guard ends the count"]
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts a finished request. What every request counts takes one look-up in a table of this
    /// thread, no lock and no allocation.
    pub fn observe(&self, exchange: &Exchange<'_>) {
        let outcome = exchange.outcome;
        handles::with(self, exchange, |handles| {
            handles.requests.inc();
            handles.own_time.observe(exchange.own_time().as_secs_f64());
            if let (Some(series), Some(time)) = (&handles.upstream_time, exchange.first_byte) {
                series.observe(time.as_secs_f64());
            }
            if let Some(series) = &handles.cache {
                series.inc();
            }
        });
        if let Some(endpoint) = outcome.issued {
            count(&self.tokens, &[endpoint]);
        }
        if let Some(reason) = outcome.refused {
            count(&self.rejections, &[reason]);
            self.recent.refused(exchange, reason);
        }
        if exchange.fault() == Some(Fault::LockedOut) {
            self.lockouts.inc();
        }
        if outcome.clamped {
            self.clamped.inc();
        }
        if let Some(operation) = outcome.translated {
            count(&self.translations, &[&operation.to_string()]);
        }
        let unverified = |grant: &Grant| grant.identity.origin == Origin::Unverified && !grant.ambient;
        if outcome.grant.as_deref().is_some_and(unverified) {
            self.unverified.inc();
        }
    }

    /// Counts a connection that was turned away.
    pub fn connection_rejected(&self, reason: Rejected) {
        count(&self.connections_rejected, &[reason.label()]);
    }

    /// Notes when the configuration was loaded for the first time. Not a reload.
    pub fn loaded(&self, now: SystemTime) {
        self.reload_time.set(seconds_since_1970(now));
    }

    /// Notes the end of a reload.
    pub fn reloaded(&self, result: Reload, now: SystemTime) {
        count(&self.reloads, &[result.label()]);
        match result {
            Reload::Success => {
                self.reload_good.set(1);
                self.loaded(now);
            }
            Reload::Failure => self.reload_good.set(0),
        }
    }

    /// All series in the text format of Prometheus, version 0.0.4, with those of `gauges` and of
    /// the process, whose counts are read at `proc` (normally `/proc`; where that cannot be read
    /// they are left out).
    ///
    /// # Errors
    /// None that is known: the encoder writes into memory.
    pub fn render(&self, gauges: &Gauges, proc: &Path) -> Result<Vec<u8>, Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        let encoder = TextEncoder::new();
        encoder.encode(&self.registry.gather(), &mut text)?;
        encoder.encode(&gauges.registry(proc, self.started)?.gather(), &mut text)?;
        Ok(text)
    }
}

impl Reload {
    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

impl Rejected {
    const ALL: [Self; 5] =
        [Self::TooMany, Self::TooManyPerAddress, Self::Handshake, Self::SlowHead, Self::BadHead];

    fn label(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::TooManyPerAddress => "too_many_per_address",
            Self::Handshake => "tls_handshake",
            Self::SlowHead => "slow_head",
            Self::BadHead => "bad_head",
        }
    }
}

/// Bounds in seconds. A decision takes tens of microseconds; a body that is read here, or a slow
/// client, seconds.
const OWN_TIME: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0,
    60.0,
];

/// Bounds in seconds. Airflow's quickest answers take about a millisecond, its lists seconds.
const UPSTREAM_TIME: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

fn count(series: &IntCounterVec, labels: &[&str]) {
    if let Ok(counter) = series.get_metric_with_label_values(labels) {
        counter.inc();
    }
}

fn seconds_since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Makes series and registers them.
struct Maker(Registry);

impl Maker {
    fn add<C: Collector + Clone + 'static>(&self, series: C) -> Result<C, Error> {
        self.0.register(Box::new(series.clone()))?;
        Ok(series)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.add(Gauge::new(name, help)?)
    }

    fn labelled_gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<HistogramVec, Error> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &["route"])?)
    }
}

#[cfg(test)]
mod tests;
