//! The program: arguments to the library, exit code to the system.

use std::process::ExitCode;
use std::sync::Arc;

use airgate::cli::{self, Program};
use airgate::config::{Errors, Loaded, Settings, Sources};
use airgate::server::StartError;

/// Some per cent faster than the system's, and steadier in size.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One provider for everything that speaks TLS or signs. It fails only if there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::main(std::env::args_os(), Airgate)
}

/// What the command line starts.
struct Airgate;

impl Program for Airgate {
    fn assemble(&self, settings: &Settings, errors: &mut Errors) {
        airgate::server::check(settings, errors);
    }

    fn run(self, loaded: Loaded, sources: Sources) -> ExitCode {
        match airgate::server::run(loaded, Arc::new(move || sources.load())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(StartError::Config(errors)) => {
                cli::report(&[], &errors, &mut std::io::stderr());
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("airgate: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
