//! `AIRGATE__SECTION__KEY` and `--set section.key=value`: texts, cut by the type of the option.

mod strangers;

use super::airflow::expand::Environment;
use super::layer::{Entry, Findings, Layer, Newline, Source, Value};
use super::location::Location;
use super::names::{self, Known};
use super::options::{self, Opt};
use strangers::Stranger;

/// What our variables begin with.
const PREFIX: &str = "AIRGATE__";

/// One `--set section.key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Up to the first dot… of the last key: `api` of `api.auth_backends`.
    pub section: String,
    /// The key.
    pub key: String,
    /// What stands after the first `=`.
    pub value: String,
}

/// A `--set` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected section.key=value, e.g. upstream.url=http://127.0.0.1:8080")]
pub struct InvalidAssignment;

impl std::str::FromStr for Assignment {
    type Err = InvalidAssignment;

    fn from_str(text: &str) -> Result<Self, InvalidAssignment> {
        let (name, value) = text.split_once('=').ok_or(InvalidAssignment)?;
        let (section, key) = name.rsplit_once('.').ok_or(InvalidAssignment)?;
        if section.is_empty() || key.is_empty() {
            return Err(InvalidAssignment);
        }
        Ok(Self { section: section.to_owned(), key: key.to_owned(), value: value.to_owned() })
    }
}

/// The values of all `AIRGATE__SECTION__KEY`. `AIRGATE__SECTION__KEY_CMD` runs a command, for secrets.
pub fn read_variables(environment: &Environment, findings: &mut Findings) -> Layer {
    let mut layer = Layer::default();
    for (variable, text) in environment {
        let at = Location::Variable(variable.as_str().into());
        let Some(name) = variable.strip_prefix(PREFIX) else {
            match strangers::judge(variable) {
                Stranger::NotOurs => {}
                Stranger::Misspelt(nearest) => {
                    findings.errors.push(&at, format!("unknown variable; the nearest is {nearest}"));
                }
                Stranger::Unknown => findings.warn(&at, strangers::UNKNOWN),
            }
            continue;
        };
        let Some((section, key)) = name.split_once("__") else {
            let message = match strangers::nearest(variable) {
                Some(nearest) => format!("expected AIRGATE__SECTION__KEY; the nearest is {nearest}"),
                None => "expected AIRGATE__SECTION__KEY".to_owned(),
            };
            findings.errors.push(&at, message);
            continue;
        };
        let (section, key) = named(section.to_lowercase(), key.to_lowercase());
        if repeats(&section, &key) {
            findings.errors.push(&at, REPEATS);
            continue;
        }
        if let Some(option) = secret_variant(&section, &key, "_cmd") {
            let value = Value::Command { line: text.clone(), newline: Newline::Dropped };
            insert(&mut layer, &section, option, value, &at, Rank::Variant);
        } else if let Some(option) = secret_variant(&section, &key, "_secret") {
            insert(
                &mut layer,
                &section,
                option,
                Value::Refused(no_secrets_backend(variable)),
                &at,
                Rank::Variant,
            );
        } else if let Some(option) = findings.own_option(&section, &key, &at) {
            let rank = if option.key == key { Rank::Plain } else { Rank::Variant };
            insert(&mut layer, &section, option, Value::Untyped(text.clone()), &at, rank);
        }
    }
    layer
}

/// The values of all `--set`. Of two for one option the last counts.
pub fn read_assignments(assignments: &[Assignment], findings: &mut Findings) -> Layer {
    let mut layer = Layer::default();
    for Assignment { section, key, value } in assignments {
        let at = Location::Set(format!("{section}.{key}").into());
        if repeats(section, key) {
            findings.errors.push(&at, REPEATS);
        } else if let Some(option) = findings.own_option(section, key, &at) {
            insert(&mut layer, section, option, Value::Untyped(value.clone()), &at, Rank::Plain);
        }
    }
    layer
}

/// Why Airflow's secrets backends are not asked.
pub fn no_secrets_backend(name: &str) -> String {
    format!(
        "{name} asks a secrets backend of Airflow, which is Python code that airgate cannot run: write the value \
         itself, a _CMD variant, or {{ file = \"…\" }} in our own file"
    )
}

const REPEATS: &str =
    "[[jwt.issuers]] is a list of tables, which one text cannot hold: write it into the configuration file";

/// Which of two names of one option counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Plain,
    Variant,
}

fn insert(layer: &mut Layer, section: &str, option: &'static Opt, value: Value, at: &Location, rank: Rank) {
    let key = (option.section, option.key);
    let entries = layer.entries_of(section, at);
    if rank == Rank::Variant && entries.contains_key(&key) {
        return;
    }
    entries.insert(key, Entry { value, at: at.clone(), source: Source::Own, written: None });
}

/// `AIRGATE__CALLOUT__NAME__KEY` is `[callout.name]`, and `AIRGATE__SERVER__TLS__KEY` is `[server.tls]`.
fn named(section: String, key: String) -> (String, String) {
    match key.split_once("__") {
        Some((name, key)) if section == "callout" || names::has_table(&section, name) => {
            (format!("{section}.{name}"), key.to_owned())
        }
        Some(_) | None => (section, key),
    }
}

fn repeats(section: &str, key: &str) -> bool {
    section == "jwt" || section.starts_with("jwt.") || key.starts_with("issuers")
}

/// The secret option whose name and `suffix` make this key, unless the key is an option itself.
fn secret_variant(section: &str, key: &str, suffix: &str) -> Option<&'static Opt> {
    if matches!(names::lookup(section, key), Known::Option(_)) {
        return None;
    }
    options::find(section, key.strip_suffix(suffix)?).filter(|option| option.secret)
}
