//! A Pingora that does nothing but forward, in a process of its own: how long a request takes without airgate.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};

use async_trait::async_trait;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

use super::tls;

/// The process. Killed when it is dropped.
pub struct Bare {
    child: Child,
    address: SocketAddr,
    /// What the test runner in it writes now and then, it ends when it cannot.
    _said: BufReader<ChildStdout>,
}

impl Bare {
    /// In front of this upstream, with TLS or without.
    pub fn start(upstream: &str, tls: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["support::bare::serve", "--exact", "--ignored", "--nocapture"])
            .env("AIRGATE_TEST_BARE", upstream.trim_start_matches("http://"))
            .env("AIRGATE_TEST_BARE_TLS", if tls { "1" } else { "" })
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let lines = said.by_ref().lines().map_while(Result::ok);
        let place = lines.filter_map(|line| line.strip_prefix("bare ")?.parse().ok()).next();
        let address: SocketAddr = place.expect("it says where it listens");
        while std::net::TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Self { child, address, _said: said }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Forward(HttpPeer);

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }
}

/// The program of that process, and no test.
#[test]
#[ignore = "is started by other tests"]
fn serve() {
    let Ok(upstream) = std::env::var("AIRGATE_TEST_BARE") else { return };
    let conf = ServerConf { threads: 2, work_stealing: false, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let peer = HttpPeer::new(upstream.parse::<SocketAddr>().unwrap(), false, String::new());
    let mut service = http_proxy_service(&server.configuration, Forward(peer));
    if std::env::var("AIRGATE_TEST_BARE_TLS").is_ok_and(|tls| !tls.is_empty()) {
        let file = |name: &str| tls::file(name).display().to_string();
        service.add_tls(&place.to_string(), &file("airflow.pem"), &file("airflow.key")).unwrap();
    } else {
        service.add_tcp(&place.to_string());
    }
    server.add_service(service);
    println!("\nbare {place}");
    server.run_forever();
}
