//! A row of a file of recorded answers: what was asked, and what of the answer must be the same.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::support::client::{Answer, ask};

/// The headers that are compared line by line. `Vary` is compared as a set.
const COMPARED: [&str; 8] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
    "access-control-expose-headers",
    "content-type",
    "www-authenticate",
];

/// A recorded request and Airflow's answer to it.
pub struct Row(Value);

impl Row {
    /// The rows of a file with these groups, as Airflow was set up in a variant.
    pub fn read(file: &str, variant: &str, groups: &[&str]) -> Vec<Self> {
        let path = format!("{}/tests/goldens/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().map(|line| Self(serde_json::from_str(line).unwrap()));
        let asked = |row: &Self| row.0["variant"] == variant && row.0["request"].is_object();
        rows.filter(|row| asked(row) && groups.contains(&row.group())).collect()
    }

    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    fn group(&self) -> &str {
        self.name().split('.').next().unwrap()
    }

    /// Whether the request can be sent again: not where the record is cut, or holds a token that was
    /// only good in the second it was recorded in.
    pub fn is_replayable(&self) -> bool {
        self.0["replayable"] == true
    }

    /// Has it asked, now that it has a token that lives.
    pub fn is_now_replayable(&mut self) {
        self.0["replayable"] = true.into();
    }

    /// How the tokens were got that stand in the request by names such as `<airflow:viewer>`.
    pub fn recipes(&self) -> Vec<(String, Value)> {
        let recipes = self.0["tokens"].as_object().into_iter().flatten();
        recipes.map(|(name, recipe)| (name.clone(), recipe.clone())).collect()
    }

    /// What the administrator of Keycloak was told before: method, path below the realm, and body.
    pub fn before(&self) -> Vec<(String, String, Value)> {
        let calls = self.0["before"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        calls.map(|call| (text(&call[0]), text(&call[1]), call[2].clone())).collect()
    }

    /// Changes the texts of the request (header values, and the body), and those of the answer, which repeats them.
    pub fn change(&mut self, change: impl Fn(&str) -> String) {
        each_text(&mut self.0["response"]["body"], &change);
        each_text(&mut self.0["tokens"], &change);
        let request = &mut self.0["request"];
        if let Some(Value::String(body)) = request.get_mut("body") {
            *body = change(body);
        }
        for header in request["headers"].as_array_mut().into_iter().flatten() {
            if let Value::String(text) = &mut header[1] {
                *text = change(text);
            }
        }
    }

    /// Airflow's status.
    pub fn status(&self) -> u64 {
        self.0["response"]["status"].as_u64().unwrap()
    }

    /// Whether the request has what a browser's page sends.
    pub fn is_of_a_browser(&self) -> bool {
        let headers = self.0["request"]["headers"].as_array().unwrap();
        headers
            .iter()
            .any(|header| header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("origin")))
    }

    /// Whether a browser asks first (Fetch, "CORS-preflight request").
    pub fn is_preflight(&self) -> bool {
        let headers = self.0["request"]["headers"].as_array().unwrap();
        let asks = |header: &Value| {
            header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("access-control-request-method"))
        };
        self.0["request"]["method"] == "OPTIONS" && headers.iter().any(asks)
    }

    /// The origin of the page that asks.
    pub fn origin(&self) -> Option<&str> {
        let headers = self.0["request"]["headers"].as_array().unwrap();
        let is_origin =
            |header: &&Value| header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("origin"));
        headers.iter().find(is_origin).and_then(|header| header[1].as_str())
    }

    /// Whether the request has a user name and a password.
    pub fn offers_a_password(&self) -> bool {
        let headers = self.0["request"]["headers"].as_array().unwrap();
        headers.iter().any(|header| header[1].as_str().is_some_and(|value| value.starts_with("Basic ")))
    }

    /// Airflow's answer, short enough to be shown.
    pub fn shown(&self) -> String {
        let response = &self.0["response"];
        let body: String = response["body"].to_string().chars().take(300).collect();
        format!("{} {} {body}", response["status"], response["headers"])
    }

    /// Sends the recorded request.
    pub fn ask(&self, to: SocketAddr) -> std::io::Result<Answer> {
        self.ask_for(to, self.0["request"]["path"].as_str().unwrap())
    }

    /// Likewise, for another path.
    pub fn ask_for(&self, to: SocketAddr, path: &str) -> std::io::Result<Answer> {
        let request = &self.0["request"];
        // An absolute form names the server that it was recorded at.
        let own = ["18080", "18081", "18082"].map(|port| format!("http://127.0.0.1:{port}/"));
        let path = own.iter().fold(path.to_owned(), |path, own| path.replace(own, &format!("http://{to}/")));
        let mut ask = ask(request["method"].as_str().unwrap(), latin1(&path));
        for header in request["headers"].as_array().unwrap() {
            ask = ask.with(header[0].as_str().unwrap(), latin1(header[1].as_str().unwrap()));
        }
        if let Some(body) = request["body"].as_str() {
            ask = ask.body(body);
        } else if let Some(body) = request["body_b64"].as_str() {
            ask = ask.body(STANDARD.decode(body).unwrap());
        }
        ask.try_send(to)
    }

    /// How many items the answer lists, where it is a list.
    pub fn items(&self, answer: &Answer) -> Option<usize> {
        let body: Value = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)?;
        let lists = body
            .as_array()
            .into_iter()
            .chain(body.as_object().into_iter().flatten().filter_map(|(_, v)| v.as_array()));
        lists.map(Vec::len).max()
    }

    /// What differs, by name. Lists are compared by count and names, tokens by claims and life.
    pub fn differences(&self, answer: &Answer) -> Vec<&'static str> {
        let recorded = |name: &str| -> Vec<&str> {
            let lines = self.0["response"]["headers"][name].as_array();
            lines.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
        };
        let mut found = Vec::new();
        if self.status() != u64::from(answer.status) {
            found.push("status");
        }
        found.extend(COMPARED.iter().filter(|name| recorded(name) != answer.all(name)));
        // Lists of names, whose order Flask leaves to chance.
        let differ = |name: &&&str| names(&recorded(name)) != names(&answer.all(name));
        found.extend(["allow", "vary"].iter().filter(differ));
        if !self.has_same_body(answer) {
            found.push("body");
        }
        found
    }

    fn has_same_body(&self, answer: &Answer) -> bool {
        let (recorded, derived) = (&self.0["response"]["body"], &self.0["derived"]);
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if let Some(count) = derived["n_items"].as_u64() {
            // What is inside a compressed list is Airflow's affair.
            let compressed = answer.header("content-encoding").is_some();
            let items = derived["list_key"].as_str().map_or(&body, |key| &body[key]).as_array();
            let same = |list: &Vec<Value>| list.len() as u64 == count && has_names(list, &derived["names"]);
            return compressed || items.is_some_and(same);
        }
        match recorded {
            Value::Null => answer.body.is_empty(),
            // Pages, and the description of the API: the record has only their beginning.
            Value::String(text) => {
                let is_page = text.trim_start().starts_with('<');
                let begins = |text: &str| -> String {
                    // JSON was written down with other spaces than it had.
                    let kept = |c: &char| is_page || !c.is_whitespace();
                    without_ports(text).chars().filter(kept).take(200).collect()
                };
                begins(&answer.text()).starts_with(&begins(text))
            }
            // The record says what the token had in it.
            Value::Object(object) if object.get("access_token").is_some_and(|token| token == "<jwt>") => {
                let mut claims_then = derived["jwt_claims"].clone();
                without_what_differs(&mut claims_then);
                claims_then["life"] = derived["ttl"].clone();
                claims(&body) == Some((derived["jwt_header"].clone(), claims_then))
            }
            Value::Object(object) if object.contains_key("access_token") => {
                claims(recorded).is_some() && claims(recorded) == claims(&body)
            }
            // Heartbeats have times.
            Value::Object(object) if object.contains_key("metadatabase") => {
                body["metadatabase"] == recorded["metadatabase"]
            }
            Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_) => {
                let [mut body, mut recorded] = [body, recorded.clone()];
                each_text(&mut body, &without_id);
                each_text(&mut recorded, &without_id);
                body == recorded
            }
        }
    }
}

/// A text without the id by which Airflow's log has the error.
fn without_id(text: &str) -> String {
    let (before, id) = text.rsplit_once(" when you look for ID ").unwrap_or((text, ""));
    if id.len() == 8 { before.to_owned() } else { text.to_owned() }
}

/// The record has bytes as the characters of the same number.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// A text that does not tell where the server listens: redirects name it.
fn without_ports(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// The members of a list that has any order.
fn names(lines: &[&str]) -> Vec<String> {
    let members = lines.iter().flat_map(|line| line.split(','));
    let mut names: Vec<String> = members.map(|name| name.trim().to_ascii_lowercase()).collect();
    names.sort();
    names
}

fn has_names(items: &[Value], names: &Value) -> bool {
    let Some(names) = names.as_array() else { return true };
    let mut named = items.iter().zip(names).filter(|(_, name)| !name.is_null());
    named.all(|(item, name)| item.as_object().is_some_and(|item| item.values().any(|value| value == name)))
}

/// What a token says, but for what differs in each: its id and its times. Its life counts.
fn claims(body: &Value) -> Option<(Value, Value)> {
    let parts: Vec<Value> = body["access_token"]
        .as_str()?
        .split('.')
        .take(2)
        .filter_map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok())
        .collect();
    let [header, claims] = <[Value; 2]>::try_from(parts).ok()?;
    let mut claims = claims;
    let life = claims["exp"].as_i64()? - claims["iat"].as_i64()?;
    without_what_differs(&mut claims);
    claims["life"] = life.into();
    Some((header, claims))
}

/// Takes away what differs in each token. Of Keycloak's tokens inside it counts that they are there.
fn without_what_differs(claims: &mut Value) {
    for name in ["jti", "exp", "iat", "nbf", "csrf"] {
        claims[name].take();
    }
    for name in ["access_token", "refresh_token"] {
        if let Some(Value::String(token)) = claims.get_mut(name) {
            *token = "<jwt>".to_owned();
        }
    }
}

fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(members) => members.values_mut().for_each(|item| each_text(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
