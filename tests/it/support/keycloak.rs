//! The real Keycloak, started by `tests/servers/keycloak.sh`, which lists its users and clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{Answer, Ask, ask, get, post};

/// A running Keycloak.
pub struct Keycloak {
    name: Option<String>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// `https://localhost:PORT`, with a certificate of an authority of its own.
    pub tls_url: String,
    ca: PathBuf,
}

/// Keycloak 26.7.3. Tests share it, and the realm `airflow`, which is that of [`super::airflow::keycloak`]: what changes
/// more than one user there belongs into [`Keycloak::realm_of_its_own`].
pub fn shared() -> &'static Keycloak {
    static ONE: OnceLock<Keycloak> = OnceLock::new();
    ONE.get_or_init(|| find("AIRGATE_TEST_KEYCLOAK", &[]))
}

/// Keycloak 26.5.6. Started by `make test-all`.
pub fn older() -> &'static Keycloak {
    static ONE: OnceLock<Keycloak> = OnceLock::new();
    ONE.get_or_init(|| find("AIRGATE_TEST_KEYCLOAK_26_5", &["--release", "26.5.6"]))
}

fn find(prefix: &str, options: &[&str]) -> Keycloak {
    let lines: Vec<_> = std::env::vars().filter(|(name, _)| name.starts_with(prefix)).collect();
    let lines = if lines.iter().any(|(name, _)| name == prefix) { lines } else { script("up", options) };
    Keycloak::new(None, prefix, &lines)
}

impl Keycloak {
    fn new(name: Option<String>, prefix: &str, lines: &[(String, String)]) -> Self {
        let value = |suffix: &str| {
            let name = format!("{prefix}{suffix}");
            lines.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone()).unwrap()
        };
        Self { name, url: value(""), tls_url: value("_TLS"), ca: value("_CA").into() }
    }

    /// One for a test that stops it. It ends with the test. Takes some ten seconds to start.
    pub fn of_its_own(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let lines = script("up", &["--name", &name]);
        Self::new(Some(name), "AIRGATE_TEST_KEYCLOAK", &lines)
    }

    /// Ends it.
    pub fn stop(&self) {
        script("down", &["--name", self.name.as_ref().expect("others use it")]);
    }

    /// Starts it again where it was, with what it knew, sessions included.
    pub fn start(&self) {
        script("up", &["--name", self.name.as_ref().expect("others use it")]);
    }

    /// Sends it a signal: `STOP` has it hang, until `CONT`.
    pub fn signal(&self, signal: &str) {
        let name = self.name.as_ref().expect("others use it");
        let text = std::fs::read_to_string(home(name).join("keycloak.pid")).unwrap();
        let group = format!("-{}", text.split_whitespace().next().unwrap());
        let sent = Command::new("kill").args([&format!("-{signal}"), "--", &group]).status().unwrap();
        assert!(sent.success());
    }

    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    /// The authority that vouches for [`Keycloak::tls_url`], in PEM.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// The realm `airflow`.
    pub fn airflow(&self) -> Realm<'_> {
        Realm { keycloak: self, name: "airflow".into(), own: false }
    }

    /// A new realm, with the users and clients of `airflow` (other ids, no permissions), changed as the test likes. It
    /// ends with the test.
    pub fn realm_of_its_own(&self, change: impl FnOnce(&mut Value)) -> Realm<'_> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{}-{number}", std::process::id());
        let mut realm = realm_file();
        realm["realm"] = json!(name);
        for user in realm["users"].as_array_mut().unwrap() {
            user.as_object_mut().unwrap().remove("id");
        }
        for client in realm["clients"].as_array_mut().unwrap() {
            let client = client.as_object_mut().unwrap();
            client.remove("authorizationSettings");
            client.remove("authorizationServicesEnabled");
        }
        // roles that the permissions of `airflow` had need of
        realm["roles"].as_object_mut().unwrap().remove("client");
        for user in realm["users"].as_array_mut().unwrap() {
            user.as_object_mut().unwrap().remove("clientRoles");
        }
        // the least work that it can be told to do for a password
        realm["passwordPolicy"] = json!("hashAlgorithm(pbkdf2-sha512) and hashIterations(1)");
        change(&mut realm);
        let made = self.administer("POST", "/admin/realms", Some(&realm));
        assert_eq!(made.status, 201, "{}", made.text());
        Realm { keycloak: self, name, own: true }
    }

    /// A call of the administration's REST API.
    fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let log_in = form(&[
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "kcadmin"),
            ("password", "kcadmin-pw"),
        ]);
        let token = log_in_at(self, "master", log_in).token();
        let ask = ask(method, path).bearer(&token);
        match body {
            Some(body) => ask.json(body.clone()),
            None => ask,
        }
        // a realm takes seconds to make, and a minute beside a compiler
        .send_and_wait(self.address(), Duration::from_secs(120))
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.signal("CONT");
            self.stop();
            let _ = std::fs::remove_dir_all(home(name));
        }
    }
}

/// A realm of a Keycloak. One of a test's own is deleted when it is dropped.
pub struct Realm<'a> {
    keycloak: &'a Keycloak,
    pub name: String,
    own: bool,
}

/// What a grant gave.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    /// None of a client's own.
    pub refresh: Option<String>,
}

impl Realm<'_> {
    /// Its `iss`, asked over plain HTTP.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.keycloak.url, self.name)
    }

    /// The realm's section for an airgate's configuration, with the client `airflow`.
    pub fn section(&self) -> String {
        format!(
            "[keycloak_auth_manager]\nserver_url = \"{}\"\nrealm = \"{}\"\nclient_id = \"airflow\"\n\
             client_secret = \"airflow-client-secret\"\n",
            self.keycloak.url, self.name
        )
    }

    /// A call of the administration's REST API, PATH below the realm, which must succeed. Its answer's body, if any.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer =
            self.keycloak.administer(method, &format!("/admin/realms/{}{path}", self.name), body.as_ref());
        assert!((200..300).contains(&answer.status), "{method} {path}: {:?}", answer.told());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// The answer of the token endpoint to a form.
    #[track_caller]
    pub fn ask_token(&self, fields: &[(&str, &str)]) -> Answer {
        log_in_at(self.keycloak, &self.name, form(fields))
    }

    #[track_caller]
    fn tokens(&self, fields: &[(&str, &str)]) -> Tokens {
        let answer = self.ask_token(fields);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let refresh = answer.json()["refresh_token"].as_str().map(str::to_owned);
        Tokens { access: answer.token(), refresh }
    }

    /// The tokens of a user, by the client `airflow`.
    #[track_caller]
    pub fn log_in(&self, user: &str, password: &str) -> Tokens {
        self.log_in_by("airflow", user, password)
    }

    /// The tokens of a user, by a client, whose secret is that of the fixtures.
    #[track_caller]
    pub fn log_in_by(&self, client: &str, user: &str, password: &str) -> Tokens {
        let secret = format!("{client}-client-secret");
        let mut fields = vec![
            ("grant_type", "password"),
            ("client_id", client),
            ("username", user),
            ("password", password),
            ("scope", "openid"),
        ];
        if client != "cli" {
            fields.push(("client_secret", &secret));
        }
        self.tokens(&fields)
    }

    /// The tokens of a client's service account.
    #[track_caller]
    pub fn service_account(&self, client: &str) -> Tokens {
        let secret = format!("{client}-client-secret");
        self.tokens(&[
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", &secret),
            ("scope", "openid"),
        ])
    }

    /// The access token of a user, by the client `cli`, asked at another address, which it names as its issuer.
    #[track_caller]
    pub fn log_in_at(&self, address: SocketAddr, user: &str) -> String {
        let password = format!("{user}-pw");
        let fields = [
            ("grant_type", "password"),
            ("client_id", "cli"),
            ("username", user),
            ("password", &password),
            ("scope", "openid"),
        ];
        token_request(&self.name, form(&fields)).send(address).token()
    }

    /// What the user-info endpoint answers to an access token.
    #[track_caller]
    pub fn user_info(&self, access: &str) -> Answer {
        let path = format!("/realms/{}/protocol/openid-connect/userinfo", self.name);
        get(path).bearer(access).send(self.keycloak.address())
    }

    /// The id of a user.
    #[track_caller]
    pub fn user_id(&self, name: &str) -> String {
        let users = self.api("GET", &format!("/users?exact=true&username={name}"), None);
        users[0]["id"].as_str().unwrap_or_else(|| panic!("no user {name}: {users}")).to_owned()
    }

    /// Makes a user with the password `NAME-pw` and these realm roles, for a test that changes it.
    #[track_caller]
    pub fn new_user(&self, name: &str, roles: &[&str]) -> String {
        let user = json!({
            "username": name, "enabled": true, "emailVerified": true, "firstName": "F", "lastName": "L",
            "email": format!("{name}@airgate.test"),
            "credentials": [{ "type": "password", "value": format!("{name}-pw"), "temporary": false }],
        });
        self.api("POST", "/users", Some(user));
        let id = self.user_id(name);
        self.grant(&id, roles);
        id
    }

    /// Gives a user realm roles.
    #[track_caller]
    pub fn grant(&self, user_id: &str, roles: &[&str]) {
        self.api("POST", &format!("/users/{user_id}/role-mappings/realm"), Some(self.roles(roles)));
    }

    /// Takes realm roles from a user.
    #[track_caller]
    pub fn withdraw(&self, user_id: &str, roles: &[&str]) {
        self.api("DELETE", &format!("/users/{user_id}/role-mappings/realm"), Some(self.roles(roles)));
    }

    fn roles(&self, names: &[&str]) -> Value {
        names.iter().map(|name| self.api("GET", &format!("/roles/{name}"), None)).collect()
    }

    /// Ends all sessions of a user.
    #[track_caller]
    pub fn log_out(&self, user_id: &str) {
        self.api("POST", &format!("/users/{user_id}/logout"), None);
    }

    /// Adds a key, which signs from now on, and returns its id.
    #[track_caller]
    pub fn add_key(&self, priority: u32) -> String {
        let name = format!("rotated-{priority}");
        let key = json!({
            "name": name, "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
            "config": { "priority": [priority.to_string()], "enabled": ["true"], "active": ["true"] },
        });
        self.api("POST", "/components", Some(key));
        self.key(&name)
    }

    /// The id of a key, by its name: the realm file's is `fixture-rsa`.
    #[track_caller]
    pub fn key(&self, name: &str) -> String {
        let keys = self.api("GET", "/components?type=org.keycloak.keys.KeyProvider", None);
        let key = keys.as_array().unwrap().iter().find(|key| key["name"] == name);
        key.and_then(|key| key["id"].as_str()).unwrap_or_else(|| panic!("no key {name}: {keys}")).to_owned()
    }

    /// Takes a key away.
    #[track_caller]
    pub fn remove_key(&self, id: &str) {
        self.api("DELETE", &format!("/components/{id}"), None);
    }

    /// A token that the realm file's own key signs: what Keycloak itself would not issue.
    #[track_caller]
    pub fn sign(&self, claims: &Value) -> String {
        let path = format!("/realms/{}/protocol/openid-connect/certs", self.name);
        let keys = get(path).send(self.keycloak.address()).json();
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key["alg"] == "RS256").unwrap();
        sign_with(key["kid"].as_str().unwrap(), claims)
    }
}

impl Drop for Realm<'_> {
    fn drop(&mut self) {
        if self.own {
            self.keycloak.administer("DELETE", &format!("/admin/realms/{}", self.name), None);
        }
    }
}

/// A token that the realm file's own key signs, under any key id.
pub fn sign_with(kid: &str, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed =
        format!("{}.{}", encode(&json!({ "alg": "RS256", "typ": "JWT", "kid": kid })), encode(claims));
    format!("{signed}.{}", signature(&signed))
}

/// The signature of the realm file's own key, of which there is one for each text.
pub fn signature(signed: &str) -> String {
    let realm = realm_file();
    let key = &realm["components"]["org.keycloak.keys.KeyProvider"][0]["config"]["privateKey"][0];
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(key.as_str().unwrap()).unwrap()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    URL_SAFE_NO_PAD.encode(signature)
}

fn realm_file() -> Value {
    let text = std::fs::read(root().join("tests/servers/keycloak/realm-airflow.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn log_in_at(keycloak: &Keycloak, realm: &str, form: String) -> Answer {
    token_request(realm, form).send(keycloak.address())
}

fn token_request(realm: &str, form: String) -> Ask {
    post(format!("/realms/{realm}/protocol/openid-connect/token"))
        .with("Content-Type", "application/x-www-form-urlencoded")
        .body(form)
}

/// A form, encoded.
pub fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{}={}", encoded(n), encoded(v))).collect();
    fields.join("&")
}

fn home(name: &str) -> PathBuf {
    root().join(format!(".airgate-dev/servers/keycloak-{name}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What `tests/servers/keycloak.sh` prints.
fn script(command: &str, options: &[&str]) -> Vec<(String, String)> {
    let script = root().join("tests/servers/keycloak.sh");
    let output = Command::new(script).arg(command).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect()
}
