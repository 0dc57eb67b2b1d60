use super::*;
use crate::admin::Upstream;
use crate::metrics::recent::Times;

fn details() -> Details {
    Details {
        visible: Visible::Loopback,
        hosts: vec!["gate.example.com".into()],
        materials: vec![Material {
            kind: "certificate",
            name: "https://u:s3cret@idp/<keys>?s3cret".into(),
            since: Some(SystemTime::UNIX_EPOCH),
            until: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(3 * 86_400)),
        }],
        settings: vec![Setting {
            section: "[api]".into(),
            key: "anonymous_user".into(),
            value: "<script>alert(1)</script>".into(),
            at: "airgate.toml:1:2".into(),
            waiting: Some(Next { value: "<b>next</b>".into(), at: "<b>there</b>".into() }),
        }],
        ..Details::default()
    }
}

#[test]
fn everything_is_escaped_and_nothing_is_secret() {
    let readiness = Readiness {
        listening: true,
        stopping: false,
        configuration: Configuration::ReloadFailed,
        upstreams: vec![Upstream {
            name: "http://u:s3cret@a".into(),
            health: Health::Down("GET <x>".into()),
        }],
        backends: vec![("jwt", Health::Down("<img src=x onerror=alert(1)>\n\u{202e}".into()))],
    };
    let reading = |seconds, requests| Reading {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        requests,
        client_errors: requests / 2,
        server_errors: 0,
        refused: 0,
        own: Times { buckets: vec![(0.001, requests)], count: requests },
        upstream: Times::default(),
    };
    let refusal = Refusal {
        at: SystemTime::UNIX_EPOCH,
        id: "\"><b>".into(),
        peer: None,
        route: "/api/v2/dags/{dag_id}",
        status: Some(401),
        reason: "no_credential",
        cause: Some("<b>why</b>".into()),
    };
    let routes = RouteTotals { route: "/api/v2/dags/{dag_id}".into(), requests: 7, ..RouteTotals::default() };
    let html = Page {
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(86_400),
        readiness: &readiness,
        details: &details(),
        in_flight: 3,
        readings: &[reading(0, 0), reading(5, 100), reading(10, 200)],
        refusals: &[refusal],
        routes: &[routes],
    }
    .html();
    for part in [
        "Not ready",
        "No address of the upstream answers.",
        "<p class=bad>Airflow <code>http://a</code> is down: GET &lt;x&gt;<p class=bad><code>jwt</code> is down: &lt;img",
        "<p class=fair>The last reload failed",
        "at most 20.0.</section>",
        "<dt>requests a second<dd>20.0",
        "<dt>in flight<dd>3",
        "<td data-of=\"Name\">Airflow <code>http://a</code><td data-of=\"State\" class=\"bad\">down<td data-of=\"Cause\">GET &lt;x&gt;",
        "<td data-of=\"Name\">jwt<td data-of=\"State\" class=\"bad\">down<td data-of=\"Cause\">&lt;img src=x onerror=alert(1)&gt;",
        "<code>no_credential</code><div class=soft>&lt;b&gt;why&lt;/b&gt;</div><td data-of=\"Status\" class=\"number\">401<td data-of=\"Route\"><code>/api/v2/dags/{dag_id}</code><td data-of=\"From\">a Unix socket",
        "<code>&quot;&gt;&lt;b&gt;</code>",
        "<code>https://idp/&lt;keys&gt;</code>",
        "<td data-of=\"Ends\" class=\"when fair\">in 2 days",
        "<p class=fair>Changed, and waiting for an upgrade or a restart: <code>[api] anonymous_user</code>.",
        "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code><div class=fair>waits: <code>&lt;b&gt;next&lt;/b&gt;</code></div>",
        "airgate.toml:1:2<div>&lt;b&gt;there&lt;/b&gt;</div>",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    for part in ["s3cret", "<script>alert", "<img", "<b>", "\u{1b}", "class=>", "=\"\""] {
        assert!(!html.contains(part), "{part}\n{html}");
    }
    assert_eq!(html.matches("<script").count(), 1);
}

/// The first card says the worst of it.
#[test]
fn ready_with_faults() {
    let degraded = || Health::Degraded("GET /api/v2/monitor/health answered 404".into());
    let down = || Health::Down("no <answer>".into());
    type Row = (&'static str, [Health; 2], Health, &'static str, &'static [&'static str]);
    let rows: [Row; 5] = [
        ("all is well", [Health::Up, Health::Up], Health::Up, "<h2 class=good>Ready</h2>", &[]),
        (
            "one of two addresses is down",
            [Health::Up, down()],
            Health::Up,
            "<h2 class=bad>Ready, with faults</h2>",
            &["<p class=bad>Airflow <code>b</code> is down: no &lt;answer&gt;"],
        ),
        (
            "no Airflow",
            [degraded(), Health::Up],
            Health::Up,
            "<h2 class=fair>Ready, with faults</h2>",
            &["<p class=fair>Airflow <code>a</code> is degraded: GET /api/v2/monitor/health answered 404"],
        ),
        (
            "a backend is down, and comes first",
            [degraded(), Health::Up],
            down(),
            "<h2 class=bad>Ready, with faults</h2>",
            &["<p class=bad><code>jwt</code> is down: no &lt;answer&gt;<p class=fair>Airflow <code>a</code>"],
        ),
        (
            "nothing answers",
            [down(), down()],
            Health::Up,
            "<h2 class=bad>Not ready</h2>",
            &["<p>No address of the upstream answers.<p class=bad>Airflow <code>a</code> is down"],
        ),
    ];
    for (name, [a, b], backend, head, parts) in rows {
        let readiness = Readiness {
            listening: true,
            stopping: false,
            configuration: Configuration::Current,
            upstreams: vec![
                Upstream { name: "a".into(), health: a },
                Upstream { name: "b".into(), health: b },
            ],
            backends: vec![("jwt", backend)],
        };
        let html = page(&readiness, &[]);
        let state = html.split("<section").nth(1).unwrap();
        for part in parts.iter().copied().chain([head]) {
            assert!(state.contains(part), "{name}: {part}\n{state}");
        }
        assert_eq!(state.matches("<p class=").count(), faults(state) + 1, "{name}: {state}");
    }
}

fn faults(state: &str) -> usize {
    state.matches(" is down: ").count() + state.matches(" is degraded: ").count()
}

fn page(readiness: &Readiness, readings: &[Reading]) -> String {
    Page {
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(86_400),
        readiness,
        details: &Details::default(),
        in_flight: 0,
        readings,
        refusals: &[],
        routes: &[],
    }
    .html()
}

/// No line along the ground where nothing was answered 5xx.
#[test]
fn errors_are_drawn_where_there_are_some() {
    let readiness = Readiness {
        listening: true,
        stopping: false,
        configuration: Configuration::Current,
        upstreams: Vec::new(),
        backends: Vec::new(),
    };
    for (name, errors, expected) in [
        ("none", [0, 0, 0, 0, 0], None),
        ("some, once", [0, 0, 25, 25, 25], Some("M0.0,100.0L300.0,50.0M300.0,50.0L600.0,100.0")),
        ("at the end", [0, 0, 0, 0, 50], Some("M600.0,100.0L900.0,0.0")),
    ] {
        let readings: Vec<_> = (0..5)
            .zip(errors)
            .map(|(i, server_errors)| Reading {
                at: SystemTime::UNIX_EPOCH + Duration::from_secs(86_000 + 5 * i),
                requests: 50 * i,
                client_errors: 0,
                server_errors,
                refused: 0,
                own: Times::default(),
                upstream: Times::default(),
            })
            .collect();
        let html = page(&readiness, &readings);
        let path = html.split_once("class=errors d=\"").and_then(|(_, rest)| rest.split_once('"'));
        assert_eq!(path.map(|(path, _)| path), expected, "{name}");
        assert_eq!(html.contains("answered 5xx in red"), expected.is_some(), "{name}");
    }
}

#[test]
fn hosts() {
    let at = |visible| Details { visible, ..details() };
    for (name, host, near, all) in [
        ("none", None, false, false),
        ("localhost", Some("localhost:9091"), true, true),
        ("localhost, as a full name", Some("LOCALHOST."), true, true),
        ("an address of this machine", Some("127.0.0.1:9091"), true, true),
        ("the same in IPv6", Some("[::1]:9091"), true, true),
        ("mapped", Some("[::ffff:127.0.0.1]"), true, true),
        ("another address", Some("10.0.0.7:9091"), false, true),
        ("a name that is allowed", Some("Gate.example.com:9091"), true, true),
        ("a name that points here", Some("evil.example.com:9091"), false, false),
        ("one that ends alike", Some("evil-localhost"), false, false),
        ("a subdomain", Some("a.localhost"), false, false),
        ("nothing", Some(""), false, false),
    ] {
        assert_eq!(host_is_ours(host, &at(Visible::Loopback)), near, "{name}");
        assert_eq!(host_is_ours(host, &at(Visible::All)), all, "{name}, all");
    }
}

#[test]
fn spans() {
    for (seconds, expected) in
        [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 days")]
    {
        assert_eq!(Span(Duration::from_secs(seconds)).to_string(), expected);
    }
}
