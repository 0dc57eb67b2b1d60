//! Live tokens in the place of those of the record, which have ended: each got as it was got then.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::row::Row;
use crate::support::keycloak::Realm;
use crate::support::{Airgate, post, token};

/// Rows that go on with the token of the row before them, whatever has become of it since.
const CONTINUED: &[&str] = &[
    "jwt-bearer.after-user-disabled",
    "jwt-bearer.after-user-enabled-again",
    "session.after-logout",
    "session.after-logout-pool",
    "session.after-logout-version",
    "session.one-session-deleted",
    "session.user-enabled-again",
];

/// The user whom the record logs out, disables and changes. Other tests need that one, so another one stands in.
const LEAVER: &str = "leaver";
const LEAVER_ID: &str = "00000000-0000-4000-8000-000000000010";

/// Gets tokens through an airgate and from its realm.
pub struct Live<'a> {
    gate: &'a Airgate,
    realm: &'a Realm<'a>,
    /// Who stands in.
    name: String,
    id: String,
    tokens: BTreeMap<String, String>,
}

impl<'a> Live<'a> {
    /// `suffix` tells those apart that are there at the same time.
    pub fn new(gate: &'a Airgate, realm: &'a Realm<'a>, suffix: &str) -> Self {
        let name = format!("stand-in-{}-{suffix}", std::process::id());
        let id = realm.new_user(&name, &["Viewer"]);
        Self { gate, realm, name, id, tokens: BTreeMap::new() }
    }

    /// Gives a row the tokens that it needs, and does to its user what was done then. Nothing that changes the realm for
    /// all is done again.
    pub fn prepare(&mut self, row: &mut Row) {
        let (recipes, before) = (row.recipes(), row.before());
        if recipes.is_empty() || before.iter().any(|(_, path, _)| path.is_empty()) {
            return;
        }
        for (name, recipe) in recipes {
            if !CONTINUED.contains(&row.name()) || !self.tokens.contains_key(&name) {
                let token = self.token(&recipe);
                self.tokens.insert(name, token);
            }
        }
        for (method, path, body) in before {
            self.administer(&method, &path, body);
        }
        row.change(|text| {
            self.tokens.iter().fold(text.to_owned(), |text, (name, token)| text.replace(name, token))
        });
        row.is_now_replayable();
    }

    fn token(&self, recipe: &Value) -> String {
        let recipe: Value = recipe.to_string().replace(LEAVER, &self.name).parse().unwrap();
        if let Some(body) = recipe.get("airflow") {
            let path = recipe["path"].as_str().unwrap_or("/auth/token");
            return self.gate.send(post(path).json(body.clone())).token();
        }
        let fields = recipe["keycloak"].as_object().unwrap();
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let given = self.realm.ask_token(&fields).json();
        given[recipe["field"].as_str().unwrap()].as_str().unwrap().to_owned()
    }

    fn administer(&self, method: &str, path: &str, body: Value) {
        let mut path = path.replace(LEAVER_ID, &self.id);
        if path.contains("<sid of the token>") {
            let inside = token::read(&self.tokens["<airflow:leaver>"])["access_token"].take();
            let sid = token::read(inside.as_str().unwrap())["sid"].take();
            path = path.replace("<sid of the token>", sid.as_str().unwrap());
        }
        if path.ends_with("/role-mappings/realm") {
            assert_eq!(body, json!([{ "name": "Viewer" }]));
            match method {
                "POST" => self.realm.grant(&self.id, &["Viewer"]),
                "DELETE" => self.realm.withdraw(&self.id, &["Viewer"]),
                _ => panic!("{method} {path}"),
            }
        } else {
            self.realm.api(method, &path, Some(body).filter(|body| !body.is_null()));
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.realm.api("DELETE", &format!("/users/{}", self.id), None);
    }
}
