//! Requests of every common kind, asked of programs that count what they run (`scripts/dist.sh`).
//! Nothing is measured here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};

use super::{Process, Realm, Setup, airgate, token};

/// How often each kind is asked, times its weight.
const TIMES: usize = 1000;
/// Connections, used by turns.
const CONNECTIONS: usize = 8;

/// What the static upstream does not say of itself, and what CORS needs.
const MORE: [&str; 6] = [
    "--set",
    "upstream.airflow=3",
    "--set",
    "api.access_control_allow_origins=https://example.com",
    "--set",
    "api.access_control_allow_methods=GET",
];

/// Requests that are alike.
struct Kind {
    weight: usize,
    status: u16,
    head: String,
}

/// Asks a bare Pingora that forwards to this upstream, and airgates in front of it. All end in order:
/// it is then that they write down what they have counted.
pub fn train(upstream: &Process, bare: Process) {
    let home = tempfile::tempdir().expect("a folder");
    let realm = Realm::start();
    let access = bearer(&realm.access_token(3000));
    for setup in [Setup::Hs512, Setup::Rs256] {
        let gate = airgate(home.path(), upstream, &setup, &MORE);
        let own = bearer(&token(gate.address));
        ask(gate.address, &kinds(&own));
        if matches!(setup, Setup::Hs512) {
            ask(
                bare.address,
                &[
                    get(12, 200, "/api/v2/pools?limit=10", &own),
                    get(4, 200, "/api/v2/pools?limit=10", &access),
                ],
            );
        }
        end(gate);
    }
    end(bare);
    let gate = airgate(home.path(), upstream, &Setup::Keycloak(&realm.url), &[]);
    let inside = bearer(&realm.token_of_airflow());
    ask(
        gate.address,
        &[get(2, 200, "/api/v2/pools?limit=10", &access), get(2, 200, "/api/v2/pools?limit=10", &inside)],
    );
    end(gate);
}

/// Mostly what is to be fast, and something of all that clients do.
fn kinds(bearer: &str) -> Vec<Kind> {
    let basic = format!("Authorization: Basic {}\r\n", STANDARD.encode("admin:admin-pw"));
    let page = format!("Origin: https://example.com\r\n{bearer}");
    let asks = "Origin: https://example.com\r\nAccess-Control-Request-Method: GET\r\n";
    let long =
        format!("Accept: application/json\r\nUser-Agent: client/1\r\nAccept-Encoding: gzip\r\n{bearer}");
    vec![
        get(6, 200, "/api/v2/pools?limit=10", bearer),
        get(6, 200, "/api/v2/pools?limit=10", &basic),
        get(2, 200, "/api/v2/dags/a_dag/dagRuns/run%201/taskInstances?order_by=-start_date&limit=100", &long),
        get(1, 200, "/api/v2/dags?limit=100&tags=a&tags=b", &page),
        kind("OPTIONS", 200, "/api/v2/dags", asks),
        kind("POST", 200, "/api/v2/dags/a_dag/dagRuns", &format!("Content-Length: 0\r\n{bearer}")),
        kind("DELETE", 200, "/api/v2/dags/a_dag/dagRuns/r", &basic),
        get(1, 200, "/api/v1/pools?limit=10", bearer),
        get(1, 200, "/api/v1/pools?limit=10", &basic),
        get(1, 401, "/api/v2/pools", ""),
        get(1, 403, "/api/v2/pools", "Authorization: Bearer not.a.token\r\n"),
        get(1, 200, "/api/v2/monitor/health", ""),
    ]
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn get(weight: usize, status: u16, target: &str, lines: &str) -> Kind {
    Kind { weight, ..kind("GET", status, target, lines) }
}

fn kind(method: &str, status: u16, target: &str, lines: &str) -> Kind {
    Kind { weight: 1, status, head: format!("{method} {target} HTTP/1.1\r\nHost: gate:8081\r\n{lines}\r\n") }
}

fn ask(to: SocketAddr, kinds: &[Kind]) {
    let connect = || BufReader::new(TcpStream::connect(to).expect("a connection"));
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect();
    for time in 0..TIMES {
        for (at, kind) in kinds.iter().enumerate() {
            for turn in 0..kind.weight {
                let connection = &mut connections[(time + at + turn) % CONNECTIONS];
                connection.get_mut().write_all(kind.head.as_bytes()).expect("a connection");
                let (status, kept) = answer(connection);
                assert_eq!(status, kind.status, "{}", kind.head);
                if !kept {
                    *connection = connect();
                }
            }
        }
    }
}

/// Reads an answer: its status, and whether the connection is kept.
fn answer(from: &mut BufReader<TcpStream>) -> (u16, bool) {
    let mut status = 0;
    let (mut length, mut chunked, mut kept) = (0, false, true);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).expect("an answer");
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            Some(("transfer-encoding", _)) => chunked = true,
            Some(("connection", value)) => kept = value != "close",
            Some(_) => {}
            None if line.is_empty() => break,
            None => status = line[9..12].parse().expect("a status"),
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).expect("a body");
    while chunked {
        let mut line = String::new();
        from.read_line(&mut line).expect("a chunk");
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
        from.read_exact(&mut vec![0; size + 2]).expect("a chunk");
        chunked = size > 0;
    }
    (status, kept)
}

fn end(mut process: Process) {
    let id = i32::try_from(process.child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(id, Signal::INT).expect("a process");
    process.child.wait().expect("a process");
}
