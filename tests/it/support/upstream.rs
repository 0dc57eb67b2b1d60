//! An upstream in the test's own process: it records what it is sent, and answers as told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::client::ask;

/// What the upstream was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Tells the connections of one upstream apart.
    pub connection: usize,
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without transfer coding. Empty where the test reads the body itself.
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }
}

/// A connection as the upstream has it.
pub type Wire = BufReader<TcpStream>;

/// What happens to a request once its head has been read.
#[derive(Clone)]
enum Manner {
    /// Its body is read, then it is answered with these bytes; none closes the connection.
    Answers(Arc<Answers>),
    /// The test reads the body and writes the answer; then the connection is closed.
    ByHand(Arc<ByHand>),
}

type Answers = dyn Fn(&Seen) -> Vec<u8> + Send + Sync;
type ByHand = dyn Fn(&Seen, &mut Wire) + Send + Sync;

/// The upstream. Stops when it is dropped.
pub struct Upstream {
    address: SocketAddr,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
}

/// What the gate's own checks are told: which Airflow this is, by its version. `None`: the script answers them, too.
type Says = Option<&'static str>;

#[derive(Default)]
struct Log {
    says: Mutex<Says>,
    seen: Mutex<Vec<Seen>>,
    wires: Mutex<Vec<TcpStream>>,
    more: Condvar,
}

/// A whole answer with a JSON body.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        text.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}\r\n{body}").into_bytes()
}

/// The answer of a real server to this request.
pub fn pass_on(seen: &Seen, to: SocketAddr) -> Vec<u8> {
    let headers = seen.headers.iter().filter(|(name, _)| name != "host" && name != "connection");
    let ask = headers.fold(ask(&seen.method, &seen.target), |ask, (name, value)| ask.with(name, value));
    let told = ask.body(seen.body.clone()).send(to);
    let kind = told.header("content-type").unwrap_or_default();
    answer(told.status, &[("content-type", kind)], &told.text())
}

impl Upstream {
    /// Answers everything with 200 and `{}`.
    pub fn start() -> Self {
        Self::answering(|_| answer(200, &[], "{}"))
    }

    /// Answers as the script says. The gate's own checks are answered as by Airflow 3.3.2, and not recorded.
    pub fn answering(script: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::serve(listener, Manner::Answers(Arc::new(script)))
    }

    /// Leaves body and answer to the test. Health checks are answered as always.
    pub fn by_hand(hand: impl Fn(&Seen, &mut Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::serve(listener, Manner::ByHand(Arc::new(hand)))
    }

    /// From now on the gate's own checks are told that this is another Airflow; by the script, if `None`.
    pub fn says(&self, version: Says) {
        *self.log.says.lock().unwrap() = version;
    }

    fn serve(listener: TcpListener, manner: Manner) -> Self {
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log { says: Mutex::new(Some("3.3.2")), ..Log::default() });
        let stop = Arc::new(AtomicBool::new(false));
        let (its_log, its_stop) = (log.clone(), stop.clone());
        let connections = AtomicUsize::new(0);
        std::thread::spawn(move || {
            for wire in listener.incoming().flatten() {
                if its_stop.load(Ordering::SeqCst) {
                    return;
                }
                its_log.wires.lock().unwrap().extend(wire.try_clone());
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (log, stop, manner) = (its_log.clone(), its_stop.clone(), manner.clone());
                std::thread::spawn(move || serve(wire, number, &log, &stop, &manner));
            }
        });
        Self { address, log, stop }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends as a process does that is killed: nobody listens, and open connections are closed.
    pub fn kill(self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for wire in self.log.wires.lock().unwrap().drain(..) {
            let _ = wire.shutdown(Shutdown::Both);
        }
        // The listener is closed by its thread.
        while TcpStream::connect(self.address).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Everything that was sent so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// The only request that was sent.
    #[track_caller]
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    /// Waits until this many requests were sent.
    #[track_caller]
    pub fn wait_for(&self, requests: usize) {
        let seen = self.log.seen.lock().unwrap();
        let (seen, late) = self
            .log
            .more
            .wait_timeout_while(seen, Duration::from_secs(30), |seen| seen.len() < requests)
            .unwrap();
        assert!(!late.timed_out(), "only {} requests came", seen.len());
    }

    /// Forgets what was sent.
    pub fn forget(&self) {
        self.log.seen.lock().unwrap().clear();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the listener, which then closes
    }
}

/// A port where nobody listens, kept for an upstream that comes up later.
pub struct Closed {
    socket: tokio::net::TcpSocket,
}

impl Closed {
    pub fn port() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    /// The port of one that was killed.
    pub fn at(address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        Self { socket }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.socket.local_addr().unwrap())
    }

    /// Now somebody listens.
    pub fn open(self, script: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Upstream {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let listener = self.socket.listen(128).unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        Upstream::serve(listener, Manner::Answers(Arc::new(script)))
    }
}

fn serve(connection: TcpStream, number: usize, log: &Log, stop: &AtomicBool, manner: &Manner) {
    let mut wire = BufReader::new(connection);
    while let Some(mut seen) = head(&mut wire, number) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let says = *log.says.lock().unwrap();
        let check = says.filter(|_| seen.header("x-request-id").is_none());
        let bytes = match check.and_then(|version| told(version, &seen.target)) {
            Some(bytes) => bytes,
            None => match manner {
                Manner::Answers(script) => {
                    let Some(body) = body(&seen, &mut wire) else { break };
                    seen.body = body;
                    log.note(&seen);
                    script(&seen)
                }
                Manner::ByHand(hand) => {
                    log.note(&seen);
                    hand(&seen, &mut wire);
                    break;
                }
            },
        };
        if bytes.is_empty() || wire.get_mut().write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = wire.get_mut().shutdown(Shutdown::Both);
}

/// Where the gate asks with a token that has expired, whether its key is Airflow's: it is.
const TRIAL: &str = "/api/v2/importErrors?limit=1";

/// What an Airflow of this version answers to a check of the gate's own. Nothing on the routes of the other.
fn told(version: &str, target: &str) -> Option<Vec<u8>> {
    let (major, body) = match target {
        "/api/v1/health" => ("2", "{}".to_owned()),
        "/api/v2/monitor/health" => ("3", "{}".to_owned()),
        "/api/v1/version" => ("2", format!("{{\"version\":\"{version}\",\"git_version\":null}}")),
        "/api/v2/version" => ("3", format!("{{\"version\":\"{version}\",\"git_version\":null}}")),
        TRIAL => ("3", r#"{"detail":"Token Expired"}"#.to_owned()),
        _ => return None,
    };
    let is_there = version.split('.').next() == Some(major);
    Some(match (is_there, target) {
        (true, TRIAL) => answer(401, &[], &body),
        (true, _) => answer(200, &[], &body),
        (false, _) => answer(404, &[], "{}"),
    })
}

impl Log {
    fn note(&self, seen: &Seen) {
        self.seen.lock().unwrap().push(seen.clone());
        self.more.notify_all();
    }
}

fn head(wire: &mut Wire, connection: usize) -> Option<Seen> {
    let mut line = String::new();
    wire.read_line(&mut line).ok()?;
    let mut words = line.trim_end().split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        wire.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Seen { connection, method, target, headers, body: Vec::new() })
}

/// The body of a request. `None` if it ends early.
pub fn body(seen: &Seen, wire: &mut Wire) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = seen.header("content-length").and_then(|v| v.parse().ok()) {
        body = vec![0; length];
        wire.read_exact(&mut body).ok()?;
    } else if seen.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            wire.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            wire.read_exact(&mut chunk).ok()?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    Some(body)
}
