//! `make run`, as the README has it.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Ends with all that it started, as by Ctrl-C, when it is dropped.
struct Run(Child);

impl Run {
    fn interrupt(&mut self) -> std::process::ExitStatus {
        let group = format!("-{}", self.0.id());
        Command::new("kill").args(["-INT", "--", &group]).status().unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.interrupt();
        }
    }
}

#[test]
#[ignore = "builds airgate, and starts an Airflow of its own: make test-all"]
fn what_it_prints_works_when_it_is_pasted() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [free(), free()];
    // Where the tests run in the background SIGINT is ignored, and a shell cannot trap what it was started to ignore.
    let mut make = Command::new("env");
    make.args(["--default-signal=INT", concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/run.sh")]);
    // What cargo says to a test would have its build make half of the dependencies anew, and the tests' next one, too.
    let of_cargo = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| of_cargo(name)) {
        make.env_remove(name);
    }
    let mut child = make
        .envs([("PORT", ports[0].to_string()), ("ADMIN_PORT", ports[1].to_string())])
        // What somebody configured for an airgate of their own has no say.
        .env("AIRGATE_CONF", "/nowhere/airgate.toml")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let told = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    let mut run = Run(child);
    let mut printed = String::new();
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        printed.push_str(&line);
        printed.push('\n');
        if line == "Ctrl-C stops both." {
            break;
        }
    }
    let commands: Vec<&str> =
        printed.lines().filter(|line| line.starts_with("TOKEN=") || line.starts_with("curl ")).collect();
    if commands.len() != 5 {
        run.interrupt();
        panic!("{printed}\n{}", told.join().unwrap().unwrap());
    }
    // All in one shell, as they are pasted.
    let mut shell = Command::new("bash");
    shell.args(["-c", &commands.join("\n")]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = shell.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("ey") && lines[0].split('.').count() == 3, "a token: {text}");
    let list = |at: usize, name: &str| {
        let answer: Value = serde_json::from_str(lines[at]).unwrap_or_else(|error| panic!("{error}: {text}"));
        answer[name].as_array().unwrap_or_else(|| panic!("{text}")).len()
    };
    assert_eq!(list(1, "dags"), 2, "{text}");
    assert!(list(2, "pools") > 0, "{text}");
    assert_eq!(lines[3], "HTTP/1.1 200 OK", "{text}");
    assert!(text.contains("access-control-allow-origin: https://ui.example.com"), "{text}");
    assert_eq!(lines.last(), Some(&"x-airgate-page-limit: 10"), "{text}");

    let airflow = printed.split("in front of Airflow on http://").nth(1).unwrap();
    let airflow = airflow.split(". Try:").next().unwrap().to_owned();
    assert!(TcpStream::connect(&airflow).is_ok());
    assert_eq!(run.interrupt().code(), Some(0), "{}", told.join().unwrap().unwrap());
    for address in [airflow, format!("127.0.0.1:{}", ports[0]), format!("127.0.0.1:{}", ports[1])] {
        assert!(TcpStream::connect(&address).is_err(), "{address} is still there");
    }
}
