//! The series that Prometheus scrapes, all named `airgate_*` but for those of the process.
//!
//! Every label value comes from a set that the program or its configuration bounds: route
//! templates, known methods, status codes, names of backends. Nothing that a client writes becomes
//! a label.

mod process;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use prometheus::core::Collector;
use prometheus::{
    Encoder, Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::auth::{Health, Origin};
use crate::exchange::Exchange;

/// All series, in a registry of their own.
///
/// The series live as long as the process: a reload keeps them. Cheap on the request path, since
/// no label value is put together there: see [`Metrics::observe`].
#[derive(Debug)]
pub struct Metrics {
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
    lockouts: IntCounter,
    unverified: IntCounter,
    connections_refused: IntCounterVec,
    reloads: IntCounterVec,
    reload_good: IntGauge,
    reload_time: Gauge,
}

/// What is not counted as it happens but read for each scrape.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Whether `/readyz` answers 200.
    pub ready: bool,
    /// Each upstream by its address, and whether it answers.
    pub upstreams: Vec<(String, bool)>,
    /// Each backend of the chain, and how it fares.
    pub backends: Vec<(&'static str, Health)>,
    /// Each set of keys by its issuer or URL (without query and user), and the time since it was
    /// last read with success.
    pub key_sets: Vec<(String, Duration)>,
    /// Each certificate of a listener by its file, and the time since it was loaded.
    pub certificates: Vec<(String, Duration)>,
    /// Access log lines dropped since the start.
    pub access_log_dropped: u64,
    /// Lines of the application log dropped since the start.
    pub log_dropped: u64,
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
pub enum Refused {
    /// `[limits] max_connections` is reached.
    TooMany,
    /// `[limits] max_connections_per_address` is reached.
    TooManyFromAddress,
    /// The head was not complete within `[limits] header_timeout`.
    SlowHead,
    /// The head cannot be read, or is too large.
    BadHead,
    /// The TLS handshake failed.
    Handshake,
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
        build
            .get_metric_with_label_values(&[
                env!("CARGO_PKG_VERSION"),
                option_env!("AIRGATE_REVISION").unwrap_or("unknown"),
            ])?
            .set(1);
        let metrics = Self {
            requests: make.counters(
                "airgate_requests_total",
                "Requests by route template, method, status of the answer (none: the client left first), and the backend that accepted the credentials (none: nobody did, or nobody was asked).",
                &["route", "method", "status", "backend"],
            )?,
            own_time: make.histogram(
                "airgate_request_duration_seconds",
                "Time from a request's head to the end of its answer, less the time spent waiting for the upstream.",
                OWN_TIME,
            )?,
            upstream_time: make.histogram(
                "airgate_upstream_duration_seconds",
                "Time spent waiting for the upstream, of requests that went there.",
                UPSTREAM_TIME,
            )?,
            in_flight: make.gauge("airgate_requests_in_flight", "Requests being worked on now.")?,
            tokens: make.counters(
                "airgate_tokens_issued_total",
                "Tokens issued, by token endpoint and grant.",
                &["endpoint", "grant"],
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
            lockouts: make.counter(
                "airgate_lockouts_total",
                "Requests whose credentials were not looked at because of too many failed log-ins.",
            )?,
            unverified: make.counter(
                "airgate_unverified_bearer_total",
                "Bearer tokens passed on without being verified, since no key is configured.",
            )?,
            connections_refused: make.counters(
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
            registry: make.0,
        };
        metrics.reload_good.set(1);
        // A series that exists from the start at zero is one whose first increase an alert sees.
        for result in [Reload::Success, Reload::Failure] {
            metrics.reloads.get_metric_with_label_values(&[result.label()])?;
        }
        for reason in Refused::ALL {
            metrics.connections_refused.get_metric_with_label_values(&[reason.label()])?;
        }
        Ok(metrics)
    }

    /// Counts a request as being in flight until the guard is dropped.
    #[must_use = "dropping the guard ends the count"]
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts a finished request: a few look-ups by hash, no allocation once its label values have
    /// been seen.
    pub fn observe(&self, exchange: &Exchange<'_>) {
        let outcome = exchange.outcome;
        let route = if outcome.route.is_empty() { NONE } else { outcome.route };
        let backend = outcome.backend.unwrap_or(NONE);
        let status = status_label(exchange.status.as_ref());
        count(&self.requests, &[route, method_label(exchange.method), status, backend]);
        time(&self.own_time, route, exchange.own());
        if let Some(upstream) = exchange.upstream {
            time(&self.upstream_time, route, upstream);
        }
        if let Some(grant) = outcome.issued {
            count(&self.tokens, &[route, grant]);
        }
        if let Some(reason) = outcome.refused {
            count(&self.rejections, &[reason]);
        }
        if outcome.clamped {
            self.clamped.inc();
        }
        if exchange.throttled() {
            self.lockouts.inc();
        }
        if let Some(grant) = &outcome.grant {
            match &grant.identity.origin {
                Origin::Unverified => self.unverified.inc(),
                // Nothing was verified, so there was nothing to look up.
                Origin::Anonymous => {}
                Origin::Airflow | Origin::Upstream | Origin::File | Origin::Issuer(_) => {
                    count(if outcome.cached { &self.cache_hits } else { &self.cache_misses }, &[backend]);
                }
            }
        }
    }

    /// Counts a connection that was turned away.
    pub fn refused(&self, reason: Refused) {
        count(&self.connections_refused, &[reason.label()]);
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
        encoder.encode(&gauges.registry(proc)?.gather(), &mut text)?;
        Ok(text)
    }
}

impl Gauges {
    /// At most so many values of one series are shown: their number is the operator's, not a
    /// client's, but nothing is unbounded.
    const MAX: usize = 64;

    /// A registry for this one scrape, so that nothing outlives what it was read from.
    fn registry(&self, proc: &Path) -> Result<Registry, Error> {
        let make = Maker(Registry::new());
        make.gauge("airgate_ready", "Whether /readyz answers 200.")?.set(self.ready.into());
        let healthy =
            make.labelled_gauge("airgate_upstream_healthy", "Whether an upstream answers.", &["upstream"])?;
        for (name, up) in self.upstreams.iter().take(Self::MAX) {
            healthy.get_metric_with_label_values(&[bounded(name)])?.set((*up).into());
        }
        let health = make.labelled_gauge(
            "airgate_backend_health",
            "How a backend of the chain fares: 1 for the state that it is in, 0 for the others.",
            &["backend", "state"],
        )?;
        for (name, now) in self.backends.iter().take(Self::MAX) {
            for state in ["up", "degraded", "down"] {
                health
                    .get_metric_with_label_values(&[*name, state])?
                    .set((state == health_label(now)).into());
            }
        }
        make.ages(
            "airgate_jwks_age_seconds",
            "Time since a set of keys was last read with success.",
            "issuer",
            &self.key_sets,
        )?;
        make.ages(
            "airgate_certificate_age_seconds",
            "Time since a listener's certificate was loaded.",
            "certificate",
            &self.certificates,
        )?;
        make.counter("airgate_access_log_dropped_total", "Lines of the access log that were dropped.")?
            .inc_by(self.access_log_dropped);
        make.counter("airgate_log_dropped_total", "Lines of the application log that were dropped.")?
            .inc_by(self.log_dropped);
        process::register(&make.0, proc)?;
        Ok(make.0)
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

impl Refused {
    const ALL: [Self; 5] =
        [Self::TooMany, Self::TooManyFromAddress, Self::SlowHead, Self::BadHead, Self::Handshake];

    fn label(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::TooManyFromAddress => "too_many_from_address",
            Self::SlowHead => "slow_head",
            Self::BadHead => "bad_head",
            Self::Handshake => "handshake",
        }
    }
}

/// The name of a state, in metrics and in `/readyz`.
pub(crate) fn health_label(health: &Health) -> &'static str {
    match health {
        Health::Up => "up",
        Health::Degraded(_) => "degraded",
        Health::Down(_) => "down",
    }
}

/// For a label whose question did not come up.
const NONE: &str = "none";

/// For a label value that is not one of those that are told apart.
const OTHER: &str = "other";

/// Bounds in seconds. A decision takes tens of microseconds; a body that is read here, or a slow
/// client, seconds.
const OWN_TIME: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0,
    60.0,
];

/// Bounds in seconds. Airflow's quickest answers take about a millisecond, its lists seconds.
const UPSTREAM_TIME: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

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

fn count(series: &IntCounterVec, labels: &[&str]) {
    if let Ok(counter) = series.get_metric_with_label_values(labels) {
        counter.inc();
    }
}

fn time(series: &HistogramVec, route: &str, value: Duration) {
    if let Ok(histogram) = series.get_metric_with_label_values(&[route]) {
        Histogram::observe(&histogram, value.as_secs_f64());
    }
}

fn seconds_since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The start of a label value, at most 200 bytes of it.
fn bounded(value: &str) -> &str {
    &value[..value.floor_char_boundary(200)]
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

    fn ages(&self, name: &str, help: &str, label: &str, ages: &[(String, Duration)]) -> Result<(), Error> {
        let series = self.add(GaugeVec::new(Opts::new(name, help), &[label])?)?;
        for (value, age) in ages.iter().take(Gauges::MAX) {
            series.get_metric_with_label_values(&[bounded(value)])?.set(age.as_secs_f64());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Reason;
    use crate::auth::chain::Said;
    use crate::exchange::testing::{Random, Sample};
    use std::collections::BTreeMap;

    /// Name and labels of each series, with its value. Fails on a line that is not of the text
    /// format, and on a series that comes twice.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let mut series = BTreeMap::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                assert!(matches!(words.next(), Some("HELP" | "TYPE")), "{line}");
                assert!(words.next().is_some_and(is_name) && words.next().is_some(), "{line}");
                continue;
            }
            let (id, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let (name, labels) = id.split_once('{').unwrap_or((id, "}"));
            assert!(is_name(name), "{line}");
            let mut rest = labels;
            while rest != "}" {
                let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(is_name(label), "{line}");
                let mut escaped = false;
                let end = after.find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                rest = &after[end.unwrap_or_else(|| panic!("{line}")) + 1..];
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            let value = value.replace("+Inf", "inf").parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(series.insert(id.to_owned(), value).is_none(), "twice: {line}");
        }
        series
    }

    fn render(metrics: &Metrics, gauges: &Gauges) -> BTreeMap<String, f64> {
        parse(std::str::from_utf8(&metrics.render(gauges, Path::new("/proc")).unwrap()).unwrap())
    }

    /// What of `airgate_*` is not zero once `act` has run, but for buckets and what always is there.
    fn seen(act: impl FnOnce(&Metrics)) -> Vec<(String, f64)> {
        let metrics = Metrics::new().unwrap();
        act(&metrics);
        let always = ["process_", "airgate_build_info", "airgate_config_last_reload_successful"];
        render(&metrics, &Gauges::default())
            .into_iter()
            .filter(|(id, value)| {
                *value != 0.0 && !id.contains("_bucket{") && !always.iter().any(|a| id.starts_with(a))
            })
            .collect()
    }

    fn expect(name: &str, seen: Vec<(String, f64)>, expected: &[(&str, f64)]) {
        let seen: Vec<_> = seen.iter().map(|(id, value)| (id.as_str(), *value)).collect();
        assert_eq!(seen, expected, "{name}");
    }

    #[test]
    fn an_accepted_request() {
        let seen = seen(|metrics| metrics.observe(&Sample::accepted().exchange()));
        expect(
            "accepted",
            seen,
            &[
                ("airgate_cache_hits_total{cache=\"jwt\"}", 1.0),
                ("airgate_request_duration_seconds_count{route=\"/api/v2/*\"}", 1.0),
                ("airgate_request_duration_seconds_sum{route=\"/api/v2/*\"}", 0.000_119),
                (
                    "airgate_requests_total{backend=\"jwt\",method=\"GET\",route=\"/api/v2/*\",status=\"200\"}",
                    1.0,
                ),
                ("airgate_upstream_duration_seconds_count{route=\"/api/v2/*\"}", 1.0),
                ("airgate_upstream_duration_seconds_sum{route=\"/api/v2/*\"}", 0.003_001),
            ],
        );
    }

    #[test]
    fn what_an_outcome_adds() {
        let plain = Sample::accepted;
        let rows: [(&str, Sample, &str); 8] = [
            (
                "issued",
                {
                    let mut s = plain();
                    s.outcome.issued = Some("password");
                    s
                },
                "airgate_tokens_issued_total{endpoint=\"/api/v2/*\",grant=\"password\"}",
            ),
            (
                "clamped",
                {
                    let mut s = plain();
                    s.outcome.clamped = true;
                    s
                },
                "airgate_page_limit_clamped_total",
            ),
            (
                "verified",
                {
                    let mut s = plain();
                    s.outcome.cached = false;
                    s
                },
                "airgate_cache_misses_total{cache=\"jwt\"}",
            ),
            (
                "unverified",
                {
                    let mut s = plain();
                    s.grant(Origin::Unverified, "x");
                    s
                },
                "airgate_unverified_bearer_total",
            ),
            (
                "refused",
                Sample::refused(
                    401,
                    "wrong_password",
                    &[("basic_auth", Said::Rejected(Reason::WrongPassword))],
                ),
                "airgate_rejections_total{reason=\"wrong_password\"}",
            ),
            (
                "locked out",
                Sample::refused(429, "locked_out", &[("basic_auth", Said::Throttled)]),
                "airgate_lockouts_total",
            ),
            (
                "client left",
                {
                    let mut s = plain();
                    s.status = None;
                    s
                },
                "airgate_requests_total{backend=\"jwt\",method=\"GET\",route=\"/api/v2/*\",status=\"none\"}",
            ),
            (
                "no route",
                {
                    let mut s = Sample::refused(400, "ambiguous_target", &[]);
                    s.outcome.route = "";
                    s
                },
                "airgate_requests_total{backend=\"none\",method=\"GET\",route=\"none\",status=\"400\"}",
            ),
        ];
        for (name, sample, series) in rows {
            let seen = seen(|metrics| metrics.observe(&sample.exchange()));
            assert!(seen.contains(&(series.to_owned(), 1.0)), "{name}: {seen:?}");
        }
    }

    #[test]
    fn nobody_verified_anything_for_an_anonymous_user() {
        let mut sample = Sample::accepted();
        sample.grant(Origin::Anonymous, "x");
        let seen = seen(|metrics| metrics.observe(&sample.exchange()));
        assert!(!seen.iter().any(|(id, _)| id.contains("_cache_")), "{seen:?}");
    }

    #[test]
    fn in_flight_lasts_as_long_as_the_guard() {
        let metrics = Metrics::new().unwrap();
        let guard = metrics.enter();
        assert_eq!(render(&metrics, &Gauges::default())["airgate_requests_in_flight"], 1.0);
        drop(guard);
        assert_eq!(render(&metrics, &Gauges::default())["airgate_requests_in_flight"], 0.0);
    }

    #[test]
    fn reloads() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let metrics = Metrics::new().unwrap();
        let check = |name: &str, success: f64, failure: f64, good: f64, time: f64| {
            let all = render(&metrics, &Gauges::default());
            let result = |result| all[&format!("airgate_config_reloads_total{{result=\"{result}\"}}")];
            assert_eq!(
                [
                    result("success"),
                    result("failure"),
                    all["airgate_config_last_reload_successful"],
                    all["airgate_config_last_reload_success_timestamp_seconds"]
                ],
                [success, failure, good, time],
                "{name}"
            );
        };
        metrics.loaded(at(1));
        check("start", 0.0, 0.0, 1.0, 1.0);
        metrics.reloaded(Reload::Failure, at(2));
        check("failure", 0.0, 1.0, 0.0, 1.0);
        metrics.reloaded(Reload::Success, at(3));
        check("success", 1.0, 1.0, 1.0, 3.0);
    }

    #[test]
    fn gauges_are_those_of_the_scrape_alone() {
        let metrics = Metrics::new().unwrap();
        let gauges = Gauges {
            ready: true,
            upstreams: vec![("http://a\n\"\\".to_owned(), true)],
            backends: vec![("jwt", Health::Degraded("old keys".into()))],
            key_sets: vec![("idp".to_owned(), Duration::from_millis(1500))],
            certificates: vec![("tls.pem".to_owned(), Duration::from_secs(2))],
            access_log_dropped: 3,
            log_dropped: 4,
        };
        let all = render(&metrics, &gauges);
        for (id, value) in [
            ("airgate_ready", 1.0),
            ("airgate_upstream_healthy{upstream=\"http://a\\n\\\"\\\\\"}", 1.0),
            ("airgate_backend_health{backend=\"jwt\",state=\"up\"}", 0.0),
            ("airgate_backend_health{backend=\"jwt\",state=\"degraded\"}", 1.0),
            ("airgate_jwks_age_seconds{issuer=\"idp\"}", 1.5),
            ("airgate_certificate_age_seconds{certificate=\"tls.pem\"}", 2.0),
            ("airgate_access_log_dropped_total", 3.0),
            ("airgate_log_dropped_total", 4.0),
        ] {
            assert_eq!(all.get(id), Some(&value), "{id}: {all:?}");
        }
        let next = render(&metrics, &Gauges::default());
        assert!(!next.keys().any(|id| id.contains("upstream=") || id.contains("issuer=")), "{next:?}");
    }

    /// Whatever clients send and upstreams answer, there is a bounded number of series.
    #[test]
    fn clients_cannot_make_series() {
        let metrics = Metrics::new().unwrap();
        let mut random = Random(3);
        for n in 0..5000 {
            let mut sample = Sample::accepted();
            sample.target = format!("/api/v2/dags/{n}").into_bytes();
            sample.method = match random.below(3) {
                0 => Method::from_bytes(format!("METHOD{n}").as_bytes()).unwrap(),
                1 => Method::TRACE,
                _ => Method::GET,
            };
            sample.user(&format!("user{n}"));
            sample.outcome.cause = Some(format!("cause{n}"));
            sample.status = StatusCode::from_u16(600 + random.below(400) as u16).ok();
            metrics.observe(&sample.exchange());
        }
        let all = render(&metrics, &Gauges::default());
        let requests: Vec<_> = all.keys().filter(|id| id.starts_with("airgate_requests_total")).collect();
        assert_eq!(
            requests,
            [
                "airgate_requests_total{backend=\"jwt\",method=\"GET\",route=\"/api/v2/*\",status=\"other\"}",
                "airgate_requests_total{backend=\"jwt\",method=\"other\",route=\"/api/v2/*\",status=\"other\"}",
            ]
        );
        let text = format!("{all:?}");
        assert!(!text.contains("METHOD") && !text.contains("user1") && !text.contains("dags/"));
    }
}
