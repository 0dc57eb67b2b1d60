//! The real Airflow, started by `tests/airflow/airflow.sh`.
//!
//! `make test` starts all of them first and says where they are; without it, a test that needs one
//! starts it, and leaves it running for the next time (`tests/airflow/airflow.sh down` ends it).

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A running Airflow with its fixture data.
pub struct Airflow {
    pub url: String,
    /// Its `AIRFLOW_HOME`.
    pub home: PathBuf,
}

/// The simple auth manager, HS512.
pub fn simple() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("simple"))
}

/// The simple auth manager, RS256.
pub fn simple_rs256() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("simple-rs256"))
}

/// The FAB auth manager.
pub fn fab() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("fab"))
}

/// Keycloak's auth manager, on the realm `airflow` of [`super::keycloak::shared`].
pub fn keycloak() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("keycloak"))
}

/// The same, on [`super::keycloak::older`]. Started by `make test-all`.
pub fn keycloak_older() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("keycloak-older"))
}

/// Airflow 2, where who has not logged in has the role Public. Started by `make test-all`.
pub fn airflow_2() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("af2"))
}

/// Airflow 2, where who has not logged in has no role. Likewise.
pub fn airflow_2_without_public_role() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("af2-no-public"))
}

/// The Airflow 2 that `tests/goldens/af2-v1.jsonl` was recorded from. One test changes its data. Likewise.
pub fn airflow_2_v1() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("af2-v1"))
}

/// An Airflow that one test has for itself, with its data as freshly made.
pub struct Turn {
    airflow: &'static Airflow,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Turn {
    type Target = Airflow;

    fn deref(&self) -> &Airflow {
        self.airflow
    }
}

/// FAB, and what a scheduler has run: the data of `tests/goldens/af2-v1.jsonl`. Tests change it, so each waits for its turn.
pub fn v1() -> Turn {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let airflow = ONE.get_or_init(|| find("v1"));
    // Of the clone that started it.
    let clone = airflow.home.ancestors().nth(3).unwrap();
    let output = Command::new(clone.join("tests/airflow/airflow.sh")).args(["reset", "v1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Turn { airflow, _turn: turn }
}

/// The same with options that `tests/goldens/af2-v1.jsonl` names: the configuration is shown, connections are tried. Started
/// by `make test-all`.
pub fn v1_options() -> &'static Airflow {
    static ONE: OnceLock<Airflow> = OnceLock::new();
    ONE.get_or_init(|| find("v1-options"))
}

impl Airflow {
    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
    }

    pub fn config(&self) -> PathBuf {
        self.home.join("airflow.cfg")
    }
}

/// An Airflow of a test's own, set up otherwise. Ends when it is dropped.
pub struct Variant {
    name: String,
    pub url: String,
    home: PathBuf,
}

impl Variant {
    /// `name` begins with that of the instance that it is like; `options` are `AIRFLOW__SECTION__KEY=VALUE`.
    #[track_caller]
    pub fn start(name: &str, options: &[&str]) -> Self {
        let mut arguments = vec!["up", name];
        arguments.extend_from_slice(options);
        let url = script(&arguments);
        let home = PathBuf::from(script(&["home", name]));
        Self { name: name.into(), url, home }
    }

    pub fn config(&self) -> PathBuf {
        self.home.join("airflow.cfg")
    }
}

impl Drop for Variant {
    fn drop(&mut self) {
        script(&["down", &self.name]);
    }
}

/// Runs `airflow.sh`, and gives the last line that it prints.
#[track_caller]
fn script(arguments: &[&str]) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/airflow/airflow.sh");
    let output = Command::new(script).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().last().unwrap_or_default().trim().to_owned()
}

fn find(instance: &str) -> Airflow {
    let name = instance.to_ascii_uppercase().replace('-', "_");
    let variable = |suffix: &str| std::env::var(format!("AIRGATE_TEST_AIRFLOW_{name}{suffix}"));
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let url = variable("").unwrap_or_else(|_| script(&["up", instance]));
    let home =
        variable("_HOME").map_or_else(|_| root.join(".airgate-dev/airflow").join(instance), PathBuf::from);
    Airflow { url, home }
}

/// The Python that has Airflow and its client.
pub fn python() -> PathBuf {
    std::env::var("AIRGATE_TEST_PYTHON").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".airgate-dev/venv/bin/python"),
        PathBuf::from,
    )
}

/// The Python that has Airflow 2, installed beside the other.
pub fn python_of_airflow_2() -> PathBuf {
    let python = python();
    let folder = python.ancestors().nth(3).map(Path::to_path_buf).unwrap_or_default();
    folder.join("venv-af2/bin/python")
}
