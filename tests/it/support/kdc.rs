//! The real KDC, started by `tests/servers/kdc.sh`, and clients with tickets of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A KDC with its keytabs.
pub struct Kdc {
    data: PathBuf,
    python: PathBuf,
    /// Set for one that belongs to a single test.
    name: Option<String>,
}

/// A user's tickets. Forgotten when it is dropped.
pub struct Tickets {
    folder: TempDir,
    config: PathBuf,
    python: PathBuf,
}

/// The realm of every KDC here.
pub const REALM: &str = "AIRGATE.TEST";

/// Prints a token for each argument: `mechanism service@host`, base64, one a line.
const TOKENS: &str = r#"
import base64
import sys

import gssapi

MECHANISMS = {"spnego": "1.3.6.1.5.5.2", "kerberos": "1.2.840.113554.1.2.2"}
for wanted in sys.argv[1:]:
    mechanism, service = wanted.split()
    context = gssapi.SecurityContext(
        name=gssapi.Name(service, gssapi.NameType.hostbased_service),
        mech=gssapi.OID.from_int_seq(MECHANISMS[mechanism]),
        usage="initiate",
    )
    print(base64.b64encode(context.step()).decode())
"#;

/// The one that tests share.
pub fn kdc() -> &'static Kdc {
    static ONE: OnceLock<Kdc> = OnceLock::new();
    ONE.get_or_init(|| match (std::env::var("AIRGATE_TEST_KDC"), std::env::var("AIRGATE_TEST_KDC_PYTHON")) {
        (Ok(data), Ok(python)) => Kdc { data: data.into(), python: python.into(), name: None },
        _ => Kdc::up(None),
    })
}

impl Kdc {
    /// One that a test may stop.
    pub fn own(name: &str) -> Self {
        Self::up(Some(name.to_owned()))
    }

    fn up(name: Option<String>) -> Self {
        let said = run(&name, "up");
        let value = |key: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            PathBuf::from(found.unwrap_or_else(|| panic!("no {key}: {said}")))
        };
        Self { data: value("AIRGATE_TEST_KDC"), python: value("AIRGATE_TEST_KDC_PYTHON"), name }
    }

    /// Ends it. Only for one's own.
    pub fn stop(&self) {
        assert!(self.name.is_some(), "others use it");
        run(&self.name, "down");
    }

    /// A file of it: `krb5.conf`, `airflow.keytab`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// Likewise, as text.
    pub fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Logs a user in.
    pub fn log_in(&self, user: &str) -> Tickets {
        self.log_in_with(user, &[])
    }

    /// Likewise, with more options of `kinit`.
    pub fn log_in_with(&self, user: &str, options: &[&str]) -> Tickets {
        let folder = tempfile::tempdir().unwrap();
        let tickets = Tickets { folder, config: self.file("krb5.conf"), python: self.python.clone() };
        let mut kinit = tickets.command("kinit");
        kinit.args(options).args(["-k", "-t"]).arg(self.file("clients.keytab")).arg(user);
        succeeded(kinit.output().unwrap());
        tickets
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        if self.name.is_some() {
            run(&self.name, "down");
        }
    }
}

impl Tickets {
    /// A program that has these tickets, and nothing else of ours.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .envs(self.variables());
        command
    }

    /// Where a program finds these tickets, and the KDC.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let cache = format!("FILE:{}", self.folder.path().join("ccache").display());
        [("KRB5_CONFIG", self.config.display().to_string()), ("KRB5CCNAME", cache)]
    }

    /// curl with `--negotiate`, in silence.
    pub fn curl(&self) -> Command {
        let mut curl = self.command("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--negotiate", "--user", ":"]);
        curl
    }

    /// Tokens for these services, each `spnego airflow@localhost` or `kerberos airflow@localhost`.
    pub fn tokens(&self, services: &[&str]) -> Vec<String> {
        let mut python = self.command(&self.python);
        python.args(["-c", TOKENS]).args(services);
        succeeded(python.output().unwrap()).lines().map(str::to_owned).collect()
    }

    /// One of them.
    pub fn token(&self, service: &str) -> String {
        self.tokens(&[service]).remove(0)
    }
}

/// What a program wrote.
#[track_caller]
pub fn succeeded(output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

fn run(name: &Option<String>, command: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/kdc.sh");
    let name = name.iter().flat_map(|name| ["--name", name.as_str()]);
    succeeded(Command::new(script).arg(command).args(name).output().unwrap())
}
