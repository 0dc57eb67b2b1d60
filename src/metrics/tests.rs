use super::*;
use crate::auth::chain::Said;
use crate::auth::{Health, Reason};
use crate::exchange::testing::{Random, Sample};
use http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::time::Duration;

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
            ("airgate_upstream_duration_seconds_sum{route=\"/api/v2/*\"}", 0.002_9),
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
                s.outcome.issued = Some("/auth/token");
                s
            },
            "airgate_tokens_issued_total{endpoint=\"/auth/token\"}",
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
            Sample::refused(401, "wrong_password", &[("basic_auth", Said::Rejected(Reason::WrongPassword))]),
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
        upstreams: vec![("http://a\n\"\\".to_owned(), Health::Degraded("no Airflow".into()))],
        backends: vec![("jwt", Health::Degraded("old keys".into()))],
        key_sets: vec![("idp".to_owned(), Duration::from_millis(1500))],
        hash_checks: [1, 2],
        hash_checks_rejected: 5,
        redis_calls: vec![("answered", 6)],
        keycloak_sessions: Some((8, [("renewed", 9), ("ended", 10), ("failed", 11)])),
        revoked_tokens: Some((7, Some(Duration::from_secs(2)))),
        certificates: vec![(
            "a.pem".to_owned(),
            UNIX_EPOCH + Duration::from_secs(5),
            UNIX_EPOCH + Duration::from_secs(9),
        )],
        airflow: Some(3),
        longest_poll: Duration::from_millis(250),
        access_log_dropped: 3,
        log_dropped: 4,
    };
    let all = render(&metrics, &gauges);
    for (id, value) in [
        ("airgate_ready", 1.0),
        ("airgate_upstream_healthy{upstream=\"http://a\\n\\\"\\\\\"}", 1.0),
        ("airgate_upstream_degraded{upstream=\"http://a\\n\\\"\\\\\"}", 1.0),
        ("airgate_backend_health{backend=\"jwt\",state=\"up\"}", 0.0),
        ("airgate_backend_health{backend=\"jwt\",state=\"degraded\"}", 1.0),
        ("airgate_jwks_age_seconds{source=\"idp\"}", 1.5),
        ("airgate_hash_checks_running", 1.0),
        ("airgate_hash_checks_waiting", 2.0),
        ("airgate_hash_checks_rejected_total", 5.0),
        ("airgate_redis_calls_total{result=\"answered\"}", 6.0),
        ("airgate_keycloak_sessions", 8.0),
        ("airgate_keycloak_renewals_total{result=\"renewed\"}", 9.0),
        ("airgate_keycloak_renewals_total{result=\"failed\"}", 11.0),
        ("airgate_revoked_tokens", 7.0),
        ("airgate_revoked_tokens_age_seconds", 2.0),
        ("airgate_certificate_not_before_timestamp_seconds{certificate=\"a.pem\"}", 5.0),
        ("airgate_certificate_not_after_timestamp_seconds{certificate=\"a.pem\"}", 9.0),
        ("airgate_upstream_airflow", 3.0),
        ("airgate_longest_poll_seconds", 0.25),
        ("airgate_access_log_dropped_total", 3.0),
        ("airgate_log_dropped_total", 4.0),
    ] {
        assert_eq!(all.get(id), Some(&value), "{id}: {all:?}");
    }
    let next = render(&metrics, &Gauges::default());
    assert!(!next.keys().any(|id| id.contains("upstream=") || id.contains("source=")), "{next:?}");
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
