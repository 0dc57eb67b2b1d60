//! The real Prometheus, started by `tests/servers/prometheus.sh`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Airgate, get};

/// Longest that anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Prometheus.
pub struct Prometheus {
    address: std::net::SocketAddr,
    targets: PathBuf,
}

/// A gate that is scraped, until it is dropped.
pub struct Scraped<'a> {
    prometheus: &'a Prometheus,
    file: PathBuf,
    /// The value of the label `instance`.
    pub instance: String,
}

/// The one that tests share.
pub fn shared() -> &'static Prometheus {
    static ONE: OnceLock<Prometheus> = OnceLock::new();
    ONE.get_or_init(|| {
        let said = match std::env::var("AIRGATE_TEST_PROMETHEUS") {
            Ok(url) => {
                let targets = std::env::var("AIRGATE_TEST_PROMETHEUS_TARGETS").unwrap();
                format!("AIRGATE_TEST_PROMETHEUS={url}\nAIRGATE_TEST_PROMETHEUS_TARGETS={targets}\n")
            }
            Err(_) => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/prometheus.sh");
                let up = Command::new(script).arg("up").output().unwrap();
                assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
                String::from_utf8(up.stdout).unwrap()
            }
        };
        let value = |key: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {key}: {said}")).to_owned()
        };
        Prometheus {
            address: value("AIRGATE_TEST_PROMETHEUS").strip_prefix("http://").unwrap().parse().unwrap(),
            targets: value("AIRGATE_TEST_PROMETHEUS_TARGETS").into(),
        }
    })
}

impl Prometheus {
    /// Has a gate be scraped.
    pub fn scrape(&self, gate: &Airgate) -> Scraped<'_> {
        let instance = gate.admin_address().to_string();
        let file = self.targets.join(format!("{}.json", gate.pid()));
        // Put there whole: it may be read at any time.
        let new = file.with_extension("new");
        std::fs::write(&new, json!([{"targets": [instance]}]).to_string()).unwrap();
        std::fs::rename(new, &file).unwrap();
        Scraped { prometheus: self, file, instance }
    }

    /// What a query says now.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(format!("/api/v1/query?query={encoded}")).send(self.address);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()["data"]["result"].as_array().unwrap().clone()
    }

    /// The rules that it has, with their health.
    pub fn rules(&self) -> Value {
        get("/api/v1/rules").send(self.address).json()["data"].take()
    }
}

impl Scraped<'_> {
    /// Waits until a query has an answer in which there is a number.
    #[track_caller]
    pub fn until(&self, query: &str) {
        let began = Instant::now();
        loop {
            let found = self.prometheus.query(query);
            let is_number = |series: &Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
            if found.iter().any(is_number) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "no data: {query}: {found:?}");
            std::thread::sleep(Duration::from_millis(100)); // it scrapes twice a second
        }
    }
}

impl Drop for Scraped<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
