//! Everything that requests are served with: what a configuration makes, and what outlives it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::TrustedProxies;
use super::room::Room;
use super::tls::Tls;
use crate::auth::database::AirflowDatabase;
use crate::auth::jwt::KeyTrial;
use crate::auth::keycloak::Realm;
use crate::drain::Drain;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::ports::redis::Redis;
use crate::ports::upstream::Upstreams;
use crate::telemetry::access::AccessLog;

/// Settings in force, with all that was built from them. Replaced whole on reload; a request keeps
/// the one that it began with.
pub struct Snapshot {
    /// What decides.
    pub gate: Gate,
    /// Where requests go.
    pub upstreams: Arc<Upstreams>,
    /// What replicas share, where they do.
    pub redis: Option<Arc<Redis>>,
    /// The realm of `[keycloak_auth_manager]`, if anything asks it.
    pub keycloak: Option<Arc<Realm>>,
    /// Airflow's metadata database, if it is used.
    pub database: Option<Arc<AirflowDatabase>>,
    /// Whether Airflow takes what is signed here, if anything is, and it is an Airflow 3.
    pub trial: Option<Arc<KeyTrial>>,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: TrustedProxies,
    /// TLS with clients, where there is any.
    pub tls: Option<Arc<Tls>>,
    /// Most header lines of a request.
    pub max_headers: usize,
    /// Most bytes of a body that is read here.
    pub max_body: usize,
    /// `[limits] max_translated_body`.
    pub max_translated_body: usize,
    /// Room for the bodies of all users, and of everybody else.
    pub room: usize,
}

/// What outlives every snapshot.
#[derive(Clone)]
pub struct Shared {
    /// The snapshot in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Where requests are written down, if they are.
    pub access: Option<Arc<AccessLog>>,
    /// Who is still served when we leave.
    pub drain: Arc<Drain>,
    /// Room for the bodies that are read here.
    pub room: Room,
    /// Longest time for a body that is read here: as for a head, what the start has found.
    pub body_timeout: Duration,
}
