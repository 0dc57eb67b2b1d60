//! The container image, as far as that goes without a container engine: what `deploy/stage.sh` stages is entered as an
//! unprivileged user without capabilities, on a read-only root, and serves.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::airgate::Setup;
use crate::support::token::{self, SECRET};
use crate::support::{Airgate, Upstream, get, tls};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The staged root.
fn staged() -> &'static Path {
    static ROOT: OnceLock<TempDir> = OnceLock::new();
    let folder = ROOT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let staged = Command::new(here("deploy/stage.sh"))
            .arg(env!("CARGO_BIN_EXE_airgate"))
            .arg(folder.path().join("root"))
            .output()
            .unwrap();
        assert!(staged.status.success(), "{}", String::from_utf8_lossy(&staged.stderr));
        folder
    });
    // Made once for all tests, and left to whoever clears the folder for temporary files.
    Box::leak(folder.path().join("root").into_boxed_path())
}

/// This airgate in the staged root, with its folder as `/etc/airgate`. `None` where that cannot be done.
fn contained(setup: Setup) -> Option<Setup> {
    let enter = here("tests/deploy/enter.sh");
    let folder = setup.home().to_owned();
    let tried = Command::new(&enter)
        .arg(staged())
        .arg(&folder)
        .args(["/usr/bin/airgate", "--version"])
        .output()
        .unwrap();
    if tried.status.code() == Some(77) {
        eprintln!("skipped: {}", String::from_utf8_lossy(&tried.stderr));
        return None;
    }
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    }
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    // The harness names the file as it is called outside.
    let program = folder.join("enter");
    let script = format!(
        "#!/bin/bash\nfor word in \"$@\"; do [ \"$word\" = airgate.toml ] && word=/etc/airgate/airgate.toml; words+=(\"$word\"); done\n\
         exec {} {} {} /usr/bin/airgate \"${{words[@]}}\"\n",
        enter.display(),
        staged().display(),
        folder.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    Some(setup.program(program))
}

/// A field of `/proc/PID/status`.
fn status(gate: &Airgate, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn it_serves_as_nobody_in_particular() {
    let upstream = Upstream::start();
    let config = format!("[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n", upstream.url());
    let Some(setup) = contained(Airgate::with(config)) else { return };
    let mut gate = setup.start();
    assert_eq!(status(&gate, "Uid"), "65532 65532 65532 65532");
    assert_eq!(status(&gate, "Groups"), "");
    for capabilities in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status(&gate, capabilities), "0000000000000000", "{capabilities}");
    }
    assert_eq!(status(&gate, "NoNewPrivs"), "1");
    let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", gate.pid())).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{root}");

    assert_eq!(gate.send(get("/api/v2/pools").bearer(&token::good("admin"))).status, 200);
    gate.until("ready", Airgate::is_ready);
    let page = get("/").with("Host", "localhost").send(gate.admin_address());
    assert_eq!(page.status, 200);
    assert!(gate.metric("process_resident_memory_bytes") > 0.0);
    gate.signal("TERM");
    assert!(gate.wait().success());
}

#[test]
fn it_serves_tls() {
    let upstream = Upstream::start();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
         [server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\nclient_ca = \"ca.pem\"\n",
        upstream.url()
    );
    let setup = Airgate::with(config)
        .file("tls.crt", tls::read("airflow.pem"))
        .file("tls.key", tls::read("airflow.key"))
        .file("ca.pem", tls::read("ca.pem"));
    let Some(setup) = contained(setup) else { return };
    let gate = setup.start();
    let ask = get("/api/v2/pools").bearer(&token::good("admin"));
    let client = tls::Client::default().with_certificate("client");
    assert_eq!(client.send(&ask, gate.address()).unwrap().status, 200);
    assert_eq!(client.send_http2(&ask, gate.address()).unwrap().unwrap().status, 200);
    let stranger = tls::Client::default();
    assert!(stranger.send(&ask, gate.address()).is_err(), "without a certificate");
    assert_eq!(status(&gate, "CapEff"), "0000000000000000");
}

/// What it needs to read names, addresses and certificates is in it: an upstream by name, by `https`.
#[test]
fn nothing_is_missing_in_it() {
    let root = staged();
    for file in ["usr/bin/airgate", "etc/passwd", "etc/nsswitch.conf"] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let Some(setup) = contained(Airgate::with("[upstream]\nurl = \"http://localhost:1\"\n")) else { return };
    let gate = setup.start();
    assert!(!gate.log().contains("cannot resolve"), "{}", gate.log());
    assert_eq!(gate.send(get("/api/v2/pools").bearer("a")).status, 502);
}

#[cfg(feature = "kerberos")]
#[test]
fn it_does_kerberos() {
    use crate::support::kdc::{REALM, kdc};

    let upstream = Upstream::start();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"viewer:viewer\"\n\
         [api]\nauth_backends = \"kerberos_auth, jwt\"\n[kerberos]\nkeytab = \"airflow.keytab\"\nreplay_cache = \"/tmp\"\n\
         local_realms = \"{REALM}\"\n",
        upstream.url()
    );
    let setup = Airgate::with(config)
        .file("airflow.keytab", std::fs::read(kdc().path("airflow.keytab")).unwrap())
        .file("krb5.conf", std::fs::read(kdc().path("krb5.conf")).unwrap())
        .env("KRB5_CONFIG", "/etc/airgate/krb5.conf");
    let Some(setup) = contained(setup) else { return };
    let gate = setup.start();
    let viewer = kdc().log_in("viewer");
    let token = viewer.token("spnego airflow@localhost");
    let got = gate.send(get("/api/v2/pools").with("Authorization", format!("Negotiate {token}")));
    assert_eq!(got.status, 200, "{}\n{}", got.text(), gate.log());
}
