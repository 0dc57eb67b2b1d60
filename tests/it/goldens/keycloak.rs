//! Airflow 3.3 with the auth manager of the Keycloak provider, and a real Keycloak.
//!
//! Tokens in the record name the Keycloak that it was made with, so they are made anew: with the fixture's keys, and
//! with the address of the Keycloak that is asked.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::live::Live;
use super::*;
use crate::support::airflow::Airflow;
use crate::support::keycloak::{self, Keycloak};
use crate::support::token;

/// The Keycloak of the record.
const RECORDED: &str = "http://127.0.0.1:18443/";
/// `[api_auth] jwt_secret`, then and now.
const SECRET: &str = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789";

/// Makes the tokens of a text anew.
struct Renewed {
    url: String,
}

impl Renewed {
    /// A text with tokens in it.
    fn text(&self, text: &str) -> String {
        let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | '+' | '/');
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("eyJ") {
            let (before, token) = rest.split_at(start);
            let end = token.find(|c| !is_token(c)).unwrap_or(token.len());
            out.push_str(before);
            out.push_str(&self.token(&token[..end]));
            rest = &token[end..];
        }
        out + rest
    }

    /// A token with another issuer inside, signed again where it was signed well.
    fn token(&self, token: &str) -> String {
        let parts: Vec<_> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else { return token.to_owned() };
        let (Some(head), Some(mut claims)) = (read(header), read(payload)) else { return token.to_owned() };
        let before = claims.clone();
        self.claims(&mut claims);
        if claims == before {
            return token.to_owned();
        }
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signed = format!("{header}.{payload}");
        if signature.is_empty() || !is_signed(&head, token) {
            return format!("{signed}.{signature}");
        }
        match head["alg"].as_str() {
            // Its key, and so the name of it, is that of the realm file.
            Some("RS256") => format!("{signed}.{}", keycloak::signature(&signed)),
            Some(_) | None => format!("{signed}.{}", mac(&signed)),
        }
    }

    fn claims(&self, value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with("eyJ") => *text = self.token(text),
            Value::String(text) => *text = text.replace(RECORDED, &self.url),
            Value::Array(items) => items.iter_mut().for_each(|item| self.claims(item)),
            Value::Object(members) => members.values_mut().for_each(|item| self.claims(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn read(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A header with a token of Airflow's, with other claims.
fn altered(text: &str, alter: impl Fn(&mut Value)) -> String {
    let Some(token) = text.strip_prefix("Bearer ") else { return text.to_owned() };
    let [header, payload, _] = token.split('.').collect::<Vec<_>>()[..] else { return text.to_owned() };
    let mut claims = read(payload).unwrap();
    alter(&mut claims);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("Bearer {signed}.{}", mac(&signed))
}

fn mac(signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()).as_ref())
}

/// Whether a token was good then.
fn is_signed(header: &Value, token: &str) -> bool {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    match header["alg"].as_str() {
        Some("RS256") => header["kid"].is_string() && signature == keycloak::signature(signed),
        Some("HS512") => signature.trim_end_matches('=') == mac(signed),
        Some(_) | None => false,
    }
}

/// What is answered otherwise: above all, with Keycloak 26.7 a wrong password makes Airflow answer 500.
const TOKENS: &[Deviation] = &[
    rows(
        ServerError,
        403,
        &[
            "token.invalid-password",
            "token.empty-password",
            "token.json-nul-in-username",
            "token.json-nul-in-password",
            "token.username-trailing-space",
            "token-cli.unknown-user",
            "token-cli.empty-username",
            "token-cli.json-nul-in-username",
            "token-cli.json-nul-in-password",
            "token-cli.username-leading-space",
            "login.unknown-user",
            "login-cli.disabled",
            "login.disabled-wrong-password",
            "login-cli.required-action",
            "login.empty-password",
            "login.empty-username",
            "login.trailing-space",
            "login.leading-space",
            "login.service-account",
            "login.unicode-wrong-password",
            "login.unicode-username",
            "login.long-username",
            "cors-token.wrong-password.no-origin",
            "cors-token-cli.wrong-password.no-origin",
            "cors-token.wrong-password.allowed",
            "cors-token-cli.wrong-password.allowed",
            "cors-token-cli.wrong-password.disallowed",
            "cors-token.wrong-password.null",
            "cors-token-cli.wrong-password.null",
        ],
    ),
    rows(
        ServerError,
        422,
        &[
            "token.json-array",
            "token.json-string",
            "token.json-number",
            "token.json-lone-surrogate-username",
            "token.ct-missing",
            "token.ct-text-plain",
            "token.ct-octet-stream",
            "token.ct-empty",
            "token.form-charset",
            "token.form-invalid-password",
            "token.form-missing-password",
            "token.form-empty-password",
            "token.form-extra-field",
            "token.form-grant-type-password",
            "token.form-duplicate-username",
            "token.form-plus-and-percent",
            "token.multipart",
            "token-cli.json-lone-surrogate-username",
            "cors-token.not-json.no-origin",
            "cors-token.not-json.allowed",
            "cors-token.not-json.disallowed",
            "cors-token.not-json.null",
        ],
    ),
    rows(Basic, 201, &["token.basic-header-no-body"]),
    rows(AmbiguousTarget, 400, &["token.percent-encoded-path", "token-cli.percent-encoded-path"]),
];

/// airgate in front of an Airflow, and the Keycloak of both.
struct Setup<'a> {
    what: &'a str,
    gate: Airgate,
    server: &'a Keycloak,
}

impl<'a> Setup<'a> {
    fn new(what: &'a str, airflow: &Airflow, server: &'a Keycloak) -> Self {
        let gate = Airgate::before(
            &airflow.url,
            &format!(
                "[gate]\nairflow_cfg = \"{}\"\nother_routes = \"all\"\n[lockout]\nattempts = 0\n\
                 [keycloak_auth_manager]\ntimeout = \"60s\"\njwt_federated_client_ids = \"ci, ci-noaud\"\n",
                airflow.config().display()
            ),
        );
        Self { what, gate, server }
    }

    #[track_caller]
    fn compare(&self, variant: &str, groups: &[&str], deviations: &[Deviation]) {
        let realm = self.server.airflow();
        let renewed = Renewed { url: format!("{}/", self.server.url) };
        let mut live = Live::new(&self.gate, &realm, &format!("{variant}-{}", groups[0]));
        let recorded = Recorded {
            what: self.what,
            file: "af3-keycloak.jsonl",
            variant,
            groups,
            deviations,
            challenges: BEARER,
        };
        compare_prepared(&self.gate, recorded, |row| {
            row.change(|text| renewed.text(text));
            let now = token::claims("")["iat"].as_u64().unwrap();
            let at = |claim: &'static str, time: u64| {
                move |text: &str| altered(text, |claims| claims[claim] = time.into())
            };
            match row.name() {
                // Within the leeway.
                "bearer.expired-5s-ago" => row.change(at("exp", now - 5)),
                "bearer.nbf-in-5s" => row.change(at("nbf", now + 5)),
                "bearer-kc.inner-refresh-token" => {
                    let refresh = realm.log_in("viewer", "viewer-pw").refresh;
                    row.change(|text| {
                        altered(text, |claims| claims["access_token"] = refresh.clone().into())
                    });
                }
                // A row before it has it revoked. Until the gate has heard of that, Airflow refuses it itself.
                "bearer.revoked" => self.gate.until("the gate has heard of the log-out", |gate| {
                    row.ask(gate.address()).is_ok_and(|answer| answer.header("www-authenticate").is_some())
                }),
                _ => return live.prepare(row),
            }
            row.is_now_replayable();
        });
    }
}

const TOKEN_GROUPS: &[&str] = &[
    "token",
    "token-cli",
    "login",
    "login-cli",
    "client-credentials",
    "client-credentials-cli",
    "grant-type",
    "grant-type-cli",
    "cors-token",
    "cors-token-cli",
];

/// What is answered otherwise to who has a token, or none.
const API: &[Deviation] = &[
    rows(RepeatedAuthorization, 400, &["bearer.header-twice-valid-first", "bearer.header-twice-basic-first"]),
    rows(AuthenticationFirst, 401, &["bearer.401-method-not-allowed", "public.get /api/v2/nope"]),
    rows(Basic, 200, &["bearer-kc.basic"]),
    rows(Ended, 401, &["bearer-kc.inner-expired-404-route"]),
    rows(CrossSite, 403, &["cookie-kc.browser-token-and-access-evil-origin-post"]),
    rows(Clamped, 200, &["batch.dagRuns.1000", "batch.dagRuns.7", "batch.dagRuns.none"]),
    rows(
        Vary,
        500,
        &[
            "bearer-kc.inner-missing",
            "bearer-kc.inner-newline",
            "bearer-kc.browser-token-as-bearer",
            "bearer-kc.browser-token-and-access-cookie",
            "cookie-kc.browser-token-and-garbage-access",
            "cookie-kc.browser-token-expired-access-garbage-refresh",
            "cors-bearer.inner-missing.no-origin",
            "cors-bearer.inner-missing.null",
        ],
    ),
];

#[test]
fn the_keycloak_auth_manager() {
    newest().compare("default", TOKEN_GROUPS, TOKENS);
}

#[test]
fn the_api_with_the_keycloak_auth_manager() {
    let what = "Keycloak's auth manager, the API";
    let groups =
        ["jwt-bearer", "bearer", "bearer-kc", "cookie-kc", "cors-bearer", "public", "limit", "batch"];
    Setup::new(what, airflow::keycloak(), keycloak::shared()).compare("default", &groups, API);
}

#[test]
fn assertions() {
    let deviations = [
        rows(ServerError, 403, &["jwt-bearer.azp-list"]),
        rows(Unending, 403, &["jwt-bearer.exp-missing"]),
        rows(Outlived, 201, &["jwt-bearer.valid-live", "jwt-bearer.live-user-through-ci"]),
    ];
    newest().compare("federated", &["jwt-bearer"], &deviations);
}

#[test]
fn sessions_that_end() {
    newest().compare("session", &["session"], &[]);
}

#[test]
fn before_keycloak_hung() {
    newest().compare("keycloak-hanging", &["hang"], &[]);
}

fn newest() -> Setup<'static> {
    Setup::new("Keycloak's auth manager", airflow::keycloak(), keycloak::shared())
}

/// Who has a wrong password is told so by an Airflow with this one.
const OLDER: &[Deviation] = &[
    rows(
        ServerError,
        422,
        &["token.json-array", "token.json-lone-surrogate-password", "token-cli.json-lone-surrogate-password"],
    ),
    rows(ServerError, 403, &["login.disabled", "login-cli.required-action"]),
    rows(Ended, 401, &["bearer-kc.inner-expired"]),
];

#[test]
#[ignore = "needs Keycloak 26.5.6 and an Airflow in front of it: make test-all"]
fn the_keycloak_auth_manager_with_keycloak_26_5() {
    let what = "Keycloak's auth manager, with Keycloak 26.5";
    let setup = Setup::new(what, airflow::keycloak_older(), keycloak::older());
    let groups = [
        "token",
        "token-cli",
        "login",
        "login-cli",
        "client-credentials",
        "client-credentials-cli",
        "bearer-kc",
    ];
    setup.compare("keycloak-26.5", &groups, OLDER);
}

/// What takes a realm, a Keycloak or an Airflow that is set up otherwise, or stopped, and is gone by then: tests of their
/// own show it, in `tests/it/keycloak`.
#[test]
fn what_cannot_be_asked_again() {
    for (what, variant, group) in [
        ("Keycloak, its keys changed", "key-rotation", "rotation"),
        ("Keycloak, tokens of four seconds", "short-lifespan", "short"),
        ("Keycloak, brute force detected", "brute-force", "brute"),
        ("Keycloak, brute force detected", "keycloak-26.5-brute-force", "brute"),
        ("Keycloak stopped", "keycloak-down", "down"),
        ("Keycloak, set up wrongly", "wrong-client-secret", "conf"),
        ("Keycloak, set up wrongly", "unknown-realm", "conf"),
        ("Keycloak, set up wrongly", "client-without-authorization", "conf"),
        ("Keycloak, set up wrongly", "https-untrusted", "conf"),
        ("Keycloak, other addresses", "server-url-trailing-slash", "conf"),
        ("Keycloak, other addresses", "server-url-localhost", "conf"),
        ("Keycloak, other addresses", "https-requests-ca", "conf"),
        ("Keycloak, other addresses", "https-requests-and-ssl-ca", "conf"),
    ] {
        count(what, "af3-keycloak.jsonl", variant, &[group]);
    }
}
