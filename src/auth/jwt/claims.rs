//! The claims of a token, checked as PyJWT 2.15 checks them for Airflow (`api_jwt.py`).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::Fault;

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
                    Some(Value::Null) => Ok(name.into()),
                    Some(Value::String(role)) if role.is_empty() => Ok(name.into()),
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

/// A claim as Python's `int()` reads it: numbers lose their fraction, `true` is 1, and text may hold a
/// number. `None` where Python raises.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Bool(value) => Some(i128::from(*value)),
        // A float beyond the range saturates, and is far enough in the future or past for that.
        Value::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| number.as_f64().map(|float| float as i128)),
        Value::String(text) => python_int(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text as Python's `int()` reads it: white space around it, a sign, decimal digits of any script, single
/// underscores between them. Saturates; more than 4300 digits are refused, as by Python.
pub(super) fn python_int(text: &str) -> Option<i128> {
    // Python also counts the information separators as white space.
    let text = text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mut value, mut count, mut after_digit) = (0_i128, 0, false);
    for c in digits.chars() {
        if c == '_' && after_digit {
            after_digit = false;
            continue;
        }
        value = value.saturating_mul(10).saturating_add(i128::from(digit(c)?));
        (count, after_digit) = (count + 1, true);
    }
    (after_digit && count <= 4300).then_some(if negative { -value } else { value })
}

fn digit(c: char) -> Option<u32> {
    if let Some(value) = c.to_digit(10) {
        return Some(value);
    }
    let at = ZEROES.partition_point(|&zero| zero <= c).checked_sub(1)?;
    let value = u32::from(c) - u32::from(*ZEROES.get(at)?);
    (value < 10).then_some(value)
}

/// The zeroes of all scripts beyond ASCII (general category Nd of Unicode 14, as in Python 3.11), sorted.
/// The other nine digits follow each.
#[rustfmt::skip]
const ZEROES: [char; 65] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{1090}',
    '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1a90}', '\u{1b50}', '\u{1bb0}',
    '\u{1c40}', '\u{1c50}', '\u{a620}', '\u{a8d0}', '\u{a900}', '\u{a9d0}', '\u{a9f0}', '\u{aa50}',
    '\u{abf0}', '\u{ff10}', '\u{104a0}', '\u{10d30}', '\u{11066}', '\u{110f0}', '\u{11136}', '\u{111d0}',
    '\u{112f0}', '\u{11450}', '\u{114d0}', '\u{11650}', '\u{116c0}', '\u{11730}', '\u{118e0}',
    '\u{11950}', '\u{11c50}', '\u{11d50}', '\u{11da0}', '\u{16a60}', '\u{16ac0}', '\u{16b50}',
    '\u{1d7ce}', '\u{1d7d8}', '\u{1d7e2}', '\u{1d7ec}', '\u{1d7f6}', '\u{1e140}', '\u{1e2f0}',
    '\u{1e950}', '\u{1fbf0}',
];

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
            ("no exp", json!({"exp": "absent"}), missing.clone()),
            ("exp null", json!({"exp": null}), missing.clone()),
            ("iat null", json!({"iat": null}), missing.clone()),
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

    #[test]
    fn integers_as_python_reads_them() {
        for (text, expected) in [
            ("7", Some(7)),
            ("+7", Some(7)),
            ("-7", Some(-7)),
            ("\x1c 7\u{a0}", Some(7)),
            ("1_000", Some(1000)),
            ("１０", Some(10)),
            ("\u{1fbf9}", Some(9)),
            ("", None),
            ("+", None),
            ("+-7", None),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("7.0", None),
            ("1e3", None),
            ("0x7", None),
            ("²", None),
            (&"9".repeat(4300), Some(i128::MAX)),
            (&"9".repeat(4301), None),
        ] {
            assert_eq!(python_int(text), expected, "{text:?}");
        }
    }
}
