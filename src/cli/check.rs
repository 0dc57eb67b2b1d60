//! `airgate check`.

use std::io::Write;

use super::{Exit, Program, report};
use crate::config::{Errors, Rejected, Sources, Warning};

/// Prints all warnings and errors; without errors, one line that says what was read.
pub fn check(sources: &Sources, program: &impl Program, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let (warnings, errors, read) = match sources.load() {
        Ok(loaded) => {
            let mut errors = Errors::new();
            let read = loaded.places().join(", ");
            let mut warnings = loaded.warnings;
            program.assemble(&loaded.settings, &mut warnings, &mut errors);
            (warnings, errors, read)
        }
        Err(rejected) => {
            let (warnings, errors) = all_wrong(rejected, program);
            (warnings, errors, String::new())
        }
    };
    report(&warnings, &errors, err);
    if !errors.is_empty() {
        return Exit::Failure;
    }
    let _ = match read.as_str() {
        "" => writeln!(out, "ok: nothing is configured, all options have their defaults"),
        read => writeln!(out, "ok: read from {read}"),
    };
    Exit::Success
}

/// What is wrong with a configuration, and with what its settings would be built from, where they can be read.
pub fn all_wrong(rejected: Rejected, program: &impl Program) -> (Vec<Warning>, Errors) {
    let Rejected { mut warnings, mut errors, settings, .. } = rejected;
    if let Some(settings) = &settings {
        program.assemble(settings, &mut warnings, &mut errors);
    }
    (warnings, errors.into_result().err().unwrap_or_default())
}
