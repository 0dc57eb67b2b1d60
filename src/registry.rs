//! Backends of one's own, by name.

mod clean;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::auth::Backend;
use crate::config::errors::Note;
use crate::config::names;
use crate::config::resolve::parse;
use crate::config::table::Table;
use clean::Clean;

/// What is wrong with a backend's table, or keeps it from being built. Whatever says so in words that the
/// operator understands, and holds no secret.
pub type BuildError = Box<dyn Error + Send + Sync>;

/// What a backend is built from.
pub struct Setup<'a> {
    table: &'a Table,
    runtime: &'a Handle,
}

impl Setup<'_> {
    /// The table `[backend.NAME]`, read into a type of the backend's own; an empty one if it is not written.
    /// `{ file = "…" }` stands for the content of that file. With `#[serde(deny_unknown_fields)]` a
    /// misspelt key is an error.
    ///
    /// # Errors
    /// The table is of another shape. To be returned as it is: it then is said with line and column.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, BuildError> {
        self.table.read().map_err(|note| Wrong(note).into())
    }

    /// The runtime for what waits for others or takes long. The threads that serve requests must not wait:
    /// spawn on this one, and await the task.
    pub fn outbound(&self) -> &Handle {
        self.runtime
    }
}

/// A fault of the table, with its place.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct Wrong(Note);

type Build = dyn Fn(&Setup<'_>) -> Result<Arc<dyn Backend>, BuildError> + Send + Sync;

/// How each backend that is not airgate's own is built.
#[derive(Clone, Default)]
pub struct Registry {
    builds: BTreeMap<&'static str, Arc<Build>>,
}

/// A name that no backend of one's own may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongName {
    /// It would not stand in the configuration.
    #[error("a backend cannot be registered as {0:?}: {no_name}", no_name = names::NO_NAME)]
    Unwritable(&'static str),
    /// It is airgate's own.
    #[error("a backend cannot be registered as {0:?}: airgate has one of this name")]
    Taken(&'static str),
}

impl Registry {
    /// Adds a backend.
    pub fn add<F>(&mut self, name: &'static str, build: F)
    where
        F: Fn(&Setup<'_>) -> Result<Arc<dyn Backend>, BuildError> + Send + Sync + 'static,
    {
        self.builds.insert(name, Arc::new(build));
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.builds.keys().copied()
    }

    /// Whether all names can be used.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<(), WrongName> {
        self.names().try_for_each(|name| match parse::backend(name) {
            _ if !names::is_name(name) => Err(WrongName::Unwritable(name)),
            Err(parse::Fault::Expected) => Ok(()),
            // What a later release will have is taken too.
            Ok(_) | Err(parse::Fault::Because(_)) => Err(WrongName::Taken(name)),
        })
    }

    /// Builds a backend, under its registered name whatever it calls itself.
    ///
    /// # Errors
    /// What it finds wrong, with its place: that of the table, if it says nothing better.
    pub fn build(
        &self,
        name: &'static str,
        table: &Table,
        runtime: &Handle,
    ) -> Result<Arc<dyn Backend>, Note> {
        let note = |message: String| Note { at: table.at().clone(), message };
        let build = self.builds.get(name).ok_or_else(|| note(format!("there is no backend {name}")))?;
        match build(&Setup { table, runtime }) {
            Ok(backend) => Ok(Arc::new(Clean::new(name, backend))),
            Err(error) => match error.downcast::<Wrong>() {
                Ok(wrong) => Err(wrong.0),
                Err(other) => Err(note(format!("[backend.{name}]: {other}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixed::DenyAll;
    use crate::config::Location;

    fn registry(name: &'static str) -> Registry {
        let mut registry = Registry::default();
        registry.add(name, |setup| match setup.settings::<BTreeMap<String, u8>>()?.get("fails") {
            Some(_) => Err("no luck".into()),
            None => Ok(Arc::new(DenyAll)),
        });
        registry
    }

    #[test]
    fn a_name_must_be_free_and_writable() {
        for (name, expected) in [
            ("api_key", Ok(())),
            ("jwt", Err(WrongName::Taken("jwt"))),
            ("password_auth", Err(WrongName::Taken("password_auth"))),
            ("kerberos_auth", Err(WrongName::Taken("kerberos_auth"))),
            ("callout:mine", Err(WrongName::Unwritable("callout:mine"))),
            ("my backend", Err(WrongName::Unwritable("my backend"))),
            ("a,b", Err(WrongName::Unwritable("a,b"))),
            ("", Err(WrongName::Unwritable(""))),
        ] {
            assert_eq!(registry(name).check(), expected, "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_backend_is_built_under_its_registered_name() {
        let runtime = Handle::current();
        let build = |text: &str| {
            let at = Location::Column { file: "a.toml".into(), line: 1, column: 2 };
            let table = Table::new("mine", at, text, std::path::Path::new("/"));
            registry("mine").build("mine", &table, &runtime).map(|backend| backend.name())
        };
        let wrong = |text: &str| build(text).map_err(|note| note.to_string());
        assert_eq!(wrong("[backend.mine]\n"), Ok("mine"));
        assert_eq!(wrong("[backend.mine]\nfails = 1\n"), Err("a.toml:1:2: [backend.mine]: no luck".into()));
        let typed = "a.toml:2:5: [backend.mine]: invalid type: boolean `true`, expected u8";
        assert_eq!(wrong("[backend.mine]\na = true\n"), Err(typed.into()));
    }
}
