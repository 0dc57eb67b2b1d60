//! Which revision this is: `AIRGATE_REVISION`, for `airgate --version` and the metric `airgate_build_info`.
//!
//! Taken from the variable of that name where it is set, else from git, for what is built with optimisation. What is
//! built without is for development and tests, which a new commit would have compiled anew for nothing.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=AIRGATE_REVISION");
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let revision = variable("AIRGATE_REVISION").unwrap_or_else(|| match variable("PROFILE").as_deref() {
        Some("release") => of_git().unwrap_or_else(|| "unknown".to_owned()),
        Some(_) | None => "development".to_owned(),
    });
    println!("cargo:rustc-env=AIRGATE_REVISION={revision}");
}

/// The commit that is checked out, if this is a clone: not a source archive, which may have been unpacked in a clone of
/// something else.
fn of_git() -> Option<String> {
    let here = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        // A hook of another repository sets it.
        command.arg("-C").arg(&here).args(arguments).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        let output = command.output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
    };
    let clone = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&clone).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // Each commit and checkout adds a line to it.
    let log = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    // What else the program is made of: with a change of it that is not committed, the revision ends in -dirty.
    for part in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={part}");
    }
    git(&["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"])
}
