//! airgate as a program, with backends of one's own or without.

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::{self, Program};
use crate::config::{Errors, Loaded, Settings, Sources, Warning};
use crate::registry::{BuildError, Registry, Setup};
use crate::server::{self, StartError};

/// The program `airgate`, to which backends of one's own can be added.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use airgate::auth::{Attempt, Backend, Verdict};
/// # struct Nobody;
/// # #[airgate::async_trait]
/// # impl Backend for Nobody {
/// #     fn name(&self) -> &'static str { "nobody" }
/// #     async fn authenticate(&self, _: &Attempt<'_>) -> Verdict { Verdict::NotMine }
/// # }
/// fn main() -> std::process::ExitCode {
///     airgate::Builder::new().backend("nobody", |_| Ok(Arc::new(Nobody))).main()
/// }
/// ```
#[derive(Default)]
pub struct Builder {
    registry: Registry,
}

impl Builder {
    /// airgate as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend, for `[api] auth_backends` to name. `build` makes it from its table
    /// `[backend.NAME]` at the start, with each reload, and for `airgate check`; what it finds wrong
    /// is said like any other error of the configuration, and nothing starts or changes.
    ///
    /// A name of up to 64 letters, digits, `-` and `_` that no backend of airgate's has; of two of the same
    /// name the last counts. It stands in metrics and logs, so it holds no secret.
    #[must_use]
    pub fn backend<F>(mut self, name: &'static str, build: F) -> Self
    where
        F: Fn(&Setup<'_>) -> Result<Arc<dyn crate::auth::Backend>, BuildError> + Send + Sync + 'static,
    {
        self.registry.add(name, build);
        self
    }

    /// Does what the arguments of the process say, as `airgate` does: `run`, `check`, and so on. To be called
    /// once, from `main`, outside of any asynchronous runtime.
    pub fn main(self) -> ExitCode {
        if let Err(error) = self.registry.check() {
            eprintln!("airgate: {error}");
            return ExitCode::FAILURE;
        }
        // One provider for everything that speaks TLS or signs. It fails only if there is one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        cli::main(std::env::args_os(), self)
    }
}

impl Program for Builder {
    fn registered(&self) -> Vec<&'static str> {
        self.registry.names().collect()
    }

    fn assemble(&self, settings: &Settings, warnings: &mut Vec<Warning>, errors: &mut Errors) {
        server::check(settings, &self.registry, warnings, errors);
    }

    fn run(self, loaded: Loaded, sources: Sources) -> ExitCode {
        match server::run(
            loaded,
            Arc::new(move |release, held| sources.load_for(release, held)),
            self.registry,
        ) {
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
