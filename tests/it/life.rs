//! From the start to the end of the process: reloads, signals, keys that come and go, and what it
//! writes down.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::token::{self, Issuer, SECRET};
use crate::support::upstream::{Seen, answer};
use crate::support::{
    Airgate, Ask, Closed, Connection, Upstream, get, head, options, post, put, swap_volume,
};

fn config(upstream: &Upstream, more: &str) -> String {
    format!("[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{more}", upstream.url())
}

fn start(upstream: &Upstream, more: &str) -> Airgate {
    Airgate::with(config(upstream, more)).start()
}

fn good() -> Ask {
    get("/api/v2/config").bearer(&token::good("admin"))
}

fn upgrade_fails(airgate: &Airgate) {
    airgate.signal("USR2");
    airgate.logs("the upgrade failed; this process goes on");
}

/// An upstream whose answers are held back until the test lets them go.
struct Gatekeeper {
    upstream: Upstream,
    go: Sender<()>,
}

impl Gatekeeper {
    fn new() -> Self {
        let (go, gone) = mpsc::channel();
        let gone: Mutex<Receiver<()>> = Mutex::new(gone);
        let upstream = Upstream::answering(move |_| {
            let _ = gone.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(Duration::from_secs(25));
            answer(200, &[], "{\"late\": true}")
        });
        Self { upstream, go }
    }

    /// Sends a request, and waits until it waits here.
    fn hold(&self, airgate: &Airgate) -> Connection {
        let before = self.upstream.seen().len();
        let mut connection = Connection::open(airgate.address()).unwrap();
        connection.write(&good().bytes(airgate.address())).unwrap();
        self.upstream.wait_for(before + 1);
        connection
    }
}

// --- Reload

/// Else all options in it would silently have their defaults again.
#[test]
fn a_file_that_nobody_named_is_missed_when_it_is_gone() {
    let upstream = Upstream::start();
    let setup = Airgate::with(format!("[upstream]\nurl = \"{}\"\n", upstream.url()));
    let cfg = setup.home().join("airflow.cfg");
    let text = format!("[api_auth]\njwt_secret = {SECRET}\n");
    let home = setup.home().display().to_string();
    let airgate = setup.file("airflow.cfg", &text).env("AIRFLOW_HOME", &home).start();
    assert_eq!(airgate.send(good()).status, 200);
    std::fs::remove_file(&cfg).unwrap();
    let refused = airgate.logs("airflow.cfg: is gone, and the configuration in force was read from it");
    assert!(refused.contains("the old one stays in force"), "{refused}");
    assert_eq!(airgate.send(good()).status, 200);
    upgrade_fails(&airgate);
    assert_eq!(airgate.send(good()).status, 200);
    std::fs::write(&cfg, &text).unwrap();
    let reloaded = airgate.logs("configuration reloaded");
    assert!(reloaded.contains(&format!("airgate.toml, {}", cfg.display())), "{reloaded}");
    assert_eq!(airgate.send(good()).status, 200);
}

/// It is read twice where the upstream says which Airflow it is, and once more for an upgrade.
#[test]
fn a_file_that_goes_during_the_start_is_missed() {
    let upstream = Upstream::start();
    let setup = Airgate::with("[api]\nauth_backends = \"deny_all\"\n");
    let secret = format!("/bin/sh -c 'rm -f airgate.toml; echo {SECRET}'");
    let unnamed = "[ \"$2\" != --conf ] || set -- run \"${@:4}\"";
    let airgate = setup
        .after(unnamed)
        .env("AIRGATE__API_AUTH__JWT_SECRET_CMD", &secret)
        .arg("--set")
        .arg(&format!("upstream.url={}", upstream.url()))
        .start();
    let refused = airgate.logs("the configuration is refused for the Airflow that it is");
    assert!(refused.contains("airgate.toml: is gone"), "{refused}");
    assert_eq!(airgate.send(good()).status, 403);
    upgrade_fails(&airgate);
    assert_eq!(airgate.send(good()).status, 403);
}

/// Where it listens waits for an upgrade: the former place is its own until then.
#[test]
fn a_reload_does_not_make_it_its_own_upstream() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("airgate.sock").display());
    let written = |listen: &str, url: &str| {
        format!(
            "[server]\nlisten = \"{listen}\"\n[upstream]\nurl = \"{url}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n"
        )
    };
    let setup = Airgate::with(written(&format!("127.0.0.1:0,{socket}"), &upstream.url()));
    // Without the place that tests set, which would go before the file's.
    let airgate = setup.after("set -- \"${@:1:3}\" \"${@:6}\"").start();
    assert_eq!(airgate.send(good()).status, 200);
    std::fs::write(airgate.config(), written("127.0.0.1:0", &socket)).unwrap();
    airgate.signal("HUP");
    let refused = airgate.logs("the old one stays in force");
    assert!(refused.contains(&format!("{socket} is airgate itself")), "{refused}");
    assert!(refused.contains("A changed listen takes effect with an upgrade"), "{refused}");
    assert_eq!(airgate.send(good()).status, 200);
}

/// By whatever names it leads there: they are known once they are looked up.
#[test]
fn an_upstream_that_turns_out_to_be_airgate_itself_gets_nothing() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let upstream = Upstream::start();
        let setup = Airgate::with(config(&upstream, ""));
        let airgate = setup.arg("--set").arg(&format!("server.listen={listen}")).start();
        assert_eq!(airgate.send(good()).status, 200);
        let own = format!("127.1:{}", airgate.address().port());
        let text = config(&upstream, "").replace(&upstream.url(), &format!("http://{own}"));
        std::fs::write(airgate.config(), text).unwrap();
        airgate.signal("HUP");
        let told: Value =
            serde_json::from_str(&airgate.logs("is airgate itself, and gets no requests")).unwrap();
        assert_eq!((&told["level"], &told["host"]), (&json!("ERROR"), &json!(own)), "{told}");
        // As with a name that cannot be resolved.
        airgate.logs("the old one stays in force");
        assert_eq!(airgate.send(good()).status, 200);
        assert!(airgate.is_ready());
    }
}

/// Likewise where a path leads to its own socket.
#[test]
fn its_own_socket_by_another_path_gets_nothing() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let listen = format!("server.listen=127.0.0.1:0,unix:{}", at("airgate.sock").display());
    let airgate = Airgate::with(config(&upstream, "")).arg("--set").arg(&listen).start();
    std::os::unix::fs::symlink("airgate.sock", at("symlink")).unwrap();
    std::fs::hard_link(at("airgate.sock"), at("hardlink")).unwrap();
    for (round, name) in ["symlink", "hardlink"].into_iter().enumerate() {
        let own = format!("unix:{}", at(name).display());
        let text = config(&upstream, "").replace(&upstream.url(), &own);
        std::fs::write(airgate.config(), text).unwrap();
        airgate.signal("HUP");
        let told = airgate.nth_log("is airgate itself, and gets no requests", round + 1);
        assert!(told.contains(&own), "{name}: {told}");
        airgate.nth_log("the old one stays in force", round + 1);
        assert_eq!(airgate.send(good()).status, 200, "{name}");
    }
}

#[test]
fn a_hang_up_puts_the_new_configuration_in_force() {
    let (old, new) = (Upstream::start(), Upstream::start());
    let airgate = start(&old, "[api]\nmaximum_page_limit = 100\n");
    assert_eq!(airgate.send(good()).status, 200);
    std::fs::write(
        airgate.config(),
        config(&new, "[api]\nmaximum_page_limit = 7\nfallback_page_limit = 7\n"),
    )
    .unwrap();
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    let clamped = airgate.send(get("/api/v2/pools?limit=50").bearer(&token::good("admin")));
    assert_eq!((clamped.status, clamped.header("x-airgate-page-limit")), (200, Some("7")));
    assert_eq!((old.seen().len(), new.only().target.as_str()), (1, "/api/v2/pools?limit=7"));
    airgate.counts("airgate_config_reloads_total{result=\"success\"}", 1.0);
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let upstream = Upstream::start();
    let secrets = [SECRET.to_owned(), SECRET.replace('0', "9")];
    let text = config(&upstream, "").replace(&format!("\"{SECRET}\""), "{ file = \"secret\" }");
    let airgate = Airgate::with(text.as_str()).file("secret", &secrets[0]).start();
    assert_eq!(airgate.send(good()).status, 200);

    let began = Instant::now();
    std::fs::write(airgate.home().join("secret"), &secrets[1]).unwrap();
    airgate.until("the new secret is in force", |a| a.send(good()).status == 403);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    std::fs::write(airgate.config(), format!("{text}[gate]\nother_routes = \"ui\"\n")).unwrap();
    airgate.until("the new configuration is in force", |a| a.send(get("/home")).status == 200);

    // An editor and a Kubernetes volume put a new file in the place of the old one.
    let fresh = airgate.home().join("fresh");
    std::fs::write(&fresh, &text).unwrap();
    std::fs::rename(&fresh, airgate.config()).unwrap();
    airgate.until("the renamed file is in force", |a| a.send(get("/home")).status == 404);
}

#[test]
fn a_volume_of_kubernetes_that_is_swapped_is_noticed() {
    let upstream = Upstream::start();
    let (old, new) = (SECRET.to_owned(), SECRET.replace('0', "9"));
    let text = config(&upstream, "").replace(&format!("\"{SECRET}\""), "{ file = \"secret\" }");
    let setup = Airgate::with(text.as_str());
    let home = setup.home().to_owned();
    let swap = |version: &str, text: &str, secret: &str| {
        swap_volume(&home, version, &[("airgate.toml", text.as_bytes()), ("secret", secret.as_bytes())]);
    };
    swap("..1", &text, &old);
    for file in ["airgate.toml", "secret"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), home.join(file)).unwrap();
    }
    let airgate = setup.start();
    assert_eq!(airgate.send(good()).status, 200);

    swap("..2", &text, &new);
    airgate.until("the new secret is in force", |a| a.send(good()).status == 403);
    swap("..3", &format!("{text}[gate]\nother_routes = \"ui\"\n"), &new);
    airgate.until("the new configuration is in force", |a| a.send(get("/home")).status == 200);
    // One swap changes both at once.
    swap("..4", &text, &old);
    airgate.until("both are in force", |a| a.send(good()).status == 200);
    assert_eq!(airgate.send(get("/home")).status, 404);
}

#[test]
fn a_changed_key_file_is_noticed_without_a_signal() {
    let upstream = Upstream::start();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jwt/");
    let key = |name: &str| std::fs::read(format!("{root}{name}")).unwrap();
    let text = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_private_key_path = \"key.pem\"\n[basic]\nsources = \"file\"\n\
         [core]\nsimple_auth_manager_users = \"admin:admin\"\nsimple_auth_manager_passwords_file = \"passwords\"\n",
        upstream.url()
    );
    let airgate =
        Airgate::with(text).file("key.pem", key("rsa.pem")).file("passwords", r#"{"admin": "pw"}"#).start();
    let body = json!({ "username": "admin", "password": "pw" });
    let algorithm = |airgate: &Airgate| {
        let token = airgate.send(post("/auth/token").json(body.clone())).token();
        token::header(&token)["alg"].as_str().unwrap().to_owned()
    };
    assert_eq!(algorithm(&airgate), "RS256");
    std::fs::write(airgate.home().join("key.pem"), key("ed25519.pem")).unwrap();
    airgate.until("the new key signs", |a| algorithm(a) == "EdDSA");
}

#[test]
fn listeners_stay_and_a_warning_says_so() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, "");
    let changed = config(&upstream, "[limits]\nheader_timeout = \"7s\"\n[server]\nthreads = 3\n");
    std::fs::write(airgate.config(), changed).unwrap();
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    for (option, in_force, written, at) in [
        ("[server] threads", "0", "3", "airgate.toml:8:11"),
        ("[limits] header_timeout", "10s", "7s", "airgate.toml:6:18"),
    ] {
        let line: Value = serde_json::from_str(&airgate.logs(&format!("\"{option}\""))).unwrap();
        assert_eq!(line["level"], "WARN", "{line}");
        assert_eq!([&line["in_force"], &line["written"]], [in_force, written], "{line}");
        assert!(line["at"].as_str().unwrap().ends_with(at), "{line}");
    }
    assert_eq!(airgate.send(good()).status, 200);
}

/// What waits for an upgrade waits whole: `header_timeout` is the time for a head, and the one for a body.
#[test]
fn the_time_for_heads_and_bodies_is_that_of_the_start() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, "[limits]\nheader_timeout = \"1s\"\n");
    let changed = config(&upstream, "[limits]\nheader_timeout = \"10m\"\n");
    std::fs::write(airgate.config(), changed).unwrap();
    airgate.signal("HUP");
    airgate.logs("\"[limits] header_timeout\"");
    let mut body = Connection::open(airgate.address()).unwrap();
    let ask = post("/auth/token").with("Content-Length", "100").body("{");
    body.write(&ask.bytes(airgate.address())).unwrap();
    let mut head = Connection::open(airgate.address()).unwrap();
    head.write(b"GET /api/v2/dags HTTP/1.1\r\n").unwrap();
    assert_eq!(body.read("POST").unwrap().status, 408);
    assert!(!head.wait(Duration::from_secs(30)), "closed");
}

#[test]
fn a_users_file_that_changes_is_told() {
    let upstream = Upstream::start();
    let users = "[basic]\nsources = \"file\"\n[core]\nsimple_auth_manager_users = \"admin:admin,bob:viewer\"\n\
                 simple_auth_manager_passwords_file = \"passwords\"\n";
    let airgate = Airgate::with(config(&upstream, users)).file("passwords", r#"{"admin": "one"}"#).start();
    let status = |password: &str| airgate.send(get("/api/v2/config").basic("admin", password)).status;
    // All at once, as an editor does it.
    let write = |text: &str| {
        let new = airgate.home().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, airgate.home().join("passwords")).unwrap();
    };
    let told = |text: &str| -> Value { serde_json::from_str(&airgate.logs(text)).unwrap() };
    assert_eq!(status("one"), 200);

    write(r#"{"admin": "two", "bob": "b"}"#);
    let line = told("users file has changed, and is in force as it is now");
    assert_eq!((&line["level"], &line["users"]), (&json!("INFO"), &json!(2)), "{line}");
    assert!(line["path"].as_str().unwrap().ends_with("passwords"), "{line}");
    assert_eq!([status("one"), status("two")], [401, 200]);

    write("{");
    let line = told("users file not taken over, the last one stays in force");
    assert_eq!(line["level"], "ERROR", "{line}");
    assert_eq!(status("two"), 200);

    write(r#"{"admin": "three"}"#);
    let line = told("users file is right again, and in force as it is now");
    assert_eq!((&line["level"], &line["users"]), (&json!("INFO"), &json!(1)), "{line}");
    assert_eq!([status("two"), status("three")], [401, 200]);
    assert!(!airgate.log().contains("three"), "{}", airgate.log());
}

#[test]
fn verified_passwords_and_lock_outs_survive_a_reload() {
    let upstream = Upstream::answering(|seen| match seen.target.as_str() {
        "/auth/token" if String::from_utf8_lossy(&seen.body).contains("right") => {
            answer(201, &[], &json!({ "access_token": token::good("admin") }).to_string())
        }
        "/auth/token" => answer(401, &[], "{}"),
        _ => answer(200, &[], "{}"),
    });
    let lockout = "[lockout]\nattempts = 2\n";
    let airgate = start(&upstream, lockout);
    let with = |user: &str, password: &str| airgate.send(get("/api/v2/config").basic(user, password)).status;
    assert_eq!(with("admin", "right"), 200);
    assert_eq!([with("other", "wrong"), with("other", "wrong"), with("other", "wrong")], [401, 401, 429]);
    let log_ins = |upstream: &Upstream| upstream.seen().iter().filter(|s| s.target == "/auth/token").count();
    assert_eq!(log_ins(&upstream), 3);

    std::fs::write(airgate.config(), config(&upstream, &format!("{lockout}[gate]\nother_routes = \"ui\"\n")))
        .unwrap();
    airgate.signal("HUP");
    airgate.until("it is reloaded", |a| a.send(get("/home")).status == 200);
    assert_eq!(with("admin", "right"), 200);
    assert_eq!(with("other", "right"), 429, "still locked out");
    assert_eq!(log_ins(&upstream), 3, "nobody was asked again");
    let served = "airgate_requests_total{backend=\"basic_auth\",method=\"GET\",route=\"/api/v2/config\",status=\"200\"}";
    airgate.until("counts go on", |airgate| airgate.metric(served) == 2.0);
}

#[test]
fn a_request_keeps_the_configuration_that_it_began_with() {
    let slow = Gatekeeper::new();
    let airgate = start(&slow.upstream, "[api]\naccess_control_allow_origins = \"https://old.example\"\n");
    let mut connection = Connection::open(airgate.address()).unwrap();
    connection.write(&good().with("Origin", "https://old.example").bytes(airgate.address())).unwrap();
    slow.upstream.wait_for(1);
    let new = config(&slow.upstream, "[api]\naccess_control_allow_origins = \"https://new.example\"\n");
    std::fs::write(airgate.config(), new).unwrap();
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    slow.go.send(()).unwrap();
    let answer = connection.read("GET").unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://old.example"));
}

#[test]
fn no_request_fails_while_it_is_reloaded() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, "");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let running = || !stop.load(std::sync::atomic::Ordering::SeqCst);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut served, ask) = (0, good());
                    while running() {
                        assert_eq!(airgate.send(ask.clone()).status, 200);
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for n in 1..=10 {
            // Another timeout is another set of upstreams, which must be known before it serves.
            let changed = config(&upstream, "").replacen('\n', &format!("\nread_timeout = \"{n}m\"\n"), 1);
            // All at once: a look at the file while it is written would find it empty, which is no mistake.
            std::fs::write(airgate.home().join("new"), changed).unwrap();
            std::fs::rename(airgate.home().join("new"), airgate.config()).unwrap();
            airgate.signal("HUP");
            let reloads = "airgate_config_reloads_total{result=\"success\"}";
            airgate.until("it is reloaded", |a| a.metric(reloads) >= f64::from(n));
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        for asking in asking {
            assert!(asking.join().unwrap() > 0);
        }
    });
}

// --- The end

#[test]
fn a_stop_lets_running_requests_finish_and_leaves_at_once_after_the_last() {
    for signal in ["TERM", "INT"] {
        let slow = Gatekeeper::new();
        let mut airgate = start(&slow.upstream, "");
        let mut running = [slow.hold(&airgate), slow.hold(&airgate)];
        airgate.signal(signal);
        airgate.logs("\"message\":\"draining\",\"requests\":2");
        let ready = airgate.admin("/readyz");
        assert_eq!(
            (ready.status, &ready.json()["checks"]["shutdown"]),
            (503, &json!("stopping")),
            "{signal}"
        );
        assert_eq!(airgate.admin("/healthz").status, 200, "{signal}: it still lives");
        airgate.until("nobody is let in", |a| get("/api/v2/config").try_send(a.address()).is_err());
        for connection in &mut running {
            slow.go.send(()).unwrap();
            let answer = connection.read("GET").unwrap();
            assert_eq!(answer.told(), (200, "{\"late\": true}".into()), "{signal}");
        }
        let began = Instant::now();
        assert!(airgate.wait().success(), "{signal}");
        assert!(began.elapsed() < Duration::from_secs(3), "{signal}: {:?}", began.elapsed());
        let lines = airgate.everything();
        assert_eq!(
            lines.matches("\"route\":\"/api/v2/config\",\"status\":200").count(),
            2,
            "{signal}: {lines}"
        );
    }
}

#[test]
fn drain_delay_serves_on_while_it_is_not_ready() {
    let upstream = Upstream::start();
    let mut airgate = start(&upstream, "[server]\ndrain_delay = \"2s\"\n");
    airgate.until("it is ready", Airgate::is_ready);
    let began = Instant::now();
    airgate.signal("TERM");
    airgate.logs("draining");
    assert_eq!(airgate.admin("/readyz").status, 503, "at once");
    assert_eq!(airgate.metric("airgate_ready"), 0.0);
    assert_eq!(airgate.send(good()).status, 200, "who has not heard of it is served");
    assert!(began.elapsed() < Duration::from_secs(2), "all of that before the delay is over");
    assert!(airgate.wait().success());
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn idle_connections_do_not_hold_it() {
    let upstream = Upstream::start();
    let mut airgate = start(&upstream, "");
    let mut idle: Vec<_> = (0..5).map(|_| Connection::open(airgate.address()).unwrap()).collect();
    for connection in &mut idle[..3] {
        connection.write(&good().bytes(airgate.address())).unwrap();
        assert_eq!(connection.read("GET").unwrap().status, 200);
    }
    let began = Instant::now();
    airgate.signal("TERM");
    assert!(airgate.wait().success());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for mut connection in idle {
        assert!(connection.rest().is_empty());
    }
}

#[test]
fn a_second_stop_leaves_at_once() {
    let slow = Gatekeeper::new();
    let mut airgate = start(&slow.upstream, "");
    let mut running = slow.hold(&airgate);
    airgate.signal("TERM");
    airgate.logs("draining");
    let began = Instant::now();
    airgate.signal("TERM");
    airgate.wait();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    airgate.logs("leaving at once");
    assert!(running.rest().is_empty());
}

#[test]
fn the_grace_period_is_an_end() {
    let slow = Gatekeeper::new();
    let mut airgate = start(&slow.upstream, "[server]\ngrace_period = \"1s\"\n");
    let _running = slow.hold(&airgate);
    let began = Instant::now();
    airgate.signal("TERM");
    airgate.wait();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    airgate.logs("the grace period is over");
}

#[test]
fn a_large_answer_is_sent_to_its_end_before_it_leaves() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::by_hand(move |_, wire| {
        let out = wire.get_mut();
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n").unwrap();
        out.write_all(&vec![b'x'; 1_000_000]).unwrap();
        gone.lock().unwrap().recv_timeout(Duration::from_secs(25)).unwrap();
        let _ = out.write_all(&vec![b'x'; 4_000_000]);
    });
    let mut airgate = start(&upstream, "");
    let mut connection = Connection::open(airgate.address()).unwrap();
    connection.write(&good().bytes(airgate.address())).unwrap();
    connection.some();
    airgate.signal("TERM");
    airgate.logs("draining");
    go.send(()).unwrap();
    assert_eq!(connection.read("GET").unwrap().body.len(), 5_000_000);
    assert!(airgate.wait().success());
}

/// Neither a start nor an upgrade.
#[test]
fn what_does_not_serve_leaves_no_socket_file() {
    let upstream = Upstream::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [kept, new] = ["kept", "new"].map(|name| folder.path().join(name));
    let taken = format!("admin.listen={}", taken.local_addr().unwrap());
    let setup = Airgate::with(config(&upstream, "")).arg("--set").arg(&taken);
    let (code, said) = setup.arg("--set").arg(&format!("server.listen=unix:{}", new.display())).fails();
    assert!(code == Some(1) && said.contains("is in use"), "{said}");
    assert!(!new.exists());

    let listen = format!("server.listen=127.0.0.1:0,unix:{}", kept.display());
    let next = format!(
        "[ -z \"$AIRGATE_INHERIT_SOCKETS\" ] || set -- \"$@\" --set {taken} --set {listen},unix:{}",
        new.display()
    );
    let airgate = Airgate::with(config(&upstream, "")).after(&next).arg("--set").arg(&listen).start();
    upgrade_fails(&airgate);
    assert!(airgate.log().contains("is in use"), "{}", airgate.log());
    assert!(!new.exists());
    assert!(std::os::unix::net::UnixStream::connect(&kept).is_ok());
}

// --- Keys of an issuer

#[test]
fn it_starts_without_its_issuer_and_comes_up_by_itself() {
    let upstream = Upstream::start();
    let key = std::sync::Arc::new(Issuer::new("one"));
    let issuer = Closed::port();
    let text = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\ntrusted_jwks_url = \"{}/jwks?key=s3cret\"\n",
        upstream.url(),
        issuer.url()
    );
    let airgate = Airgate::with(text).start();
    let ask = get("/api/v2/config").bearer(&key.token(&token::claims("admin")));
    let answer = airgate.send(ask.clone());
    assert_eq!(answer.told(), (503, r#"{"detail":"Credentials cannot be checked at the moment"}"#.into()));
    assert!(answer.header("retry-after").is_some());
    airgate.until("it is ready all the same", Airgate::is_ready);
    let backends = airgate.admin("/readyz").json()["backends"].clone();
    assert!(
        backends.as_array().unwrap().iter().any(|b| b["name"] == "jwt" && b["state"] == "down"),
        "{backends}"
    );

    let served = key.clone();
    let _issuer = issuer.open(move |_| answer_with(&Issuer::set(&[&served])));
    airgate.until("the keys have come", |a| a.send(ask.clone()).status == 200);
    airgate.counts("airgate_backend_health{backend=\"jwt\",state=\"up\"}", 1.0);
    assert!(!airgate.everything().contains("s3cret") && !airgate.admin("/metrics").text().contains("s3cret"));
}

fn answer_with(set: &str) -> Vec<u8> {
    answer(200, &[("Content-Type", "application/jwk-set+json")], set)
}

#[test]
fn a_new_key_of_the_issuer_is_fetched_and_an_old_one_serves_through_an_outage() {
    let upstream = Upstream::start();
    let (one, two) = (Issuer::new("one"), Issuer::new("two"));
    let set = std::sync::Arc::new(Mutex::new(Issuer::set(&[&one])));
    let served = set.clone();
    let issuer = Upstream::answering(move |_| {
        let set = served.lock().unwrap().clone();
        if set.is_empty() { answer(500, &[], "") } else { answer_with(&set) }
    });
    let airgate = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\ntrusted_jwks_url = \"{}/jwks\"\n",
        upstream.url(),
        issuer.url()
    ))
    .start();
    let by = |key: &Issuer, user: &str| get("/api/v2/config").bearer(&key.token(&token::claims(user)));
    airgate.until("the first key is there", |a| a.send(by(&one, "admin")).status == 200);
    assert_eq!(airgate.send(by(&two, "admin")).status, 403);
    assert_eq!(airgate.send(by(&Issuer::new("one"), "admin")).status, 403, "the name of a key is not a key");

    *set.lock().unwrap() = Issuer::set(&[&one, &two]);
    airgate.until("the second key is there", |a| a.send(by(&two, "admin")).status == 200);
    assert!(issuer.seen().len() <= 4, "asked every 10 s at most: {}", issuer.seen().len());

    *set.lock().unwrap() = String::new();
    assert_eq!(airgate.send(by(&one, "another")).status, 200, "the last known keys serve");
    assert_eq!(airgate.send(by(&two, "another")).status, 200);
}

/// A reload while the issuer is down refuses nobody: neither whose token was verified before, nor whose is new.
#[test]
fn a_reload_while_the_issuer_is_down_refuses_nobody() {
    let upstream = Upstream::start();
    let key = std::sync::Arc::new(Issuer::new("one"));
    let served = key.clone();
    let issuer = Upstream::answering(move |_| answer_with(&Issuer::set(&[&served])));
    let text = |limit: u32| {
        let (airflow, issuer) = (upstream.url(), issuer.url());
        format!(
            "[upstream]\nurl = \"{airflow}\"\n[api_auth]\ntrusted_jwks_url = \"{issuer}/jwks\"\n[api]\nmaximum_page_limit = {limit}\n"
        )
    };
    let (before, after) = (text(100), text(50));
    let airgate = Airgate::with(before).start();
    let by = |user: &str| get("/api/v2/dags?limit=1000").bearer(&key.token(&token::claims(user)));
    let known = by("admin");
    airgate.until("the keys have come", |a| a.send(known.clone()).status == 200);
    issuer.kill();
    let served =
        "airgate_requests_total{backend=\"jwt\",method=\"GET\",route=\"/api/v2/dags\",status=\"200\"}";
    airgate.counts(served, 1.0);
    let misses = "airgate_cache_misses_total{cache=\"jwt\"}";
    let verified = airgate.metric(misses);
    upstream.forget();

    std::fs::write(airgate.home().join("new"), after).unwrap();
    std::fs::rename(airgate.home().join("new"), airgate.config()).unwrap();
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    assert_eq!(airgate.send(known).status, 200);
    assert_eq!(upstream.only().target, "/api/v2/dags?limit=50", "the new configuration is in force");
    assert_eq!(airgate.send(by("another")).status, 200, "the last known keys are kept");
    airgate.counts(served, 3.0);
    assert_eq!(airgate.metric(misses), verified + 1.0, "what was verified is not verified again");
    airgate.until("it is ready", Airgate::is_ready);
}

// --- What is written down

#[test]
fn each_request_has_one_line_of_json_in_the_access_log() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, "");
    let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let line = |id: &str, ask: Ask| {
        airgate.send(ask.with("X-Request-ID", id));
        airgate.access(&format!("\"id\":\"{id}\""))
    };
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let always: BTreeSet<_> = [
        "timestamp",
        "level",
        "target",
        "id",
        "peer",
        "method",
        "path",
        "route",
        "status",
        "cached",
        "clamped",
        "duration_ms",
        "bytes",
    ]
    .map(String::from)
    .into();
    let with = |more: &[&str]| {
        always.iter().cloned().chain(more.iter().map(|k| (*k).to_owned())).collect::<BTreeSet<_>>()
    };

    let bearer = token::good("admin");
    let ok = line("a", get("/api/v2/pools?limit=1000").bearer(&bearer));
    assert_eq!(keys(&ok), with(&["user", "backend", "upstream_ms", "first_byte_ms"]), "{ok}");
    for (key, value) in [
        ("level", json!("INFO")),
        ("target", json!("airgate::access")),
        ("peer", json!("127.0.0.1")),
        ("user", json!("airflow:admin")),
        ("backend", json!("jwt")),
        ("method", json!("GET")),
        ("path", json!("/api/v2/pools")),
        ("route", json!("/api/v2/pools")),
        ("status", json!(200)),
        ("cached", json!(false)),
        ("clamped", json!(true)),
        ("bytes", json!(2)),
    ] {
        assert_eq!(ok[key], value, "{key}: {ok}");
    }
    let year = ok["timestamp"].as_str().unwrap()[..4].parse::<u64>().unwrap();
    assert_eq!(year, 1970 + begun.as_secs() / 31_556_952, "{ok}");

    let refused = line("b", head("/api/v2/dags/a%2Fb"));
    assert_eq!(keys(&refused), with(&["refused"]), "{refused}");
    assert_eq!((&refused["refused"], &refused["status"]), (&json!("no_credential"), &json!(401)));
    assert_eq!((&refused["path"], &refused["bytes"]), (&json!("/api/v2/dags/a%2Fb"), &json!(0)));
    let nowhere = line("c", get("/nowhere?access_token=a"));
    assert_eq!((&nowhere["refused"], &nowhere["path"]), (&json!("no_route"), &json!("/nowhere")));
    let strange = line("d", get("/a%00\"\\").bearer(MARK));
    assert_eq!((&strange["status"], &strange["path"]), (&json!(400), &json!("/a%00\"\\")));
    assert_eq!(line("e", get("/api/v2/config").bearer(&bearer))["cached"], true);
}

#[test]
fn requests_are_counted() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, "[api]\naccess_control_allow_origins = \"https://ui.example\"\n");
    let bearer = token::good("admin");
    for _ in 0..3 {
        assert_eq!(airgate.send(get("/api/v2/dags/a/details").bearer(&bearer)).status, 200);
    }
    assert_eq!(airgate.send(get("/api/v2/dags/b/details")).status, 401);
    assert_eq!(airgate.send(put("/api/v2/unheard-of/17").bearer(&bearer)).status, 200);
    assert_eq!(airgate.send(get("/api/v2/pools?limit=1000").bearer(&bearer)).status, 200);
    assert_eq!(airgate.send(get("/nowhere/17")).status, 404);
    assert_eq!(airgate.send(post("/auth/token").body("[")).status, 422);
    let preflight = options("/api/v2/dags")
        .with("Origin", "https://ui.example")
        .with("Access-Control-Request-Method", "GET");
    assert_eq!(airgate.send(preflight).status, 400);
    airgate.counts(
        "airgate_requests_total{backend=\"none\",method=\"OPTIONS\",route=\"/api/v2/dags\",status=\"400\"}",
        1.0,
    );
    let details = "/api/v2/dags/{dag_id}/details";
    for (series, value) in [
        (format!("airgate_requests_total{{backend=\"jwt\",method=\"GET\",route=\"{details}\",status=\"200\"}}"), 3.0),
        (format!("airgate_requests_total{{backend=\"none\",method=\"GET\",route=\"{details}\",status=\"401\"}}"), 1.0),
        ("airgate_requests_total{backend=\"jwt\",method=\"PUT\",route=\"/api/v2/{unknown}\",status=\"200\"}".into(), 1.0),
        ("airgate_requests_total{backend=\"none\",method=\"GET\",route=\"/{path}\",status=\"404\"}".into(), 1.0),
        ("airgate_requests_total{backend=\"none\",method=\"POST\",route=\"/auth/token\",status=\"422\"}".into(), 1.0),
        ("airgate_rejections_total{reason=\"no_credential\"}".into(), 1.0),
        ("airgate_rejections_total{reason=\"no_route\"}".into(), 1.0),
        ("airgate_cache_misses_total{cache=\"jwt\"}".into(), 1.0),
        ("airgate_cache_hits_total{cache=\"jwt\"}".into(), 4.0),
        ("airgate_page_limit_clamped_total".into(), 1.0),
        ("airgate_requests_in_flight".into(), 0.0),
        (format!("airgate_upstream_duration_seconds_count{{route=\"{details}\"}}"), 3.0),
        (format!("airgate_request_duration_seconds_count{{route=\"{details}\"}}"), 4.0),
        ("airgate_config_last_reload_successful".into(), 1.0),
    ] {
        airgate.counts(&series, value);
    }
    let text = airgate.admin("/metrics").text();
    assert!(!text.contains("17") || !text.contains("unheard-of"), "nothing that a client writes is a label");
    airgate.until("it is ready", Airgate::is_ready);
    airgate.counts("airgate_ready", 1.0);
}

#[test]
fn access_and_audit_log_are_opened_anew_so_that_they_can_be_rotated() {
    let upstream = Upstream::answering(|seen| match &*seen.target {
        "/auth/token" => answer(401, &[], "{}"),
        _ => answer(200, &[], "{}"),
    });
    let airgate = start(&upstream, "[log]\nfile = \"access.log\"\naudit_file = \"audit.log\"\n");
    let file = |name: &str| airgate.home().join(name);
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(file(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let wrong = |id: &str| {
        let ask = get("/api/v2/config").basic("admin", "wrong-pass-word").with("X-Request-ID", id);
        assert_eq!(airgate.send(ask).status, 401);
    };
    let is_open = |name: &str| airgate.open_files().contains(&file(name));
    wrong("one");
    airgate.until("the first lines are written", |_| {
        lines("access.log").len() == 1 && lines("audit.log").len() == 1
    });
    for name in ["access.log", "audit.log"] {
        std::fs::rename(file(name), file(&format!("{name}.1"))).unwrap();
    }
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    // Without another line.
    airgate.until("both are closed", |_| !is_open("access.log.1") && !is_open("audit.log.1"));
    let others = |name: &str| std::fs::metadata(file(name)).unwrap().permissions().mode() & 0o027;
    assert_eq!(others("audit.log"), 0, "nobody's but its owner's, and its group's to read");
    wrong("two");
    airgate.until("the second lines are written", |_| {
        lines("access.log").len() == 1 && lines("audit.log").len() == 1
    });
    for (name, id) in
        [("access.log", "two"), ("audit.log", "two"), ("access.log.1", "one"), ("audit.log.1", "one")]
    {
        assert_eq!((lines(name).len(), &lines(name)[0]["id"]), (1, &json!(id)), "{name}");
    }
    let event = &lines("audit.log")[0];
    assert_eq!((&event["event"], &event["claimed"]), (&json!("rejected"), &json!("admin")));
    assert!(!airgate.log().contains("airgate::audit"), "{}", airgate.log());
    for name in ["access.log", "audit.log", "access.log.1", "audit.log.1"] {
        assert!(!std::fs::read_to_string(file(name)).unwrap().contains("wrong-pass-word"), "{name}");
    }

    // Back to where it goes without the option, then to where the access log goes.
    std::fs::write(airgate.config(), config(&upstream, "")).unwrap();
    airgate.signal("HUP");
    airgate.nth_log("configuration reloaded", 2);
    airgate.until("both are closed", |_| !is_open("access.log") && !is_open("audit.log"));
    wrong("three");
    airgate.logs("\"id\":\"three\"");
    std::fs::write(airgate.config(), config(&upstream, "[log]\naudit_file = \"stdout\"\n")).unwrap();
    airgate.signal("HUP");
    airgate.nth_log("configuration reloaded", 3);
    wrong("four");
    airgate.until("both lines are on standard output", |a| {
        a.everything().matches("\"id\":\"four\"").count() == 2
    });
    assert!(!airgate.log().contains("\"id\":\"four\""), "{}", airgate.log());
}

/// Two that write to one file by themselves would tear each other's lines.
#[test]
fn two_logs_in_one_file_have_one_writer_whatever_its_names_are() {
    let upstream = Upstream::start();
    for (file, audit_file) in [("both.log", "link"), ("link", "both.log"), ("both.log", "both.log")] {
        let setup = Airgate::with(config(
            &upstream,
            &format!("[log]\nfile = \"{file}\"\naudit_file = \"{audit_file}\"\n"),
        ));
        std::os::unix::fs::symlink("both.log", setup.home().join("link")).unwrap();
        let airgate = setup.start();
        let path = airgate.home().join("both.log");
        let names = || airgate.open_files().iter().filter(|open| **open == path).count();
        airgate.until("it is open once", |_| names() == 1);
        assert_eq!(airgate.send(get("/api/v2/config").bearer("x")).status, 403);
        airgate
            .until("both lines are in it", |_| std::fs::read_to_string(&path).unwrap().lines().count() == 2);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o027, 0);
    }
}

/// Among the lines of the log itself, and not in a file of that name.
#[test]
fn standard_error_is_a_place_for_each_log() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, "[log]\nfile = \"stderr\"\naudit_file = \"/dev/stderr\"\n");
    assert_eq!(airgate.send(get("/api/v2/config").bearer("x").with("X-Request-ID", "one")).status, 403);
    airgate.until("both lines are there", |a| a.log().matches("\"id\":\"one\"").count() == 2);
    assert!(!airgate.home().join("stderr").exists());
}

/// As in `airgate run 2>&1 | …`.
#[test]
fn standard_output_and_error_at_one_place_have_one_writer() {
    let upstream = Upstream::start();
    let airgate = Airgate::with(config(&upstream, "")).after("exec 1>&2").start();
    assert_eq!(airgate.send(get("/api/v2/config").bearer("x").with("X-Request-ID", "one")).status, 403);
    airgate.until("both lines are there", |a| a.log().matches("\"id\":\"one\"").count() == 2);
    let stderr = std::fs::read_link(format!("/proc/{}/fd/2", airgate.pid())).unwrap();
    let open = || airgate.open_files().iter().filter(|open| **open == stderr).count();
    airgate.until("there is one writer", |_| open() == 3);
}

#[test]
fn levels_are_by_target() {
    let upstream = Upstream::start();
    let mut airgate = start(&upstream, "");
    let reload = |airgate: &Airgate, level: &str| {
        let text = config(&upstream, &format!("[log]\nlevel = \"{level}\"\n"));
        std::fs::write(airgate.config(), text).unwrap();
        airgate.signal("HUP");
    };
    reload(&airgate, "off");
    airgate.until("it is off", |a| a.metric("airgate_config_reloads_total{result=\"success\"}") > 0.0);
    assert!(!airgate.log().contains("configuration reloaded"), "{}", airgate.log());
    reload(&airgate, "warn,airgate::reload=DEBUG,airgate::auth=debug");
    airgate.logs("configuration reloaded");
    assert_eq!(airgate.send(get("/api/v2/pools").bearer("a.b.c").with("X-Request-ID", "why")).status, 403);
    let said = airgate.logs("Rejected(TokenInvalid");
    assert!(said.contains("\"id\":\"why\"") && said.contains("a backend was asked"), "{said}");
    airgate.signal("TERM");
    assert!(airgate.wait().success());
    assert!(!airgate.log().contains("drained"), "other targets are at warn: {}", airgate.log());
}

// --- What is never written down

/// Every secret of this test has this in it.
const MARK: &str = "s3cr3t";

#[test]
fn no_secret_is_ever_written() {
    let secret = format!("{MARK}-{SECRET}");
    let token = token::hs512(&secret, &token::claims("admin"));
    let (_, signature) = token.rsplit_once('.').unwrap();
    let upstream_token = format!("{MARK}.upstream.token");
    let issued = upstream_token.clone();
    let upstream = Upstream::answering(move |seen: &Seen| match seen.target.as_str() {
        "/auth/token" | "/auth/token/cli" if String::from_utf8_lossy(&seen.body).contains("right") => {
            answer(201, &[], &json!({ "access_token": issued }).to_string())
        }
        "/auth/token" | "/auth/token/cli" => answer(401, &[], r#"{"detail":"Invalid credentials"}"#),
        target if target.starts_with("/api/v2/broken") => Vec::new(),
        target if target.starts_with("/api/v2/refused") => answer(401, &[], "{}"),
        _ => answer(200, &[("Set-Cookie", &format!("_token={MARK}-new"))], "{}"),
    });
    for level in ["debug", "trace"] {
        let text = config(&upstream, &format!("[log]\nlevel = \"{level}\"\n[lockout]\nattempts = 3\n"))
            .replace(SECRET, &secret);
        let mut airgate = Airgate::with(text.as_str())
            .env("AIRGATE__LIMITS__MAX_HEADERS", "50")
            .env("RUST_LOG", "trace")
            .start();
        let right = format!("right-{MARK}");
        let wrong = format!("wrong-{MARK}");
        let query = format!("?access_token={MARK}&password={MARK}&_token={token}");
        let body = |password: &str| json!({ "username": "admin", "password": password, "extra": MARK });
        let asks = [
            get(format!("/api/v2/config{query}")).bearer(&token),
            get("/api/v2/broken").bearer(&token),
            get("/api/v2/refused").bearer(&token),
            get("/api/v2/config").bearer(&format!("{token}x")),
            get("/api/v2/config").bearer(&format!("{MARK}.{MARK}.{MARK}")),
            get("/api/v2/config").bearer(MARK),
            get("/api/v2/config").with("Authorization", format!("Token {MARK}")),
            get("/api/v2/config").with("Authorization", format!("Basic {MARK}!")),
            get("/api/v2/config").with("Authorization", format!("Negotiate {MARK}")),
            get("/api/v2/config").with("Authorization", MARK),
            get("/api/v2/config").with("Authorization", MARK).with("Authorization", MARK),
            get("/api/v2/config").with("Cookie", format!("_token={token}; session={MARK}")),
            get("/api/v2/config").with("Cookie", format!("_token={MARK}; {MARK}={MARK}")),
            get("/api/v2/config").basic("admin", &right),
            get("/api/v2/refused").basic("admin", &right),
            get("/api/v2/broken").basic("admin", &right),
            get("/api/v2/config").basic("other", &wrong),
            post("/auth/token").json(json!({ "username": "admin", "password": right })),
            post("/auth/token/cli").json(json!({ "username": "admin", "password": right })),
            post("/auth/token").json(json!({ "username": "other", "password": wrong })),
            post("/auth/token").json(body(&wrong)),
            post("/auth/token").json(json!([MARK])),
            post("/auth/token").json(json!({ "username": 1, "password": [MARK] })),
            post("/auth/token").with("Content-Type", MARK).body(MARK),
            post("/auth/token").body(format!("{{\"username\": \"{MARK}")),
            post("/auth/token")
                .with("Content-Type", "application/x-www-form-urlencoded")
                .body(format!("username=a&password={MARK}")),
            post("/auth/token").basic("admin", &right),
            post("/auth/token").bearer(&token),
            post(format!("/auth/token{query}")).basic("other", &wrong),
            post(format!("/api/v2/pools{query}")).bearer(&token).json(json!({ "password": MARK })),
            get(format!("/nowhere{query}")).bearer(&token),
            get(format!("http://user:{MARK}@localhost/api/v2/config{query}")).bearer(&token),
            get(format!("/api/v2/config#{MARK}")),
            get("/api/v2/config").with("Origin", format!("https://user:{MARK}@evil.example")),
            get("/api/v2/config").with("X-Request-ID", format!("{MARK} not kept")),
            get("/api/v2/config").with("X-Forwarded-For", MARK).with("Connection", MARK),
            get("/api/v2/config").with("Transfer-Encoding", MARK),
            (0..60).fold(get("/api/v2/config"), |ask, n| ask.with(&format!("X-{n}"), MARK)),
        ];
        for _ in 0..2 {
            for ask in &asks {
                let _ = ask.try_send(airgate.address());
            }
        }
        for raw in [
            format!("GET /{MARK} HTTP/9\r\nAuthorization: {MARK}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nAuthorization {MARK}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nAuthorization: Bearer {MARK}"),
            format!("CONNECT {MARK}:443 HTTP/1.1\r\nProxy-Authorization: {MARK}\r\n\r\n"),
            format!("POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{MARK}"),
        ] {
            let mut connection = Connection::open(airgate.address()).unwrap();
            connection.write(raw.as_bytes()).unwrap();
            connection.close(std::net::Shutdown::Write);
            connection.rest();
        }
        for broken in [
            format!("[api_auth]\njwt_secret = \"{MARK}\n"),
            format!("[api_auth]\njwt_secret = {MARK}\n"),
            format!("[api_auth]\njwt_secret = {{ file = \"nowhere\", value = \"{MARK}\" }}\n"),
            format!("[api_auth]\njwt_secret = [\"{MARK}\", 7]\n"),
            format!("[api_auth]\njwt_secrets = \"{MARK}\"\n"),
            format!("[upstream]\nurl = \"http://user:{MARK}@localhost\"\n"),
        ] {
            let refused = airgate.log().matches("the old one stays in force").count();
            std::fs::write(airgate.config(), broken).unwrap();
            airgate.signal("HUP");
            airgate.until("the file is refused", |a| {
                a.log().matches("the old one stays in force").count() > refused
            });
        }
        let told = [airgate.admin("/metrics").text(), airgate.admin("/readyz").text()].join("\n");
        airgate.signal("TERM");
        airgate.wait();
        let all = format!("{}\n{told}", airgate.everything());
        assert!(
            all.contains("\"status\":200") && all.contains("\"status\":401"),
            "there is something to look at"
        );
        for secret in [MARK, signature, "c3Q", "czNjcjN0"] {
            let lines: Vec<_> = all.lines().filter(|line| line.contains(secret)).collect();
            assert!(lines.is_empty(), "{level}: {secret}:\n{}", lines.join("\n"));
        }
        assert!(!all.contains(SECRET));
        for line in airgate.access_log() {
            let _: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        }
        for line in airgate.log().lines() {
            let _: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        }
    }
}
