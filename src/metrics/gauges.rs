//! What is read anew for each scrape.

use std::path::Path;
use std::time::{Duration, SystemTime};

use prometheus::{Error, GaugeVec, Opts, Registry};

use super::{Maker, process, seconds_since_1970};
use crate::auth::Health;
use crate::telemetry::redact;

/// What is not counted as it happens but read for each scrape.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Whether `/readyz` answers 200.
    pub ready: bool,
    /// Each upstream by its address, and how it fares.
    pub upstreams: Vec<(String, Health)>,
    /// Each backend of the chain, and how it fares.
    pub backends: Vec<(&'static str, Health)>,
    /// Each set of keys by its URL or file, and the time since it was last read with success. Of a
    /// URL, user, password and query are not shown.
    pub key_sets: Vec<(String, Duration)>,
    /// Each certificate that clients are shown, by its file: when it began to be valid, and when it ends to
    /// be.
    pub certificates: Vec<(String, SystemTime, SystemTime)>,
    /// Hash checks being computed, and those that wait.
    pub hash_checks: [usize; 2],
    /// Hash checks refused since the start.
    pub hash_checks_rejected: u64,
    /// Calls of Redis since the start, by how they ended. Empty without Redis.
    pub redis_calls: Vec<(&'static str, u64)>,
    /// With Keycloak's sessions: how many are known, and how often one was renewed since the start, by how that ended.
    pub keycloak_sessions: Option<(usize, [(&'static str, u64); 3])>,
    /// With a metadata database: how many tokens are known to be revoked, and the time since the list was
    /// last compared with Airflow's, if ever.
    pub revoked_tokens: Option<(usize, Option<Duration>)>,
    /// Which Airflow requests are treated for, if that is known.
    pub airflow: Option<u8>,
    /// The longest time of late that a thread that serves requests was kept from its next task.
    pub longest_poll: Duration,
    /// Access log lines dropped since the start.
    pub access_log_dropped: u64,
    /// Lines of the application log dropped since the start.
    pub log_dropped: u64,
}

impl Gauges {
    /// At most so many values of one series are shown: their number is the operator's, not a
    /// client's, but nothing is unbounded.
    const MAX: usize = 64;

    /// A registry for this one scrape, so that nothing outlives what it was read from.
    pub(super) fn registry(&self, proc: &Path, started: SystemTime) -> Result<Registry, Error> {
        let make = Maker(Registry::new());
        make.gauge("airgate_ready", "Whether /readyz answers 200.")?.set(self.ready.into());
        let healthy =
            make.labelled_gauge("airgate_upstream_healthy", "Whether an upstream answers.", &["upstream"])?;
        let degraded = make.labelled_gauge(
            "airgate_upstream_degraded",
            "Whether an upstream answers, but not as an Airflow does.",
            &["upstream"],
        )?;
        for (name, health) in self.upstreams.iter().take(Self::MAX) {
            let name = redact::url(name);
            let (is_healthy, is_degraded) = match health {
                Health::Up => (true, false),
                Health::Degraded(_) => (true, true),
                Health::Down(_) => (false, false),
            };
            healthy.get_metric_with_label_values(&[bounded(&name)])?.set(is_healthy.into());
            degraded.get_metric_with_label_values(&[bounded(&name)])?.set(is_degraded.into());
        }
        let help = "Which Airflow requests are treated for, by its major version; 0 while that is not known.";
        make.gauge("airgate_upstream_airflow", help)?.set(self.airflow.unwrap_or(0).into());
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
        ages(
            &make,
            "airgate_jwks_age_seconds",
            "Time since a set of keys was last read with success.",
            "source",
            &self.key_sets,
        )?;
        if !self.certificates.is_empty() {
            self.certificates(&make)?;
        }
        if let Some((number, age)) = self.revoked_tokens {
            make.gauge("airgate_revoked_tokens", "Tokens known to be revoked in Airflow.")?
                .set(i64::try_from(number).unwrap_or(i64::MAX));
            if let Some(age) = age {
                let help = "Time since the list of revoked tokens was last compared with Airflow's database.";
                make.float_gauge("airgate_revoked_tokens_age_seconds", help)?.set(age.as_secs_f64());
            }
        }
        let [running, waiting] = self.hash_checks.map(|checks| i64::try_from(checks).unwrap_or(i64::MAX));
        make.gauge("airgate_hash_checks_running", "Password hashes being computed.")?.set(running);
        make.gauge("airgate_hash_checks_waiting", "Password hashes that wait to be computed.")?.set(waiting);
        make.counter(
            "airgate_hash_checks_rejected_total",
            "Log-ins answered with 503 because too many password hashes were waiting.",
        )?
        .inc_by(self.hash_checks_rejected);
        if !self.redis_calls.is_empty() {
            let calls = make.counters(
                "airgate_redis_calls_total",
                "Calls of Redis, by how they ended.",
                &["result"],
            )?;
            for (result, count) in &self.redis_calls {
                calls.get_metric_with_label_values(&[*result])?.inc_by(*count);
            }
        }
        make.float_gauge(
            "airgate_longest_poll_seconds",
            "The longest time within the last half minute or minute that a thread that serves requests was kept from its next task.",
        )?
        .set(self.longest_poll.as_secs_f64());
        if let Some((known, renewals)) = &self.keycloak_sessions {
            let known = i64::try_from(*known).unwrap_or(i64::MAX);
            make.gauge("airgate_keycloak_sessions", "Sessions of Keycloak that are known.")?.set(known);
            let ended = make.counters(
                "airgate_keycloak_renewals_total",
                "Renewals of Keycloak's tokens, by how they ended.",
                &["result"],
            )?;
            for (result, count) in renewals {
                ended.get_metric_with_label_values(&[*result])?.inc_by(*count);
            }
        }
        make.counter("airgate_access_log_dropped_total", "Lines of the access log that were dropped.")?
            .inc_by(self.access_log_dropped);
        make.counter("airgate_log_dropped_total", "Lines of the application log that were dropped.")?
            .inc_by(self.log_dropped);
        process::register(&make.0, proc, seconds_since_1970(started))?;
        Ok(make.0)
    }

    fn certificates(&self, make: &Maker) -> Result<(), Error> {
        let labelled = |name, help| make.add(GaugeVec::new(Opts::new(name, help), &["certificate"])?);
        let begins = labelled(
            "airgate_certificate_not_before_timestamp_seconds",
            "When a certificate of [server.tls] began to be valid, in seconds since 1970.",
        )?;
        let ends = labelled(
            "airgate_certificate_not_after_timestamp_seconds",
            "When a certificate of [server.tls] ends to be valid, in seconds since 1970.",
        )?;
        for (file, not_before, not_after) in self.certificates.iter().take(Self::MAX) {
            begins.get_metric_with_label_values(&[bounded(file)])?.set(seconds_since_1970(*not_before));
            ends.get_metric_with_label_values(&[bounded(file)])?.set(seconds_since_1970(*not_after));
        }
        Ok(())
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

/// The start of a label value, at most 200 bytes of it.
fn bounded(value: &str) -> &str {
    &value[..value.floor_char_boundary(200)]
}

fn ages(make: &Maker, name: &str, help: &str, label: &str, ages: &[(String, Duration)]) -> Result<(), Error> {
    let series = make.add(GaugeVec::new(Opts::new(name, help), &[label])?)?;
    for (value, age) in ages.iter().take(Gauges::MAX) {
        // An address may hold a password.
        let value = redact::url(value);
        series.get_metric_with_label_values(&[bounded(&value)])?.set(age.as_secs_f64());
    }
    Ok(())
}
