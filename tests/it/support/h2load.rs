//! h2load, of nghttp2: a load generator that others made, over TLS.
//!
//! It gives up more than other clients do: where a connection that it keeps is closed between two requests, it counts
//! all that were still to be made on it as failed. So what it counts as failed is held against what the upstream has
//! seen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::load::Stop;
use super::token;

/// HTTP/1.1 and HTTP/2.
pub const PROTOCOLS: [&str; 2] = ["--h1", "--npn-list=h2"];

/// What its clients do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clients {
    /// 8 with 25 requests a second each, on connections that they keep.
    Kept,
    /// 40 a second, each with one request.
    Anew,
}

/// One that runs.
pub struct Generator {
    process: Child,
    folder: tempfile::TempDir,
    all: u64,
}

/// What became of its requests.
#[derive(Debug, Default)]
pub struct Told {
    /// How many were to be made.
    pub all: u64,
    /// How many were sent.
    pub sent: u64,
    /// How many were answered, and how many of these by 2xx, as its summary says: where a connection is made anew, its
    /// log has other numbers.
    pub done: u64,
    pub good: u64,
    /// How many answers of each status, as its log says.
    pub statuses: BTreeMap<u16, u64>,
    /// When each was sent whose answer did not come, or not whole.
    pub lost: Vec<SystemTime>,
}

impl Told {
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Fails unless each request was made, and answered by 200.
    #[track_caller]
    pub fn none_failed(&self) {
        assert_eq!(self.statuses, [(200, self.all)].into(), "{self:?}");
    }
}

impl Generator {
    /// So many requests to `target`: POST, where there is a body.
    pub fn start(
        to: SocketAddr,
        protocol: &str,
        clients: Clients,
        all: u64,
        target: &str,
        body: Option<&str>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("h2load");
        command.args([protocol, &format!("-n{all}")]);
        match clients {
            Clients::Kept => command.args(["-c8", "--rps=25"]),
            Clients::Anew => command.args([&format!("-c{all}"), "-r4", "--rate-period=100ms"]),
        };
        if let Some(body) = body {
            std::fs::write(folder.path().join("body"), body).unwrap();
            command.arg("-d").arg(folder.path().join("body")).arg("-Hcontent-type: application/json");
        }
        let process = command
            .arg("--log-file")
            .arg(folder.path().join("log"))
            .arg(format!("-Hauthorization: Bearer {}", token::good("admin")))
            .arg(format!("https://{to}{target}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("h2load is there (Debian: nghttp2-client)");
        Self { process, folder, all }
    }

    /// Waits for its end.
    pub fn told(self) -> Told {
        let ended = self.process.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{text}");
        let number = |after: &str| {
            let before = text.split(after).next().and_then(|text| text.rsplit(' ').next());
            before.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
        };
        let (sent, done, good) = (number(" started, "), number(" done, "), number(" 2xx, "));
        let mut told = Told { all: self.all, sent, done, good, ..Told::default() };
        // Microseconds since 1970, status or -1, and how long it took.
        for line in std::fs::read_to_string(self.folder.path().join("log")).unwrap().lines() {
            let mut fields = line.split('\t');
            let (began, status) = (fields.next().unwrap(), fields.next().unwrap());
            match status.parse() {
                Ok(status) => *told.statuses.entry(status).or_default() += 1,
                Err(_) => told.lost.push(UNIX_EPOCH + Duration::from_micros(began.parse().unwrap())),
            }
        }
        told
    }
}

/// The target of these clients, which nobody else asks for: `end` comes last in it.
pub fn target(protocol: &str, clients: Clients, end: &str) -> String {
    format!("/api/v2/dags/{clients:?}{}{end}", protocol.replace("--", "-").replace('=', "-"))
}

/// Has generators of all kinds ask while something happens, each one after the other. What became of it, with
/// the target of each kind.
pub fn while_asked<T>(
    to: SocketAddr,
    end: &str,
    body: Option<&str>,
    happens: impl FnOnce() -> T,
) -> (T, Vec<(Clients, String, Told)>) {
    let over = &AtomicBool::new(false);
    let kinds = [Clients::Kept, Clients::Anew].map(|clients| PROTOCOLS.map(|protocol| (protocol, clients)));
    std::thread::scope(|scope| {
        let kinds: Vec<_> = kinds
            .into_iter()
            .flatten()
            .map(|(protocol, clients)| {
                scope.spawn(move || {
                    let target = target(protocol, clients, end);
                    let mut all = Told::default();
                    while !over.load(Ordering::SeqCst) {
                        let number = match clients {
                            Clients::Kept => 200,
                            Clients::Anew => 40,
                        };
                        let told = Generator::start(to, protocol, clients, number, &target, body).told();
                        all.all += told.all;
                        all.sent += told.sent;
                        all.done += told.done;
                        all.good += told.good;
                        all.lost.extend(told.lost);
                        for (status, times) in told.statuses {
                            *all.statuses.entry(status).or_default() += times;
                        }
                    }
                    (clients, target, all)
                })
            })
            .collect();
        let happened = {
            let _stop = Stop(over);
            happens()
        };
        (happened, kinds.into_iter().map(|kind| kind.join().unwrap()).collect())
    })
}
