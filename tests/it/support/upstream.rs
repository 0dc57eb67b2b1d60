//! An upstream in the test's own process: it records what it is sent, and answers as told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What the upstream was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
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

/// Answers a request with the bytes to send. An empty answer closes the connection.
type Script = dyn Fn(&Seen) -> Vec<u8> + Send + Sync;

/// The upstream. Stops when it is dropped.
pub struct Upstream {
    address: SocketAddr,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
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

impl Upstream {
    /// Answers everything with 200 and `{}`.
    pub fn start() -> Self {
        Self::answering(|_| answer(200, &[], "{}"))
    }

    /// Answers as the script says. The gate's own health checks are answered, and not recorded.
    pub fn answering(script: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), script)
    }

    /// At a given address.
    pub fn on(address: SocketAddr, script: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (log, stop) = (Arc::new(Log::default()), Arc::new(AtomicBool::new(false)));
        let script: Arc<Script> = Arc::new(script);
        let (its_log, its_stop) = (log.clone(), stop.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if its_stop.load(Ordering::SeqCst) {
                    return;
                }
                let (log, stop, script) = (its_log.clone(), its_stop.clone(), script.clone());
                std::thread::spawn(move || serve(connection, &log, &stop, &*script));
            }
        });
        Self { address, log, stop }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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

fn serve(connection: TcpStream, log: &Log, stop: &AtomicBool, script: &Script) {
    let mut reader = BufReader::new(connection);
    while let Some(seen) = read(&mut reader) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let is_check = seen.target == "/api/v2/version" && seen.header("x-request-id").is_none();
        if !is_check {
            log.seen.lock().unwrap().push(seen.clone());
            log.more.notify_all();
        }
        let bytes = if is_check { answer(200, &[], "{}") } else { script(&seen) };
        if bytes.is_empty() || reader.get_mut().write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = reader.get_mut().shutdown(Shutdown::Both);
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.trim_end().split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    if let Some(length) = seen.header("content-length").and_then(|v| v.parse().ok()) {
        seen.body = vec![0; length];
        reader.read_exact(&mut seen.body).ok()?;
    } else if seen.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk).ok()?;
            if length == 0 {
                break;
            }
            seen.body.extend_from_slice(&chunk[..length]);
        }
    }
    Some(seen)
}
