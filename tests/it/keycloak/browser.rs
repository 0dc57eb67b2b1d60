//! The three cookies of Airflow's pages.

use std::net::SocketAddr;

use serde_json::json;

use super::{altered, before_keycloak, now};
use crate::support::keycloak::{self, form};
use crate::support::{Answer, get, post, token};

const POOLS: &str = "/api/v2/pools";

/// Cookies as a browser keeps them, for one host.
#[derive(Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn take(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !value.trim_matches('"').is_empty() {
                self.0.push((name.into(), value.into()));
            }
        }
    }

    fn get(&self, name: &str) -> String {
        self.0.iter().find(|(known, _)| known == name).unwrap().1.clone()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.into(), value.into()));
    }

    fn header(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

/// Host and target of a URL.
fn split(url: &str) -> (SocketAddr, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, target) = rest.split_once('/').unwrap();
    (host.parse().unwrap(), format!("/{target}"))
}

#[test]
fn cookies_pass_and_work() {
    let airgate = before_keycloak("other_routes = \"ui\"\n");
    let login = airgate.send(get("/auth/login"));
    assert!((300..400).contains(&login.status), "{:?}", login.told());
    let mut jar = Jar::default();
    jar.take(&login);
    let (keycloak, target) = split(login.header("location").unwrap());
    assert_eq!(keycloak, keycloak::shared().address());
    let page = get(target).send(keycloak);
    let mut at_keycloak = Jar::default();
    at_keycloak.take(&page);
    let text = page.text();
    let action = text.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let (_, target) = split(&action.replace("&amp;", "&"));
    let sent = post(target)
        .with("Cookie", at_keycloak.header())
        .with("Content-Type", "application/x-www-form-urlencoded")
        .body(form(&[("username", "viewer"), ("password", "viewer-pw")]))
        .send(keycloak);
    assert_eq!(sent.status, 302, "{}", sent.text());
    let (_, callback) = split(sent.header("location").unwrap());
    let back = airgate.send(get(callback).with("Cookie", jar.header()));
    jar.take(&back);
    let names: Vec<_> = jar.0.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["_token", "_access_token", "_refresh_token"] {
        assert!(names.contains(&name), "{names:?}: {:?}", back.told());
    }
    let read = airgate.send(get(POOLS).with("Cookie", jar.header()));
    assert_eq!(read.status, 200, "{}", read.text());
    // The access token has ended: Airflow renews it, and sets all three anew.
    let realm = keycloak::shared().airflow();
    let old = jar.get("_access_token");
    jar.set("_access_token", &altered(&realm, &old, json!({ "iat": now() - 900, "exp": now() - 600 })));
    let renewed = airgate.send(get(POOLS).with("Cookie", jar.header()));
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    jar.take(&renewed);
    assert!(token::read(&jar.get("_access_token"))["exp"].as_u64().unwrap() > now());
    assert_eq!(airgate.send(get(POOLS).with("Cookie", jar.header())).status, 200);
    // A page of somebody else's changes nothing with them.
    let foreign =
        post(POOLS).with("Cookie", jar.header()).with("Origin", "https://evil.example").json(json!({}));
    assert_eq!(airgate.send(foreign).status, 403);
}
