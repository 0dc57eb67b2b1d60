//! Airflow 3.3 with the auth manager of the Keycloak provider, and a real Keycloak.
//!
//! Tokens in the record name the Keycloak that it was made with, so they are made anew: with the fixture's keys, and
//! with the address of the Keycloak that is asked.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;
use crate::support::keycloak::{self, Realm};

/// The Keycloak of the record.
const RECORDED: &str = "http://127.0.0.1:18443/";
/// `[api_auth] jwt_secret`, then and now.
const SECRET: &str = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789";

/// Makes the tokens of a text anew.
struct Renewed<'a> {
    realm: &'a Realm<'a>,
    url: String,
}

impl Renewed<'_> {
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
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
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
            Some("RS256") => self.realm.sign(&claims),
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

fn mac(signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()).as_ref())
}

/// Whether a token was good then: Keycloak's are taken for it, unless they are by another algorithm.
fn is_signed(header: &Value, token: &str) -> bool {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    match header["alg"].as_str() {
        Some("RS256") => header["kid"].is_string(),
        Some("HS512") => signature.trim_end_matches('=') == mac(signed),
        Some(_) | None => false,
    }
}

/// What is answered otherwise: above all, with Keycloak 26.7 a wrong password makes Airflow answer 500.
const TOKENS: &[Deviation] = &[
    rows(ServerError, 403, &["jwt-bearer.azp-list"]),
    rows(Unending, 403, &["jwt-bearer.exp-missing"]),
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

#[test]
fn the_keycloak_auth_manager() {
    let (airflow, server) = (airflow::keycloak(), keycloak::shared());
    let realm = server.airflow();
    let gate = Airgate::before(
        &airflow.url,
        &format!(
            "[gate]\nairflow_cfg = \"{}\"\nother_routes = \"all\"\n[lockout]\nattempts = 0\n\
             [keycloak_auth_manager]\ntimeout = \"60s\"\njwt_federated_client_ids = \"ci, ci-noaud\"\n",
            airflow.config().display()
        ),
    );
    let renewed = Renewed { url: format!("{}/", server.url), realm: &realm };
    let compare = |variant, groups, deviations| {
        let challenges = &["Bearer realm=\"Airflow\""];
        let what = "Keycloak's auth manager";
        let recorded = Recorded { what, file: "af3-keycloak.jsonl", variant, groups, deviations, challenges };
        compare_changed(&gate, recorded, |text| renewed.text(text));
    };
    let tokens = [
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
    compare("federated", &["jwt-bearer"], TOKENS);
    compare("default", &tokens, TOKENS);
}
