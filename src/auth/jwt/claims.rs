//! The claims of a token, checked as PyJWT 2.15 checks them for Airflow (`api_jwt.py`).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::Fault;
use super::number::{integer, python_int};

/// The claims of a verified payload.
pub(super) type Claims = Map<String, Value>;

/// What a token's claims must be.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Claims that must be there and not null.
    pub required: &'static [&'static str],
    /// Allowed `iss`. Empty: anything, or nothing.
    pub issuers: Vec<String>,
    /// `aud` must name one of them.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Where the name is, and in which form.
    pub subject: Subject,
}

/// How the claims say who it is.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// The simple auth manager: `sub`, and a `role` that it knows.
    Simple,
    /// Flask-AppBuilder's: `sub`, the user's id as Python's `int()` reads it.
    Fab,
    /// Keycloak's: `user_id` and `name`.
    Keycloak,
    /// A foreign issuer's: a claim that holds a name.
    Claim {
        /// The claim, such as `sub` or `preferred_username`.
        name: String,
        /// Put before the name, so that no two issuers' names are the same.
        prefix: String,
    },
}

/// From when until when a token is good, leeway included, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    from: i128,
    until: i128,
}

impl Lifetime {
    /// Whether the token is good at this time.
    pub fn holds(&self, now: SystemTime) -> bool {
        (self.from..self.until).contains(&nanoseconds(now))
    }

    /// The same, but no longer than until then.
    pub fn until(self, time: SystemTime) -> Self {
        Self { until: self.until.min(nanoseconds(time)), ..self }
    }
}

/// What the claims say.
pub(super) struct Checked {
    pub name: Arc<str>,
    pub jti: Option<Box<str>>,
    pub expires: Option<SystemTime>,
    pub lifetime: Lifetime,
}

impl Rules {
    /// Checks the claims, in PyJWT's order: it decides between 401 and 403 for a token with several
    /// faults.
    pub fn check(&self, claims: &Claims, now: SystemTime) -> Result<Checked, Fault> {
        let invalid = Fault::Invalid;
        for claim in self.required {
            if claims.get(*claim).is_none_or(Value::is_null) {
                return Err(invalid("a required claim is missing"));
            }
        }
        let seconds =
            |claim: &str, why| claims.get(claim).map(|v| integer(v).ok_or(invalid(why))).transpose();
        let leeway = self.leeway.as_nanos().cast_signed();
        let now = nanoseconds(now);

        let mut from = i128::MIN;
        for (claim, malformed, early) in [
            ("iat", "iat is not a number", "issued in the future"),
            ("nbf", "nbf is not a number", "not valid yet"),
        ] {
            if let Some(value) = seconds(claim, malformed)? {
                let start = value.saturating_mul(SECOND).saturating_sub(leeway);
                if start > now {
                    return Err(invalid(early));
                }
                from = from.max(start);
            }
        }
        let exp = seconds("exp", "exp is not a number")?.ok_or(invalid("a required claim is missing"))?;
        let until = exp.saturating_mul(SECOND).saturating_add(leeway);
        if until <= now {
            return Err(Fault::Expired);
        }
        self.check_issuer(claims).map_err(invalid)?;
        self.check_audience(claims).map_err(invalid)?;
        if claims.get("sub").is_some_and(|sub| !sub.is_string()) {
            return Err(invalid("sub is not a string"));
        }
        let jti = match claims.get("jti") {
            None => None,
            Some(Value::String(jti)) => Some(jti.as_str().into()),
            Some(_) => return Err(invalid("jti is not a string")),
        };
        let name = self.subject.read(claims).map_err(invalid)?;
        let expires = u64::try_from(exp).ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
        Ok(Checked { name, jti, expires, lifetime: Lifetime { from, until } })
    }

    fn check_issuer(&self, claims: &Claims) -> Result<(), &'static str> {
        if self.issuers.is_empty() {
            return Ok(());
        }
        match claims.get("iss") {
            Some(Value::String(iss)) if self.issuers.contains(iss) => Ok(()),
            Some(_) => Err("wrong issuer"),
            None => Err("iss is missing"),
        }
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), &'static str> {
        let wanted = |name: &str| self.audience.iter().any(|audience| audience == name);
        match claims.get("aud") {
            Some(Value::String(name)) if !name.is_empty() && wanted(name) => Ok(()),
            Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
                let found = names.iter().filter_map(Value::as_str).any(wanted);
                if found { Ok(()) } else { Err("wrong audience") }
            }
            Some(_) => Err("wrong audience"),
            None => Err("aud is missing"),
        }
    }
}

impl Subject {
    fn read(&self, claims: &Claims) -> Result<Arc<str>, &'static str> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        match self {
            Self::Simple => {
                let name = text("sub").ok_or("sub is missing")?;
                match claims.get("role") {
                    None => Err("role is missing"),
                    // Airflow refuses these itself: no role, no rights.
                    Some(role) if is_falsy(role) => Ok(name.into()),
                    // Python and Rust agree on upper case: `ı` too becomes `I`.
                    Some(Value::String(role)) if ROLES.contains(&role.to_uppercase().as_str()) => {
                        Ok(name.into())
                    }
                    // Airflow answers 500 here.
                    Some(_) => Err("unknown role"),
                }
            }
            Self::Fab => {
                let id = text("sub").and_then(python_int).ok_or("sub is not a number")?;
                // The id as Airflow's database has it, so that one user has one name here.
                i64::try_from(id)
                    .ok()
                    .filter(|id| *id >= 0)
                    .map(|id| id.to_string().into())
                    .ok_or("sub is no user's id")
            }
            Self::Keycloak => {
                text("user_id").ok_or("user_id is missing")?;
                Ok(text("name").ok_or("name is missing")?.into())
            }
            Self::Claim { name, prefix } => match text(name) {
                Some(value) if !value.is_empty() => Ok(format!("{prefix}{value}").into()),
                Some(_) | None => Err("the username claim is missing"),
            },
        }
    }
}

/// `SimpleAuthManagerRole`.
const ROLES: [&str; 4] = ["VIEWER", "USER", "OP", "ADMIN"];

const SECOND: i128 = 1_000_000_000;

fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    }
}

/// What Python takes for false.
fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_795_305_600;

    fn rules() -> Rules {
        Rules {
            required: &["exp", "iat", "nbf"],
            issuers: vec![],
            audience: vec!["apache-airflow".into()],
            leeway: Duration::from_secs(10),
            subject: Subject::Simple,
        }
    }

    fn check(rules: &Rules, changes: Value, now: SystemTime) -> Result<(), Fault> {
        let mut claims = json!({
            "sub": "admin", "role": "admin", "aud": "apache-airflow",
            "iat": NOW - 100, "nbf": NOW - 100, "exp": NOW + 100,
        });
        for (claim, value) in changes.as_object().unwrap() {
            if value == "absent" {
                claims.as_object_mut().unwrap().remove(claim);
            } else {
                claims[claim] = value.clone();
            }
        }
        rules.check(claims.as_object().unwrap(), now).map(|_| ())
    }

    #[test]
    fn claims_as_pyjwt_reads_them() {
        let invalid = |why| Err(Fault::Invalid(why));
        let missing = invalid("a required claim is missing");
        for (name, changes, expected) in [
            ("as they come", json!({}), Ok(())),
            ("no exp", json!({"exp": "absent"}), missing),
            ("exp null", json!({"exp": null}), missing),
            ("iat null", json!({"iat": null}), missing),
            ("no nbf", json!({"nbf": "absent"}), missing),
            ("exp float", json!({"exp": NOW as f64 - 9.5}), Err(Fault::Expired)),
            ("exp float in the future", json!({"exp": NOW as f64 + 1.5}), Ok(())),
            ("exp huge", json!({"exp": 1e300}), Ok(())),
            ("exp hugely negative", json!({"exp": -1e300}), Err(Fault::Expired)),
            ("exp text", json!({"exp": format!(" +{NOW}_0 ")}), Ok(())),
            ("exp text with fraction", json!({"exp": "4102444800.5"}), invalid("exp is not a number")),
            ("exp list", json!({"exp": [1]}), invalid("exp is not a number")),
            ("exp true", json!({"exp": true}), Err(Fault::Expired)),
            ("iat true", json!({"iat": true}), Ok(())),
            ("nbf object", json!({"nbf": {}}), invalid("nbf is not a number")),
            (
                "expired, issued in the future",
                json!({"exp": 1, "iat": NOW + 11}),
                invalid("issued in the future"),
            ),
            ("expired, wrong audience", json!({"exp": 1, "aud": "x"}), Err(Fault::Expired)),
            ("aud false", json!({"aud": false}), invalid("wrong audience")),
            ("aud empty list", json!({"aud": []}), invalid("wrong audience")),
            ("aud list", json!({"aud": ["x", "apache-airflow"]}), Ok(())),
            ("aud list with a number", json!({"aud": ["apache-airflow", 1]}), invalid("wrong audience")),
            ("aud absent", json!({"aud": "absent"}), invalid("aud is missing")),
            ("sub null", json!({"sub": null}), invalid("sub is not a string")),
            ("jti null", json!({"jti": null}), invalid("jti is not a string")),
            ("iss number, none configured", json!({"iss": 5}), Ok(())),
            ("role null", json!({"role": null}), Ok(())),
            ("role 0", json!({"role": 0}), Ok(())),
            ("role number", json!({"role": 1}), invalid("unknown role")),
            ("role mixed case", json!({"role": "vIeWeR"}), Ok(())),
        ] {
            let now = UNIX_EPOCH + Duration::from_secs(NOW);
            assert_eq!(check(&rules(), changes, now), expected, "{name}");
        }
    }

    #[test]
    fn the_leeway_ends_where_airflows_ends() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        let nano = Duration::from_nanos(1);
        for (name, changes, now, expected) in [
            ("a moment before exp and leeway", json!({"exp": NOW}), at(NOW + 10) - nano, Ok(())),
            ("at exp and leeway", json!({"exp": NOW}), at(NOW + 10), Err(Fault::Expired)),
            ("at nbf less leeway", json!({"nbf": NOW + 10}), at(NOW), Ok(())),
            (
                "a moment before nbf less leeway",
                json!({"nbf": NOW + 10}),
                at(NOW) - nano,
                Err(Fault::Invalid("not valid yet")),
            ),
        ] {
            assert_eq!(check(&rules(), changes, now), expected, "{name}");
        }
    }

    #[test]
    fn other_subjects() {
        let read = |subject: Subject, claims: Value| {
            subject.read(claims.as_object().unwrap()).map(|name| name.to_string())
        };
        let claim = || Subject::Claim { name: "email".into(), prefix: "corp:".into() };
        for (name, subject, claims, expected) in [
            ("fab", Subject::Fab, json!({"sub": "7"}), Ok("7")),
            ("fab, Arabic digit", Subject::Fab, json!({"sub": "١"}), Ok("1")),
            ("fab, spelled otherwise", Subject::Fab, json!({"sub": " 0_7 "}), Ok("7")),
            ("fab, negative", Subject::Fab, json!({"sub": "-1"}), Err("sub is no user's id")),
            ("fab, a name", Subject::Fab, json!({"sub": "admin"}), Err("sub is not a number")),
            ("fab, none", Subject::Fab, json!({}), Err("sub is not a number")),
            ("keycloak", Subject::Keycloak, json!({"user_id": "u", "name": "n"}), Ok("n")),
            ("keycloak, no id", Subject::Keycloak, json!({"name": "n"}), Err("user_id is missing")),
            ("keycloak, no name", Subject::Keycloak, json!({"user_id": "u"}), Err("name is missing")),
            ("issuer", claim(), json!({"email": "a@b"}), Ok("corp:a@b")),
            ("issuer, empty", claim(), json!({"email": ""}), Err("the username claim is missing")),
            ("issuer, not text", claim(), json!({"email": 1}), Err("the username claim is missing")),
        ] {
            assert_eq!(read(subject, claims), expected.map(str::to_owned), "{name}");
        }
    }
}
