//! The bodies of the Keycloak provider's token endpoints (0.11): `TokenBody`, a union of three grants that
//! `grant_type` tells apart, and `TokenPasswordBody`.

use super::json::{Text, Value};
use super::validation::{At, Fault, Input, Kind, Style};
use super::{Asked, Client, Endpoint, Invalid, Login, fastapi_body, invalid, missing};
use crate::secret::Secret;

const GRANT_TYPE: &str = "grant_type";
const PASSWORD: &str = "password";
const CLIENT: &str = "client_credentials";
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Reads a body. Only JSON is one: what else is sent makes Airflow answer 500, or 422 at `/auth/token/cli`.
pub(super) fn read(endpoint: Endpoint, content_type: Option<&[u8]>, body: &[u8]) -> Result<Asked, Invalid> {
    let body = fastapi_body(content_type, body)?.ok_or_else(missing)?;
    let Value::Dict(members) = &body else {
        let fault = Fault { kind: Kind::ModelAttributesType, at: At::Body, input: Input::Value(&body) };
        return Err(invalid(Style::List, &[fault]));
    };
    match endpoint {
        Endpoint::Token => match body.get(GRANT_TYPE) {
            Some(_) => union(&body),
            None => {
                // As the provider does it: the answer to a bad body then shows the default, too.
                let mut members = members.clone();
                members.push((GRANT_TYPE.into(), Value::Text(PASSWORD.into())));
                union(&Value::Dict(members))
            }
        },
        Endpoint::Cli => password(&body, None),
    }
}

fn union(body: &Value) -> Result<Asked, Invalid> {
    let tag = match body.get(GRANT_TYPE) {
        Some(Value::Text(tag)) => Some(tag),
        Some(_) | None => None,
    };
    let is = |name: &str| tag.is_some_and(|tag| tag == name);
    if is(PASSWORD) {
        password(body, Some(PASSWORD))
    } else if is(CLIENT) {
        let [id, secret] = fields(body, Some(CLIENT), ["client_id", "client_secret"])?;
        Ok(Asked::Client(Client { id, secret: Secret::new(secret) }))
    } else if is(ASSERTION) {
        let [assertion] = fields(body, Some(ASSERTION), ["assertion"])?;
        Ok(Asked::Assertion(Secret::new(assertion)))
    } else {
        let fault = Fault { kind: Kind::UnionTag, at: At::Body, input: Input::Value(body) };
        Err(invalid(Style::List, &[fault]))
    }
}

fn password(body: &Value, tag: Option<&'static str>) -> Result<Asked, Invalid> {
    let [username, password] = fields(body, tag, ["username", "password"])?;
    Ok(Asked::Password(Login { username, password: Secret::new(password) }))
}

/// Pydantic's model with `grant_type`, these fields, all strings, and nothing else. Without a tag its
/// `grant_type` may be absent, or is `password`.
fn fields<const N: usize>(
    body: &Value,
    tag: Option<&'static str>,
    names: [&'static str; N],
) -> Result<[String; N], Invalid> {
    let members = match body {
        Value::Dict(members) => members.as_slice(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            &[]
        }
    };
    let at = |name| match tag {
        Some(tag) => At::Tagged(tag, name),
        None => At::Field(name),
    };
    if let Some((key, _)) = members.iter().find(|(key, _)| key.has_lone_surrogate()) {
        let fault = Fault { kind: Kind::StringUnicode, at: At::Body, input: Input::Text(key) };
        return Err(invalid(Style::List, &[fault]));
    }
    let mut faults = Vec::new();
    if let (None, Some(given)) = (tag, body.get(GRANT_TYPE))
        && !matches!(given, Value::Text(text) if text == PASSWORD)
    {
        faults.push(Fault { kind: Kind::LiteralPassword, at: at(GRANT_TYPE), input: Input::Value(given) });
    }
    let read = names.map(|name| {
        let (kind, input) = match body.get(name) {
            Some(given @ Value::Text(text)) => match text.to_utf8() {
                Some(text) => return text,
                None => (Kind::StringUnicode, given),
            },
            Some(other) => (Kind::StringType, other),
            None => (Kind::Missing, body),
        };
        faults.push(Fault { kind, at: at(name), input: Input::Value(input) });
        String::new()
    });
    let known = |key: &Text| key == GRANT_TYPE || names.iter().any(|name| key == *name);
    for (key, value) in members.iter().filter(|(key, _)| !known(key)) {
        let at = match tag {
            Some(tag) => At::TaggedKey(tag, key),
            None => At::Key(key),
        };
        faults.push(Fault { kind: Kind::ExtraForbidden, at, input: Input::Value(value) });
    }
    if faults.is_empty() { Ok(read) } else { Err(invalid(Style::List, &faults)) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body_of, first_content_type, rows};
    use super::super::{AuthManager, read};
    use super::*;

    /// What the provider's own models read, asked in-process.
    #[test]
    fn bodies_as_the_provider_reads_them() {
        for (number, row) in rows("token-bodies-keycloak").iter().enumerate() {
            let name = format!("row {}: {row}", number + 1);
            let endpoint = if row["endpoint"] == "cli" { Endpoint::Cli } else { Endpoint::Token };
            let content_type = row["content_type"].as_str().map(str::as_bytes);
            let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
            match (status, read(AuthManager::Keycloak, endpoint, content_type, &body_of(row))) {
                (201, Ok(asked)) => {
                    let asked = match &asked {
                        Asked::Password(login) => vec!["password", &login.username, login.password.expose()],
                        Asked::Client(client) => vec!["client", &client.id, client.secret.expose()],
                        Asked::Assertion(assertion) => vec!["assertion", assertion.expose()],
                    };
                    assert_eq!(row["asked"], serde_json::json!(asked), "{name}");
                }
                (500, Err(invalid)) => {
                    assert_eq!(invalid.status(), 422, "{name}");
                    let body: serde_json::Value = serde_json::from_slice(&invalid.body()).unwrap();
                    assert!(body["detail"].is_array(), "{name}");
                }
                (status, Err(invalid)) => {
                    assert_eq!(invalid.status(), status, "{name}");
                    let body = String::from_utf8(invalid.body().into()).unwrap();
                    assert_eq!(body, row["answer"].as_str().unwrap(), "{name}");
                }
                (status, Ok(_)) => panic!("{name}: Airflow answers {status}"),
            }
        }
    }

    /// What Airflow answered in front of Keycloak: what is read goes to Keycloak, which decides.
    #[test]
    fn recorded_bodies() {
        let mut seen = 0;
        for row in rows("af3-keycloak") {
            let (request, response) = (&row["request"], &row["response"]);
            let path = request["path"].as_str().unwrap_or_default();
            let endpoint = match path.split('?').next() {
                Some("/auth/token") => Endpoint::Token,
                Some("/auth/token/cli") => Endpoint::Cli,
                Some(_) | None => continue,
            };
            if request["method"] != "POST" || request["body_cut"].is_u64() {
                continue;
            }
            seen += 1;
            let name = format!("{} {}", row["variant"], row["name"]);
            let content_type = first_content_type(&row).map(str::as_bytes);
            let answer = read(AuthManager::Keycloak, endpoint, content_type, &body_of(request));
            match (response["status"].as_u64().unwrap(), answer) {
                (201 | 403 | 500, Ok(_)) => {}
                (500, Err(invalid)) => assert_eq!(invalid.status(), 422, "{name}"),
                (status, Err(invalid)) => {
                    assert_eq!(u64::from(invalid.status().as_u16()), status, "{name}");
                    let body: serde_json::Value = serde_json::from_slice(&invalid.body()).unwrap();
                    // Long answers were recorded as a text, or in part.
                    if response["body"].is_object() {
                        assert_eq!(body, response["body"], "{name}");
                    }
                }
                (status, Ok(_)) => panic!("{name}: Airflow answers {status}"),
            }
        }
        assert!(seen > 300, "{seen} rows");
    }
}
