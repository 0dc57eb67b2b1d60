//! An airgate of the test's own: the real binary, on ports that the system chose.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Ask, get};

/// Longest that anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running airgate. Killed when it is dropped.
pub struct Airgate {
    child: Child,
    home: TempDir,
    server: SocketAddr,
    admin: SocketAddr,
    log: Arc<Lines>,
    access: Arc<Lines>,
}

/// Lines that a process has written, and somebody who waits for more.
#[derive(Default)]
struct Lines {
    written: Mutex<Written>,
    more: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn follow(stream: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let its_lines = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                its_lines.written.lock().unwrap().lines.push(line);
                its_lines.more.notify_all();
            }
            its_lines.written.lock().unwrap().ended = true;
            its_lines.more.notify_all();
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.written.lock().unwrap().lines.clone()
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.try_wait(find);
        found.unwrap_or_else(|| panic!("no line has {what}:\n{}", self.all().join("\n")))
    }

    fn try_wait<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut written = self.written.lock().unwrap();
        let mut looked_at = 0;
        loop {
            if let Some(found) = written.lines[looked_at..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            looked_at = written.lines.len();
            if written.ended {
                return None;
            }
            let (again, late) = self.more.wait_timeout(written, PATIENCE).unwrap();
            if late.timed_out() {
                return None;
            }
            written = again;
        }
    }

    /// Waits until the other end is closed.
    #[track_caller]
    fn wait_for_the_end(&self) {
        let written = self.written.lock().unwrap();
        let (written, late) =
            self.more.wait_timeout_while(written, PATIENCE, |written| !written.ended).unwrap();
        assert!(!late.timed_out(), "it goes on:\n{}", written.lines.join("\n"));
    }
}

/// An airgate that has not started yet.
pub struct Setup {
    program: PathBuf,
    config: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    home: TempDir,
}

impl Setup {
    /// A file in the folder that airgate is started in.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.home.path().join(name), content).unwrap();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Another program than airgate itself, with the same command line.
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Has a line of bash run before airgate, whose arguments are `$@`.
    pub fn after(self, line: &str) -> Self {
        let (program, airgate) = (self.home().join("program"), env!("CARGO_BIN_EXE_airgate"));
        let script = format!("#!/bin/bash\n{line}\nexec -a \"$0\" {airgate} \"$@\"\n");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self.program(program)
    }

    /// The folder that airgate is started in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn command(&self) -> Command {
        let mut command = self.with_arguments(&["run", "--conf", "airgate.toml"]);
        command
            .args(["--set", "server.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"])
            .args(super::tls::arguments())
            .args(&self.arguments);
        command
    }

    fn with_arguments(&self, arguments: &[&str]) -> Command {
        let path = self.home.path().join("airgate.toml");
        std::fs::write(&path, &self.config).unwrap();
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Airgate {
        let mut child = self.command().spawn().unwrap();
        let log = Lines::follow(child.stderr.take().unwrap());
        let access = Lines::follow(child.stdout.take().unwrap());
        let address = |listener: &str| {
            log.wait(&format!("the address of {listener}"), |line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let fields = line.get("fields").unwrap_or(&line);
                (fields["message"] == "listening" && fields["listener"] == listener)
                    .then(|| fields["address"].as_str()?.parse().ok())?
            })
        };
        let (server, admin) = (address("server"), address("admin"));
        super::tls::note(server);
        Airgate { child, home: self.home, server, admin, log, access }
    }

    /// Runs another command of airgate's: its exit code, and all that it wrote to standard output.
    pub fn says(self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.with_arguments(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What `airgate check` says of it, errors and all, and its exit code.
    pub fn check(self) -> (Option<i32>, String) {
        let output = self.with_arguments(&["check", "--conf", "airgate.toml"]).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Starts it where it must not start: its exit code, and all that it wrote to standard error.
    pub fn fails(self) -> (Option<i32>, String) {
        let output = self.command().output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Airgate {
    /// An airgate with this configuration file.
    pub fn with(config: impl Into<String>) -> Setup {
        Setup {
            program: env!("CARGO_BIN_EXE_airgate").into(),
            config: config.into(),
            environment: Vec::new(),
            arguments: Vec::new(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// An airgate in front of this upstream, with more configuration: lines of `[upstream]` first,
    /// then other sections.
    #[track_caller]
    pub fn before(upstream: &str, config: &str) -> Self {
        Self::with(format!("[upstream]\nurl = \"{upstream}\"\n{config}")).start()
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server)
    }

    /// Its folder, where `airgate.toml` is.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn config(&self) -> PathBuf {
        self.home.path().join("airgate.toml")
    }

    #[track_caller]
    pub fn send(&self, ask: Ask) -> Answer {
        ask.send(self.server)
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Asks the admin port.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Answer {
        get(path).send(self.admin)
    }

    /// The value of a series, by its name with labels as Prometheus writes it. 0 if there is none.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.admin("/metrics").text();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }

    /// Waits until a series has this value: a request is counted once its answer is out.
    #[track_caller]
    pub fn counts(&self, series: &str, value: f64) {
        self.until(&format!("{series} {value}"), |airgate| airgate.metric(series) == value);
    }

    /// Waits until a condition holds that nothing announces.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.log());
            // What is asked has a rest, and so has the machine.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// All of its log so far.
    pub fn log(&self) -> String {
        self.log.all().join("\n")
    }

    /// Waits for a line of the log that has this text.
    #[track_caller]
    pub fn logs(&self, text: &str) -> String {
        self.log.wait(text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Waits for the line of the log that is the nth of those that have this text.
    #[track_caller]
    pub fn nth_log(&self, text: &str, n: usize) -> String {
        let seen = std::cell::Cell::new(0);
        self.log.wait(text, |line| {
            let fits = line.contains(text);
            seen.set(seen.get() + usize::from(fits));
            (fits && seen.get() == n).then(|| line.to_owned())
        })
    }

    /// Waits for a line of the access log that has this text.
    #[track_caller]
    pub fn access(&self, text: &str) -> Value {
        self.access.wait(text, |line| line.contains(text).then(|| serde_json::from_str(line).unwrap()))
    }

    /// All lines of its access log so far.
    pub fn access_log(&self) -> Vec<String> {
        self.access.all()
    }

    /// All that it wrote, log and access log: to look for what must not be there.
    pub fn everything(&self) -> String {
        format!("{}\n{}", self.log(), self.access.all().join("\n"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has open.
    pub fn open_files(&self) -> Vec<PathBuf> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect()
    }

    /// How much memory it has in use, in bytes, what it has read of its own file included.
    pub fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    /// How much of that it has allocated.
    pub fn allocated(&self) -> usize {
        self.status("RssAnon:")
    }

    fn status(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// Waits for its end, and for all that it has written.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.log.wait_for_the_end();
        self.access.wait_for_the_end();
        self.child.wait().unwrap()
    }

    /// Whether `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        self.admin("/readyz").status == 200
    }
}

impl Drop for Airgate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of airgate:\n{}", self.log());
        }
    }
}
