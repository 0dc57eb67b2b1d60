//! The addresses of the upstream: found, and asked for their health.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use pingora::lb::Backend;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::HealthCheck;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType, OkOrErr, OrErr};

use super::client::Client;
use super::releases::{self, Major, Releases};
use super::troubles::{Astray, Troubles};
use super::{Ours, Settings, To, Url};
use crate::ports::SendError;

/// Longest time for an address to say that it is healthy.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time after that to say which Airflow it is.
const VERSION_TIMEOUT: Duration = Duration::from_secs(2);

/// What all requests to one address share.
pub(super) struct Template {
    pub(super) peer: Box<HttpPeer>,
    pub(super) host: HeaderValue,
    /// No connection could be made since its health was last looked at.
    pub(super) unreachable: AtomicBool,
}

/// Looks names up.
pub(super) struct Discovery {
    pub(super) settings: Settings,
    pub(super) troubles: Arc<Troubles>,
    /// Where no request may go.
    pub(super) ours: Arc<Ours>,
}

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        let mut astray = BTreeMap::new();
        for url in &self.settings.urls {
            let (host, port) = match url {
                Url::Tcp { host, port, .. } => (host.clone(), *port),
                Url::Unix(path) => {
                    let to = format!("unix:{}", path.display());
                    match self.ours.at(To::Unix(path)) {
                        Some(at) => {
                            astray.insert(to.clone(), Astray::Itself { to, at });
                        }
                        None => {
                            found.insert(self.socket(path)?);
                        }
                    }
                    continue;
                }
            };
            let resolved = tokio::task::spawn_blocking(move || (host.as_str(), port).to_socket_addrs());
            match resolved.await.or_err(ErrorType::InternalError, "the resolver panicked")? {
                Ok(addresses) => {
                    for to in addresses {
                        match self.ours.at(To::Tcp(to)) {
                            Some(at) => {
                                astray.insert(authority(url), Astray::Itself { to: to.to_string(), at });
                            }
                            None => {
                                found.insert(self.backend(url, to));
                            }
                        }
                    }
                }
                Err(error) => {
                    astray.insert(authority(url), Astray::Unresolved(error.to_string()));
                }
            }
        }
        // What was known before keeps serving.
        let is_lost = found.is_empty() && !astray.is_empty();
        self.troubles.looked_up(astray);
        if is_lost {
            return Err(Error::explain(ErrorType::ConnectError, "no upstream is found"));
        }
        Ok((found, HashMap::new()))
    }
}

impl Discovery {
    fn backend(&self, url: &Url, address: std::net::SocketAddr) -> Backend {
        let name = match url {
            // An empty name would switch the verification of certificates off; `check` refuses it.
            Url::Tcp { tls: true, host, .. } => self.settings.server_name.as_ref().unwrap_or(host).clone(),
            Url::Tcp { tls: false, .. } | Url::Unix(_) => String::new(),
        };
        let peer = HttpPeer::new(address, !name.is_empty(), name);
        self.one(SocketAddr::Inet(address), peer, &authority(url))
    }

    fn socket(&self, path: &Path) -> pingora::Result<Backend> {
        let peer = HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?;
        let address = std::os::unix::net::SocketAddr::from_pathname(path)
            .or_err(ErrorType::SocketError, "no path of a socket")?;
        Ok(self.one(SocketAddr::Unix(address), peer, "localhost"))
    }

    fn one(&self, address: SocketAddr, mut peer: HttpPeer, host: &str) -> Backend {
        let settings = &self.settings;
        peer.options.connection_timeout = Some(settings.connect_timeout);
        peer.options.total_connection_timeout = Some(settings.connect_timeout);
        peer.options.read_timeout = Some(settings.read_timeout);
        peer.options.write_timeout = Some(settings.read_timeout);
        peer.options.idle_timeout = Some(settings.idle_timeout);
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        if let Some(ca) = &settings.ca {
            peer.options.ca = Some(ca.certificates.clone());
            peer.group_key = ca.fingerprint;
        }
        let mut backend = Backend { addr: address, weight: 1, ext: http::Extensions::new() };
        let host = HeaderValue::from_str(host).unwrap_or(HeaderValue::from_static("localhost"));
        backend.ext.insert(Arc::new(Template {
            peer: Box::new(peer),
            host,
            unreachable: AtomicBool::new(false),
        }));
        backend
    }
}

/// `host:port` as in a `Host` header: brackets around IPv6, no port where the scheme implies it.
fn authority(url: &Url) -> String {
    let (tls, host, port) = match url {
        Url::Tcp { tls, host, port } => (*tls, host, *port),
        Url::Unix(_) => return "localhost".to_owned(),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    match (tls, port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// An address is healthy while Airflow's health route answers anything but a server error. What it says of the
/// scheduler is Airflow's affair: an API that answers is of use without one. What does not answer as an Airflow does
/// gets requests too, and is doubted aloud.
pub(super) struct Check {
    pub(super) client: Arc<Client>,
    /// Which Airflow it is. `None`: it is asked, until it has said so, and again when it answers otherwise.
    pub(super) major: Option<Major>,
    /// What Airflow 2 needs before its routes, if anything.
    pub(super) base: String,
    pub(super) releases: Arc<Releases>,
    pub(super) troubles: Arc<Troubles>,
}

/// What may be wrong where requests in plain HTTP are not answered, or with 400, as many servers do for TLS's sake.
const TLS: &str = "TLS is spoken there: should [upstream] url begin with https://?";

impl Check {
    /// Where it is asked for its health.
    fn route(&self, target: &Backend) -> &'static str {
        self.major.or(self.releases.of(&target.addr)).unwrap_or(Major::Three).health_route()
    }

    async fn ask(
        &self,
        target: &Backend,
        template: &Arc<Template>,
        route: &'static str,
    ) -> Result<(), SendError> {
        let asked = self.client.get(template, &self.base, route);
        let answer = match tokio::time::timeout(CHECK_TIMEOUT, asked).await.unwrap_or(Err(SendError::Timeout))
        {
            Err(SendError::Other(mut cause)) => {
                if self.is_tls(template, self.troubles.of(&target.addr), &cause).await {
                    cause = format!("{cause}. {TLS}");
                }
                return Err(SendError::Other(cause));
            }
            answer => answer?,
        };
        let status = answer.status();
        if status.is_server_error() {
            return Err(SendError::Other(format!("answered {}", status.as_u16())));
        }
        let is_object =
            serde_json::from_slice(answer.body()).is_ok_and(|told: serde_json::Value| told.is_object());
        let is_health = status.is_success() && is_object;
        if self.major.is_none() && !(is_health && self.releases.of(&target.addr).is_some()) {
            self.learn(target, template).await;
        }
        // Once it has said that it is an Airflow, it is asked as that one from the next time on.
        let has_said_so = self.major.is_none() && self.releases.of(&target.addr).is_some();
        let doubt = if has_said_so || is_health && !self.releases.is_silent(&target.addr) {
            None
        } else {
            Some(self.doubt(target, template, route, status, is_object).await)
        };
        self.troubles.note_doubt(&target.addr, doubt);
        Ok(())
    }

    /// Whether TLS is spoken there. That is asked where the cause is another than the one that was told: else it is
    /// as it was told.
    async fn is_tls(&self, template: &Template, told: Option<Arc<str>>, cause: &str) -> bool {
        match told {
            Some(told) if told.contains(cause) => told.ends_with(TLS),
            Some(_) | None => self.client.is_tls(template).await,
        }
    }

    /// Asks which Airflow it is. That it does not answer, says nothing of its health.
    async fn learn(&self, target: &Backend, template: &Arc<Template>) {
        let asked = releases::ask(&self.client, template, &self.base);
        if let Ok(Ok(said)) = tokio::time::timeout(VERSION_TIMEOUT, asked).await {
            self.releases.note(&target.addr, said);
        }
    }

    /// Why what answers so may be no Airflow, and what to do.
    async fn doubt(
        &self,
        target: &Backend,
        template: &Template,
        route: &str,
        status: StatusCode,
        is_object: bool,
    ) -> String {
        let answered = format!("GET {route} answered {}", status.as_u16());
        if status == StatusCode::BAD_REQUEST
            && self.is_tls(template, self.troubles.doubt(&target.addr), &answered).await
        {
            return format!("{answered}: {TLS}");
        }
        let but = match (status.is_success(), is_object) {
            (false, _) => "",
            (true, false) => ", but no JSON object",
            (true, true) => {
                ", but it does not say which Airflow it is (if it cannot, set [upstream] airflow)"
            }
        };
        let airflow = match self.major {
            None => "an Airflow",
            Some(Major::Two) => "an Airflow 2, as [upstream] airflow says",
            Some(Major::Three) => "an Airflow 3, as [upstream] airflow says",
        };
        format!(
            "{answered}{but}: is this {airflow}? Look at [upstream] url. Requests are forwarded all the same: something in \
             front of Airflow may hide that route"
        )
    }
}

#[async_trait]
impl HealthCheck for Check {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let template = target.ext.get::<Arc<Template>>().or_err(ErrorType::InternalError, "no peer")?.clone();
        let route = self.route(target);
        match self.ask(target, &template, route).await {
            Ok(()) => {
                template.unreachable.store(false, Ordering::Relaxed);
                self.troubles.forget(&target.addr);
                Ok(())
            }
            Err(error) => {
                self.releases.forget(&target.addr);
                self.troubles.note(&target.addr, format!("GET {route}: {error}"));
                Error::e_because(ErrorType::ConnectError, "no answer", error)
            }
        }
    }

    async fn health_status_change(&self, target: &Backend, healthy: bool) {
        if healthy {
            tracing::info!(upstream = %target.addr, "upstream is healthy");
        } else {
            let cause = self.troubles.of(&target.addr).unwrap_or_default();
            tracing::warn!(upstream = %target.addr, %cause, "upstream is unhealthy");
        }
    }

    fn health_threshold(&self, _success: bool) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_names_the_port_where_it_must() {
        for (tls, host, port, expected) in [
            (false, "airflow", 80, "airflow"),
            (false, "airflow", 8080, "airflow:8080"),
            (true, "airflow", 443, "airflow"),
            (true, "airflow", 80, "airflow:80"),
            (false, "::1", 8080, "[::1]:8080"),
        ] {
            assert_eq!(authority(&Url::Tcp { tls, host: host.into(), port }), expected);
        }
    }
}
