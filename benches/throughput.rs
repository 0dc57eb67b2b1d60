//! What airgate costs: beside a bare Pingora proxy, in the same run.
//!
//! `make bench` builds everything in release and runs this (`BENCH_SECONDS=5` for each measurement,
//! `BENCH_ROUNDS=5`). What takes part: a static upstream; a bare Pingora proxy of the same version (no
//! filters; built and configured as airgate is); airgate, with its defaults, access log and metrics
//! among them; and nginx and HAProxy, where they are installed. Each has one thread; `wrk` asks.
//! CPU time per request is read from `/proc`, all threads and the kernel's part included: it is
//! steadier than requests per second on a machine that others use too. The targets take turns, and
//! each round is compared within itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};
use serde_json::{Value, json};

#[path = "throughput/train.rs"]
mod train;

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
        ["train", ..] => {
            let upstream = spawn_self(&["upstream"]);
            let bare = spawn_self(&["bare", &upstream.address.to_string()]);
            train::train(&upstream, bare);
        }
        // `cargo bench` says so; `cargo test --all-targets` does not.
        ref others if others.contains(&"--bench") => compare(),
        _ => println!("nothing is measured without --bench: see `make bench`"),
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

/// A proxy that does nothing but forward, with the time limits that airgate has by default.
struct Bare(HttpPeer);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<()> {
        // Pingora has no other place for them.
        session.set_keepalive(Some(75));
        session.set_read_timeout(Some(Duration::from_secs(60)));
        session.set_write_timeout(Some(Duration::from_secs(60)));
        Ok(())
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }
}

/// As many for each proxy, one unless `BENCH_THREADS` says more.
fn threads() -> usize {
    std::env::var("BENCH_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn bare(upstream: SocketAddr) {
    let conf = ServerConf {
        threads: threads(),
        work_stealing: false,
        upstream_keepalive_pool_size: 256,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let port = free_port();
    let mut peer = HttpPeer::new(upstream, false, String::new());
    peer.options.connection_timeout = Some(Duration::from_secs(5));
    peer.options.total_connection_timeout = Some(Duration::from_secs(5));
    peer.options.read_timeout = Some(Duration::from_secs(60));
    peer.options.write_timeout = Some(Duration::from_secs(60));
    peer.options.idle_timeout = Some(Duration::from_secs(4));
    let mut service = http_proxy_service(&server.configuration, Bare(peer));
    service.add_tcp(&port.to_string());
    server.add_service(service);
    say(port);
    server.run_forever();
}

fn say(address: SocketAddr) {
    println!("{address}");
    std::io::stdout().flush().expect("a pipe");
}

/// A process that is measured, and the header that `wrk` sends it.
struct Target {
    name: &'static str,
    /// The target that it is compared with: bare Pingora, with a header as long.
    beside: usize,
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
    let upstream = spawn_self(&["upstream"]);
    let home = tempfile::tempdir().expect("a folder");
    let mut processes = vec![spawn_self(&["bare", &upstream.address.to_string()])];
    let (hs512, rs256) = (
        airgate(home.path(), &upstream, &Setup::Hs512, &[]),
        airgate(home.path(), &upstream, &Setup::Rs256, &[]),
    );
    let tokens = [token(hs512.address), token(rs256.address)];
    let realm = Realm::start();
    processes.extend([hs512, rs256, airgate(home.path(), &upstream, &Setup::Keycloak(&realm.url), &[])]);
    let bearer = |token: String| Some(format!("Authorization: Bearer {token}"));
    let (access, of_airflow) = (bearer(realm.access_token(3000)), bearer(realm.token_of_airflow()));
    let hs512_token = format!("Authorization: Bearer {}", tokens[0]);
    let basic = STANDARD.encode("admin:admin-pw");
    let beside = |beside, name, process, header| Target { name, beside, process, header, runs: Vec::new() };
    let target = |name, process, header| beside(0, name, process, header);
    let mut targets = vec![
        // The same request, which it passes on as it is.
        target("bare Pingora", 0, Some(hs512_token.clone())),
        target("airgate, Bearer HS512", 1, Some(hs512_token)),
        target("airgate, Bearer RS256", 2, Some(format!("Authorization: Bearer {}", tokens[1]))),
        target("airgate, cached Basic", 1, Some(format!("Authorization: Basic {basic}"))),
        beside(4, "bare Pingora, 3 kB", 0, access.clone()),
        // Airflow is given one of its own with this one inside, which is longer by a half.
        beside(4, "airgate, Keycloak's 3 kB", 3, access),
        // Passes as it is.
        beside(4, "airgate, with it inside", 3, of_airflow),
    ];
    for (name, started) in
        [("nginx", nginx(home.path(), &upstream)), ("HAProxy", haproxy(home.path(), &upstream))]
    {
        if let Some(process) = started {
            targets.push(target(name, processes.len(), None));
            processes.push(process);
        }
    }
    for target in &targets {
        let _ = measure(&processes[target.process], target.header.as_deref(), "1"); // warms up
    }
    for round in 0..rounds {
        for at in 0..targets.len() {
            let at = (at + round) % targets.len();
            let target = &mut targets[at];
            let run = measure(&processes[target.process], target.header.as_deref(), &seconds);
            println!("round {round}: {:24} {:6.2} µs", target.name, run.micros);
            target.runs.push(run);
        }
    }
    report(&targets, &processes);
}

fn report(targets: &[Target], processes: &[Process]) {
    println!(
        "\n{:24} {:>11} {:>9} {:>13} {:>9} {:>9} {:>9} {:>8}",
        "medians of all rounds", "µs CPU/req", "to bare", "from - to", "req/s", "p50 ms", "p99 ms", "RSS MiB"
    );
    let mut within = true;
    for target in targets {
        let of = |pick: fn(&Run) -> f64| median(target.runs.iter().map(pick).collect());
        let mut ratios: Vec<f64> = target
            .runs
            .iter()
            .zip(&targets[target.beside].runs)
            .map(|(own, bare)| own.micros / bare.micros)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = median(ratios.clone());
        within &= ratio <= TARGET || !target.name.starts_with("airgate");
        println!(
            "{:24} {:>11.1} {:>9.2} {:>13} {:>9.0} {:>9.2} {:>9.2} {:>8.1}",
            target.name,
            of(|r| r.micros),
            ratio,
            format!("{:.2} - {:.2}", ratios[0], ratios[ratios.len() - 1]),
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

/// How an airgate is set up: the key of its tokens, or the realm's URL.
enum Setup<'a> {
    Hs512,
    Rs256,
    Keycloak(&'a str),
}

const SECRET: &str = "benchmarkbenchmarkbenchmarkbenchmarkbenchmarkbenchmarkbenchmarkbenchmark";

fn airgate(home: &Path, upstream: &Process, setup: &Setup<'_>, more: &[&str]) -> Process {
    // A folder of its own: each watches its configuration.
    let home = &home.join(match setup {
        Setup::Hs512 => "hs512",
        Setup::Rs256 => "rs256",
        Setup::Keycloak(_) => "keycloak",
    });
    std::fs::create_dir(home).expect("a folder");
    let manager = match setup {
        Setup::Hs512 | Setup::Rs256 => {
            "auth_manager = \"simple\"\n[core]\nsimple_auth_manager_users = \"admin:admin\"\n\
             simple_auth_manager_passwords_file = \"passwords.json\"\n[basic]\nsources = [\"file\"]\n"
                .to_owned()
        }
        Setup::Keycloak(url) => format!(
            "auth_manager = \"keycloak\"\n[keycloak_auth_manager]\nserver_url = \"{url}\"\nrealm = \"r\"\n\
             client_id = \"airflow\"\nclient_secret = \"s\"\n[basic]\n"
        ),
    };
    let key_line = match setup {
        Setup::Hs512 | Setup::Keycloak(_) => format!("jwt_secret = \"{SECRET}\""),
        Setup::Rs256 => {
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
        "[server]\nlisten = \"127.0.0.1:0\"\nthreads = {}\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [upstream]\nurl = \"http://{}\"\n{manager}cache_ttl = \"1h\"\n[api_auth]\n{key_line}\n",
        threads(),
        upstream.address
    );
    std::fs::write(home.join("passwords.json"), r#"{"admin": "admin-pw"}"#).expect("a file");
    std::fs::write(home.join("airgate.toml"), config).expect("a file");
    let binary =
        std::env::var_os("AIRGATE").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_airgate")), Into::into);
    let log = std::fs::File::create(home.join("log")).expect("a file");
    let child = Command::new(binary)
        .args(["run", "--conf", "airgate.toml"])
        .args(more)
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

/// Keycloak, as far as tokens that it has issued need it: its keys, and whose they are.
struct Realm {
    url: String,
    pair: RsaKeyPair,
}

impl Realm {
    fn start() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let key = pair.public_key();
        let (n, e) = (key.modulus(), key.exponent());
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) =
            (encode(n.big_endian_without_leading_zero()), encode(e.big_endian_without_leading_zero()));
        let keys =
            json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": n, "e": e }] });
        let user = json!({ "sub": "u", "preferred_username": "admin" });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let (mut head, mut bytes) = (Vec::new(), [0; 8192]);
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read(&mut bytes) {
                        Ok(read @ 1..) => head.extend_from_slice(&bytes[..read]),
                        Ok(_) | Err(_) => break,
                    }
                }
                let certs = head.windows(6).any(|part| part == b"/certs");
                let body = if certs { &keys } else { &user }.to_string();
                let length = body.len();
                let _ = write!(
                    client,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                     connection: close\r\n\r\n{body}"
                );
            }
        });
        Self { url, pair }
    }

    /// An access token of at least this many bytes: roles make them long.
    fn access_token(&self, length: usize) -> String {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_secs();
        let mut roles = Vec::new();
        loop {
            let claims = json!({
                "iss": format!("{}/realms/r", self.url), "aud": ["airflow", "account"], "azp": "airflow",
                "typ": "Bearer", "sub": "u", "preferred_username": "admin", "sid": "s", "jti": "j",
                "iat": now, "exp": now + 36_000, "realm_access": { "roles": roles },
            });
            let signed = signed_part(&json!({ "alg": "RS256", "typ": "JWT", "kid": "k" }), &claims);
            let mut signature = vec![0; self.pair.public_modulus_len()];
            self.pair
                .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
                .expect("a signature");
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature));
            if token.len() >= length {
                return token;
            }
            roles.push(format!("team-{}-operators", roles.len()));
        }
    }

    /// A token of Airflow's of 3 kB, with an access token and a refresh token inside.
    fn token_of_airflow(&self) -> String {
        let access = self.access_token(1400);
        let claims = json!({
            "user_id": "u", "name": "admin", "access_token": access, "refresh_token": &access[..700],
            "aud": "apache-airflow", "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 4_102_444_800_u64, "jti": "j",
        });
        let signed = signed_part(&json!({ "alg": "HS512", "typ": "JWT", "kid": "not-used" }), &claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes()), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }
}

fn signed_part(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// nginx as a plain proxy, if it is installed.
fn nginx(home: &Path, upstream: &Process) -> Option<Process> {
    let address = free_port();
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log nginx.log;
         events {{ worker_connections 1024; }}
         http {{
           access_log access.log; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;
           uwsgi_temp_path t; scgi_temp_path t; keepalive_requests 1000000000;
           upstream static {{ server {}; keepalive 256; keepalive_requests 1000000000; }}
           server {{
             listen {address};
             location / {{
               proxy_pass http://static; proxy_http_version 1.1; proxy_set_header Connection \"\";
             }}
           }}
         }}",
        upstream.address
    );
    std::fs::write(home.join("nginx.conf"), config).expect("a file");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(home).args(["-c", "nginx.conf", "-e", "nginx.log"]);
    start_if_installed(&mut command, address)
}

/// HAProxy as a plain proxy, if it is installed.
fn haproxy(home: &Path, upstream: &Process) -> Option<Process> {
    let address = free_port();
    let config = format!(
        "global\n nbthread 1\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         frontend all\n bind {address}\n default_backend static\n\
         backend static\n http-reuse always\n server one {}\n",
        upstream.address
    );
    std::fs::write(home.join("haproxy.cfg"), config).expect("a file");
    start_if_installed(Command::new("haproxy").arg("-db").arg("-f").arg(home.join("haproxy.cfg")), address)
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn start_if_installed(command: &mut Command, address: SocketAddr) -> Option<Process> {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let process = Process { child, address };
    wait_for(address);
    Some(process)
}

fn wait_for(address: SocketAddr) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
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

fn spawn_self(arguments: &[&str]) -> Process {
    let this = std::env::current_exe().expect("a path");
    let mut child = Command::new(this).args(arguments).stdout(Stdio::piped()).spawn().expect("a process");
    let mut line = Vec::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    let mut byte = [0];
    while stdout.read(&mut byte).is_ok_and(|n| n == 1) && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let address = String::from_utf8_lossy(&line).parse().expect("an address");
    wait_for(address);
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
