//! A ticket in a browser: Chromium, which is told whom it may show tickets to.

use serde_json::{Value, json};

use super::{before_airflow, keytab, localhost, with_keytab};
use crate::support::browser::Browser;
use crate::support::kdc::{Tickets, kdc};
use crate::support::upstream::answer;
use crate::support::{Airgate, Upstream};

/// A browser that shows these tickets to `localhost`.
fn browser(tickets: &Tickets) -> Browser {
    Browser::with(&["--auth-server-allowlist=localhost"], &tickets.variables())
}

/// What a page shows. The first challenge of its life a browser only takes note of, so it goes there twice.
fn shown(browser: &mut Browser, url: &str) -> String {
    browser.open(url);
    browser.open(url);
    browser.run("document.body.innerText").as_str().unwrap().to_owned()
}

/// The status that a page's script is told.
fn fetched(browser: &mut Browser, url: &str, how: &Value) -> Value {
    browser.run(&format!("fetch('{url}', {how}).then(a => a.status, refused => String(refused))"))
}

#[test]
fn a_browser_logs_in_with_its_ticket() {
    let gate = before_airflow(&keytab("http.keytab")).start();
    let pools = localhost(&gate, "/api/v2/pools");
    let viewer = kdc().log_in("viewer");
    let mut browser = browser(&viewer);
    let text = shown(&mut browser, &pools);
    assert!(text.contains("default_pool"), "{text}\n{}", gate.log());
    assert_eq!(gate.access("\"user\":\"kerberos:viewer\"")["status"], 200);
    // A script of the same site reads with the ticket, too.
    assert_eq!(fetched(&mut browser, &localhost(&gate, "/api/v2/pools?limit=1"), &json!({})), 200);

    for (name, mut browser) in [
        ("shown to nobody", Browser::with(&[], &viewer.variables())),
        ("no ticket", Browser::with(&["--auth-server-allowlist=localhost"], &viewer.variables()[..1])),
    ] {
        let text = shown(&mut browser, &pools);
        assert!(text.contains("Not authenticated"), "{name}: {text}");
    }
    let nobody = kdc().log_in("alice");
    let text = shown(&mut self::browser(&nobody), &pools);
    assert!(text.contains("The user is not known to Airflow"), "{text}");
}

/// Tickets go along by themselves, wherever the page is from that asks: nothing is changed so.
#[test]
fn a_foreign_page_changes_nothing_with_a_ticket() {
    let page = Upstream::answering(|_| {
        answer(200, &[("Content-Type", "text/html")], "<!doctype html><title>page</title>")
    });
    let gate = with_keytab("http.keytab", "").start();
    let viewer = kdc().log_in("viewer");
    let mut browser = browser(&viewer);
    assert_eq!(
        shown(&mut browser, &localhost(&gate, "/api/v2/pools/known")),
        "{}",
        "the browser has a ticket"
    );
    browser.open(&page.url());
    let change = |name: &str| localhost(&gate, &format!("/api/v2/pools/{name}"));
    let how = json!({"method": "POST", "mode": "no-cors", "credentials": "include", "body": "x"});
    fetched(&mut browser, &change("by-a-script"), &how);
    refused(&gate, "by-a-script");
    let form = format!(
        "const form = document.createElement('form'); form.method = 'post'; form.action = '{}';\
         document.body.append(form); form.submit()",
        change("by-a-form")
    );
    browser.run(&form);
    browser.arrives();
    refused(&gate, "by-a-form");
}

#[track_caller]
fn refused(gate: &Airgate, name: &str) {
    let line = gate.access(name);
    assert!(matches!(line["status"].as_u64(), Some(401 | 403)), "{line}");
}
