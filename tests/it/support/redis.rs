//! The real Redis, started by `tests/servers/redis.sh`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A running Redis.
pub struct Redis {
    name: Option<String>,
    lines: Vec<(String, String)>,
}

/// The one that all tests share. Nobody stops it; tests keep apart by their `[redis] secret`.
pub fn shared() -> &'static Redis {
    static ONE: OnceLock<Redis> = OnceLock::new();
    ONE.get_or_init(|| {
        let lines: Vec<_> =
            std::env::vars().filter(|(name, _)| name.starts_with("AIRGATE_TEST_REDIS_")).collect();
        let lines = if lines.is_empty() { script(None, "up") } else { lines };
        Redis { name: None, lines }
    })
}

impl Redis {
    /// One for a test that stops it. It ends with the test.
    pub fn of_its_own(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let lines = script(Some(&name), "up");
        Self { name: Some(name), lines }
    }

    /// Ends it, as `systemctl stop` does.
    pub fn stop(&self) {
        assert!(self.name.is_some(), "others use it");
        script(self.name.as_deref(), "down");
    }

    /// Starts it again where it was, without what it knew.
    pub fn start(&self) {
        script(self.name.as_deref(), "up");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let name = self.name.as_ref().expect("others use it");
        let text = std::fs::read_to_string(home(name).join("redis.pid")).unwrap();
        let pid = text.split_whitespace().next().unwrap();
        assert!(Command::new("kill").args([&format!("-{signal}"), pid]).status().unwrap().success());
    }

    fn value(&self, name: &str) -> &str {
        let name = format!("AIRGATE_TEST_REDIS_{name}");
        self.lines.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str()).unwrap()
    }

    pub fn password(&self) -> &str {
        self.value("PASSWORD")
    }

    fn encoded_password(&self) -> String {
        utf8_percent_encode(self.password(), NON_ALPHANUMERIC).to_string()
    }

    pub fn url(&self) -> String {
        format!("redis://:{}@{}:{}/0", self.encoded_password(), self.value("HOST"), self.value("PORT"))
    }

    pub fn tls_url(&self) -> String {
        format!("rediss://default:{}@localhost:{}", self.encoded_password(), self.value("TLS_PORT"))
    }

    pub fn socket_url(&self) -> String {
        format!("unix://{}?db=1&password={}", self.value("SOCKET"), self.encoded_password())
    }

    /// The URL for a user who may do no more than the manual says that airgate needs.
    pub fn restricted_url(&self) -> String {
        let user = format!("airgate-{}", std::process::id());
        self.tell(&format!(
            "ACL SETUSER {user} on >pw ~airgate:* +@write +@read +@scripting +@connection +time"
        ));
        format!("redis://{user}:pw@{}:{}/3", self.value("HOST"), self.value("PORT"))
    }

    /// Tells it something that it is to answer with OK.
    fn tell(&self, command: &str) {
        let mut stream = TcpStream::connect((self.value("HOST"), self.port())).unwrap();
        write!(stream, "AUTH {}\r\n{command}\r\nQUIT\r\n", self.password()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers, "+OK\r\n".repeat(3), "{command}");
    }

    pub fn ca(&self) -> &Path {
        Path::new(self.value("CA"))
    }

    pub fn port(&self) -> u16 {
        self.value("PORT").parse().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Stopped as it may be, it must hear the end.
            self.signal("CONT");
            self.stop();
            let _ = std::fs::remove_dir_all(home(name));
        }
    }
}

fn home(name: &str) -> PathBuf {
    root().join(format!(".airgate-dev/servers/redis-{name}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What `tests/servers/redis.sh` prints.
fn script(name: Option<&str>, command: &str) -> Vec<(String, String)> {
    let mut script = Command::new(root().join("tests/servers/redis.sh"));
    script.arg(command);
    if let Some(name) = name {
        script.args(["--name", name]);
    }
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect()
}
