//! What a page of another origin may ask and read, as a browser has it.

use serde_json::{Value, json};

use super::site;
use crate::support::airflow::Variant;
use crate::support::browser::Browser;
use crate::support::token::{self, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Upstream, post};

/// Headers that a page may read of any answer that it may read (Fetch, "CORS-safelisted response-header name").
const SAFE: [&str; 7] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
];

/// Airflow, with a policy of its own that must not get through, and a page that sets its cookie.
fn airflow() -> Upstream {
    Upstream::answering(|seen| {
        let own =
            [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*"), ("X-Own", "1")];
        let status = seen.target.rsplit('-').next().and_then(|status| status.parse().ok());
        match (&*seen.method, status) {
            ("GET", _) if seen.target == "/log-in" => {
                let cookie = format!("_token={}; Path=/; HttpOnly", token::good("admin"));
                answer(200, &[("Content-Type", "text/html"), ("Set-Cookie", &cookie)], "<!doctype html>")
            }
            (_, Some(502)) => Vec::new(),
            (_, Some(status)) => answer(status, &own, r#"{"detail":"Airflow's"}"#),
            (_, None) => answer(200, &own, "{}"),
        }
    })
}

/// airgate with this list of origins.
fn before(upstream: &Upstream, origins: &str) -> Airgate {
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nother_routes = \"ui\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n[basic]\nsources = [\"file\"]\n[core]\n\
             simple_auth_manager_users = \"admin:admin\"\nsimple_auth_manager_passwords_file = \"passwords.json\"\n\
             [api]\naccess_control_allow_origins = {origins}\naccess_control_allow_methods = \"GET,POST,PATCH\"\n\
             access_control_allow_headers = \"authorization, content-type\"\n[limits]\nmax_body = 1000\n",
        upstream.url()
    );
    Airgate::with(config).file("passwords.json", r#"{"admin": "admin-pw"}"#).start()
}

/// What comes of a request of a page: the status and the body, or that it may not ask or may not read.
fn fetch(browser: &mut Browser, url: &str, how: &Value) -> Value {
    let asked = format!(
        "fetch('{url}', {how}).then(async a => ({{status: a.status, body: await a.text(), \
         headers: [...a.headers.keys()]}}), refused => String(refused))"
    );
    browser.run(&asked)
}

struct Row {
    name: &'static str,
    path: &'static str,
    how: Value,
    /// The status and a part of the body that an allowed page reads; `None` where it may not ask at all.
    reads: Option<(u16, &'static str)>,
    /// Whether the browser asks first.
    preflighted: bool,
}

fn rows() -> Vec<Row> {
    let row = |name, path, how, reads, preflighted| Row { name, path, how, reads, preflighted };
    let bearer = || json!({"Authorization": format!("Bearer {}", token::good("admin"))});
    let typed = json!({"Content-Type": "application/json"});
    let cookie = || json!({"credentials": "include"});
    let with = |headers: Value| json!({"credentials": "include", "headers": headers});
    let posts = |headers: Value, body: &str| json!({"method": "POST", "credentials": "include", "headers": headers, "body": body});
    vec![
        row("200, by cookie", "/api/v2/pools/cookie-200", cookie(), Some((200, "Airflow's")), false),
        row("200, by token", "/api/v2/pools/token-200", with(bearer()), Some((200, "Airflow's")), true),
        row("200, a list that is filled in", "/api/v2/pools", cookie(), Some((200, "{}")), false),
        row(
            "200, a change",
            "/api/v2/pools/post-200",
            posts(typed.clone(), "{}"),
            Some((200, "Airflow's")),
            true,
        ),
        row(
            "200, a method that needs asking for",
            "/api/v2/pools/patch-200",
            json!({"method": "PATCH", "credentials": "include"}),
            Some((200, "Airflow's")),
            true,
        ),
        row("200, open", "/api/v2/version", json!({"credentials": "omit"}), Some((200, "{}")), false),
        row("200, of the user interface", "/ui/config-200", cookie(), Some((200, "Airflow's")), false),
        row(
            "401, airgate's",
            "/api/v2/pools/x-200",
            json!({"credentials": "omit"}),
            Some((401, "Not authenticated")),
            false,
        ),
        row("401, Airflow's", "/api/v2/pools/y-401", with(bearer()), Some((401, "Airflow's")), true),
        row(
            "403, airgate's",
            "/api/v2/pools/z-200",
            with(json!({"Authorization": "Bearer x"})),
            Some((403, "Invalid JWT token")),
            true,
        ),
        row("403, Airflow's", "/api/v2/pools/a-403", cookie(), Some((403, "Airflow's")), false),
        row("404, airgate's", "/execution/x", cookie(), Some((404, "other_routes")), false),
        row("404, Airflow's", "/api/v2/pools/b-404", cookie(), Some((404, "Airflow's")), false),
        row("400, airgate's", "/api/v2//pools", cookie(), Some((400, "detail")), false),
        row(
            "413, airgate's",
            "/auth/token",
            posts(typed.clone(), &"x".repeat(2000)),
            Some((413, "too large")),
            true,
        ),
        row(
            "413, a list",
            "/api/v2/dags/~/dagRuns/list",
            posts(typed.clone(), &" ".repeat(2000)),
            Some((413, "too large")),
            true,
        ),
        row("413, Airflow's", "/api/v2/pools/c-413", cookie(), Some((413, "Airflow's")), false),
        row("422, airgate's", "/auth/token/cli", posts(typed.clone(), "{}"), Some((422, "missing")), true),
        row(
            "201, a token",
            "/auth/token",
            posts(typed, r#"{"username": "admin", "password": "admin-pw"}"#),
            Some((201, "access_token")),
            true,
        ),
        row("502, airgate's", "/api/v2/pools/d-502", cookie(), Some((502, "cannot be reached")), false),
        row(
            "502, a change",
            "/api/v2/pools/e-502",
            posts(bearer(), "{}"),
            Some((502, "cannot be reached")),
            true,
        ),
        row(
            "a method that is not allowed",
            "/api/v2/pools/f-200",
            json!({"method": "DELETE", "credentials": "include"}),
            None,
            true,
        ),
        row("a header that is not allowed", "/api/v2/pools/g-200", with(json!({"X-Own": "1"})), None, true),
        row(
            "a type that needs asking for, on a method that is not allowed",
            "/api/v2/pools/h-200",
            json!({"method": "PUT", "headers": {"Content-Type": "application/json"}}),
            None,
            true,
        ),
    ]
}

#[test]
fn a_page_reads_what_the_configuration_allows() {
    let upstream = airflow();
    let (allowed, also_allowed, foreign) = (site(), site(), site());
    let (one, two) = (allowed.url(), also_allowed.url());
    let mut browser = Browser::start();
    for (separator, origins) in [
        ("commas", format!("\"{one},{two}\"")),
        ("commas and spaces", format!("\" {one}, {two} \"")),
        ("spaces", format!("\"{one} {two}\"")),
        ("a list", format!("[\"{one}\", \"{two}\"]")),
    ] {
        let gate = before(&upstream, &origins);
        browser.open(&format!("{}/log-in", gate.url()));
        for (page, site) in
            [("the first", &allowed), ("the second", &also_allowed), ("a foreign one", &foreign)]
        {
            browser.open(&format!("{}/", site.url()));
            let is_allowed = page != "a foreign one";
            // Both of Airflow's separators in full.
            let all = rows();
            let count = if matches!(separator, "commas" | "spaces") { all.len() } else { 2 };
            for row in all.into_iter().take(count) {
                let at = format!("{separator}, {page}: {}", row.name);
                upstream.forget();
                let url = format!("{}{}", gate.url(), row.path);
                let read = fetch(&mut browser, &url, &row.how);
                match row.reads.filter(|_| is_allowed) {
                    Some((status, text)) => {
                        assert_eq!(read["status"], status, "{at}: {read}\n{}", gate.log());
                        assert!(read["body"].as_str().unwrap().contains(text), "{at}: {read}");
                        let headers = read["headers"].as_array().unwrap();
                        let safe = |name: &Value| SAFE.contains(&name.as_str().unwrap());
                        assert!(headers.iter().all(safe) && !headers.is_empty(), "{at}: {read}");
                    }
                    None => {
                        assert_eq!(read, "TypeError: Failed to fetch", "{at}");
                        let came = upstream.seen();
                        assert!(!row.preflighted || came.is_empty(), "{at}: {came:?}");
                    }
                }
            }
        }
    }
}

/// Without any origin nothing is allowed, and Airflow's own policy decides.
#[test]
fn without_origins_airflows_policy_is_in_force() {
    let upstream = airflow();
    let page = site();
    let gate = before(&upstream, "\"\"");
    let mut browser = Browser::start();
    browser.open(&format!("{}/", page.url()));
    let without = json!({"credentials": "omit"});
    let read = fetch(&mut browser, &format!("{}/api/v2/version", gate.url()), &without);
    assert_eq!(read["status"], 200, "{read}");
    let read = fetch(&mut browser, &format!("{}/api/v2/pools", gate.url()), &without);
    assert_eq!(read, "TypeError: Failed to fetch", "airgate's own 401 names no origin");
    let read =
        fetch(&mut browser, &format!("{}/api/v2/version", gate.url()), &json!({"credentials": "include"}));
    assert_eq!(read, "TypeError: Failed to fetch", "`*` is not for credentials");
}

/// The judge is Airflow: a page is told by airgate what Airflow itself tells it.
#[test]
#[ignore = "starts an Airflow of its own: make test-all"]
fn a_page_reads_of_airgate_what_it_reads_of_airflow() {
    let (allowed, foreign) = (site(), site());
    let options = [
        ("AIRFLOW__API__ACCESS_CONTROL_ALLOW_ORIGINS", allowed.url()),
        ("AIRFLOW__API__ACCESS_CONTROL_ALLOW_METHODS", "GET,POST,PATCH".into()),
        ("AIRFLOW__API__ACCESS_CONTROL_ALLOW_HEADERS", "authorization,content-type".into()),
    ];
    let given = options.clone().map(|(name, value)| format!("{name}={value}"));
    let airflow = Variant::start("simple-browser", &given.each_ref().map(String::as_str));
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n[basic]\nsources = [\"file\"]\n[lockout]\nattempts = 0\n\
         [api]\nenable_experimental_api = true\n",
        airflow.url,
        airflow.config().display()
    );
    let gate =
        options.iter().fold(Airgate::with(config), |gate, (name, value)| gate.env(name, value)).start();
    let log_in = json!({"username": "admin", "password": "admin-pw"});
    let token = gate.send(post("/auth/token").json(log_in.clone())).token();
    let bearer = |more: Value| {
        let mut how =
            json!({"credentials": "include", "headers": {"Authorization": format!("Bearer {token}")}});
        let both = how.as_object_mut().unwrap();
        both.extend(more.as_object().unwrap().clone());
        how
    };
    let posts = |body: Value| {
        let headers = json!({"Content-Type": "application/json"});
        json!({"method": "POST", "credentials": "include", "headers": headers, "body": body.to_string()})
    };
    let rows = [
        ("200, open", "/api/v2/version", json!({"credentials": "include"})),
        ("200", "/api/v2/pools?limit=1", bearer(json!({}))),
        ("401", "/api/v2/pools?limit=1", json!({"credentials": "omit"})),
        ("403", "/api/v2/pools?limit=1", json!({"headers": {"Authorization": "Bearer x"}})),
        ("404", "/api/v2/pools/nope", bearer(json!({}))),
        (
            "a method that needs asking for",
            "/api/v2/pools/nope",
            bearer(json!({"method": "PATCH", "body": "{}"})),
        ),
        ("422", "/api/v2/dags?limit=abc", bearer(json!({}))),
        ("a list", "/api/v2/dags/~/dagRuns/list", posts(json!({"page_limit": 2}))),
        ("a wrong password", "/auth/token", posts(json!({"username": "admin", "password": "x"}))),
        ("no password", "/auth/token", posts(json!({}))),
        ("a method that is not allowed", "/api/v2/pools/x", bearer(json!({"method": "DELETE"}))),
        ("a header that is not allowed", "/api/v2/pools", json!({"headers": {"X-Own": "1"}})),
    ];
    let mut browser = Browser::start();
    let mut read = 0;
    for (page, site) in [("allowed", &allowed), ("foreign", &foreign)] {
        browser.open(&format!("{}/", site.url()));
        for (name, path, how) in &rows {
            let told = [airflow.url.clone(), gate.url()].map(|base| {
                let mut told = fetch(&mut browser, &format!("{base}{path}"), how);
                // Airflow's server leaves some lengths out.
                if let Some(told) = told.as_object_mut() {
                    told.remove("headers");
                }
                told
            });
            assert_eq!(told[0], told[1], "{page}: {name}");
            read += usize::from(told[0]["status"].is_number());
        }
    }
    assert_eq!(read, rows.len() - 2, "an allowed page reads all that it may ask, and a foreign one nothing");
    // Airflow 2's APIs, which Airflow 3 does not have: by the same rules, whoever answers.
    for (page, site) in [("allowed", &allowed), ("foreign", &foreign)] {
        browser.open(&format!("{}/", site.url()));
        for (path, how, status) in [
            ("/api/v1/pools?limit=1", bearer(json!({})), 200),
            ("/api/v1/pools?limot=1", bearer(json!({})), 400),
            ("/api/v1/pools/nope", bearer(json!({})), 404),
            ("/api/v1/pools", json!({"credentials": "omit"}), 401),
            ("/api/experimental/pools", bearer(json!({})), 200),
            ("/api/experimental/pools/nope", bearer(json!({})), 404),
            ("/api/experimental/pools", json!({"credentials": "omit"}), 401),
        ] {
            let told = fetch(&mut browser, &format!("{}{path}", gate.url()), &how);
            if page == "allowed" {
                assert_eq!(told["status"], status, "{path}: {told}");
            } else {
                assert_eq!(told, "TypeError: Failed to fetch", "{path}");
            }
        }
    }
}
