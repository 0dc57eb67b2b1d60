//! `scripts/setup.sh` on machines that lack something: who is not root, or has another system, is told at once what
//! installs it, in one line, and nothing is installed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A `PATH` of one folder, with what every Linux has, and little else.
struct Machine(TempDir);

impl Machine {
    const EVERYWHERE: &[&str] = &[
        "bash", "sh", "env", "cat", "cut", "dirname", "flock", "grep", "head", "id", "mkdir", "printf",
        "sed", "setsid", "sort", "tail", "true", "uname", "make", "cc", "curl",
    ];

    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let path = std::env::var_os("PATH").unwrap();
        for name in Self::EVERYWHERE {
            let real =
                std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists());
            if let Some(real) = real {
                symlink(real, machine.0.path().join(name)).unwrap();
            }
        }
        machine
    }

    /// A program that writes down that it was called, and does this.
    fn program(self, name: &str, does: &str) -> Self {
        let file = self.0.path().join(name);
        drop(fs::remove_file(&file));
        let script = format!("#!/bin/sh\necho \"{name} $*\" >>'{}'\n{does}\n", self.calls().display());
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn calls(&self) -> std::path::PathBuf {
        self.0.path().join("calls")
    }

    /// Of these programs, the calls.
    fn called(&self, name: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.calls()).unwrap_or_default();
        calls.lines().filter(|line| line.split(' ').next() == Some(name)).map(str::to_owned).collect()
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", self.0.path()).env("HOME", self.0.path());
        command.output().unwrap()
    }

    /// What the script says. It must fail, soon.
    #[track_caller]
    fn setup(&self) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup.sh");
        let begun = Instant::now();
        let output = self.run(&self.0.path().join("bash"), &[script.to_str().unwrap(), "run"]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty());
        said
    }
}

/// A Python that the scripts take for one that will do.
const PYTHON: &str = "exit 0";

#[test]
fn who_is_not_root_is_told_the_line_that_installs_what_is_missing() {
    let machine =
        Machine::new().program("id", "echo 1000").program("apt-get", "exit 9").program("python3", PYTHON);
    let said = machine.setup();
    let line = "sudo sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
                --no-install-recommends cmake'";
    assert_eq!(said, format!("missing: cmake. This installs it:\n  {line}\n"));
    assert!(machine.called("apt-get").is_empty(), "{said}");
    // Pasted, it does as it says.
    let machine = machine.program("apt-get", "exit 0").program("sudo", "exec \"$@\"");
    let pasted = machine.run(&machine.0.path().join("bash"), &["-c", line]);
    assert!(pasted.status.success(), "{pasted:?}");
    assert_eq!(
        machine.called("apt-get"),
        ["apt-get update", "apt-get install -y --no-install-recommends cmake"]
    );
}

#[test]
fn another_system_is_told_its_own() {
    for (manager, line) in [
        ("dnf", "sudo dnf install -y gcc glibc-devel cmake make curl util-linux python3"),
        ("zypper", "sudo zypper install -y gcc glibc-devel cmake make curl util-linux python311"),
        ("pacman", "sudo pacman -S --needed gcc cmake make curl util-linux python"),
        ("apk", "sudo apk add gcc musl-dev cmake make curl util-linux python3"),
    ] {
        // Root is told no other thing: that system is not ours to change.
        let machine =
            Machine::new().program("id", "echo 0").program(manager, "exit 9").program("python3", PYTHON);
        let said = machine.setup();
        let expected = format!("missing, by Debian's names: cmake. This installs it:\n  {line}\n");
        assert_eq!(said, expected, "{manager}");
        assert!(machine.called(manager).is_empty(), "{manager}");
    }
    let said = Machine::new().program("python3", PYTHON).setup();
    assert!(said.contains("your package manager; look for a C compiler, cmake"), "{said}");
    let said = Machine::new().program("uname", "echo Darwin").setup();
    assert_eq!(
        said,
        "error: these scripts need Linux (they use /proc, setsid and flock). airgate itself: cargo build\n"
    );
}

#[test]
fn without_rust_it_says_where_that_is_from() {
    let machine = Machine::new().program("cmake", "exit 0").program("python3", PYTHON);
    assert!(machine.setup().starts_with("error: no cargo on the PATH. Rust 1."), "{}", machine.setup());
}

#[test]
fn as_root_it_installs_and_says_what_went_wrong() {
    let machine = Machine::new().program("id", "echo 0").program("python3", PYTHON);
    let machine = machine.program("apt-get", "echo 'E: Unable to locate package cmake' >&2; exit 100");
    let said = machine.setup();
    assert!(said.starts_with("installing cmake\n"), "{said}");
    assert!(
        said.contains("E: Unable to locate package cmake") && said.ends_with("could not install cmake\n"),
        "{said}"
    );
}
