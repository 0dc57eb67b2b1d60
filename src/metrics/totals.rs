//! What the series say, added up for the status page.

use std::collections::HashMap;
use std::time::SystemTime;

use prometheus::core::Collector;
use prometheus::proto::Metric;

use super::recent::{Reading, Times};
use super::{HistogramVec, IntCounterVec, Metrics};

/// What a route has seen since the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteTotals {
    /// The route's template.
    pub route: String,
    /// Finished requests.
    pub requests: u64,
    /// Those answered with 4xx.
    pub client_errors: u64,
    /// Those answered with 5xx.
    pub server_errors: u64,
    /// Time of the upstream.
    pub upstream: Times,
}

impl Metrics {
    /// Reads the counters, for [`Metrics::readings`]. To be called every [`super::recent::EVERY`].
    pub fn take_reading(&self, now: SystemTime) {
        let mut reading = Reading {
            at: now,
            requests: 0,
            client_errors: 0,
            server_errors: 0,
            refused: counters(&self.rejections).iter().map(count).sum(),
            own: Times::default(),
            upstream: Times::default(),
        };
        for counter in counters(&self.requests) {
            let count = count(&counter);
            reading.requests += count;
            match label(&counter, "status").as_bytes().first() {
                Some(b'4') => reading.client_errors += count,
                Some(b'5') => reading.server_errors += count,
                Some(_) | None => {}
            }
        }
        histograms(&self.own_time).iter().for_each(|series| reading.own.add(series));
        histograms(&self.upstream_time).iter().for_each(|series| reading.upstream.add(series));
        self.recent.read(reading);
    }

    /// Readings of the last quarter of an hour, oldest first.
    pub fn readings(&self) -> Vec<Reading> {
        self.recent.readings()
    }

    /// The last refusals, newest first.
    pub fn refusals(&self) -> Vec<super::recent::Refusal> {
        self.recent.refusals()
    }

    /// Each route, the busiest first.
    pub fn routes(&self) -> Vec<RouteTotals> {
        let mut routes: HashMap<String, RouteTotals> = HashMap::new();
        for counter in counters(&self.requests) {
            let route = label(&counter, "route");
            let totals = routes.entry(route.to_owned()).or_default();
            let count = count(&counter);
            totals.requests += count;
            match label(&counter, "status").as_bytes().first() {
                Some(b'4') => totals.client_errors += count,
                Some(b'5') => totals.server_errors += count,
                Some(_) | None => {}
            }
        }
        for series in histograms(&self.upstream_time) {
            if let Some(totals) = routes.get_mut(label(&series, "route")) {
                totals.upstream.add(&series);
            }
        }
        let mut routes: Vec<_> =
            routes.into_iter().map(|(route, totals)| RouteTotals { route, ..totals }).collect();
        routes.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.route.cmp(&b.route)));
        routes
    }

    /// Requests being worked on.
    pub fn requests_in_flight(&self) -> i64 {
        self.in_flight.get()
    }
}

impl Times {
    fn add(&mut self, series: &Metric) {
        let histogram = series.get_histogram();
        self.count += histogram.get_sample_count();
        let buckets = histogram.get_bucket();
        if self.buckets.is_empty() {
            self.buckets = buckets.iter().map(|bucket| (bucket.upper_bound(), 0)).collect();
        }
        for (sum, bucket) in self.buckets.iter_mut().zip(buckets) {
            sum.1 += bucket.cumulative_count();
        }
    }
}

fn counters(series: &IntCounterVec) -> Vec<Metric> {
    series.collect().into_iter().flat_map(|mut family| family.take_metric()).collect()
}

fn histograms(series: &HistogramVec) -> Vec<Metric> {
    series.collect().into_iter().flat_map(|mut family| family.take_metric()).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of whole numbers")]
fn count(series: &Metric) -> u64 {
    series.get_counter().get_value() as u64
}

fn label<'a>(series: &'a Metric, name: &str) -> &'a str {
    series.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exchange::testing::Sample;

    #[test]
    fn readings_add_up() {
        let metrics = Metrics::new().unwrap();
        metrics.take_reading(SystemTime::UNIX_EPOCH);
        let mut slow = Sample::accepted();
        slow.first_byte = Some(Duration::from_secs(2));
        // Asked for long, and never heard of.
        let mut down = Sample::refused(502, "upstream_down", &[]);
        down.outcome.route = "/api/v2/pools";
        down.upstream = Some(Duration::from_millis(3));
        for sample in [Sample::accepted(), slow, Sample::refused(401, "no_credential", &[]), down] {
            metrics.observe(&sample.exchange());
        }
        metrics.take_reading(SystemTime::UNIX_EPOCH);
        let [before, after] = &metrics.readings()[..] else { panic!("two readings") };
        assert_eq!((before.requests, after.requests), (0, 4));
        assert_eq!((after.client_errors, after.server_errors, after.refused), (1, 1, 2));
        assert_eq!((after.own.count, after.upstream.count), (4, 2));
        assert!(after.upstream.quantile(0.99).is_some_and(|time| (1.0..=2.5).contains(&time)));
        let routes = metrics.routes();
        let seen: Vec<_> =
            routes.iter().map(|r| (&*r.route, r.requests, r.server_errors, r.upstream.count)).collect();
        assert_eq!(seen, [("/api/v2/*", 3, 0, 2), ("/api/v2/pools", 1, 1, 0)]);
        let refusals = metrics.refusals();
        let refused: Vec<_> = refusals.iter().map(|r| (r.reason, r.status)).collect();
        assert_eq!(refused, [("upstream_down", Some(502)), ("no_credential", Some(401))]);
    }
}
