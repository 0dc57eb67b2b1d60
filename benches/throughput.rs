//! What airgate costs: beside a bare Pingora proxy, in the same run.
//!
//! `make bench` builds everything in release and runs this. Three processes take part: a static
//! upstream, a bare Pingora proxy of the same version (no filters; built and configured as airgate
//! is), and airgate; `wrk` asks. CPU time per request is read from `/proc`: it is steadier than
//! requests per second on a machine that others use too. The targets take turns, several rounds
//! long, and each round is compared within itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a request may cost, as a multiple of what bare Pingora takes.
const TARGET: f64 = 1.15;
const CONNECTIONS: &str = "32";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n{\"pools\":[],\"total_entries\":0}";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["upstream"] => upstream(),
        ["bare", upstream] => bare(upstream.parse().expect("an address")),
        _ => compare(),
    }
}

/// Answers every request alike, as fast as it can.
fn upstream() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        say(listener.local_addr().expect("an address"));
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(serve(stream));
        }
    });
}

async fn serve(stream: tokio::net::TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut read = Vec::with_capacity(4096);
    loop {
        read.clear();
        while !read.ends_with(b"\r\n\r\n") {
            if stream.readable().await.is_err() {
                return;
            }
            match stream.try_read_buf(&mut read) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        if stream.writable().await.is_err() || stream.try_write(ANSWER).is_err() {
            return;
        }
    }
}

/// A proxy that does nothing but forward.
struct Bare(SocketAddr);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn bare(upstream: SocketAddr) {
    let conf = ServerConf { threads: 1, work_stealing: false, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let mut service = http_proxy_service(&server.configuration, Bare(upstream));
    service.add_tcp(&port.to_string());
    server.add_service(service);
    say(port);
    server.run_forever();
}

fn say(address: SocketAddr) {
    println!("{address}");
    std::io::stdout().flush().expect("a pipe");
}

/// A process that is measured, and the headers that `wrk` sends it.
struct Target {
    name: &'static str,
    process: usize,
    header: Option<String>,
    runs: Vec<Run>,
}

#[derive(Clone, Copy)]
struct Run {
    micros: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
}

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compare() {
    let seconds = std::env::var("BENCH_SECONDS").unwrap_or_else(|_| "5".into());
    let rounds: usize = std::env::var("BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let this = std::env::current_exe().expect("a path");
    let upstream = spawn(Command::new(&this).arg("upstream"));
    let home = tempfile::tempdir().expect("a folder");
    let mut processes = vec![spawn(Command::new(&this).args(["bare", &upstream.address.to_string()]))];
    let (hs512, rs256) =
        (airgate(home.path(), &upstream, Key::Hs512), airgate(home.path(), &upstream, Key::Rs256));
    let tokens = [token(hs512.address), token(rs256.address)];
    processes.extend([hs512, rs256]);
    let basic = STANDARD.encode("admin:admin-pw");
    let target = |name, process, header| Target { name, process, header, runs: Vec::new() };
    let mut targets = [
        target("bare Pingora", 0, None),
        target("airgate, Bearer HS512", 1, Some(format!("Authorization: Bearer {}", tokens[0]))),
        target("airgate, Bearer RS256", 2, Some(format!("Authorization: Bearer {}", tokens[1]))),
        target("airgate, cached Basic", 1, Some(format!("Authorization: Basic {basic}"))),
    ];
    for target in &targets {
        let _ = measure(&processes[target.process], target.header.as_deref(), "1"); // warms up
    }
    for round in 0..rounds {
        for at in 0..targets.len() {
            let target = &mut targets[(at + round) % 4];
            let run = measure(&processes[target.process], target.header.as_deref(), &seconds);
            target.runs.push(run);
        }
    }
    report(&targets, &processes);
}

fn report(targets: &[Target], processes: &[Process]) {
    println!(
        "\n{:24} {:>11} {:>9} {:>10} {:>9} {:>9} {:>8}",
        "medians of all rounds", "µs CPU/req", "to bare", "req/s", "p50 ms", "p99 ms", "RSS MiB"
    );
    let mut within = true;
    for target in targets {
        let of = |pick: fn(&Run) -> f64| median(target.runs.iter().map(pick).collect());
        let ratio = median(
            target.runs.iter().zip(&targets[0].runs).map(|(own, bare)| own.micros / bare.micros).collect(),
        );
        within &= ratio <= TARGET;
        println!(
            "{:24} {:>11.1} {:>9.2} {:>10.0} {:>9.2} {:>9.2} {:>8.1}",
            target.name,
            of(|r| r.micros),
            ratio,
            of(|r| r.per_second),
            of(|r| r.p50),
            of(|r| r.p99),
            memory(&processes[target.process].child)
        );
    }
    println!("target: at most {TARGET} times bare Pingora: {}", if within { "met" } else { "MISSED" });
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

enum Key {
    Hs512,
    Rs256,
}

fn airgate(home: &Path, upstream: &Process, key: Key) -> Process {
    let key_line = match key {
        Key::Hs512 => format!("jwt_secret = \"{}\"", "benchmark".repeat(8)),
        Key::Rs256 => {
            let made = Command::new("openssl")
                .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem"])
                .current_dir(home)
                .stderr(Stdio::null())
                .status();
            assert!(made.is_ok_and(|s| s.success()), "openssl makes a key");
            "jwt_private_key_path = \"rsa.pem\"".to_owned()
        }
    };
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nthreads = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [upstream]\nurl = \"http://{}\"\n[basic]\nsources = [\"file\"]\ncache_ttl = \"1h\"\n\
         [core]\nsimple_auth_manager_users = \"admin:admin\"\n\
         simple_auth_manager_passwords_file = \"passwords.json\"\n[api_auth]\n{key_line}\n",
        upstream.address
    );
    std::fs::write(home.join("passwords.json"), r#"{"admin": "admin-pw"}"#).expect("a file");
    std::fs::write(home.join("airgate.toml"), config).expect("a file");
    let binary =
        std::env::var_os("AIRGATE").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_airgate")), Into::into);
    let log = std::fs::File::create(home.join("log")).expect("a file");
    let child = Command::new(binary)
        .args(["run", "--conf", "airgate.toml"])
        .current_dir(home)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("airgate starts");
    let began = Instant::now();
    let address = loop {
        let log = std::fs::read_to_string(home.join("log")).unwrap_or_default();
        let line = log.lines().find(|line| line.contains("listening") && line.contains("\"server\""));
        let found = line.and_then(|line| line.split('"').find_map(|word| word.parse::<SocketAddr>().ok()));
        match found {
            Some(address) => break address,
            None => assert!(began.elapsed() < Duration::from_secs(20), "airgate does not start:\n{log}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Process { child, address }
}

fn token(gate: SocketAddr) -> String {
    let body = r#"{"username":"admin","password":"admin-pw"}"#;
    let mut stream = TcpStream::connect(gate).expect("a connection");
    let length = body.len();
    write!(
        stream,
        "POST /auth/token HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
        .split("\"access_token\"")
        .nth(1)
        .and_then(|rest| rest.split('"').nth(1))
        .expect("a token")
        .to_owned()
}

fn spawn(command: &mut Command) -> Process {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a process");
    let mut line = Vec::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    let mut byte = [0];
    while stdout.read(&mut byte).is_ok_and(|n| n == 1) && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let address = String::from_utf8_lossy(&line).parse().expect("an address");
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing listens on {address}");
    }
    Process { child, address }
}

fn measure(process: &Process, header: Option<&str>, seconds: &str) -> Run {
    let before = cpu(&process.child);
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c", CONNECTIONS, "-d", seconds, "--latency"]);
    if let Some(header) = header {
        wrk.args(["-H", header]);
    }
    let output = wrk
        .arg(format!("http://{}/api/v2/pools?limit=10", process.address))
        .output()
        .expect("wrk runs: apt-get install wrk");
    let used = cpu(&process.child) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("Non-2xx"), "refused:\n{text}");
    let after = |key: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or("").trim().to_owned()
    };
    let requests: f64 = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in")?.0.parse().ok())
        .unwrap_or_else(|| panic!("no count:\n{text}"));
    Run {
        micros: used * 1e6 / requests,
        per_second: after("Requests/sec:").parse().unwrap_or(0.0),
        p50: millis(&after("50%")),
        p99: millis(&after("99%")),
    }
}

fn millis(text: &str) -> f64 {
    let number = |unit: &str| text.strip_suffix(unit).and_then(|n| n.parse::<f64>().ok());
    number("us")
        .map(|n| n / 1e3)
        .or_else(|| number("ms"))
        .or_else(|| number("s").map(|n| n * 1e3))
        .unwrap_or(0.0)
}

/// Seconds of CPU time that a process has used, user and system.
fn cpu(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("a process");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|&at| fields[at].parse::<f64>().unwrap_or(0.0)).sum();
    ticks / 100.0
}

fn memory(child: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}
