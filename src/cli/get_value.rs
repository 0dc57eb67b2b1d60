//! `airgate config get-value`.

use std::io::Write;

use super::{Exit, report};
use crate::config::names::{self, Known};
use crate::config::{Sources, options};

/// Whether secrets are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They are refused.
    Kept,
    /// They are printed.
    Shown,
}

/// Prints one value, and nothing else, to `out`: as it was written, but for lists.
pub fn get_value(
    sources: &Sources,
    section: &str,
    key: &str,
    secrets: Secrets,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Exit {
    let fail = |message: &str, err: &mut dyn Write| {
        let _ = writeln!(err, "airgate: {message}");
        Exit::Failure
    };
    let option = match names::lookup(&section.to_lowercase(), &key.to_lowercase()) {
        Known::Option(option) if option.section == options::ISSUERS => {
            return fail("[[jwt.issuers]] may occur several times: it has no single value", err);
        }
        Known::Option(option) | Known::Alias(option, _) => option,
        Known::Unavailable(message) | Known::Unknown(message) => return fail(&message, err),
    };
    let title = option.title();
    let mut read = sources.read();
    if let Some(name) = names::callout(&section.to_lowercase()) {
        read.layer.entries = read.layer.callouts.remove(name).map(|(_, entries)| entries).unwrap_or_default();
    }
    if !read.findings.errors.is_empty() {
        report(&[], &read.findings.errors, err);
        return Exit::Failure;
    }
    if option.secret && secrets == Secrets::Kept && read.layer.get(option).is_some() {
        return fail(&format!("{title} is a secret: --show-secrets prints it"), err);
    }
    match read.written(option, &sources.environment) {
        Ok(Some(value)) => {
            let _ = writeln!(out, "{value}");
            Exit::Success
        }
        Ok(None) => {
            let variable = option.variable();
            let hint = format!("the configuration file, {variable} or --set {}=… sets it", option.path());
            let without = option
                .without()
                .map_or(", and has no default".to_owned(), |without| format!(" (default: {without})"));
            fail(&format!("{title} is not set{without}: {hint}"), err)
        }
        Err(errors) => {
            report(&[], &errors, err);
            Exit::Failure
        }
    }
}
