//! The container image, as far as that goes without a container engine: what `deploy/stage.sh` stages is entered as an
//! unprivileged user without capabilities, on a read-only root, and serves.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::support::airgate::Setup;
use crate::support::token::{self, SECRET};
use crate::support::{Airgate, Upstream, get, tls};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The staged root, made once for all tests. It goes with the process, however that ends: then its end of a pipe is closed,
/// and a shell at the other end goes on.
fn staged() -> &'static Path {
    static ROOT: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (root, _) = ROOT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let goes = "trap '' INT TERM HUP; read -r _; rm -rf \"$0\"";
        let mut shell = Command::new("sh");
        shell
            .args(["-c", goes])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let shell = shell.spawn().unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        let root = folder.join("root");
        let staged = Command::new(here("deploy/stage.sh"))
            .arg(env!("CARGO_BIN_EXE_airgate"))
            .arg(&root)
            .output()
            .unwrap();
        assert!(staged.status.success(), "{}", String::from_utf8_lossy(&staged.stderr));
        (root, shell)
    });
    root
}

/// This airgate in the staged root, with its folder as `/etc/airgate`. `None` where that cannot be done.
fn contained(setup: Setup) -> Option<Setup> {
    contained_in(staged(), setup)
}

/// Likewise, in a root of its own.
fn contained_in(root: &Path, setup: Setup) -> Option<Setup> {
    let enter = here("tests/deploy/enter.sh");
    let folder = setup.home().to_owned();
    let tried =
        Command::new(&enter).arg(root).arg(&folder).args(["/usr/bin/airgate", "--version"]).output().unwrap();
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
        root.display(),
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

/// Stage `build` of the Containerfile, in a folder that has what it copies and nothing else: its own commands run there,
/// with a cargo that goes as far as the compiler, for which it must find all that the manifest names, and every file that
/// the program includes is there in the end.
#[test]
fn the_build_stage_has_all_it_needs() {
    let text = std::fs::read_to_string(here("deploy/Containerfile")).unwrap();
    let text: String =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let text = text.replace("\\\n", " ");
    let after = text.lines().skip_while(|line| !line.ends_with(" AS build")).skip(1);
    let stage: Vec<&str> = after.take_while(|line| !line.starts_with("FROM ")).collect();
    let folder = tempfile::tempdir().unwrap();
    let look = format!(
        "{{ RUSTC=false RUSTC_WRAPPER= '{}' build --locked --offline --profile dist --bin airgate >looked 2>&1 || grep 'false -vV' looked; }}",
        env!("CARGO")
    );
    let mut looks = 0;
    for line in stage {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("COPY", what) => copy(what, folder.path()),
            ("RUN", command) if !command.contains("apt-get") => {
                let steps = command.split("&&").map(str::trim);
                let steps = steps.map(|step| if step.contains("cargo build") { &*look } else { step });
                let steps = steps.collect::<Vec<_>>().join(" && ");
                let ran = Command::new("sh").args(["-c", &steps]).current_dir(&folder).output().unwrap();
                let looked = std::fs::read_to_string(folder.path().join("looked")).unwrap();
                assert!(ran.status.success(), "{line}: {looked}{}", String::from_utf8_lossy(&ran.stderr));
                std::fs::remove_file(folder.path().join("looked")).unwrap();
                looks += 1;
            }
            ("RUN" | "WORKDIR" | "ARG" | "", _) => {}
            (other, _) => panic!("{other} is not known here"),
        }
    }
    assert_eq!(looks, 2, "the dependencies, and the program");
    let mut included = 0;
    let mut places = vec![folder.path().join("src"), folder.path().join("build.rs")];
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else if place.extension().is_some_and(|end| end == "rs") && !place.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&place).unwrap();
            // Tests are last in a file, and not of the program.
            let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for file in included_by(program) {
                assert!(place.with_file_name(&file).is_file(), "{}: no COPY brings {file}", place.display());
                included += 1;
            }
        }
    }
    assert!(included > 0);
}

/// As COPY does: sources of this repository, and last where they go.
fn copy(what: &str, folder: &Path) {
    let words: Vec<&str> = what.split_whitespace().collect();
    let (to, sources) = words.split_last().unwrap();
    for source in sources {
        let mut target = folder.join(to);
        if to.ends_with('/') {
            target.push(Path::new(source).file_name().unwrap());
        }
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let copied = Command::new("cp").args(["-r", "-T"]).arg(here(source)).arg(&target).status().unwrap();
        assert!(copied.success(), "{source}");
    }
}

/// What `include_str!` and `include_bytes!` name.
fn included_by(program: &str) -> Vec<String> {
    let of = |word: &str| {
        let places = program.split(word).skip(1).map(|rest| {
            let rest = rest.trim_start();
            assert!(rest.starts_with('"'), "not a path: {}", rest.lines().next().unwrap_or_default());
            rest.split('"').nth(1).unwrap().to_owned()
        });
        places.collect::<Vec<_>>()
    };
    [of("include_str!("), of("include_bytes!(")].concat()
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
    let (_upstream, secured) = airflow_by_https();
    let config = format!("[upstream]\nurl = \"https://localhost:{}\"\n", secured.address().port());
    let Some(setup) = contained(Airgate::with(config)) else { return };
    let gate = setup.start();
    assert!(!gate.log().contains("cannot resolve"), "{}", gate.log());
    assert_eq!(gate.send(get("/api/v2/pools").bearer("a")).status, 502);
    // Its authorities are read, and this server's is none of them.
    gate.until("the cause is told", |gate| gate.admin("/readyz").text().contains("UnknownIssuer"));
}

/// A server by `https` that no system's authority vouches for.
fn airflow_by_https() -> (Upstream, Airgate) {
    let upstream = Upstream::start();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n",
        upstream.url()
    );
    let setup = Airgate::with(config)
        .file("tls.crt", tls::read("airflow.pem"))
        .file("tls.key", tls::read("airflow.key"));
    (upstream, setup.start())
}

/// Where nobody has put certificates of authorities, `http` goes all the same, and `https` says what lacks.
#[test]
fn it_serves_without_certificates_of_authorities() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let root = folder.path().join("root");
    assert!(Command::new("cp").arg("-a").args([staged(), &root]).status().unwrap().success());
    std::fs::remove_dir_all(root.join("etc/ssl")).unwrap();

    let upstream = Upstream::start();
    let (_airflow, secured) = airflow_by_https();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
         [[jwt.issuers]]\nissuer = \"https://issuer.example\"\naudience = \"airflow\"\nusername_prefix = \"ci:\"\njwks_url = \"https://{}/keys\"\n",
        upstream.url(),
        secured.address()
    );
    let Some(setup) = contained_in(&root, Airgate::with(config)) else { return };
    let gate = setup.start();
    assert_eq!(gate.send(get("/api/v2/pools").bearer(&token::good("admin"))).status, 200);
    gate.logs("this system has no certificate authorities");

    let config = format!("[upstream]\nurl = \"https://{}\"\n", secured.address());
    let Some(setup) = contained_in(&root, Airgate::with(config)) else { return };
    let gate = setup.start();
    assert_eq!(gate.send(get("/api/v2/pools").bearer("a")).status, 502);
    gate.until("the cause is told", |gate| gate.admin("/readyz").text().contains("the TLS handshake failed"));
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
