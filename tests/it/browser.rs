//! A foreign page changes nothing with what a browser sends by itself: in a real browser.

mod cors;

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::token::{self, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Upstream};

/// A page of some site.
fn site() -> Upstream {
    Upstream::answering(|_| {
        answer(200, &[("Content-Type", "text/html")], "<!doctype html><title>page</title>")
    })
}

/// Airflow with a page that sets its cookie, and with one user.
fn airflow() -> Upstream {
    Upstream::answering(|seen| match (&*seen.method, &*seen.target) {
        ("POST", "/auth/token") if String::from_utf8_lossy(&seen.body).contains("right") => {
            answer(201, &[], &json!({"access_token": token::good("admin")}).to_string())
        }
        ("POST", "/auth/token") => answer(401, &[], "{}"),
        ("GET", "/log-in") => {
            let cookie = format!("_token={}; Path=/; HttpOnly", token::good("admin"));
            answer(200, &[("Content-Type", "text/html"), ("Set-Cookie", &cookie)], "<!doctype html>")
        }
        ("GET", "/single-sign-on") => answer(
            200,
            &[("Content-Type", "text/html"), ("Set-Cookie", "sso=good; Path=/")],
            "<!doctype html>",
        ),
        ("GET", "/") => answer(200, &[("Content-Type", "text/html")], "<!doctype html>"),
        _ => answer(200, &[], "{}"),
    })
}

/// How a page has a browser make a change.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `fetch`, in the one mode that asks nobody first.
    Fetch,
    /// A form, which takes the whole tab along.
    Form,
}

fn change(browser: &mut Browser, url: &str, way: Way) {
    match way {
        Way::Fetch => {
            let asked = format!(
                "fetch('{url}', {{method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x'}})\
                 .then(() => 'asked')"
            );
            assert_eq!(browser.run(&asked), "asked", "{url}");
        }
        Way::Form => {
            let submit = format!(
                "const form = document.createElement('form'); form.method = 'post'; form.action = '{url}';\
                 document.body.append(form); form.submit()"
            );
            browser.run(&submit);
            browser.arrives();
        }
    }
}

/// Whose page asks, and whether the change is made.
struct Page {
    name: &'static str,
    url: String,
    passes: bool,
}

#[test]
fn a_foreign_page_changes_nothing() {
    let upstream = airflow();
    let service = Upstream::answering(|seen| match seen.header("cookie") {
        Some(cookie) if cookie.contains("sso=good") => answer(200, &[("X-Auth-User", "admin")], ""),
        Some(_) | None => answer(401, &[], ""),
    });
    let (same_host, other_host, allowed) = (site(), site(), site());
    let config = format!(
        "[gate]\nother_routes = \"all\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\n\
         simple_auth_manager_users = \"admin:admin\"\n[api]\naccess_control_allow_origins = \"{}\"\n\
         auth_backends = \"session, jwt, basic_auth, callout:corp\"\n[callout.corp]\nurl = \"{}\"\nheaders = \"Cookie\"\n",
        allowed.url(),
        service.url()
    );
    let gate = Airgate::before(&upstream.url(), &config);
    let host = gate.address().to_string();
    let localhost = |url: String| url.replace("127.0.0.1", "localhost");
    let pages = [
        Page { name: "another port", url: same_host.url(), passes: false },
        Page { name: "another host", url: localhost(other_host.url()), passes: false },
        Page { name: "an allowed origin", url: allowed.url(), passes: true },
        Page { name: "our own", url: gate.url(), passes: true },
    ];
    for (credential, log_in) in [
        ("basic", format!("http://admin:right@{host}/api/v2/pools/a")),
        ("cookie", format!("http://{host}/log-in")),
        ("callout", format!("http://{host}/single-sign-on")),
    ] {
        let mut browser = Browser::start();
        browser.open(&log_in);
        browser.open(&format!("http://{host}/api/v2/pools/known-{credential}"));
        assert_eq!(
            gate.access(&format!("known-{credential}"))["status"],
            200,
            "{credential}: it is remembered"
        );
        let mut refused = Vec::new();
        for page in &pages {
            for way in [Way::Fetch, Way::Form] {
                let at = format!("{credential}, {}, {way:?}", page.name);
                let pool = at.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
                browser.open(&format!("{}/", page.url));
                change(&mut browser, &format!("http://{host}/api/v2/pools/{pool}"), way);
                let line = gate.access(&pool);
                let reached = upstream.seen().iter().any(|seen| seen.target.contains(&pool));
                assert_eq!(reached, page.passes, "{at}: {line}");
                if page.passes {
                    assert_eq!(
                        line["user"].as_str().map(|user| user.ends_with(":admin")),
                        Some(true),
                        "{at}: {line}"
                    );
                } else {
                    assert!([401, 403].contains(&line["status"].as_u64().unwrap()), "{at}: {line}");
                    refused.extend((line["refused"] == "cross_site").then_some(at));
                }
            }
        }
        assert!(
            refused.len() > 1,
            "{credential}: else the browser sent nothing, and nothing is shown: {refused:?}"
        );
    }
}
