//! What must hold under load: reloads, upgrades, stops, an upstream that dies, clients that idle or trickle, and
//! a number of series that nothing changes. Short here; at full length by `make load`, which `make test-all` calls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::support::bare::Bare;
use crate::support::h2load::{self, Clients, Generator, Told};
use crate::support::load::{Ended, Load};
use crate::support::tls::{self, read};
use crate::support::token::{self, SECRET};
use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Ask, Closed, Connection, Upstream, get, post};

fn config(upstream: &str, more: &str) -> String {
    format!("[upstream]\nurl = \"{upstream}\"\n[api_auth]\njwt_secret = {{ file = \"secret\" }}\n{more}")
}

fn start(upstream: &str, more: &str) -> Airgate {
    Airgate::with(config(upstream, more)).file("secret", SECRET).start()
}

fn start_tls(upstream: &str, more: &str) -> Airgate {
    let tls = "[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n";
    Airgate::with(config(upstream, &format!("{more}{tls}")))
        .file("secret", SECRET)
        .file("tls.crt", read("airflow.pem"))
        .file("tls.key", read("airflow.key"))
        .start()
}

/// A request of this name.
fn named(name: &str) -> Ask {
    get(format!("/api/v2/dags/{name}")).bearer(&token::good("admin"))
}

/// Between two requests of a client.
const REST: Duration = Duration::from_millis(2);

/// Has clients ask airgate while something happens. Where it is to be `compared`, as many ask a bare Pingora in front of
/// the same upstream meanwhile: airgate's take at most twice as long.
fn ask_while<T>(load: &Load<'_>, upstream: &str, compared: bool, happens: impl FnOnce() -> T) -> Ended {
    if !compared {
        return load.during(4, REST, happens).1;
    }
    let bare = Bare::start(upstream, load.is_tls());
    let ask = |name: &str| load.ask(&format!("bare-{name}"));
    let same = load.beside(bare.address(), &ask);
    let ((_, ended), beside) = same.during(4, REST, || load.during(4, REST, happens));
    for part in [50, 99] {
        let (own, its) = (ended.within(part), beside.within(part));
        eprintln!("{part} of 100 within {own:?}, through a bare Pingora beside it {its:?}");
        assert!(own <= its * 2, "{part} of 100: {own:?} {its:?}");
    }
    ended
}

/// Fails for requests that the upstream has seen, and whose clients have no answer.
#[track_caller]
fn none_failed(ended: &Ended, upstream: &Upstream) {
    let seen: Vec<String> = upstream
        .seen()
        .into_iter()
        .filter_map(|seen| seen.target.rsplit('/').next().map(str::to_owned))
        .collect();
    let failed: Vec<_> = seen.iter().filter(|name| ended.lost.contains(*name)).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), ended.answered());
    assert_eq!(ended.statuses.keys().collect::<Vec<_>>(), [&200], "{:?}", ended.statuses);
    assert!(ended.answered() > 0);
}

// --- Reload

/// Settings, secrets and certificates change with each reload; the first secret signs and verifies all along.
fn reloads(rounds: u32, every: Duration, compared: bool) {
    let upstream = Upstream::start();
    let text = |round: u32| {
        format!(
            "[upstream]\nurl = \"{}\"\nread_timeout = \"{}s\"\n[api_auth]\njwt_secret = [{{ file = \"secret\" }}, {{ file = \
             \"other\" }}]\n[api]\nmaximum_page_limit = {}\n[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n",
            upstream.url(),
            60 + round,
            100 + round
        )
    };
    let airgate = Airgate::with(text(0))
        .file("secret", SECRET)
        .file("other", "x".repeat(64))
        .file("tls.crt", read("airflow.pem"))
        .file("tls.key", read("airflow.key"))
        .start();
    let write = |name: &str, content: &[u8]| {
        std::fs::write(airgate.home().join("new"), content).unwrap();
        std::fs::rename(airgate.home().join("new"), airgate.home().join(name)).unwrap();
    };
    let load = Load::new(airgate.address(), &named).with_tls();
    let generators = compared.then(|| {
        h2load::PROTOCOLS.map(|protocol| {
            let requests = 200 * u64::from(rounds) * every.as_secs();
            let target = "/api/v2/dags/generated";
            Generator::start(airgate.address(), protocol, Clients::Kept, requests, target, None)
        })
    });
    let reloaded = "airgate_config_reloads_total{result=\"success\"}";
    let ended = ask_while(&load, &upstream.url(), compared, || {
        for round in 1..=rounds {
            let began = Instant::now();
            let pair = if round % 2 == 0 { "airflow" } else { "renewed" };
            // Between the two files the pair does not match: a reload in that moment is refused, and changes nothing.
            write("tls.crt", &read(&format!("{pair}.pem")));
            write("tls.key", &read(&format!("{pair}.key")));
            write("other", format!("{round}").repeat(64).as_bytes());
            write("airgate.toml", text(round).as_bytes());
            let before = airgate.metric(reloaded);
            airgate.signal("HUP");
            airgate.until("it is reloaded", |airgate| airgate.metric(reloaded) > before);
            load.goes_on(8);
            std::thread::sleep(every.saturating_sub(began.elapsed()));
        }
    });
    none_failed(&ended, &upstream);
    assert!(ended.lost.is_empty(), "{:?}", ended.lost);
    generators.into_iter().flatten().for_each(|generator| generator.told().none_failed());
    does_not_block(&airgate, compared);
}

/// Each request of a generator's that the upstream has seen has its answer: what it counts as failed never came there.
#[track_caller]
fn none_lost(asked: &[(Clients, String, Told)], upstream: &Upstream) {
    let targets: Vec<String> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    for (_, target, told) in asked {
        let seen = targets.iter().filter(|seen| *seen == target).count();
        let (sent, answered) = (told.sent, told.answered());
        eprintln!("{target}: {sent} requests, {answered} answers, the upstream has seen {seen}");
        assert_eq!(told.statuses, [(200, u64::try_from(seen).unwrap())].into(), "{target}");
        assert!(seen > 0, "{target}");
    }
}

/// No thread that serves requests was held up, where that can be told: alone on the machine.
#[track_caller]
fn does_not_block(airgate: &Airgate, is_alone: bool) {
    let longest = airgate.metric("airgate_longest_poll_seconds");
    eprintln!("longest poll {longest} s");
    assert!(!is_alone || longest < 0.25, "{longest} s");
}

#[test]
fn no_request_fails_while_settings_secrets_and_certificates_change() {
    reloads(3, Duration::ZERO, false);
}

// --- Upgrade

/// A process that took over, ended with the test.
struct Successor(u32);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-KILL", &self.0.to_string()])
            .stderr(std::process::Stdio::null())
            .status();
    }
}

impl Successor {
    fn signal(&self, name: &str) {
        assert!(
            Command::new("kill").args([&format!("-{name}"), &self.0.to_string()]).status().unwrap().success()
        );
    }
}

fn upgrades(rounds: usize, compared: bool) {
    let upstream = Upstream::start();
    let mut airgate = start_tls(&upstream.url(), "");
    let load = Load::new(airgate.address(), &named).with_tls();
    let mut successors: Vec<Successor> = Vec::new();
    let happens = || {
        for round in 1..=rounds {
            match successors.last() {
                Some(successor) => successor.signal("USR2"),
                None => airgate.signal("USR2"),
            }
            let line = airgate.nth_log("another process serves; draining", round);
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let process = u32::try_from(line["process"].as_u64().unwrap()).unwrap();
            successors.push(Successor(process));
            airgate.nth_log("\"drained\"", round);
            load.goes_on(8);
        }
    };
    let (ended, asked) = h2load::while_asked(airgate.address(), "", None, || {
        ask_while(&load, &upstream.url(), compared, happens)
    });
    none_failed(&ended, &upstream);
    none_lost(&asked, &upstream);
    // A connection that is kept is closed between two requests. Who opens one is let in at any time.
    asked.iter().filter(|(clients, ..)| *clients == Clients::Anew).for_each(|(.., told)| told.none_failed());
    // The last one answers for health and metrics, too, and ends as told.
    assert!(airgate.is_ready());
    does_not_block(&airgate, compared);
    successors.last().unwrap().signal("TERM");
    airgate.nth_log("\"drained\"", rounds + 1);
    assert!(airgate.wait().success(), "the first one has ended by itself");
    assert!(TcpStream::connect(airgate.address()).is_err(), "nobody listens any more");
}

#[test]
fn no_request_fails_while_the_program_is_upgraded() {
    upgrades(2, false);
}

#[test]
fn an_upgrade_that_fails_changes_nothing() {
    let upstream = Upstream::start();
    let airgate = start(&upstream.url(), "");
    let good = std::fs::read_to_string(airgate.config()).unwrap();
    std::fs::write(airgate.config(), format!("{good}[nonsense]\n")).unwrap();
    airgate.signal("USR2");
    let failed = airgate.logs("the upgrade failed; this process goes on");
    for part in ["it ended by itself (exit status: 1)", "`airgate check`", "send SIGUSR2 again"] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    assert_eq!(airgate.send(named("a")).status, 200);
    assert_eq!(airgate.admin("/healthz").status, 200);
    // And it can be tried again.
    std::fs::write(airgate.config(), good).unwrap();
    airgate.signal("USR2");
    let line = airgate.logs("another process serves; draining");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let _successor = Successor(u32::try_from(line["process"].as_u64().unwrap()).unwrap());
    assert_eq!(airgate.send(named("b")).status, 200);
}

/// The file of a Unix socket is the service's: it stays over an upgrade, and goes with a stop, or with an upgrade
/// whose process does not listen there any more.
#[test]
fn a_socket_file_outlives_an_upgrade_that_keeps_it_and_no_stop() {
    let (upstream, folder) = (Upstream::start(), tempfile::tempdir().unwrap());
    let [kept, left] = ["kept.sock", "left.sock"].map(|name| folder.path().join(name));
    let setup = Airgate::with(config(&upstream.url(), "")).file("secret", SECRET);
    let listen = format!("server.listen=127.0.0.1:0,unix:{}", kept.display());
    let setup = setup.after(&format!("[ -z \"$AIRGATE_INHERIT_SOCKETS\" ] || set -- \"$@\" --set {listen}"));
    let mut airgate = setup.arg("--set").arg(&format!("{listen},unix:{}", left.display())).start();
    assert!(left.exists());
    airgate.signal("USR2");
    let line = airgate.logs("another process serves; draining");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let successor = Successor(u32::try_from(line["process"].as_u64().unwrap()).unwrap());
    let stat = format!("/proc/{}/stat", airgate.pid());
    airgate.until("it is gone", |_| std::fs::read_to_string(&stat).unwrap().contains(") Z "));
    assert!(std::os::unix::net::UnixStream::connect(&kept).is_ok(), "the successor's");
    assert!(!left.exists(), "nobody's");
    successor.signal("TERM");
    // They write to the same place: it ends with both.
    assert!(airgate.wait().success());
    assert!(!kept.exists(), "nobody's");
}

/// The service goes on in another process: who manages it is told so, and of no stop before there is one.
#[test]
fn the_service_manager_follows_an_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let told = || {
        let mut said = [0; 64];
        let length = manager.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    };
    let upstream = Upstream::start();
    let setup = Airgate::with(config(&upstream.url(), "")).file("secret", SECRET);
    let mut airgate = setup.env("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    assert_eq!(told(), "READY=1");
    airgate.signal("USR2");
    // The two of them speak at the same time.
    let mut both = [told(), told()];
    both.sort();
    assert_eq!(both[1], "READY=1");
    let successor = Successor(both[0].strip_prefix("MAINPID=").unwrap().parse().unwrap());
    airgate.logs("\"drained\"");
    successor.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(airgate.wait().success());
}

/// A stop is meant for both: for the one that serves, and for the one that is about to take its place.
#[test]
fn a_stop_during_an_upgrade_leaves_nobody() {
    let upstream = Upstream::start();
    let setup = Airgate::with(config(&upstream.url(), "")).file("secret", SECRET);
    // Its successor notes who it is, and goes on when it may.
    let waits = "[ -z \"$AIRGATE_INHERIT_SOCKETS\" ] || \
                 { echo $$ >new; mv new successor; until [ -e go ]; do sleep 0.1; done; }";
    let mut airgate = setup.after(waits).start();
    let note = airgate.home().join("successor");
    airgate.signal("USR2");
    airgate.until("its successor is there", |_| note.exists());
    let successor = Successor(std::fs::read_to_string(note).unwrap().trim().parse().unwrap());
    airgate.signal("TERM");
    airgate.nth_log("\"draining\"", 1);
    std::fs::write(airgate.home().join("go"), "").unwrap();
    assert!(airgate.wait().success());
    assert!(!std::path::Path::new(&format!("/proc/{}", successor.0)).exists(), "{}", airgate.log());
    assert!(TcpStream::connect(airgate.address()).is_err(), "nobody listens any more");
}

// --- Stop

fn stop(compared: bool) {
    let upstream = Upstream::answering(|seen| {
        if seen.target.ends_with("/slow") {
            std::thread::sleep(Duration::from_secs(8));
        }
        answer(200, &[], "{}")
    });
    let delay = Duration::from_secs(4);
    let mut airgate = start_tls(&upstream.url(), "[server]\ndrain_delay = \"4s\"\n");
    let load = Load::new(airgate.address(), &named).with_tls();
    // Once it is to end it closes each connection with its answer.
    let load = if compared { load.anew() } else { load };
    let mut slow = tls::Client::default().connect(airgate.address()).unwrap();
    let mut happens = || {
        load.goes_on(if compared { 500 } else { 20 });
        slow.write(&named("slow").bytes(airgate.address())).unwrap();
        airgate
            .until("the slow one is there", |_| upstream.seen().iter().any(|s| s.target.ends_with("/slow")));
        let told = SystemTime::now();
        airgate.signal("TERM");
        airgate.logs("\"draining\"");
        load.goes_on(20);
        airgate.until("nobody is let in any more", |airgate| TcpStream::connect(airgate.address()).is_err());
        told
    };
    let mut told = None;
    let mut asked_while = || ask_while(&load, &upstream.url(), compared, || told = Some(happens()));
    // These ask airgate alone, and would make it no fair comparison.
    let (ended, asked) = if compared {
        (asked_while(), Vec::new())
    } else {
        h2load::while_asked(airgate.address(), "", None, asked_while)
    };
    none_failed(&ended, &upstream);
    none_lost(&asked, &upstream);
    for (_, target, of) in &asked {
        let early: Vec<_> = of.lost.iter().filter(|began| **began < told.unwrap() + delay).collect();
        assert!(early.is_empty(), "{target}: {early:?} before {:?} and the delay", told.unwrap());
    }
    assert_eq!(slow.read("GET").unwrap().status, 200);
    let last = Instant::now();
    assert!(airgate.wait().success());
    assert!(last.elapsed() < Duration::from_secs(1), "{:?}", last.elapsed());
}

#[test]
fn a_stop_under_load_serves_through_the_delay_and_ends_with_the_last_answer() {
    stop(false);
}

// --- Upstream

/// Requests that change something, by name, and how often each has come.
fn sends_nothing_twice(rounds: usize, compared: bool) {
    let counted = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::<String, usize>::new()));
    let script = || {
        let counted = counted.clone();
        move |seen: &Seen| {
            *counted.lock().unwrap().entry(seen.target.clone()).or_default() += 1;
            answer(200, &[], "{}")
        }
    };
    let port = Closed::port();
    let url = port.url();
    let mut upstream = Some(port.open(script()));
    let airgate = start_tls(&url, "");
    let target = |name: &str| format!("/api/v2/dags/{name}/dagRuns");
    let change = |name: &str| post(target(name)).bearer(&token::good("admin")).json(serde_json::json!({}));
    let load = Load::new(airgate.address(), &change).with_tls();
    let happens = || {
        for _ in 0..rounds {
            load.goes_on(20);
            let address: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
            upstream.take().unwrap().kill();
            airgate.until("it is not ready", |airgate| !airgate.is_ready());
            upstream = Some(Closed::at(address).open(script()));
            airgate.until("it is ready by itself", Airgate::is_ready);
        }
    };
    let (ended, asked) = h2load::while_asked(airgate.address(), "/dagRuns", Some("{}"), || {
        ask_while(&load, &url, compared, happens)
    });
    let counted = counted.lock().unwrap();
    for (clients, target, told) in &asked {
        let seen = u64::try_from(counted[target]).unwrap();
        eprintln!("{target}: {} requests, {} good, the upstream has seen {seen}", told.sent, told.good);
        // The 502 ends its connection: h2load counts requests on one that it keeps as sent before it has another.
        assert!(*clients == Clients::Kept || told.done == told.sent, "{target}: {told:?}");
        assert!(told.lost.is_empty(), "{target}: {told:?}");
        assert!(told.statuses.keys().all(|status| [200, 502, 504].contains(status)), "{target}: {told:?}");
        // Each that was answered there has come there, and of the others each once at most.
        assert!((told.good..=told.sent).contains(&seen), "{target}: {seen} {told:?}");
    }
    let own = |target: &str| !target.contains("/bare-") && asked.iter().all(|(_, other, _)| other != target);
    let twice: Vec<_> = counted.iter().filter(|(target, times)| own(target) && **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(counted.keys().filter(|target| own(target)).count() > 20);
    // The answer 502 ends its connection, on which a client may have sent on: nothing of that came here.
    let lost: Vec<_> = ended.lost.iter().filter(|name| counted.contains_key(&target(name))).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(ended.statuses.keys().all(|status| [200, 502, 504].contains(status)), "{:?}", ended.statuses);
    does_not_block(&airgate, compared);
}

#[test]
fn an_upstream_that_dies_under_load_is_sent_nothing_twice() {
    sends_nothing_twice(1, false);
}

#[test]
fn of_two_upstreams_a_dead_one_is_out_and_comes_back_by_itself() {
    let (first, second) = (Upstream::start(), Closed::port());
    let (urls, address) = (format!("{}\", \"{}", first.url(), second.url()), second.url());
    let text = config("X", "").replace("\"X\"", &format!("[\"{urls}\"]"));
    let airgate = Airgate::with(text).file("secret", SECRET).start();
    // From the very first request on: what could not be sent to the one goes to the other.
    for i in 0..20 {
        assert_eq!(airgate.send(named(&format!("a{i}"))).status, 200);
    }
    assert_eq!(first.seen().len(), 20);
    let second = second.open(|_| answer(200, &[], "{}"));
    let healthy =
        format!("airgate_upstream_healthy{{upstream=\"{}\"}}", address.trim_start_matches("http://"));
    airgate.counts(&healthy, 1.0);
    for i in 0..20 {
        assert_eq!(airgate.send(named(&format!("b{i}"))).status, 200);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (30, 10), "by turns");
    let began = Instant::now();
    second.kill();
    for i in 0..20 {
        assert_eq!(airgate.send(named(&format!("c{i}"))).status, 200);
    }
    airgate.counts(&healthy, 0.0);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn an_upstream_at_a_unix_socket() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("airflow.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let heads = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let its_heads = heads.clone();
    std::thread::spawn(move || {
        for mut wire in listener.incoming().flatten() {
            let its_heads = its_heads.clone();
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while wire.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        its_heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                        head.clear();
                        let _ = wire.write_all(&answer(200, &[], "{\"by\": \"socket\"}"));
                    }
                }
            });
        }
    });
    let airgate = start(&format!("unix:{}", path.display()), "");
    let answered = airgate.send(named("a"));
    assert_eq!(answered.told(), (200, "{\"by\": \"socket\"}".into()));
    airgate.until("it is ready", Airgate::is_ready);
    let heads = heads.lock().unwrap().join("");
    assert!(
        heads.contains("GET /api/v2/monitor/health HTTP/1.1\r\nhost: localhost")
            || heads.contains("Host: localhost"),
        "{heads}"
    );
    assert_eq!(airgate.metric(&format!("airgate_upstream_healthy{{upstream=\"{}\"}}", path.display())), 1.0);
}

// --- Clients that do nothing, or little

/// So many that say nothing, and so many that send a byte now and then.
struct Crowd {
    idle: Vec<TcpStream>,
    trickling: Vec<TcpStream>,
    sent: AtomicUsize,
}

impl Crowd {
    /// From many addresses, of which each has ports enough.
    fn open(to: SocketAddr, i: usize) -> TcpStream {
        let from = SocketAddr::from((
            [127, 0, 1 + u8::try_from(i / 10_000).unwrap(), 1 + u8::try_from(i % 200).unwrap()],
            0,
        ));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(from).unwrap();
            let stream = socket.connect(to).await.unwrap().into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            stream
        })
    }

    /// Those who have asked before are idle; those who have not must ask in time.
    fn gather(to: SocketAddr, idle: usize, trickling: usize) -> Self {
        use std::io::{Read, Write};
        let bytes = named("idle").bytes(to);
        let ask = |i| {
            let mut stream = Self::open(to, i);
            stream.write_all(&bytes).unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream
        };
        let idle: Vec<_> = (0..idle).map(ask).collect();
        let trickling = (0..trickling).map(|i| Self::open(to, idle.len() + i)).collect();
        let crowd = Self { idle, trickling, sent: AtomicUsize::new(0) };
        // Each has begun.
        (0..100).for_each(|_| crowd.trickle());
        crowd
    }

    /// Another byte of each head in turn, a hundredth of them each time.
    fn trickle(&self) {
        use std::io::Write;
        let head = b"GET /api/v2/dags HTTP/1.1\r\nHost: a\r\nX-Slow: ";
        let times = self.sent.fetch_add(1, Ordering::SeqCst);
        let byte = [head.get(times / 100).copied().unwrap_or(b'x')];
        for mut stream in self.trickling.iter().skip(times % 100).step_by(100) {
            let _ = stream.write_all(&byte);
        }
    }
}

/// What 99 of 100 requests take with a crowd, and what airgate has in use: the most of it.
struct Beside {
    /// How many times what they take without one, and through a bare Pingora with a crowd of its own: medians of all
    /// rounds.
    to_alone: f64,
    to_bare: f64,
    /// Those of each round: without, a bare Pingora's, and with it.
    times: [Vec<Duration>; 3],
    memory: usize,
}

/// By turns, so that what else the machine does meets each of them.
fn beside_a_crowd(idle: usize, trickling: usize, asked: usize, rounds: usize) -> Beside {
    let upstream = Upstream::start();
    let all = idle + trickling + 100;
    let airgate = start(
        &upstream.url(),
        &format!("[limits]\nheader_timeout = \"20s\"\nmax_connections = {all}\n[log]\naccess = false\n"),
    );
    let bare = Bare::start(&upstream.url(), false);
    let measure = |to: SocketAddr, crowd: &Crowd| {
        let load = Load::new(to, &named);
        let trickle = || {
            while !load.reaches(asked, Duration::from_millis(10)) {
                crowd.trickle()
            }
        };
        let ((), ended) = load.during(2, Duration::from_millis(1), trickle);
        assert!(ended.lost.is_empty(), "{:?}", ended.lost);
        upstream.forget();
        ended.p99()
    };
    let slow = || airgate.metric("airgate_connections_rejected_total{reason=\"slow_head\"}");
    let (mut times, mut memory) = ([(); 3].map(|()| Vec::new()), 0);
    for round in 1..=rounds {
        let nobody = Crowd::gather(airgate.address(), 0, 0);
        times[0].push(measure(airgate.address(), &nobody));
        times[1].push(measure(bare.address(), &Crowd::gather(bare.address(), idle, trickling)));
        let before = slow();
        let crowd = Crowd::gather(airgate.address(), idle, trickling);
        upstream.forget();
        times[2].push(measure(airgate.address(), &crowd));
        memory = memory.max(airgate.memory());
        if round == rounds {
            airgate.until("those that trickle are closed", |_| {
                crowd.trickle();
                slow() - before == trickling as f64
            });
            for stream in &crowd.idle {
                stream.set_nonblocking(true).unwrap();
                let still = stream.peek(&mut [0]).unwrap_err();
                assert_eq!(still.kind(), std::io::ErrorKind::WouldBlock, "an idle one is open");
            }
            assert_eq!(airgate.send(named("last")).status, 200);
            does_not_block(&airgate, rounds > 1);
        }
    }
    let [alone, bare, crowded] = times;
    // Of one round each: a machine is quick or slow for a while.
    let median = |mut ratios: Vec<f64>| {
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    let to = |others: &[Duration]| {
        median(crowded.iter().zip(others).map(|(own, other)| own.div_duration_f64(*other)).collect())
    };
    let (to_alone, to_bare) = (to(&alone), to(&bare));
    Beside { to_alone, to_bare, times: [alone, bare, crowded], memory }
}

#[test]
fn clients_that_idle_or_trickle_do_not_disturb_the_others() {
    let Beside { times: [alone, _, crowded], memory, .. } = beside_a_crowd(300, 100, 400, 1);
    assert!(memory < 100 << 20, "{memory}");
    // In a debug build beside other tests a time says little: the long form measures.
    assert!(crowded[0] < alone[0] * 20 + Duration::from_millis(200), "{alone:?} {crowded:?}");
}

// --- Series

fn random_requests(number: usize, compared: bool) {
    let upstream = Upstream::start();
    let airgate = start(
        &upstream.url(),
        "[log]\naccess = false\n[gate]\nother_routes = \"all\"\n[lockout]\nattempts = 0\n",
    );
    let load = Load::new(airgate.address(), &named);
    let ended = ask_while(&load, &upstream.url(), compared, || at_random(&airgate, number));
    assert_eq!(ended.statuses.keys().collect::<Vec<_>>(), [&200], "{:?}", ended.statuses);
    does_not_block(&airgate, compared);
}

fn at_random(airgate: &Airgate, number: usize) {
    let text = |airgate: &Airgate| airgate.admin("/metrics").text();
    // Numbers that look like chance and are always the same (xorshift).
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut ask = |wire: &mut Option<Connection>| {
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "X"];
        let method = match random(4) {
            0 => format!("M{}", random(1_000_000)),
            _ => methods[usize::try_from(random(10)).unwrap()].to_owned(),
        };
        let n = random(u64::MAX);
        let path = match random(8) {
            0 => format!("/api/v2/dags/{n}"),
            1 => format!("/api/v2/{n}"),
            2 => format!("/{n}"),
            3 => format!("/api/v2/dags?limit={n}&x={n}"),
            4 => "/auth/token".to_owned(),
            5 => format!("/api/v1/dags/{n}"),
            6 => format!("/api/v1/{n}?limit={n}"),
            _ => format!("/api/experimental/{n}"),
        };
        let ask = crate::support::client::ask(&method, path)
            .with(&format!("X-{n}"), format!("{n}"))
            .with("Origin", format!("https://{n}"));
        let ask = match random(4) {
            0 => ask.basic(&format!("user{n}"), "x"),
            1 => ask.bearer(&format!("{n}.{n}.{n}")),
            2 => ask.bearer(&token::good(&format!("user{n}"))),
            _ => ask,
        };
        let ask = if method == "POST" {
            ask.json(serde_json::json!({ "username": format!("u{n}"), "password": "x" }))
        } else {
            ask
        };
        let mut open = wire.take().unwrap_or_else(|| Connection::open(airgate.address()).unwrap());
        open.write(&ask.bytes(airgate.address())).unwrap();
        if let Ok(answer) = open.read(&method)
            && answer.header("connection") != Some("close")
        {
            *wire = Some(open);
        }
    };
    let mut wire = None;
    for _ in 0..number / 2 {
        ask(&mut wire);
    }
    let series = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series.to_owned())).collect()
    };
    // What comes between quotes.
    let values = |series: &BTreeSet<String>| -> BTreeSet<String> {
        series.iter().flat_map(|series| series.split('"').skip(1).step_by(2).map(str::to_owned)).collect()
    };
    let before = series(&text(airgate));
    for _ in number / 2..number {
        ask(&mut wire);
    }
    let after = series(&text(airgate));
    let (known, now) = (values(&before), values(&after));
    let new: Vec<_> = now.difference(&known).collect();
    assert!(new.is_empty(), "{new:?}");
    let counted = |name: &str| after.iter().any(|series| series.starts_with(name));
    assert!(counted("airgate_translations_total{"), "translations are among them: {after:#?}");
    // Of a few requests not every combination of these has come up.
    if number >= 100_000 {
        let new: Vec<_> = after.difference(&before).collect();
        assert!(new.is_empty(), "{new:?}");
    }
}

#[test]
fn no_request_makes_a_series_of_its_own() {
    random_requests(2_000, false);
}

// --- A user's share

#[test]
fn requests_per_user_are_limited() {
    let upstream = Upstream::start();
    let airgate = start(&upstream.url(), "[limits]\nrequests_per_user = \"5/h\"\n");
    let ask = |user: &str| airgate.send(get("/api/v2/dags/x").bearer(&token::good(user)));
    for _ in 0..5 {
        assert_eq!(ask("admin").status, 200);
    }
    let refused = ask("admin");
    assert_eq!(refused.told(), (429, "{\"detail\":\"Too many requests\"}".into()));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=720).contains(&wait), "{wait}");
    assert_eq!(ask("viewer").status, 200, "another user has a share of its own");
    assert_eq!(airgate.send(get("/api/v2/version")).status, 200, "what is open is nobody's");
    airgate.counts("airgate_rejections_total{reason=\"too_many_requests\"}", 1.0);
    // A reload is no way to a new share.
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    assert_eq!(ask("admin").status, 429);
    assert_eq!(upstream.seen().len(), 7);
}

/// The same at full length, alone on the machine: `make load`.
mod long {
    use super::*;

    #[test]
    #[ignore = "a minute: make load"]
    fn no_request_fails_in_a_minute_of_reloads() {
        reloads(60, Duration::from_secs(1), true);
    }

    #[test]
    #[ignore = "half a minute: make load"]
    fn no_request_fails_in_ten_upgrades() {
        upgrades(10, true);
    }

    #[test]
    #[ignore = "half a minute: make load"]
    fn a_stop_disturbs_nobody_and_ends_with_the_last_answer() {
        stop(true);
    }

    #[test]
    #[ignore = "half a minute: make load"]
    fn an_upstream_that_dies_again_and_again_is_sent_nothing_twice() {
        sends_nothing_twice(10, true);
    }

    #[test]
    #[ignore = "minutes, and 12,000 open files: make load"]
    fn ten_thousand_idle_and_two_thousand_trickling_clients() {
        let Beside { to_alone, to_bare, times, memory } = beside_a_crowd(10_000, 2_000, 2_000, 5);
        let [alone, bare, crowded] = &times;
        eprintln!("p99 without {alone:?}, a bare Pingora's with them {bare:?}, with them {crowded:?}");
        eprintln!(
            "{to_alone:.2} times that without, {to_bare:.2} times a bare Pingora's; {} MiB",
            memory >> 20
        );
        assert!(memory <= 100 << 20, "{memory}");
        assert!(to_alone <= 2.0 && to_bare <= 2.0, "{to_alone} {to_bare}");
    }

    #[test]
    #[ignore = "half a minute: make load"]
    fn a_log_in_takes_hardly_longer_than_keycloak_does() {
        let [keycloak, airgate, airflow] = crate::keycloak::latency::medians(100);
        eprintln!("medians: Keycloak's grant {keycloak:?}, airgate {airgate:?}, Airflow {airflow:?}");
        assert!(airgate <= keycloak + keycloak / 10, "{keycloak:?} {airgate:?}");
    }

    #[test]
    #[ignore = "minutes: make load"]
    fn a_hundred_thousand_requests_leave_the_number_of_series_unchanged() {
        random_requests(100_000, true);
    }
}
