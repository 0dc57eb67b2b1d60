//! Airflow's own configuration: `airflow.cfg` and `AIRFLOW__SECTION__KEY`, as far as it concerns us.
//!
//! It belongs to Airflow: what we do not know in it is passed over in silence.

pub mod cfg;
pub mod expand;

use std::sync::Arc;

use self::cfg::Cfg;
use self::expand::{Environment, expand};
use super::environment::no_secrets_backend;
use super::layer::{Entry, Findings, Layer, Newline, Source, Value, renamed};
use super::location::Location;
use super::options::{self, Age, Opt};

/// What our and Airflow's readers ask of the auth manager: under `fab`, Airflow 3 takes
/// `auth_backends` from `[fab]`; under another one it does not look there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FabSection {
    /// `[fab] auth_backends` is in force, and goes before `[api] auth_backends`.
    Read,
    /// `[fab]` is not in force. A file written by Airflow has it all the same.
    Ignored,
}

/// A name under which Airflow's sources may have an option.
struct Name {
    section: &'static str,
    key: &'static str,
    warning: Option<String>,
}

/// The values of all `AIRFLOW__SECTION__KEY`.
pub fn read_variables(environment: &Environment, fab: FabSection, findings: &mut Findings) -> Layer {
    let mut layer = Layer::default();
    for option in options::ALL.iter().filter(|o| o.airflow) {
        for name in names(option, fab) {
            let variable = format!("AIRFLOW__{}__{}", name.section.to_uppercase(), name.key.to_uppercase());
            let Some((variable, value)) = variable_value(option, variable, environment) else { continue };
            let at = Location::Variable(variable.into());
            if let Some(warning) = name.warning {
                findings.warn(&at, warning);
            }
            insert(&mut layer, option, expanded(option, value, environment), at);
            break;
        }
    }
    layer
}

/// The values of `airflow.cfg`. `file` is what messages call it.
pub fn read_file(
    text: &str,
    file: &str,
    environment: &Environment,
    fab: FabSection,
    findings: &mut Findings,
) -> Layer {
    let file: Arc<str> = file.into();
    let at = |line| Location::Line { file: Arc::clone(&file), line };
    let (cfg, bad) = Cfg::parse(text);
    for bad in bad {
        findings.errors.push(&at(bad.line), bad.fault.to_string());
    }
    let mut layer = Layer::default();
    for option in options::ALL.iter().filter(|o| o.airflow) {
        let Some((name, variant, value, line)) = find(&cfg, option, fab) else { continue };
        let at = at(line);
        if let Some(warning) = name.warning {
            findings.warn(&at, warning);
        }
        let value = match (variant, value) {
            (_, Err(error)) => Value::Refused(format!("{}: {error}", option.title())),
            (Variant::Plain, Ok(text)) => expanded(option, Value::Untyped(text), environment),
            (Variant::Command, Ok(line)) => Value::Command { line, newline: Newline::Kept },
            (Variant::Secret, Ok(_)) => Value::Refused(no_secrets_backend(&format!("{}_secret", name.key))),
        };
        insert(&mut layer, option, value, at);
    }
    layer
}

fn names(option: &'static Opt, fab: FabSection) -> Vec<Name> {
    let own = Name { section: option.section, key: option.key, warning: None };
    let mut names = vec![own];
    for alias in option.aliases {
        let warning = match alias.age {
            Age::Current => None,
            Age::Old => Some(renamed(option, alias)),
        };
        let name = Name { section: alias.section, key: alias.key, warning };
        match (alias.section, fab) {
            ("fab", FabSection::Ignored) => {}
            ("fab", FabSection::Read) => names.insert(0, name),
            _ => names.push(name),
        }
    }
    names
}

/// A variable's value, or that of its `_CMD` and `_SECRET` variants, and the variant's name.
fn variable_value(option: &Opt, variable: String, environment: &Environment) -> Option<(String, Value)> {
    if let Some(text) = environment.get(&variable) {
        return Some((variable, Value::Untyped(text.clone())));
    }
    if !option.secret {
        return None;
    }
    let command = format!("{variable}_CMD");
    if let Some(line) = environment.get(&command) {
        return Some((command, Value::Command { line: line.clone(), newline: Newline::Kept }));
    }
    let secret = format!("{variable}_SECRET");
    environment.contains_key(&secret).then(|| {
        let refused = Value::Refused(no_secrets_backend(&secret));
        (secret, refused)
    })
}

/// Which of an option's three forms a file has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    Command,
    Secret,
}

type Found = (Name, Variant, Result<String, cfg::BadInterpolation>, usize);

/// The option in a file, under the first of its names, plain before command before secret.
fn find(cfg: &Cfg, option: &'static Opt, fab: FabSection) -> Option<Found> {
    let variants = [(Variant::Plain, ""), (Variant::Command, "_cmd"), (Variant::Secret, "_secret")];
    for (variant, suffix) in variants {
        if variant != Variant::Plain && !option.secret {
            break;
        }
        for name in names(option, fab) {
            if let Some((value, line)) = cfg.get(name.section, &format!("{}{suffix}", name.key)) {
                return Some((name, variant, value, line));
            }
        }
    }
    None
}

fn expanded(option: &Opt, value: Value, environment: &Environment) -> Value {
    match value {
        Value::Untyped(text) => match expand(&text, environment) {
            Ok(text) => Value::Untyped(text),
            Err(endless) => Value::Refused(format!("{}: {endless}", option.title())),
        },
        other => other,
    }
}

fn insert(layer: &mut Layer, option: &'static Opt, value: Value, at: Location) {
    let entry = Entry { value, at, source: Source::Airflow, written: None };
    layer.entries.insert((option.section, option.key), entry);
}
