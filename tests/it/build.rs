//! How the program is built: which revision it bears, and `make dist`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_revision_says_what_is_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (script, clone) = (folder.path().join("build"), folder.path().join("clone"));
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .arg(&script)
        .arg(Path::new(ROOT).join("build.rs"))
        .status();
    assert!(compiled.unwrap().success());
    std::fs::create_dir(&clone).unwrap();
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let output = Command::new("git").arg("-C").arg(&clone).args(who).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(output.stdout).trim().to_owned()
    };
    let revision = |given: &str| {
        let mut build = Command::new(&script);
        build.env("CARGO_MANIFEST_DIR", &clone).env("PROFILE", "release").env("AIRGATE_REVISION", given);
        let told = text(build.output().unwrap().stdout);
        let line = told.lines().find_map(|line| line.strip_prefix("cargo:rustc-env=AIRGATE_REVISION="));
        line.unwrap().to_owned()
    };
    git(&["init", "--quiet"]);
    std::fs::write(clone.join("file"), "1").unwrap();
    git(&["add", "file"]);
    git(&["commit", "--quiet", "--message", "1"]);
    git(&["tag", "--annotate", "--message", "1", "v1"]);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(revision(""), commit);
    std::fs::write(clone.join("other"), "not git's").unwrap();
    assert_eq!(revision(""), commit);
    std::fs::write(clone.join("file"), "22").unwrap();
    assert_eq!(revision(""), format!("{commit}-dirty"));
    assert_eq!(revision("given"), "given");
}

/// A cargo that only makes the file that is asked of it.
const CARGO: &str = "if [ -n \"${AIRGATE-}\" ]; then echo \"$AIRGATE\" >\"${0%/*}/asked\"; exit; fi\n\
                     mkdir -p \"${@: -1}/dist\" && : >\"${@: -1}/dist/airgate\"";

/// `scripts/dist.sh` with this cargo and a BOLT that does nothing.
fn dist(tools: &Path, cargo: &str, environment: &[(&str, &Path)]) -> Command {
    for (name, script) in [
        ("cargo", cargo),
        ("llvm-bolt", "while [ \"$1\" != -o ]; do shift; done; : >\"$2\""),
        ("merge-fdata", ":"),
    ] {
        let path = tools.join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let all = [tools.to_owned()].into_iter().chain(std::env::split_paths(&path));
    let mut command = Command::new(Path::new(ROOT).join("scripts/dist.sh"));
    command
        .env("PATH", std::env::join_paths(all).unwrap())
        .env_remove("AIRGATE")
        .envs(environment.iter().copied());
    command
}

#[test]
fn a_build_that_is_ended_leaves_nothing_that_runs() {
    let tools = tempfile::tempdir().unwrap();
    let (target, bolt) = (tools.path().join("target"), tools.path().join("llvm-bolt"));
    // Who made the pipe is at its end when nobody writes to it any more.
    let cargo = "echo begun; sleep 600 & wait";
    let environment = [("LLVM_BOLT", &*bolt), ("CARGO_TARGET_DIR", &*target)];
    let mut ended = dist(tools.path(), cargo, &environment).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(ended.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    let killed = Command::new("kill").arg(ended.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(ended.wait().unwrap().code(), Some(143));
    assert_eq!(out.read_line(&mut line).unwrap(), 0, "{line}");
}

#[test]
fn a_bolt_that_is_named_and_not_there_is_an_error() {
    let tools = tempfile::tempdir().unwrap();
    let target = tools.path().join("target");
    let nowhere = Path::new("/nowhere/llvm-bolt");
    let output =
        dist(tools.path(), CARGO, &[("LLVM_BOLT", nowhere), ("CARGO_TARGET_DIR", &target)]).output().unwrap();
    let told = (output.status.code(), text(output.stderr));
    assert_eq!(told, (Some(1), "error: LLVM_BOLT=/nowhere/llvm-bolt is no command\n".to_owned()));
}

/// What asks the program is run from elsewhere.
#[test]
fn a_target_folder_may_be_relative() {
    let tools = tempfile::tempdir().unwrap();
    let (folder, root) = (tools.path().canonicalize().unwrap(), Path::new(ROOT).canonicalize().unwrap());
    let up: PathBuf = root.components().skip(1).map(|_| "..").collect();
    let relative = up.join(folder.strip_prefix("/").unwrap()).join("target");
    let bolt = folder.join("llvm-bolt");
    let output =
        dist(&folder, CARGO, &[("LLVM_BOLT", &bolt), ("CARGO_TARGET_DIR", &relative)]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(folder.join("target/dist/airgate").exists(), "{output:?}");
    let asked = std::fs::read_to_string(folder.join("asked")).unwrap();
    assert_eq!(Path::new(asked.trim_end()), folder.join("target/bolt/airgate/airgate.counting"));
}
