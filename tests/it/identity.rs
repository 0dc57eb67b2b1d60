//! Who Airflow is told is asking: never what the client says of itself, always what the gate has found.

use serde_json::json;

use crate::support::client::{ask, read_answer};
use crate::support::token::{self, SECRET};
use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Ask, Upstream, delete, get, post};

/// Airflow with one user, `admin` with the password `right`.
fn airflow() -> Upstream {
    Upstream::answering(|seen| match seen.target.trim_start_matches("/airflow") {
        "/auth/token" | "/auth/token/cli" => match serde_json::from_slice::<serde_json::Value>(&seen.body) {
            Ok(body) if body["password"] == "right" => {
                answer(201, &[], &json!({ "access_token": token::good("admin") }).to_string())
            }
            _ => answer(401, &[], r#"{"detail":"Invalid credentials"}"#),
        },
        _ => answer(200, &[], "{}"),
    })
}

/// A gate that has the key of Airflow's tokens.
fn with_key(upstream: &Upstream, config: &str) -> Airgate {
    Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n{config}"))
}

/// The only request but for log-ins.
#[track_caller]
fn forwarded(upstream: &Upstream) -> Seen {
    let mut seen = upstream.seen();
    seen.retain(|seen| !seen.target.starts_with("/auth/token"));
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.remove(0)
}

// --- Headers that claim an identity

const CLAIMS: &[&str] = &[
    "X-Forwarded-For",
    "x-forwarded-for",
    "X-FORWARDED-FOR",
    "X_Forwarded_For",
    "x_forwarded_for",
    "X-Forwarded_For",
    "X.Forwarded.For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X_Forwarded_Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X_Forwarded_User",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Real-IP",
    "X_Real_IP",
    "x.real.ip",
    "Remote-User",
    "REMOTE_USER",
    "remote.user",
    "X-Remote-User",
    "X_Remote_User",
    "X-Auth-User",
    "X-Auth-Request-Email",
    "X_Auth_Token",
    "X-Airgate-User",
    "X_Airgate_Page_Limit",
];

#[test]
fn no_spelling_of_an_identity_header_passes() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "[gate]\nother_routes = \"all\"\n");
    for (route, target) in [
        ("API", "/api/v2/config"),
        ("open", "/api/v2/version"),
        ("user interface", "/home"),
        ("workers", "/execution/task-instances/1/run"),
    ] {
        for name in CLAIMS {
            upstream.forget();
            let ask = get(target).bearer(&token::good("admin")).with(name, "evil").with(name, "evil");
            assert_eq!(airgate.send(ask).status, 200, "{route}, {name}");
            let seen = forwarded(&upstream);
            assert!(seen.headers.iter().all(|(_, value)| value != "evil"), "{route}, {name}: {seen:?}");
            ours(&airgate, &seen);
        }
    }
}

/// What the gate itself says, once each.
#[track_caller]
fn ours(airgate: &Airgate, seen: &Seen) {
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"], "{seen:?}");
    assert_eq!(seen.all("x-forwarded-proto"), ["http"], "{seen:?}");
    assert_eq!(seen.all("x-forwarded-host"), [airgate.address().to_string()], "{seen:?}");
    assert_eq!(seen.all("host"), [airgate.address().to_string()], "{seen:?}");
    assert_eq!(seen.all("x-request-id").len(), 1, "{seen:?}");
    assert_eq!(seen.all("traceparent").len(), 1, "{seen:?}");
}

#[test]
fn headers_that_only_look_like_it_pass() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "");
    for name in ["X-Author", "X-ForwardedFor", "Forwarded-For", "Remote-Address", "X-Custom", "Accept", "DNT"]
    {
        upstream.forget();
        airgate.send(get("/api/v2/config").bearer(&token::good("admin")).with(name, "kept"));
        assert_eq!(forwarded(&upstream).header(&name.to_lowercase()), Some("kept"), "{name}");
    }
}

#[test]
fn request_id_and_traceparent_are_kept_or_made() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let long = "x".repeat(200);
    for (name, path, id, kept) in [
        ("none", "/api/v2/config", None, false),
        ("plain", "/api/v2/config", Some("abc-123"), true),
        ("with spaces", "/api/v2/config", Some("a b"), false),
        ("with quotes", "/api/v2/config", Some("a\"b"), false),
        ("long", "/api/v2/config", Some(&*long), false),
        ("translated", "/api/v1/pools", Some("abc-124"), true),
    ] {
        upstream.forget();
        let ask = get(path).bearer(&token::good("admin"));
        let ask = ask.with("traceparent", trace).with("tracestate", "congo=t61rcWkgMzE");
        let ask = id.iter().fold(ask, |ask, id| ask.with("X-Request-ID", id));
        let answer = airgate.send(ask);
        let seen = forwarded(&upstream);
        let said = answer.header("x-request-id").unwrap();
        assert_eq!(seen.all("x-request-id"), [said], "{name}: the answer has the same");
        assert_eq!(id.is_some_and(|id| id == said), kept, "{name}: {said}");
        assert_eq!(airgate.access(said)["id"], said, "{name}: and the access log");
        assert_eq!(seen.all("traceparent"), [trace], "{name}");
        assert_eq!(seen.all("tracestate"), ["congo=t61rcWkgMzE"], "{name}: it belongs to this trace");
    }
    for (name, path, sent) in [
        ("none", "/api/v2/config", None),
        ("malformed", "/api/v2/config", Some("00-zz")),
        ("zero", "/api/v2/config", Some("00-00000000000000000000000000000000-b7ad6b7169203331-01")),
        ("translated", "/api/v1/pools", Some("00-zz")),
    ] {
        upstream.forget();
        let ask = get(path).bearer(&token::good("admin")).with("tracestate", "congo=t61rcWkgMzE");
        let answer = airgate.send(sent.iter().fold(ask, |ask, sent| ask.with("traceparent", sent)));
        let seen = forwarded(&upstream);
        let made = seen.all("traceparent").join(", ");
        assert_eq!(seen.header("tracestate"), None, "{name}: it belongs to another trace");
        let id = answer.header("x-request-id").unwrap();
        assert!(made.starts_with(&format!("00-{id}-")) && made.len() == 55, "{name}: {made}, {id}");
    }
    for refused in [get("/api/v2/config"), get("/nowhere"), post("/auth/token").body("x")] {
        assert_eq!(airgate.send(refused.with("X-Request-ID", "mine")).header("x-request-id"), Some("mine"));
    }
}

// --- Proxies in front

#[test]
fn forwarded_for_is_read_from_the_right_and_only_from_trusted_proxies() {
    let upstream = Upstream::start();
    let good = token::good("admin");
    let rows: &[(&str, &str, &[&str], &str, &str)] = &[
        ("nobody is trusted", "", &["203.0.113.7"], "127.0.0.1", "127.0.0.1"),
        ("another is trusted", "10.0.0.0/8", &["203.0.113.7"], "127.0.0.1", "127.0.0.1"),
        ("trusted, none", "127.0.0.1", &[], "127.0.0.1", "127.0.0.1"),
        ("trusted, one", "127.0.0.1", &["203.0.113.7"], "203.0.113.7", "203.0.113.7, 127.0.0.1"),
        (
            "trusted, forged on the left",
            "127.0.0.1",
            &["6.6.6.6, 203.0.113.7"],
            "203.0.113.7",
            "6.6.6.6, 203.0.113.7, 127.0.0.1",
        ),
        (
            "two trusted",
            "127.0.0.1, 10.0.0.0/8",
            &["6.6.6.6, 203.0.113.7, 10.1.2.3"],
            "203.0.113.7",
            "6.6.6.6, 203.0.113.7, 10.1.2.3, 127.0.0.1",
        ),
        (
            "in two lines: the last one is the nearest",
            "127.0.0.1",
            &["6.6.6.6", "203.0.113.7"],
            "203.0.113.7",
            "6.6.6.6, 203.0.113.7, 127.0.0.1",
        ),
        (
            "all trusted: the farthest",
            "127.0.0.1, 10.0.0.0/8",
            &["10.0.0.1, 10.0.0.2"],
            "10.0.0.1",
            "10.0.0.1, 10.0.0.2, 127.0.0.1",
        ),
        ("IPv6", "127.0.0.1", &["2001:db8::7"], "2001:db8::7", "2001:db8::7, 127.0.0.1"),
        ("no address", "127.0.0.1", &["unknown"], "127.0.0.1", "unknown, 127.0.0.1"),
        ("empty", "127.0.0.1", &[""], "127.0.0.1", "127.0.0.1"),
    ];
    for (name, trusted, lines, address, sent) in rows {
        upstream.forget();
        let airgate = with_key(&upstream, &format!("[server]\ntrusted_proxies = \"{trusted}\"\n"));
        let ask = get("/api/v2/config")
            .bearer(&good)
            .with("X_Forwarded_For", "6.6.6.6")
            .with("X-Real-IP", "6.6.6.6");
        let ask = lines.iter().fold(ask, |ask, line| ask.with("X-Forwarded-For", line));
        assert_eq!(airgate.send(ask).status, 200, "{name}");
        let seen = forwarded(&upstream);
        assert_eq!(seen.all("x-forwarded-for"), [*sent], "{name}");
        assert!(seen.header("x_forwarded_for").is_none() && seen.header("x-real-ip").is_none(), "{name}");
        assert_eq!(airgate.access("/api/v2/config")["peer"], *address, "{name}: in the access log");
    }
}

#[test]
fn scheme_and_host_of_a_trusted_proxy_are_kept() {
    let upstream = Upstream::start();
    for (path, trusted, proto, host) in [
        ("/api/v2/config", "", "http", None),
        ("/api/v2/config", "127.0.0.1", "https", Some("air.example")),
        ("/api/v1/pools", "", "http", None),
        ("/api/v1/pools", "127.0.0.1", "https", Some("air.example")),
    ] {
        upstream.forget();
        let airgate = with_key(&upstream, &format!("[server]\ntrusted_proxies = \"{trusted}\"\n"));
        let ask = get(path)
            .bearer(&token::good("admin"))
            .with("X-Forwarded-Proto", "https")
            .with("X-Forwarded-Host", "air.example")
            .with("X-Forwarded-Prefix", "/a");
        airgate.send(ask);
        let seen = forwarded(&upstream);
        assert_eq!(seen.all("x-forwarded-proto"), [proto], "{path}, {trusted}");
        let own = airgate.address().to_string();
        assert_eq!(seen.all("x-forwarded-host"), [host.unwrap_or(&own)], "{path}, {trusted}");
        let prefix = host.is_some() && path.starts_with("/api/v2");
        assert_eq!(seen.header("x-forwarded-prefix").is_some(), prefix, "{path}, {trusted}");
    }
}

// --- One identity, not two

const COOKIES: &str = "theme=dark; _token=a.b.c; session=flask; _access_token=k; _refresh_token=k; lang=en";

/// Airflow's own cookies would say that it is somebody else.
#[test]
fn cookies_of_airflow_go_where_authorization_is_sent_and_come_from_nowhere() {
    let upstream = Upstream::answering(|seen| match seen.target.as_str() {
        "/auth/token" => answer(201, &[], &json!({ "access_token": token::good("admin") }).to_string()),
        _ => answer(
            200,
            &[
                ("Set-Cookie", "_token=new; Path=/; HttpOnly"),
                ("Set-Cookie", "theme=light; Path=/"),
                ("Set-Cookie", "session=new"),
                ("Set-Cookie", "_access_token=new"),
                ("Set-Cookie", "lang=de"),
            ],
            "{}",
        ),
    });
    let with_key = with_key(&upstream, "");
    let without_key = Airgate::before(&upstream.url(), "");
    // Without a key `_token` would be a credential that is as good as any other.
    let without_token = COOKIES.replace("_token=a.b.c; ", "");
    for (name, airgate, ask, cookies) in [
        ("Bearer", &with_key, get("/api/v2/config").bearer(&token::good("admin")), COOKIES),
        ("Basic", &with_key, get("/api/v2/config").basic("admin", "right"), COOKIES),
        ("Bearer, not verified", &without_key, get("/api/v2/config").bearer("a.b.c"), COOKIES),
        ("Basic, exchanged", &without_key, get("/api/v2/config").basic("admin", "right"), &without_token),
    ] {
        upstream.forget();
        let answer = airgate.send(ask.with("Cookie", cookies).with("Cookie", "more=1; session=d.e.f"));
        assert_eq!(answer.status, 200, "{name}");
        let seen = forwarded(&upstream);
        assert_eq!(seen.all("cookie").join("; "), "theme=dark; lang=en; more=1", "{name}");
        assert_eq!(seen.all("authorization").len(), 1, "{name}");
        assert_eq!(answer.all("set-cookie"), ["theme=light; Path=/", "lang=de"], "{name}");
    }
}

#[test]
fn a_session_keeps_its_cookies_and_sends_no_authorization() {
    let upstream = Upstream::answering(|_| answer(200, &[("Set-Cookie", "_token=new; Path=/")], "{}"));
    let airgate = with_key(&upstream, "");
    let cookie = format!("theme=dark; _token={}; session=flask", token::good("viewer"));
    for (name, ask) in [
        ("alone", get("/api/v2/config")),
        ("an empty Authorization", get("/api/v2/config").with("Authorization", "")),
        ("a wrong password", get("/api/v2/config").basic("admin", "wrong")),
        ("an unknown scheme", get("/api/v2/config").with("Authorization", "Token admin")),
    ] {
        upstream.forget();
        let answer = airgate.send(ask.with("Cookie", &cookie));
        assert_eq!(answer.status, 200, "{name}");
        let seen = forwarded(&upstream);
        assert_eq!(seen.all("cookie"), [cookie.as_str()], "{name}");
        assert!(seen.header("authorization").is_none(), "{name}: {seen:?}");
        assert_eq!(answer.all("set-cookie"), ["_token=new; Path=/"], "{name}: Airflow renews it");
    }
    assert_eq!(airgate.access("\"backend\":\"session\"")["user"], "airflow:viewer");
}

#[test]
fn a_bearer_beside_a_session_wins_or_fails() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "");
    let session = format!("_token={}", token::good("viewer"));
    let bearer = token::good("admin");
    assert_eq!(airgate.send(get("/api/v2/config").bearer(&bearer).with("Cookie", &session)).status, 200);
    let seen = forwarded(&upstream);
    assert_eq!(seen.all("authorization"), [format!("Bearer {bearer}")]);
    assert!(seen.header("cookie").is_none());

    upstream.forget();
    let answer = airgate.send(get("/api/v2/config").bearer("a.b.c").with("Cookie", &session));
    assert_eq!(answer.told(), (403, r#"{"detail":"Invalid JWT token"}"#.into()));
    assert!(upstream.seen().is_empty(), "neither of the two");
}

#[test]
fn a_stale_session_is_cleared_below_the_base_path() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "[api]\nbase_url = \"https://host/airflow\"\n");
    let answer = airgate.send(get("/airflow/api/v2/config").with("Cookie", "_token=a.b.c"));
    let cleared = |path| format!("_token=\"\"; HttpOnly; Max-Age=0; Path={path}; SameSite=lax");
    assert_eq!(answer.all("set-cookie"), [cleared("/"), cleared("/airflow/")]);
}

#[test]
fn a_stale_session_is_cleared() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "");
    let mut old = token::claims("admin");
    old["exp"] = json!(1_700_000_000);
    let stale = format!("_token={}", token::hs512(SECRET, &old));
    let answer = airgate.send(get("/api/v2/config").with("Cookie", &stale));
    assert_eq!((answer.status, answer.detail()), (401, "Token Expired".into()));
    assert!(answer.all("set-cookie").iter().any(|c| c.starts_with("_token=\"\"") && c.contains("Max-Age=0")));
    // A good password beside it counts, and Airflow does not see the stale cookie.
    let airflow = self::airflow();
    let airgate = with_key(&airflow, "");
    assert_eq!(
        airgate.send(get("/api/v2/config").basic("admin", "right").with("Cookie", &stale)).status,
        200
    );
    assert!(forwarded(&airflow).header("cookie").is_none());
}

#[test]
fn a_password_never_reaches_airflow_outside_of_a_log_in() {
    let upstream = airflow();
    for (name, airgate) in
        [("with a key", with_key(&upstream, "")), ("without", Airgate::before(&upstream.url(), ""))]
    {
        upstream.forget();
        assert_eq!(airgate.send(get("/api/v2/config").basic("admin", "right")).status, 200, "{name}");
        let seen = forwarded(&upstream);
        assert!(seen.all("authorization").iter().all(|v| v.starts_with("Bearer ")), "{name}: {seen:?}");
        let log_in = &upstream.seen()[0];
        assert!(log_in.header("authorization").is_none(), "{name}: {log_in:?}");
    }
}

/// The users of a file are nobody to Airflow but by the tokens that are made for them.
#[test]
fn a_user_of_the_file_gets_a_token_of_its_own() {
    let upstream = Upstream::start();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n[basic]\nsources = \"file\"\n\
         [core]\nsimple_auth_manager_users = \"robot:op\"\nsimple_auth_manager_passwords_file = \"passwords\"\n",
        upstream.url()
    );
    let airgate = Airgate::with(config).file("passwords", r#"{"robot": "pw", "stranger": "pw"}"#).start();
    assert_eq!(airgate.send(get("/api/v2/config").basic("robot", "pw")).status, 200);
    let seen = forwarded(&upstream);
    let claims = token::read(seen.header("authorization").unwrap());
    assert_eq!((&claims["sub"], &claims["role"]), (&json!("robot"), &json!("op")), "{claims}");
    let life = claims["exp"].as_f64().unwrap() - claims["iat"].as_f64().unwrap();
    assert!(life <= 300.0, "{claims}");
    upstream.forget();
    assert!(matches!(airgate.send(get("/api/v2/config").basic("stranger", "pw")).status, 401 | 403));
    assert!(upstream.seen().is_empty());
}

#[test]
fn without_a_key_a_bearer_passes_unverified_and_is_counted() {
    let upstream = Upstream::answering(|_| answer(401, &[], r#"{"detail":"Airflow's word"}"#));
    let airgate = Airgate::before(&upstream.url(), "");
    for _ in 0..2 {
        let answer = airgate.send(get("/api/v2/config").bearer("whatever"));
        assert_eq!((answer.status, answer.detail()), (401, "Airflow's word".into()));
    }
    assert_eq!(upstream.seen()[1].all("authorization"), ["Bearer whatever"]);
    airgate.counts("airgate_unverified_bearer_total", 2.0);
    // It is good for nothing else: no token comes of it.
    upstream.forget();
    let answer = airgate.send(post("/auth/token").bearer("whatever"));
    assert_ne!(answer.status, 201);
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

// --- Routes

#[test]
fn other_routes_keep_credentials_and_only_all_reaches_the_workers() {
    let upstream = Upstream::answering(|_| answer(200, &[("Set-Cookie", "_token=new")], "{}"));
    for (setting, target, status) in [
        ("deny", "/", 404),
        ("deny", "/home", 404),
        ("deny", "/ui/config", 404),
        ("deny", "/execution/variables/a", 404),
        ("ui", "/", 200),
        ("ui", "/home", 200),
        ("ui", "/auth/login/", 200),
        ("ui", "/execution/variables/a", 404),
        ("ui", "/execution", 404),
        ("ui", "//execution/variables/a", 404),
        ("ui", "/%65xecution/variables/a", 404),
        ("ui", "/EXECUTION/variables/a", 200),
        ("all", "/execution/variables/a", 200),
        ("all", "/home", 200),
    ] {
        upstream.forget();
        let airgate = with_key(&upstream, &format!("[gate]\nother_routes = \"{setting}\"\n"));
        let answer = airgate.send(get(target).bearer("a.workers.token").with("Cookie", COOKIES));
        assert_eq!(answer.status, status, "{setting} {target}");
        if status == 404 {
            assert!(answer.detail().contains("other_routes"), "{setting} {target}: {}", answer.text());
            assert!(upstream.seen().is_empty(), "{setting} {target}");
        } else {
            let seen = forwarded(&upstream);
            assert_eq!(seen.all("authorization"), ["Bearer a.workers.token"], "{setting} {target}");
            assert_eq!(seen.all("cookie"), [COOKIES], "{setting} {target}");
            assert_eq!(answer.all("set-cookie"), ["_token=new"], "{setting} {target}");
        }
    }
}

#[test]
fn base_url_gives_every_route_a_second_prefix() {
    let upstream = airflow();
    let airgate = with_key(&upstream, "[api]\nbase_url = \"https://air.example/airflow\"\n");
    let good = token::good("admin");
    for (target, bearer, status, sent) in [
        ("/airflow/api/v2/config", Some(&good), 200, Some("/airflow/api/v2/config")),
        ("/api/v2/config", Some(&good), 200, Some("/api/v2/config")),
        ("//airflow/api/v2/config", Some(&good), 200, Some("/airflow/api/v2/config")),
        ("/airflow/api/v2/version", None, 200, Some("/airflow/api/v2/version")),
        ("/airflow/api/v2/pools?limit=1000", Some(&good), 200, Some("/airflow/api/v2/pools?limit=100")),
        ("/airflow/api/v2/config", None, 401, None),
        ("/api/v2/config", None, 401, None),
        ("/other/api/v2/config", Some(&good), 404, None),
        ("/airflow/airflow/api/v2/config", Some(&good), 404, None),
        ("/airflow/home", Some(&good), 404, None),
        ("/airflowapi/v2/config", Some(&good), 404, None),
    ] {
        upstream.forget();
        let ask = bearer.iter().fold(get(target), |ask, bearer| ask.bearer(bearer));
        assert_eq!(airgate.send(ask).status, status, "{target}");
        let seen: Vec<_> = upstream.seen().into_iter().map(|seen| seen.target).collect();
        assert_eq!(seen, sent.map(String::from).into_iter().collect::<Vec<_>>(), "{target}");
    }
    let body = json!({ "username": "admin", "password": "right" });
    assert_eq!(airgate.send(post("/airflow/auth/token").json(body)).status, 201);
}

#[test]
fn page_sizes_are_lowered_and_the_answer_says_so() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "[api]\nmaximum_page_limit = 10\nfallback_page_limit = 5\n");
    for (query, sent, said) in [
        ("?limit=1000", "?limit=10", Some("10")),
        ("?limit=10", "?limit=10", None),
        ("?limit=7", "?limit=7", None),
        ("?limit=7&limit=1000", "?limit=7&limit=10", Some("10")),
        ("?%6cimit=1000", "?%6cimit=10", Some("10")),
        ("?limit=%31000", "?limit=10", Some("10")),
        ("?limit=+1_000", "?limit=10", Some("10")),
        ("?a=b%20c&limit=1000&d", "?a=b%20c&limit=10&d", Some("10")),
        ("?limit=x", "?limit=x", None),
        ("", "?limit=5", None),
    ] {
        upstream.forget();
        let answer = airgate.send(get(format!("/api/v2/pools{query}")).bearer(&token::good("admin")));
        assert_eq!(forwarded(&upstream).target, format!("/api/v2/pools{sent}"), "{query}");
        assert_eq!(answer.header("x-airgate-page-limit"), said, "{query}");
    }
    airgate.counts("airgate_page_limit_clamped_total", 6.0);
}

#[test]
fn deny_all_and_default() {
    let upstream = Upstream::start();
    let users = "[core]\nsimple_auth_manager_users = \"admin:admin, anon:viewer\"\n";
    let denying = with_key(&upstream, "[api]\nauth_backends = \"jwt, deny_all\"\n");
    assert_eq!(denying.send(get("/api/v2/config")).told(), (403, r#"{"detail":"Forbidden"}"#.into()));
    assert_eq!(denying.send(get("/api/v2/config").basic("a", "b")).status, 403);
    assert_eq!(denying.send(get("/api/v2/config").bearer(&token::good("admin"))).status, 200);

    let open = format!(
        "{users}[api]\nauth_backends = \"jwt, basic_auth, default\"\nanonymous_user = \"anon\"\nenable_experimental_api = true\n"
    );
    let open = with_key(&upstream, &open);
    upstream.forget();
    assert_eq!(open.send(get("/api/v2/config")).status, 401, "the stable API stays closed");
    assert_eq!(open.send(post("/auth/token")).status, 422, "no token for nobody");
    assert!(upstream.seen().is_empty());
    // What the made-up upstream answers is no version, and `test` looks at its status alone.
    assert_eq!(open.send(get("/api/experimental/test")).status, 200);
    let claims = token::read(forwarded(&upstream).header("authorization").unwrap());
    assert_eq!((&claims["sub"], &claims["role"]), (&json!("anon"), &json!("viewer")));
    upstream.forget();
    for wrong in [
        get("/api/experimental/test").bearer("a.b.c"),
        get("/api/experimental/test").with("Authorization", "Basic ???"),
        get("/api/experimental/test").with("Cookie", "_token=a.b.c"),
    ] {
        assert!(matches!(open.send(wrong).status, 401 | 403), "a wrong credential still fails");
    }
    assert!(upstream.seen().is_empty());
}

// --- Browsers

#[test]
fn browsers_get_no_challenge_that_opens_a_window() {
    let upstream = Upstream::start();
    let airgate = with_key(&upstream, "");
    let bearer = "Bearer realm=\"Airflow\"";
    let basic = "Basic realm=\"Airflow\", charset=\"UTF-8\"";
    for (name, ask, challenges) in [
        ("a robot", get("/api/v2/config"), &[bearer, basic][..]),
        ("a page", get("/api/v2/config").with("Origin", "https://a.example"), &[bearer]),
        ("a script", get("/api/v2/config").with("X-Requested-With", "XMLHttpRequest"), &[bearer]),
        (
            "a wrong password in a script",
            get("/api/v2/config").with("Origin", "null").with("Authorization", "Basic ?"),
            &[bearer],
        ),
    ] {
        let answer = airgate.send(ask);
        assert_eq!((answer.status, answer.all("www-authenticate")), (401, challenges.to_vec()), "{name}");
    }
}

/// Browsers send cookies and Basic by themselves, on behalf of any page.
#[test]
fn a_foreign_page_changes_nothing_with_credentials_that_browsers_send_by_themselves() {
    let upstream = airflow();
    let airgate = with_key(&upstream, "[api]\naccess_control_allow_origins = \"https://ui.example\"\n");
    let own = format!("http://{}", airgate.address());
    let session = format!("_token={}", token::good("admin"));
    let cookie = |ask: Ask| ask.with("Cookie", &session);
    let basic = |ask: Ask| ask.basic("admin", "right");
    let bearer = |ask: Ask| ask.bearer(&token::good("admin"));
    type Credential<'a> = &'a dyn Fn(Ask) -> Ask;
    let ambient: [(&str, Credential<'_>); 2] = [("cookie", &cookie), ("Basic", &basic)];
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let rows: &[(&str, Headers<'_>, u16)] = &[
        ("no browser", &[], 200),
        ("our own page", &[("Origin", &own)], 200),
        (
            "a page that CORS allows",
            &[("Origin", "https://ui.example"), ("Sec-Fetch-Site", "cross-site")],
            200,
        ),
        ("a foreign page", &[("Origin", "https://evil.example")], 403),
        ("a foreign page, spelled like ours", &[("Origin", "http://127.0.0.1")], 403),
        ("a page without an origin", &[("Origin", "null")], 403),
        ("a form of another site", &[("Sec-Fetch-Site", "cross-site")], 403),
        ("a form of another host of ours", &[("Sec-Fetch-Site", "same-site")], 403),
        ("a form of ours", &[("Sec-Fetch-Site", "same-origin")], 200),
        ("typed in", &[("Sec-Fetch-Site", "none")], 200),
    ];
    for (credential, with) in ambient {
        for (name, headers, status) in rows {
            for change in [
                post("/api/v2/pools").body("{}"),
                delete("/api/v2/pools/a"),
                ask("PATCH", "/api/v2/pools/a").body("{}"),
            ] {
                upstream.forget();
                let ask = headers.iter().fold(with(change), |ask, (name, value)| ask.with(name, value));
                let answer = airgate.send(ask);
                assert_eq!(answer.status, *status, "{credential}, {name}");
                let sent = upstream.seen().iter().any(|seen| seen.target.starts_with("/api/"));
                assert_eq!(sent, *status == 200, "{credential}, {name}");
            }
            let read =
                headers.iter().fold(with(get("/api/v2/config")), |ask, (name, value)| ask.with(name, value));
            assert_eq!(airgate.send(read).status, 200, "{credential}, {name}: reading");
        }
    }
    for (name, headers, _) in rows {
        let change = headers
            .iter()
            .fold(bearer(post("/api/v2/pools").body("{}")), |ask, (name, value)| ask.with(name, value));
        assert_eq!(airgate.send(change).status, 200, "Bearer, {name}");
    }
    let foreign = basic(post("/auth/token")).with("Origin", "https://evil.example");
    assert_eq!(airgate.send(foreign).status, 403, "nor does it get a token");
}

// --- Guessing

#[test]
fn too_many_failures_lock_out_and_spare_who_is_known() {
    let upstream = airflow();
    let airgate = with_key(&upstream, "[lockout]\nattempts = 3\nduration = \"1h\"\n");
    let with = |user: &str, password: &str| airgate.send(get("/api/v2/config").basic(user, password));
    assert_eq!(with("admin", "right").status, 200);
    for guess in ["a", "b", "c"] {
        assert_eq!(with("admin", guess).status, 401);
        assert_eq!(with("nobody", guess).status, 401);
    }
    upstream.forget();
    for (name, answer) in [
        ("a user", with("admin", "wrong")),
        ("who does not exist", with("nobody", "wrong")),
        ("however it is written", with("ADMIN ", "wrong")),
        ("a right password that is not known yet", with("nobody", "right")),
        (
            "the token endpoint",
            airgate.send(post("/auth/token").json(json!({ "username": "admin", "password": "wrong" }))),
        ),
        (
            "the other one",
            airgate.send(post("/auth/token/cli").json(json!({ "username": "admin", "password": "right" }))),
        ),
    ] {
        assert_eq!(answer.told(), (429, r#"{"detail":"Too many failed log-ins"}"#.into()), "{name}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((3500..=3600).contains(&wait), "{name}: {wait}");
    }
    assert!(upstream.seen().is_empty(), "Airflow is not asked");
    assert_eq!(with("admin", "right").status, 200, "a known credential is not locked out");
    assert_eq!(airgate.send(get("/api/v2/config").bearer(&token::good("admin"))).status, 200);
    assert_eq!(with("another", "right").status, 200);
    airgate.counts("airgate_lockouts_total", 6.0);
    airgate.logs("\"event\":\"locked_out\"");
}

#[test]
fn lock_outs_count_the_address_that_a_trusted_proxy_vouches_for() {
    let upstream = airflow();
    let airgate = with_key(&upstream, "[lockout]\nattempts = 2\n[server]\ntrusted_proxies = \"127.0.0.1\"\n");
    let from = |address: &str, password: &str| {
        airgate.send(get("/api/v2/config").basic("admin", password).with("X-Forwarded-For", address)).status
    };
    assert_eq!([from("203.0.113.7", "a"), from("203.0.113.8", "b")], [401, 401]);
    assert_eq!(from("203.0.113.9", "right"), 429, "the same network");
    assert_eq!(from("6.6.6.6, 203.0.113.9", "right"), 429, "a forged address on the left");
    assert_eq!(from("198.51.100.7", "right"), 200, "another network");
}

/// Over a real Unix socket: nginx's `proxy_pass http://unix:…` of another machine's clients.
#[test]
fn a_proxy_on_a_unix_socket_is_believed_where_it_is_trusted() {
    let upstream = airflow();
    for (name, trusted, sent, proto, by, elsewhere) in [
        ("trusted", "unix", &["6.6.6.6, 203.0.113.7"][..], "https", Some("203.0.113.7"), 200),
        ("not trusted", "", &[][..], "http", None, 429),
        ("another is trusted", "10.0.0.0/8", &[][..], "http", None, 429),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("airgate.sock");
        let airgate = Airgate::with(format!(
            "[server]\ntrusted_proxies = \"{trusted}\"\n[lockout]\nattempts = 2\n\
             [upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n",
            upstream.url()
        ))
        .arg("--set")
        .arg(&format!("server.listen=127.0.0.1:0,unix:{}", path.display()))
        .start();
        let asks = |ask: &Ask| {
            let mut wire = std::os::unix::net::UnixStream::connect(&path).unwrap();
            std::io::Write::write_all(&mut wire, &ask.bytes(airgate.address())).unwrap();
            read_answer(&mut std::io::BufReader::new(&wire), "GET").unwrap()
        };
        upstream.forget();
        let ask = get("/api/v2/config").with("X-Forwarded-For", "6.6.6.6, 203.0.113.7");
        let ask = ask.with("X-Forwarded-Proto", "https").bearer(&token::good("admin"));
        let answered = asks(&ask);
        assert_eq!(answered.status, 200, "{name}");
        let seen = forwarded(&upstream);
        assert_eq!(seen.all("x-forwarded-for"), sent, "{name}");
        assert_eq!(seen.all("x-forwarded-proto"), [proto], "{name}");
        let line = airgate.access(answered.header("x-request-id").unwrap());
        assert_eq!(line.get("peer").and_then(|peer| peer.as_str()), by, "{name}: {line}");
        // Who trusts the socket trusts nobody else.
        upstream.forget();
        assert_eq!(airgate.send(ask).status, 200, "{name}");
        assert_eq!(forwarded(&upstream).all("x-forwarded-for"), ["127.0.0.1"], "{name}");

        let from = |address: &str, password: &str| {
            asks(&get("/api/v2/config").basic("admin", password).with("X-Forwarded-For", address)).status
        };
        assert_eq!([from("203.0.113.7", "a"), from("203.0.113.8", "b")], [401, 401], "{name}");
        assert_eq!(from("203.0.113.9", "right"), 429, "{name}: the same network");
        assert_eq!(from("198.51.100.7", "right"), elsewhere, "{name}: another network");
    }
}

/// What is cached is good for as long as the file says so, and no `cache_ttl` longer.
#[test]
fn a_password_that_is_changed_or_removed_in_the_file_is_forgotten_at_once() {
    let upstream = Upstream::start();
    let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
    let file = |users: &[(&str, &str)]| {
        users.iter().map(|(name, password)| format!("{name}:{}\n", hash(password))).collect::<String>()
    };
    let airgate = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
         [basic]\nsources = \"file\"\nusers_file = \"users\"\ncache_ttl = \"1h\"\n\
         [core]\nsimple_auth_manager_users = \"ann:admin,bob:admin,eve:admin\"\n",
        upstream.url()
    ))
    .file("users", file(&[("ann", "old"), ("bob", "old"), ("eve", "old")]))
    .start();
    let status =
        |user: &str, password: &str| airgate.send(get("/api/v2/config").basic(user, password)).status;
    let users = ["ann", "bob", "eve"];
    assert_eq!(users.map(|user| status(user, "old")), [200; 3]);
    assert_eq!(users.map(|user| status(user, "old")), [200; 3], "from the cache");
    let new = airgate.home().join("new");
    std::fs::write(&new, file(&[("ann", "new"), ("eve", "old")])).unwrap();
    std::fs::rename(&new, airgate.home().join("users")).unwrap();
    // Asking with the new password would be counted as a failure until the file has been read.
    airgate.until("bob is gone", |_| status("bob", "old") != 200);
    assert_eq!([status("ann", "old"), status("ann", "new")], [401, 200]);
    assert_eq!(status("bob", "old"), 401);
    assert_eq!(status("eve", "old"), 200);
}
