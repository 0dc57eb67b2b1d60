//! The composition root: runtimes, listeners, services, signals.
//!
//! Pingora's own `Server` sleeps through a fixed grace period and knows no SIGHUP, so its services
//! are run here: what listens is bound before anything starts, the drain ends with the last
//! request, and a configuration can be replaced while requests are served.

mod bind;
mod facts;
mod notify;
mod polls;
mod signals;
mod upgrade;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::http::ServerSession;
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use pingora_proxy::HttpProxy;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::Admin;
use crate::assemble::{Kept, KeptError, assemble, cores, log_error, log_settings, release};
use crate::config::settings::{AccessLog, Airflow, Listen};
use crate::config::{Errors, Loaded, Location, Settings, Warning};
use crate::drain::Drain;
use crate::metrics::{Metrics, recent};
use crate::proxy::front::{self, ConnectionLimits, Deadlined, Limited};
use crate::proxy::room::Room;
use crate::proxy::{CLIENT_IDLE, MAX_TRIES, Proxy, Shared, Snapshot};
use crate::registry::Registry;
use crate::reload::{FIRST_LOOK, Files, InForce, Reloader, Source};
use crate::telemetry::{self, Quiet, Telemetry};
use bind::Bound;
use facts::Facts;
use notify::ServiceManager;
use polls::LongestPoll;
use signals::{Signal, Signals};
use upgrade::{Handover, Inherited, Successor};

/// Idle connections to the upstream that are kept, for each thread. Below the number of requests at
/// a time, connections are made and closed all the time.
const UPSTREAM_POOL: usize = 256;
/// Connections to the admin port: scrapes and probes need a few, and more could use up the process's
/// file descriptors.
const ADMIN_CONNECTIONS: ConnectionLimits = ConnectionLimits { all: Some(256), per_address: Some(64) };
/// What says at `error` what any client of the admin port can cause; what says once more, less plainly, which
/// address of the upstream is healthy; and that a kept connection, which Airflow may close whenever it likes, is used
/// by nobody any more; and that listeners end with us.
const QUIET: &[Quiet] = &[
    ("pingora_core::apps::http_app", ""),
    ("pingora_load_balancing", ""),
    ("pingora_core::connectors", "failed to acquire reusable stream"),
    ("pingora_core::services::listening", "shutdown_signal error"),
];
/// How long threads have to end when all is done.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// Why airgate does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(Errors),
    /// A listener cannot be bound.
    #[error(transparent)]
    Bind(#[from] bind::BindError),
    /// The logs cannot be written.
    #[error(transparent)]
    Log(#[from] telemetry::Failure),
    /// The system refuses threads, or signal handlers.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The system lacks something else.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// Metrics cannot be registered.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Builds all that the settings ask for, and drops it again. What is wrong goes to `errors`, what is worth
/// saying to `warnings`.
pub fn check(settings: &Settings, registry: &Registry, warnings: &mut Vec<Warning>, errors: &mut Errors) {
    let built = outbound().map_err(StartError::from).and_then(|outbound| {
        let _entered = outbound.enter();
        let kept = Kept::new(outbound.handle().clone(), registry.clone())?;
        assemble(settings, &kept, warnings).map_err(StartError::Config)
    });
    match built {
        Ok(_) => {}
        Err(StartError::Config(found)) => errors.extend(found),
        Err(other) => errors.push(&Location::Default, other.to_string()),
    }
    for failure in telemetry::try_files(&log_settings(&settings.log)) {
        errors.extend(log_error(&settings.log, &failure).unwrap_or_default());
    }
}

/// Where everything lives that does I/O outside Pingora's own runtimes; a request awaits its answer.
fn outbound() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("outbound").enable_all().build()
}

/// Serves until a signal says otherwise, then drains.
///
/// # Errors
/// What keeps it from starting.
pub fn run(loaded: Loaded, source: Source, registry: Registry) -> Result<(), StartError> {
    let started = SystemTime::now();
    let outbound = outbound()?;
    let entered = outbound.enter();
    let mut in_force = InForce::new(&loaded, SystemTime::now());
    let files = Files::new(loaded.files);
    let mut settings = loaded.settings;
    let kept = Arc::new(Kept::new(outbound.handle().clone(), registry)?);
    let mut warnings = loaded.warnings;
    let mut snapshot = assemble(&settings, &kept, &mut warnings).map_err(StartError::Config)?;
    // Before the sockets, so that it is dropped after them, where it does not start.
    let mut files_of_sockets = Vec::new();
    let mut inherited = Inherited::take(std::env::var_os(upgrade::VARIABLE).is_some())?;
    let places = settings.server.listen.iter().map(|place| &place.value);
    let serving = bind::all("[server] listen", places, &mut inherited, &mut files_of_sockets)?;
    let place = [&settings.admin.listen.value];
    let admin = bind::all("[admin] listen", place, &mut inherited, &mut files_of_sockets)?;
    let sockets: Result<_, _> = serving.iter().chain(&admin).map(Bound::again).collect();
    let handover = Handover::new(std::env::args_os(), sockets?);
    kept.ours.are(bind::reached(serving.iter().chain(&admin)));
    let manager = ServiceManager::new(std::env::var_os("NOTIFY_SOCKET").as_deref());
    let logs = Telemetry::init(&log_settings(&settings.log), QUIET).map_err(|failure| {
        log_error(&settings.log, &failure).map_or_else(|| StartError::Log(failure), StartError::Config)
    })?;
    let logs = Arc::new(logs);
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let signals = Signals::install()?;
    // It starts without an upstream, too.
    let _ = outbound.block_on(tokio::time::timeout(FIRST_LOOK, snapshot.upstreams.resolve()));
    if let Some((loaded, again)) = for_what_it_says(&in_force, &snapshot, &source, &kept) {
        in_force = InForce::new(&loaded, SystemTime::now());
        (settings, snapshot) = (loaded.settings, again);
    }
    kept.adopt(&snapshot);

    let metrics = Arc::new(Metrics::new()?);
    metrics.loaded(SystemTime::now());
    let drain = Arc::new(Drain::default());
    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        metrics: metrics.clone(),
        access: (settings.log.access == AccessLog::On).then(|| logs.access().clone()),
        drain: drain.clone(),
        room: Room::default(),
        body_timeout: settings.limits.header_timeout,
    };
    let reloader = Arc::new(Reloader::new(
        source,
        in_force,
        files,
        kept,
        shared.clone(),
        logs.clone(),
        outbound.handle().clone(),
    ));
    outbound.spawn(reloader.clone().watch());
    outbound.spawn(take_readings(metrics.clone()));

    let threads = settings.server.threads.map_or_else(cores, usize::from);
    let named = |name| move |bound: &Bound| (name, bound.to_string());
    let places: Vec<_> =
        serving.iter().map(named("server")).chain(admin.iter().map(named("admin"))).collect();
    let proxy_runtime = runtime("proxy", threads);
    let (stop, stopping) = watch::channel(false);
    let plain = proxy(&settings, threads, shared.clone());
    let in_force = shared.snapshot.clone();
    let secure = plain.with_tls(Arc::new(move || in_force.load().tls.clone()), drain.clone());
    let (sockets, ports): (Vec<_>, Vec<_>) = serving.into_iter().partition(|bound| bound.is_unix());
    // All that can fail has been done. What is accepted from here on is served to its end.
    inherited.ready()?;
    // A service without a listener would end at once, and take the other's connections with it.
    let accepting = [(plain, sockets), (secure, ports)].into_iter().filter(|(_, bound)| !bound.is_empty());
    let accepting = accepting
        .map(|(app, bound)| listen("proxy", app, bound, proxy_runtime.get_handle(), stopping.clone()))
        .collect();

    let polls = LongestPoll::new();
    polls.watch(&proxy_runtime, threads);
    let facts = Facts {
        started,
        shared,
        drain: drain.clone(),
        reloader: reloader.clone(),
        logs: logs.clone(),
        polls,
    };
    let admin_runtime = runtime("admin", 1);
    let (admin_stop, admin_stopping) = watch::channel(false);
    let app = AdminPort(Admin::new(metrics.clone(), Arc::new(facts)));
    let app = Deadlined::new(HttpServer::new_app(app));
    let app = Limited::new(app, ADMIN_CONNECTIONS, settings.limits.header_timeout, metrics);
    listen("admin", app, admin, admin_runtime.get_handle(), admin_stopping);

    for (listener, address) in places {
        tracing::info!(listener, address, "listening");
    }
    let read_from = reloader.in_force().places.join(", ");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), threads, read_from, "airgate serves");
    manager.ready();
    let leave = outbound.block_on(until_it_ends(signals, &reloader, handover));
    outbound.block_on(drained(leave, &drain, &settings, &manager, [stop, admin_stop], accepting));

    proxy_runtime.shutdown_timeout(LAST_MOMENT);
    admin_runtime.shutdown_timeout(LAST_MOMENT);
    // Nobody listens here any more. At what another process has taken over that one answers, and it stays.
    drop(files_of_sockets);
    drop(entered);
    outbound.shutdown_timeout(LAST_MOMENT);
    Ok(())
}

/// The configuration for the Airflow that the upstream has said to be, if it is to be asked and has said so. Where that
/// configuration is refused, the one of an upstream that has not said anything serves.
fn for_what_it_says(
    in_force: &InForce,
    snapshot: &Snapshot,
    source: &Source,
    kept: &Kept,
) -> Option<(Loaded, Snapshot)> {
    let found = match in_force.settings.upstream.airflow {
        Airflow::Set(_) => return None,
        Airflow::Found(_) | Airflow::Unknown => release(snapshot.upstreams.major()?),
    };
    let again = || {
        let mut loaded = source(Some(found), &in_force.found).map_err(|rejected| rejected.errors)?;
        let snapshot = assemble(&loaded.settings, kept, &mut loaded.warnings)?;
        Ok::<_, Errors>((loaded, snapshot))
    };
    match again() {
        Ok(again) => {
            tracing::info!(airflow = found.number(), "the upstream has said which Airflow it is");
            Some(again)
        }
        Err(error) => {
            tracing::error!(airflow = found.number(), %error, "the configuration is refused for the Airflow that it is");
            None
        }
    }
}

/// Reads the counters every few seconds, for the status page. For ever.
async fn take_readings(metrics: Arc<Metrics>) {
    let mut ticks = tokio::time::interval(recent::EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        metrics.take_reading(SystemTime::now());
    }
}

/// Why it ends.
enum Leave {
    /// It is to stop, and so is the process that was about to take its place: the task ends when that one is gone.
    Stop(Signals, Option<JoinHandle<()>>),
    /// Another process serves in its place.
    To(u32, Signals),
}

/// Answers signals until one of them ends it.
async fn until_it_ends(mut signals: Signals, reloader: &Arc<Reloader>, handover: Handover) -> Leave {
    let handover = Arc::new(handover);
    let mut upgrade: Option<JoinHandle<std::io::Result<Successor>>> = None;
    loop {
        let ended = async {
            match &mut upgrade {
                Some(upgrade) => upgrade.await,
                None => std::future::pending().await,
            }
        };
        let signal = tokio::select! {
            signal = signals.next() => signal,
            ended = ended => {
                upgrade = None;
                match ended.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
                    Ok(successor) => return Leave::To(successor.id(), signals),
                    Err(error) => {
                        tracing::error!(%error, "the upgrade failed; this process goes on");
                        continue;
                    }
                }
            }
        };
        match signal {
            // Not awaited: a command that hangs must not keep a stop from being heard.
            Signal::Reload => {
                let reloader = reloader.clone();
                tokio::task::spawn_blocking(move || reloader.reload());
            }
            Signal::Upgrade if upgrade.is_some() => tracing::warn!("an upgrade is under way already"),
            Signal::Upgrade => {
                tracing::info!("starting the program anew");
                let (handover, in_force) = (handover.clone(), reloader.in_force());
                upgrade = Some(tokio::task::spawn_blocking(move || handover.begin(&in_force.found)));
            }
            Signal::Stop => {
                handover.cancel();
                return Leave::Stop(signals, upgrade.map(|upgrade| tokio::spawn(gone(upgrade))));
            }
        }
    }
}

/// Waits for an upgrade that was given up. What serves already by then is told to stop, too.
async fn gone(upgrade: JoinHandle<std::io::Result<Successor>>) {
    if let Ok(Ok(successor)) = upgrade.await {
        let _ = tokio::task::spawn_blocking(|| successor.stop()).await;
    }
}

/// Has the requests that run ended. Of two processes the new one takes what comes from now on.
async fn drained(
    leave: Leave,
    drain: &Drain,
    settings: &Settings,
    manager: &ServiceManager,
    [stop, admin_stop]: [watch::Sender<bool>; 2],
    accepting: Vec<JoinHandle<()>>,
) {
    drain.leave();
    let (mut signals, delay, successor) = match leave {
        Leave::Stop(signals, successor) => {
            manager.stopping();
            tracing::info!(requests = drain.requests(), "draining");
            (signals, settings.server.drain_delay, successor)
        }
        Leave::To(process, signals) => {
            // The service goes on: whoever says that it stops has all of its processes ended.
            manager.handed_over(process);
            // Fails only when nobody listens, and then there is nothing to stop.
            let _ = admin_stop.send(true);
            tracing::info!(process, requests = drain.requests(), "another process serves; draining");
            (signals, Duration::ZERO, None)
        }
    };
    let leave = async {
        tokio::time::sleep(delay).await;
        let _ = stop.send(true);
        let ended = async {
            for task in accepting.into_iter().chain(successor) {
                let _ = task.await;
            }
            drain.drained().await;
        };
        tokio::time::timeout(settings.server.grace_period, ended).await
    };
    tokio::select! {
        left = leave => match left {
            Ok(()) => tracing::info!("drained"),
            Err(_) => tracing::warn!(requests = drain.requests(), "the grace period is over"),
        },
        () = stopped_again(&mut signals) => tracing::warn!(requests = drain.requests(), "leaving at once"),
    }
}

async fn stopped_again(signals: &mut Signals) {
    while signals.next().await != Signal::Stop {}
}

fn runtime(name: &str, threads: usize) -> pingora_runtime::Runtime {
    // Without work stealing a request costs some per cent less.
    pingora_runtime::RuntimeBuilder::new(threads, name).work_steal(false).build()
}

fn proxy(settings: &Settings, threads: usize, shared: Shared) -> Limited<Deadlined<HttpProxy<Proxy>>> {
    let conf = ServerConf {
        threads,
        work_stealing: false,
        upstream_keepalive_pool_size: UPSTREAM_POOL,
        max_retries: MAX_TRIES,
        ..ServerConf::default()
    };
    let metrics = shared.metrics.clone();
    let mut proxy = pingora_proxy::http_proxy(&Arc::new(conf), Proxy::new(shared));
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(CLIENT_IDLE);
    proxy.server_options = Some(options);
    let proxy = Deadlined::new(proxy);
    let limits = ConnectionLimits {
        all: settings.limits.max_connections.map(usize::from),
        per_address: settings.limits.max_connections_per_address.map(usize::from),
    };
    Limited::new(proxy, limits, settings.limits.header_timeout, metrics)
}

/// Runs a service on bound listeners, until `stopping` says so. The task ends when nothing is
/// accepted any more; connections go on.
fn listen<A: ServerApp + Send + Sync + 'static>(
    name: &str,
    app: A,
    bound: Vec<Bound>,
    runtime: &Handle,
    stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let mut service = Service::new(name.to_owned(), app);
    // What reads heads and TLS has a buffer of its own, and so has what writes answers, while there is one. Others of 64
    // and 1.4 KiB, for each connection that idles, would be most of the memory.
    let buffer = L4BufferSettings::unbuffered();
    for listener in &bound {
        let place = match &listener.at {
            Listen::Tcp(address) => ListenerConfig::tcp(address.to_string()),
            Listen::Unix(path) => ListenerConfig::uds(path.display().to_string()),
        };
        service.add_listener(place.l4_buffer(buffer));
    }
    let fds = bind::hand_over(bound);
    let ready = ServiceReadyNotifier::new(watch::channel(false).0);
    runtime.spawn(async move {
        ServiceWithDependents::start_service(&mut service, Some(fds), stopping, 1, ready).await;
    })
}

/// The admin port's answers, on connections with the limits of all others.
struct AdminPort(Admin);

#[async_trait]
impl ServeHttp for AdminPort {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        front::head_is_read(session);
        self.0.response(session).await
    }
}
