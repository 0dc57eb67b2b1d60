//! The real slapd, started by `tests/servers/ldap.sh`, which says who is in it.
//!
//! `make test` starts it first and says where it is; without it, the first test that needs it starts it,
//! and leaves it running for the next time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Below which everything is.
pub const BASE: &str = "dc=airgate,dc=test";

/// A running slapd.
pub struct Slapd {
    /// `ldap://`, which also takes StartTLS.
    pub url: String,
    /// `ldaps://`.
    pub tls_url: String,
    home: PathBuf,
}

/// The one that all tests share.
pub fn shared() -> &'static Slapd {
    static ONE: OnceLock<Slapd> = OnceLock::new();
    ONE.get_or_init(|| {
        let given = |name: &str| std::env::var(format!("AIRGATE_TEST_LDAP_{name}")).ok();
        match (given("URL"), given("TLS_URL"), given("HOME")) {
            (Some(url), Some(tls_url), Some(home)) => Slapd { url, tls_url, home: home.into() },
            _ => up(&[]),
        }
    })
}

/// One of a test's own, to be stopped and started. Ends when it is dropped.
pub struct Own {
    name: String,
    pub slapd: Slapd,
}

impl Own {
    pub fn start(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let slapd = up(&["--name", &name]);
        Self { name, slapd }
    }

    pub fn stop(&self) {
        script(&["down", "--name", &self.name]);
    }

    /// Somebody below `ou=people` takes another password.
    pub fn change_password(&self, user: &str, old: &str, new: &str) {
        let name = format!("uid={user},ou=people,{BASE}");
        let mut ldappasswd = Command::new("ldappasswd");
        ldappasswd.args(["-x", "-H", &self.slapd.url, "-D", &name, "-w", old, "-s", new]);
        let output = ldappasswd.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Again, on the ports that it had.
    pub fn start_again(&self) {
        assert_eq!(up(&["--name", &self.name]).url, self.slapd.url);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stop();
        drop(std::fs::remove_dir_all(&self.slapd.home));
    }
}

impl Slapd {
    /// The authority that vouches for it.
    pub fn ca(&self) -> String {
        self.file("ca.crt")
    }

    /// One that does not.
    pub fn other_ca(&self) -> String {
        self.file("other-ca.crt")
    }

    pub fn file(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }
}

fn up(arguments: &[&str]) -> Slapd {
    let output = script(&[&["up"], arguments].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let values: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let value = |name: &str| values[format!("AIRGATE_TEST_LDAP_{name}").as_str()].to_owned();
    Slapd { url: value("URL"), tls_url: value("TLS_URL"), home: value("HOME").into() }
}

fn script(arguments: &[&str]) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/servers/ldap.sh");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
