//! How the program is built: which revision it bears, and `make dist`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

/// `scripts/dist.sh` with a cargo and a BOLT that only make the files that are asked of them.
fn dist(tools: &Path, environment: &[(&str, &Path)]) -> Output {
    for (name, script) in [
        (
            "cargo",
            "if [ -n \"${AIRGATE-}\" ]; then echo \"$AIRGATE\" >\"${0%/*}/asked\"; exit; fi\n\
             mkdir -p \"${@: -1}/dist\" && : >\"${@: -1}/dist/airgate\"",
        ),
        ("llvm-bolt", "while [ \"$1\" != -o ]; do shift; done; : >\"$2\""),
        ("merge-fdata", ":"),
    ] {
        let path = tools.join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let all = [tools.to_owned()].into_iter().chain(std::env::split_paths(&path));
    Command::new(Path::new(ROOT).join("scripts/dist.sh"))
        .env("PATH", std::env::join_paths(all).unwrap())
        .env_remove("AIRGATE")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_bolt_that_is_named_and_not_there_is_an_error() {
    let tools = tempfile::tempdir().unwrap();
    let target = tools.path().join("target");
    let nowhere = Path::new("/nowhere/llvm-bolt");
    let output = dist(tools.path(), &[("LLVM_BOLT", nowhere), ("CARGO_TARGET_DIR", &target)]);
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
    let output = dist(&folder, &[("LLVM_BOLT", &bolt), ("CARGO_TARGET_DIR", &relative)]);
    assert!(output.status.success(), "{output:?}");
    assert!(folder.join("target/dist/airgate").exists(), "{output:?}");
    let asked = std::fs::read_to_string(folder.join("asked")).unwrap();
    assert_eq!(Path::new(asked.trim_end()), folder.join("target/bolt/airgate/airgate.counting"));
}
