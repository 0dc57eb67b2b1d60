//! Whether a flood of wrong passwords slows a client that has a token.
//!
//! `make flood` builds everything in release and runs this (`BENCH_SECONDS=5` for each measurement,
//! `BENCH_ROUNDS=5`, `FLOOD_RATE=400` log-ins a second). A Bearer client asks at a steady pace, from a
//! process of its own, and the time is taken from when it meant to ask: without and with the flood, by
//! turns in one run. The flood comes from addresses all over 127/8 and for thousands of users, known
//! and unknown, to the API and to the token endpoint, so that no lock-out hides what a check costs.
//! Each wrong password is an argon2 or bcrypt hash, of which one core computes some forty a second.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{MissedTickBehavior, interval};

/// By how much the flood may lengthen the Bearer client's p99.
const TARGET: f64 = 1.5;
/// Of the Bearer client: connections, and requests a second on each.
const CONNECTIONS: u32 = 4;
const PACE: u32 = 50;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n{\"pools\":[],\"total_entries\":0}";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["upstream"] => upstream(),
        ["flood", address, rate] => {
            flood(address.parse().expect("an address"), rate.parse().expect("a number"));
        }
        // `cargo bench` says so; `cargo test --all-targets` does not.
        ref others if others.contains(&"--bench") => std::process::exit(compare()),
        _ => println!("nothing is measured without --bench: see `make flood`"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn number<T: std::str::FromStr>(variable: &str, default: T) -> T {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

// --- the upstream, which answers every request alike ------------------------------------------------

fn upstream() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        std::io::stdout().flush().expect("a pipe");
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            tokio::spawn(async move {
                let mut read = Vec::with_capacity(4096);
                while matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                    if read.ends_with(b"\r\n\r\n") {
                        read.clear();
                        if stream.write_all(ANSWER).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
}

// --- the flood --------------------------------------------------------------------------------------

/// Statuses of the answers: wrong, refused because the queue is full, anything else, none.
#[derive(Default)]
struct Counts([AtomicU64; 4]);

/// Log-ins at this rate until standard input ends.
fn flood(to: SocketAddr, rate: u32) {
    let counts = Arc::<Counts>::default();
    let counted = counts.clone();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let mut next = interval(Duration::from_secs(1) / rate);
            for number in 0_u32.. {
                next.tick().await;
                let counts = counted.clone();
                tokio::spawn(async move {
                    let status = guess(to, number).await.unwrap_or_default();
                    let place = match status {
                        401 => 0,
                        503 => 1,
                        0 => 3,
                        _ => 2,
                    };
                    counts.0[place].fetch_add(1, Ordering::Relaxed);
                });
            }
        });
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let [wrong, busy, other, none] = [0, 1, 2, 3].map(|place| counts.0[place].load(Ordering::Relaxed));
    println!("{wrong} {busy} {other} {none}");
}

/// One wrong password, on a connection of its own, from another network each time.
async fn guess(to: SocketAddr, number: u32) -> std::io::Result<u16> {
    let mixed = number.wrapping_mul(2_654_435_761);
    let [a, b, c, _] = mixed.to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, a, b, c.max(1)), 0)))?;
    let mut stream = socket.connect(to).await?;
    let user = match number % 3 {
        0 => "admin".to_owned(),
        1 => format!("user{}", mixed % 1000),
        _ => format!("nobody{}", mixed % 5000),
    };
    let password = format!("guess{number}");
    let request = if number.is_multiple_of(2) {
        let basic = STANDARD.encode(format!("{user}:{password}"));
        format!(
            "GET /api/v2/pools HTTP/1.1\r\nhost: flood\r\nauthorization: Basic {basic}\r\nconnection: close\r\n\r\n"
        )
    } else {
        let body = format!("{{\"username\":\"{user}\",\"password\":\"{password}\"}}");
        format!(
            "POST /auth/token HTTP/1.1\r\nhost: flood\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let status = answer.get(9..12).and_then(|digits| str::from_utf8(digits).ok());
    Ok(status.and_then(|digits| digits.parse().ok()).unwrap_or_default())
}

// --- the Bearer client ------------------------------------------------------------------------------

/// How long each request took, from when it was to be sent.
fn bearer(to: SocketAddr, token: &str, length: Duration) -> Vec<Duration> {
    let end = Instant::now() + length;
    runtime().block_on(async {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|client| {
                let request = format!(
                    "GET /api/v2/pools HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n"
                );
                tokio::spawn(async move {
                    // Not all at the same moment.
                    tokio::time::sleep(Duration::from_millis(7) * client).await;
                    let mut stream = TcpStream::connect(to).await.expect("a connection");
                    stream.set_nodelay(true).expect("a socket");
                    let mut next = interval(Duration::from_secs(1) / PACE);
                    next.set_missed_tick_behavior(MissedTickBehavior::Burst);
                    let mut times = Vec::new();
                    while Instant::now() < end {
                        let meant = next.tick().await;
                        stream.write_all(request.as_bytes()).await.expect("a request");
                        let mut answer = Vec::with_capacity(1024);
                        while !answer.ends_with(b"\"total_entries\":0}") {
                            assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0, "closed");
                        }
                        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
                        times.push(meant.elapsed());
                    }
                    times
                })
            })
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.await.expect("no panic"));
        }
        all
    })
}

fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small"
    )]
    let at = ((times.len() as f64 * share) as usize).min(times.len() - 1);
    times[at].as_secs_f64() * 1000.0
}

// --- the run ----------------------------------------------------------------------------------------

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compare() -> i32 {
    let length = Duration::from_secs(number("BENCH_SECONDS", 5));
    let rounds: usize = number("BENCH_ROUNDS", 5);
    let rate: u32 = number("FLOOD_RATE", 400);
    let this = std::env::current_exe().expect("a path");
    let mut upstream =
        Process(Command::new(&this).arg("upstream").stdout(Stdio::piped()).spawn().expect("itself"));
    let place = first_line(upstream.0.stdout.take().expect("a pipe"), |line| line.parse().ok());
    let home = tempfile::tempdir().expect("a folder");
    let (_airgate, address) = airgate(home.path(), place);
    let token = token(address);
    bearer(address, &token, Duration::from_secs(1)); // warms up
    println!(
        "Bearer client: {} requests/s. Flood: {rate} wrong passwords/s.\n\n{:>5} {:>10} {:>10} {:>10} {:>10} {:>7}   answers to the flood",
        CONNECTIONS * PACE,
        "round",
        "p50 ms",
        "p50 flood",
        "p99 ms",
        "p99 flood",
        "ratio"
    );
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let calm = || bearer(address, &token, length);
        let flooded = || {
            let (child, stdin) = start_flood(&this, address, rate);
            // Until the queue is full.
            std::thread::sleep(Duration::from_millis(500));
            let times = bearer(address, &token, length);
            (times, end_flood(child, stdin))
        };
        // By turns, so that a machine that gets busier is fair to both.
        let (mut calm, (mut flooded, answers)) = if round % 2 == 0 {
            let calm = calm();
            (calm, flooded())
        } else {
            let flooded = flooded();
            (calm(), flooded)
        };
        let ratio = percentile(&mut flooded, 0.99) / percentile(&mut calm, 0.99);
        println!(
            "{round:>5} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {ratio:>7.2}   {answers}",
            percentile(&mut calm, 0.5),
            percentile(&mut flooded, 0.5),
            percentile(&mut calm, 0.99),
            percentile(&mut flooded, 0.99),
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let met = ratio <= TARGET;
    println!(
        "\nmedian of the ratios: {ratio:.2}. Target: at most {TARGET} times the p99 without a flood: {}",
        if met { "met" } else { "MISSED" }
    );
    i32::from(!met)
}

fn start_flood(this: &std::path::Path, to: SocketAddr, rate: u32) -> (Child, ChildStdin) {
    let mut child = Command::new(this)
        .args(["flood", &to.to_string(), &rate.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("itself");
    let stdin = child.stdin.take().expect("a pipe");
    (child, stdin)
}

fn end_flood(child: Child, stdin: ChildStdin) -> String {
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    let counts: Vec<u64> =
        String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [wrong, busy, other, none] = counts[..] else { return "none".into() };
    assert_eq!(other, 0, "a flood that is locked out proves nothing");
    format!("{wrong} wrong, {busy} busy, {none} none")
}

fn airgate(home: &std::path::Path, upstream: SocketAddr) -> (Process, SocketAddr) {
    let argon2 = airgate::auth::basic::hash::hash_password(&airgate::secret::Secret::new("right"));
    let argon2 = argon2.expect("random numbers");
    let bcrypt = bcrypt::hash("right", 10).expect("random numbers");
    let mut users = format!("bench:{argon2}\nadmin:{argon2}\n");
    for number in 0..1000_u32 {
        users.push_str(&format!(
            "user{number}:{}\n",
            if number.is_multiple_of(2) { &argon2 } else { &bcrypt }
        ));
    }
    std::fs::write(home.join("users"), users).expect("a file");
    let config = format!(
        "[upstream]\nurl = \"http://{upstream}\"\n[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [basic]\nsources = \"file\"\nusers_file = \"users\"\n\
         [core]\nsimple_auth_manager_users = \"bench:admin,admin:admin\"\n\
         [api_auth]\njwt_secret = \"{}\"\n[log]\nfile = \"/dev/null\"\n",
        "benchmark".repeat(8)
    );
    std::fs::write(home.join("airgate.toml"), config).expect("a file");
    let program = std::env::var("AIRGATE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_airgate").into());
    let mut child = Command::new(program)
        .args(["run", "--conf", "airgate.toml"])
        .current_dir(home)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("airgate");
    let stderr = child.stderr.take().expect("a pipe");
    let address = first_line(stderr, |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let fields = line.get("fields").unwrap_or(&line);
        (fields["listener"] == "server").then(|| fields["address"].as_str()?.parse().ok())?
    });
    (Process(child), address)
}

/// What a line of a process' says. The rest is read on, and thrown away.
fn first_line(from: impl Read + Send + 'static, find: impl Fn(&str) -> Option<SocketAddr>) -> SocketAddr {
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(from)).map_while(Result::ok);
    let found = lines.by_ref().find_map(|line| find(&line)).expect("it starts");
    std::thread::spawn(move || lines.for_each(drop));
    found
}

/// A token from airgate itself.
fn token(from: SocketAddr) -> String {
    let body = "{\"username\":\"bench\",\"password\":\"right\"}";
    let request = format!(
        "POST /auth/token HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(from).expect("a connection");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let token = answer.split("\"access_token\":\"").nth(1).and_then(|rest| rest.split('"').next());
    token.unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}
