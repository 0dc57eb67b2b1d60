//! What `/readyz` tells, and `/metrics` and the status page too.

use serde_json::{Value, json};

use crate::auth::Health;
use crate::metrics::health_label;
use crate::telemetry::redact;

/// The facts behind `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether every listener of `[server] listen` accepts connections.
    pub listening: bool,
    /// Whether the process is on its way out: from SIGTERM on, even while it still accepts
    /// connections (`[server] drain_delay`).
    pub stopping: bool,
    /// How the last attempt to load the configuration went.
    pub configuration: Configuration,
    /// Each upstream, and whether it answers.
    pub upstreams: Vec<Upstream>,
    /// Each backend of the chain, and how it fares. Shown only: a dead issuer or directory must not
    /// make a replica unready, or one outage takes all replicas away.
    pub backends: Vec<(&'static str, Health)>,
}

/// How the last attempt to load the configuration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration {
    /// What is in force is what is written.
    Current,
    /// The last reload failed, so what was in force before still is. That works: it does not make a
    /// replica unready.
    ReloadFailed,
}

/// One address of `[upstream] url`, or a name of it that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The address, without user, password and query.
    pub name: String,
    /// Whether it answers, and as an Airflow does.
    pub health: Health,
}

impl Readiness {
    /// Most upstreams, and most backends, that are listed.
    const MAX: usize = 64;

    /// Whether this replica should get requests: it listens, is not on its way out, and an upstream
    /// answers.
    pub fn is_ready(&self) -> bool {
        self.listening && !self.stopping && self.upstream()
    }

    fn upstream(&self) -> bool {
        self.upstreams.iter().any(Upstream::is_healthy)
    }

    /// What `/readyz` tells.
    pub(super) fn json(&self) -> Value {
        let upstreams: Vec<_> = self.upstreams.iter().take(Self::MAX).map(Upstream::json).collect();
        let backends: Vec<_> =
            self.backends.iter().take(Self::MAX).map(|(name, health)| backend(name, health)).collect();
        json!({
            "ready": self.is_ready(),
            "checks": {
                "listeners": verdict(self.listening),
                "shutdown": if self.stopping { "stopping" } else { "ok" },
                "configuration": match self.configuration {
                    Configuration::Current => "ok",
                    Configuration::ReloadFailed => "reload_failed",
                },
                "upstream": verdict(self.upstream()),
            },
            "upstreams": upstreams,
            "backends": backends,
        })
    }
}

impl Upstream {
    /// Whether it answers: then requests go there.
    pub fn is_healthy(&self) -> bool {
        match self.health {
            Health::Up | Health::Degraded(_) => true,
            Health::Down(_) => false,
        }
    }

    fn json(&self) -> Value {
        let name = redact::url(&self.name);
        let name = redact::text(&name, 256);
        let (healthy, state) = (self.is_healthy(), health_label(&self.health));
        match &self.health {
            Health::Up => json!({ "name": name, "healthy": healthy, "state": state }),
            Health::Degraded(cause) | Health::Down(cause) => {
                json!({ "name": name, "healthy": healthy, "state": state, "cause": redact::text(cause, 512) })
            }
        }
    }
}

fn backend(name: &str, health: &Health) -> Value {
    let state = health_label(health);
    match health {
        Health::Up => json!({ "name": name, "state": state }),
        Health::Degraded(cause) | Health::Down(cause) => {
            json!({ "name": name, "state": state, "cause": redact::text(cause, 256) })
        }
    }
}

fn verdict(good: bool) -> &'static str {
    if good { "ok" } else { "failed" }
}
