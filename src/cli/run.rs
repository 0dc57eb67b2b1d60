//! `airgate run`.

use std::io::Write;
use std::process::ExitCode;

use super::check::all_wrong;
use super::{Exit, Program, report};
use crate::config::Sources;

/// Loads the configuration and hands it to the program; a wrong one ends here.
pub fn run(sources: Sources, program: impl Program, err: &mut impl Write) -> ExitCode {
    match sources.load() {
        Ok(loaded) => program.run(loaded, sources),
        Err(rejected) => {
            let (warnings, errors) = all_wrong(rejected, &program);
            report(&warnings, &errors, err);
            Exit::Failure.into()
        }
    }
}
