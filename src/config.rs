//! Configuration: read from every source, merged, typed.
//!
//! Sources, lowest first: built-in default, `airflow.cfg`, `AIRFLOW__SECTION__KEY`, our own TOML
//! file, `AIRGATE__SECTION__KEY`, `--set section.key=value`. Everything that is wrong is found in one
//! go and said at once, with the place where it was written.

pub mod airflow;
pub mod environment;
pub mod errors;
pub mod file;
pub mod held;
pub mod layer;
pub mod location;
pub mod names;
pub mod options;
pub mod resolve;
pub mod settings;
mod shown;
pub mod table;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use environment::Assignment;
pub use errors::{Errors, Warning};
pub use location::{Located, Location};
pub use settings::{Release, Settings};
pub use shown::Shown;

use airflow::FabSection;
use airflow::expand::Environment;
use layer::{Entry, Findings, Layer, Value};
use options::Opt;
use resolve::Folders;

/// Where a configuration is read from. Reading it again is a reload.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `--conf FILE`. Without it `$AIRGATE_CONF`, else `airgate.toml` in the working directory, else
    /// [`Sources::system_file`], if there is one.
    pub conf: Option<PathBuf>,
    /// `--set section.key=value`, in the order given.
    pub assignments: Vec<Assignment>,
    /// The environment.
    pub environment: Environment,
    /// Names of variables whose values are not UTF-8, so that they cannot be read.
    pub unreadable: Vec<String>,
    /// The working directory.
    pub directory: PathBuf,
    /// Names of backends that are registered in Rust, besides airgate's own.
    pub registered: Vec<&'static str>,
    /// The last place to look for our own file: `/etc/airgate/airgate.toml`.
    pub system_file: PathBuf,
    /// What the process that this one follows holds: see [`Sources::load_for`].
    pub held: Vec<PathBuf>,
}

impl Sources {
    /// The sources of this process.
    pub fn of_process(conf: Option<PathBuf>, assignments: Vec<Assignment>) -> Self {
        let mut environment = Environment::new();
        let (mut unreadable, mut held) = (Vec::new(), Vec::new());
        for (name, value) in std::env::vars_os() {
            if name == held::VARIABLE {
                held = held::read(&value);
                continue;
            }
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(environment.insert(name, value)),
                (Ok(name), Err(_)) => unreadable.push(name),
                (Err(_), Ok(_) | Err(_)) => {}
            }
        }
        let directory = std::env::current_dir().unwrap_or_default();
        let system_file = PathBuf::from("/etc/airgate/airgate.toml");
        let registered = Vec::new();
        Self { conf, assignments, environment, unreadable, directory, registered, system_file, held }
    }

    /// Reads and types everything, while it is not known which Airflow the upstream is.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn load(&self) -> Result<Loaded, Rejected> {
        self.load_for(None, &self.held)
    }

    /// Reads and types everything. `release` is which Airflow the upstream has said to be: it counts where
    /// `[upstream] airflow` leaves it open. `held` are the files of the configuration in force that nobody has named
    /// ([`Loaded::found`]): without one of them options would silently have their defaults again.
    ///
    /// # Errors
    /// All that is wrong, at once, a file of `held` that is gone included.
    pub fn load_for(&self, release: Option<Release>, held: &[PathBuf]) -> Result<Loaded, Rejected> {
        let Read { layer, folders, mut findings, sources, mut files, found } = self.read_with(held);
        let settings = resolve::resolve(
            &layer,
            &folders,
            &self.environment,
            &mut findings,
            &mut files,
            &self.registered,
            release,
        );
        if let Some(settings) = &settings {
            resolve::checks::check(settings, &mut findings);
        }
        let Findings { errors, warnings } = findings;
        match (settings, errors.into_result()) {
            (Some(settings), Ok(())) => Ok(Loaded { settings, warnings, sources, files, found, layer }),
            (settings, errors) => {
                let errors = errors.err().unwrap_or_default();
                Err(Rejected { errors, warnings, files, settings: settings.map(Box::new) })
            }
        }
    }

    /// Reads and merges everything, without typing it.
    pub fn read(&self) -> Read {
        self.read_with(&[])
    }

    fn read_with(&self, held: &[PathBuf]) -> Read {
        let mut reading = Reading { held, system_file: Some(&self.system_file), ..Reading::default() };
        let findings = &mut reading.findings;
        for name in self.unreadable.iter().filter(|n| n.starts_with("AIRGATE_") || n.starts_with("AIRFLOW_"))
        {
            findings.warn(&Location::Variable(name.as_str().into()), "is not UTF-8, and not read");
        }
        let (file, folder) = self.own_file(&mut reading);
        let mut own = file;
        own.overlay(environment::read_variables(&self.environment, &mut reading.findings));
        own.overlay(environment::read_assignments(&self.assignments, &mut reading.findings));
        let folders = Folders { file: folder, working: self.directory.clone() };

        let cfg = self.airflow_cfg(&own, &folders, &mut reading);
        let airflow = |fab, findings: &mut Findings| {
            let mut layer = match &cfg {
                Some((name, text)) => airflow::read_file(text, name, &self.environment, fab, findings),
                None => Layer::default(),
            };
            layer.overlay(airflow::read_variables(&self.environment, fab, findings));
            layer
        };
        let mut merged = airflow(FabSection::Ignored, &mut Findings::default());
        merged.overlay(own.clone());
        let Reading { mut findings, mut sources, files, found, .. } = reading;
        let mut layer = airflow(fab_section(&merged), &mut findings);
        layer.overlay(own);
        sources.extend(cfg.map(|(name, _)| name));
        Read { layer, folders, findings, sources, files, found }
    }

    /// Our own file, and the folder it stands in.
    fn own_file(&self, reading: &mut Reading<'_>) -> (Layer, PathBuf) {
        let from_environment = || self.environment.get("AIRGATE_CONF").filter(|f| !f.is_empty());
        let named = self.conf.clone().or_else(|| from_environment().map(PathBuf::from));
        let optional = [PathBuf::from("airgate.toml"), self.system_file.clone()];
        let candidates = match &named {
            Some(path) => std::slice::from_ref(path),
            None => &optional[..],
        };
        for path in candidates {
            let full = self.directory.join(path);
            let name = path.display().to_string();
            match std::fs::read_to_string(&full) {
                Ok(text) => {
                    let folder = full.parent().unwrap_or(Path::new("/")).to_owned();
                    let layer = file::read(&text, &name, &folder, &mut reading.findings);
                    reading.sources.push(name);
                    if named.is_none() {
                        reading.found.push(full.clone());
                    }
                    reading.files.push(full);
                    return (layer, folder);
                }
                Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => {
                    if reading.is_gone(&full, &name) {
                        break;
                    }
                }
                Err(error) => {
                    let at = Location::File(name.into());
                    reading.findings.errors.push(&at, format!("cannot be read: {error}"));
                    reading.files.push(full);
                    break;
                }
            }
        }
        (Layer::default(), self.directory.clone())
    }

    /// The name and text of `airflow.cfg`: the one that `[gate] airflow_cfg` names, else Airflow's
    /// own, if there is one.
    fn airflow_cfg(
        &self,
        own: &Layer,
        folders: &Folders,
        reading: &mut Reading<'_>,
    ) -> Option<(String, String)> {
        let (path, name, at) = match own.get(&options::GATE_AIRFLOW_CFG) {
            Some(Entry { value: Value::Text(text) | Value::Untyped(text), at, .. }) => {
                if text.is_empty() {
                    return None;
                }
                (folders.of(at).join(text), text.clone(), Some(at))
            }
            Some(Entry { at, .. }) => {
                let option = options::GATE_AIRFLOW_CFG;
                reading.findings.errors.push(at, format!("{}: expected {}", option.title(), option.allowed));
                return None;
            }
            None => {
                let path = self.airflows_own_cfg()?;
                let name = path.display().to_string();
                (path, name, None)
            }
        };
        match std::fs::read(&path) {
            Ok(bytes) => {
                if at.is_none() {
                    reading.found.push(path.clone());
                }
                reading.files.push(path);
                match String::from_utf8(bytes) {
                    Ok(text) => Some((name, text)),
                    Err(_) => {
                        reading.findings.errors.push(&Location::File(name.into()), "is not UTF-8");
                        None
                    }
                }
            }
            Err(error) if at.is_none() && error.kind() == ErrorKind::NotFound => {
                if !reading.is_gone(&path, &name)
                    && self.environment.get("AIRFLOW_CONFIG").is_some_and(|f| !f.is_empty())
                {
                    let at = Location::Variable("AIRFLOW_CONFIG".into());
                    reading.findings.warn(&at, format!("{name} is not there, and nothing is read from it"));
                }
                None
            }
            Err(error) => {
                let file = Location::File(name.as_str().into());
                let message = match at {
                    Some(_) => {
                        format!("{}: {name} cannot be read: {error}", options::GATE_AIRFLOW_CFG.title())
                    }
                    None => format!("cannot be read: {error}"),
                };
                reading.findings.errors.push(at.unwrap_or(&file), message);
                reading.files.push(path);
                None
            }
        }
    }

    /// `$AIRFLOW_CONFIG`, else `airflow.cfg` in `$AIRFLOW_HOME`.
    fn airflows_own_cfg(&self) -> Option<PathBuf> {
        let variable = |name: &str| {
            let value = self.environment.get(name).filter(|v| !v.is_empty())?;
            airflow::expand::expand(value, &self.environment).ok()
        };
        let path = variable("AIRFLOW_CONFIG").map(PathBuf::from);
        let path =
            path.or_else(|| variable("AIRFLOW_HOME").map(|home| Path::new(&home).join("airflow.cfg")))?;
        Some(self.directory.join(path))
    }
}

/// Whether `[fab]` is in force: whether the auth manager is Flask-AppBuilder's.
fn fab_section(merged: &Layer) -> FabSection {
    let is_fab = |option: &Opt| match merged.get(option).map(|entry| &entry.value) {
        Some(Value::Text(text) | Value::Untyped(text)) if !text.is_empty() => {
            Some(resolve::parse::auth_manager(text) == Ok(settings::AuthManager::Fab))
        }
        Some(_) | None => None,
    };
    match is_fab(&options::UPSTREAM_AUTH_MANAGER).or_else(|| is_fab(&options::CORE_AUTH_MANAGER)) {
        Some(true) => FabSection::Read,
        Some(false) | None => FabSection::Ignored,
    }
}

/// What is noted while files are read.
#[derive(Default)]
struct Reading<'a> {
    held: &'a [PathBuf],
    system_file: Option<&'a Path>,
    findings: Findings,
    sources: Vec<String>,
    files: Vec<PathBuf>,
    found: Vec<PathBuf>,
}

impl Reading<'_> {
    /// Whether a file that is not there was read for the configuration in force, which is an error then.
    fn is_gone(&mut self, path: &Path, name: &str) -> bool {
        // Where the working directory is gone, nobody can say any more where a path in it is. The system's file is
        // looked for by itself.
        let is_lost =
            |held: &Path| path.is_relative() && held.ends_with(path) && self.system_file != Some(held);
        let is_held = self.held.iter().any(|held| held == path || is_lost(held));
        if is_held {
            let message =
                "is gone, and the configuration in force was read from it: put it back, or restart airgate";
            self.findings.errors.push(&Location::File(name.into()), message);
            // Watched, so that its return is noticed.
            self.files.push(path.to_owned());
        }
        is_held
    }
}

/// Everything read and merged, not yet typed.
pub struct Read {
    /// The values.
    pub layer: Layer,
    /// Where relative paths start.
    pub folders: Folders,
    /// What was found wrong while reading.
    pub findings: Findings,
    /// The configuration files that were read, as they were named.
    pub sources: Vec<String>,
    /// All files that were read, with what values were taken from.
    pub files: Vec<PathBuf>,
    /// Those that nobody has named, and that were found where they are looked for.
    pub found: Vec<PathBuf>,
}

impl Read {
    /// The value of an option that is in force, as it was written, or its default; `None` when it has neither. Lists
    /// have commas between their items, however they were written. A file is read and a command run for it.
    ///
    /// # Errors
    /// The file or command does not give a value.
    pub fn written(&self, option: &Opt, environment: &Environment) -> Result<Option<String>, Errors> {
        let entry = self.layer.get(option);
        let text = match entry.map(|entry| &entry.written) {
            None if !option.shape.is_list() => Some(option.default.to_owned()),
            Some(Some(written)) if !option.shape.is_list() => Some(written.clone()),
            None | Some(_) => {
                let mut findings = Findings::default();
                let text = resolve::text_of(option, &self.layer, &self.folders, environment, &mut findings);
                findings.errors.into_result().map(|()| text)?
            }
        };
        let is_empty = text.as_ref().is_none_or(String::is_empty);
        if is_empty && *option == options::UPSTREAM_AUTH_MANAGER {
            // Its default is what another option names.
            let named = self.written(&options::CORE_AUTH_MANAGER, environment)?;
            return Ok(named.map(|name| match resolve::parse::auth_manager(&name) {
                Ok(manager) => manager.name().to_owned(),
                Err(_) => name,
            }));
        }
        Ok(text.filter(|_| entry.is_some() || !is_empty))
    }
}

/// A configuration that is right.
#[derive(Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What is worth saying.
    pub warnings: Vec<Warning>,
    /// The configuration files that were read, as they were named.
    pub sources: Vec<String>,
    /// All files that were read, those of `{ file = … }` included: a change of one is a reason to
    /// reload.
    pub files: Vec<PathBuf>,
    /// The configuration files that nobody has named, and that were found where they are looked for.
    pub found: Vec<PathBuf>,
    layer: Layer,
}

/// A configuration that is wrong.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// What is wrong, at least one.
    pub errors: Errors,
    /// What is worth saying besides.
    pub warnings: Vec<Warning>,
    /// All files that were read, or could not be.
    pub files: Vec<PathBuf>,
    /// The settings, where each can be read by itself, so that it can be told what else is wrong with them.
    pub settings: Option<Box<Settings>>,
}

impl Loaded {
    /// The places that have a say: the files that were read, then variables and `--set`s.
    pub fn places(&self) -> Vec<String> {
        let callouts = self.layer.callouts.values().flat_map(|(_, entries)| entries.values());
        let others = self.layer.entries.values().chain(callouts).filter_map(|entry| match &entry.at {
            Location::Variable(_) | Location::Set(_) => Some(entry.at.to_string()),
            Location::Default | Location::File(_) | Location::Line { .. } | Location::Column { .. } => None,
        });
        self.sources.iter().cloned().chain(others).collect()
    }
}
