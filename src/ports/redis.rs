//! Redis: one connection that all calls share, kept up in the background.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo,
};
use ::redis::{RedisError, TlsCertificates};
use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Script, ScriptStore, StoreError};
use crate::secret::Secret;

/// `[redis]`: where it is, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub place: Place,
    /// The user of Redis' access lists, else the default one.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: i64,
    /// PEM certificates that its certificate must chain to. Default: the system's.
    pub ca: Option<Vec<u8>>,
    /// The longest time that one call may take.
    pub timeout: Duration,
    /// What becomes of what it is used for while it is down, for the log.
    pub meanwhile: &'static str,
}

/// Where Redis listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A host and a port.
    Tcp {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether the connection is encrypted, and the certificate checked.
        tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Settings that no connection can be made with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRedis(String);

/// A Redis. Connects only once it is [`maintain`](Self::maintain)ed, and again whenever the
/// connection is lost; until then every call fails at once.
pub struct Redis {
    settings: Settings,
    client: Client,
    state: Mutex<State>,
    /// Calls in a row that had no answer in time.
    late: AtomicU32,
    /// Wakes who keeps up the connection.
    lost: Arc<Notify>,
    calls: Calls,
}

enum State {
    /// Not asked yet.
    New,
    Up(MultiplexedConnection),
    Down(Arc<str>),
}

/// How calls have ended since the start.
#[derive(Default)]
struct Calls {
    answered: AtomicU64,
    failed: AtomicU64,
    /// Not made, because there was no connection.
    skipped: AtomicU64,
}

/// How calls have ended since the start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCounts {
    /// With an answer.
    pub answered: u64,
    /// Without one, or with an error.
    pub failed: u64,
    /// Not made, since there was no connection.
    pub skipped: u64,
}

/// The longest time to connect, TLS and log-in included, and for the answer to a question whether it
/// is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is asked whether it is there, so that it is known before somebody needs it.
const EVERY: Duration = Duration::from_secs(5);

/// The first and the longest wait between two tries to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// So many calls in a row without an answer in time are a connection that is dead.
const LATE: u32 = 3;

/// That it runs scripts and can be written to is what is needed of it.
static PROBE: Script = Script::new("redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) return {1}");

impl Redis {
    /// A Redis with these settings. Connects to nothing yet.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn new(settings: Settings) -> Result<Arc<Self>, InvalidRedis> {
        let client = client(&settings).map_err(|error| InvalidRedis(error.to_string()))?;
        Ok(Arc::new(Self {
            settings,
            client,
            state: Mutex::new(State::New),
            late: AtomicU32::new(0),
            lost: Arc::default(),
            calls: Calls::default(),
        }))
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is wrong with it, if something is.
    pub fn trouble(&self) -> Option<Arc<str>> {
        match &*self.state() {
            State::New => Some("not connected yet".into()),
            State::Up(_) => None,
            State::Down(cause) => Some(Arc::clone(cause)),
        }
    }

    /// How calls have ended since the start.
    pub fn calls(&self) -> CallCounts {
        let count = |calls: &AtomicU64| calls.load(Ordering::Relaxed);
        CallCounts {
            answered: count(&self.calls.answered),
            failed: count(&self.calls.failed),
            skipped: count(&self.calls.skipped),
        }
    }

    /// Keeps the connection up for as long as this Redis is in use.
    pub async fn maintain(redis: Weak<Self>) {
        let Some(lost) = redis.upgrade().map(|redis| Arc::clone(&redis.lost)) else { return };
        let mut wait = BACKOFF.0;
        loop {
            let Some(redis) = redis.upgrade() else { return };
            let pause;
            (pause, wait) =
                if redis.is_there().await { (EVERY, BACKOFF.0) } else { (wait, (wait * 2).min(BACKOFF.1)) };
            drop(redis);
            let _ = tokio::time::timeout(pause, lost.notified()).await;
        }
    }

    /// Asks whether it is there, and connects where it must.
    async fn is_there(&self) -> bool {
        let connected = self.connection();
        let looked = async {
            let connection = match &connected {
                Some(connection) => connection.clone(),
                None => {
                    let settings =
                        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
                    self.client.get_multiplexed_async_connection_with_config(&settings).await?
                }
            };
            let milliseconds = EVERY.as_millis().to_string();
            invoke::<i64>(&connection, &PROBE, &["airgate:probe".to_owned()], &[milliseconds]).await?;
            Ok::<_, RedisError>(connection)
        };
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(Ok(connection)) => {
                if connected.is_none() {
                    self.up(connection);
                }
                return true;
            }
            Ok(Err(error)) => self.down(&error.to_string()),
            Err(_) => self.down("no answer in time"),
        }
        false
    }

    fn up(&self, connection: MultiplexedConnection) {
        self.late.store(0, Ordering::Relaxed);
        let before = std::mem::replace(&mut *self.state(), State::Up(connection));
        match before {
            State::New | State::Up(_) => tracing::info!(redis = %self.settings.place, "redis is connected"),
            State::Down(_) => tracing::info!(redis = %self.settings.place, "redis is back"),
        }
    }

    fn down(&self, cause: &str) {
        let before = std::mem::replace(&mut *self.state(), State::Down(cause.into()));
        match before {
            State::New | State::Up(_) => {
                let meanwhile = self.settings.meanwhile;
                tracing::warn!(redis = %self.settings.place, error = cause, meanwhile, "redis is down");
                self.lost.notify_one();
            }
            State::Down(_) => {}
        }
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        match &*self.state() {
            State::Up(connection) => Some(connection.clone()),
            State::New | State::Down(_) => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every single step, so a panic elsewhere leaves nothing broken.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is late once may be slow; who is late again and again is not there.
    fn late(&self) {
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE {
            self.down("no answer in time");
        }
    }
}

#[async_trait]
impl ScriptStore for Redis {
    async fn run(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<i64>, StoreError> {
        self.call(script, keys, arguments).await
    }

    async fn run_texts(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<String>, StoreError> {
        self.call(script, keys, arguments).await
    }
}

impl Redis {
    async fn call<T: FromRedisValue>(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<T>, StoreError> {
        let Some(connection) = self.connection() else {
            self.calls.skipped.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Down);
        };
        let answer =
            tokio::time::timeout(self.settings.timeout, invoke(&connection, script, keys, arguments));
        let answer = match answer.await {
            Ok(Ok(answer)) => {
                self.late.store(0, Ordering::Relaxed);
                self.calls.answered.fetch_add(1, Ordering::Relaxed);
                return Ok(answer);
            }
            Ok(Err(error)) => {
                let cause = error.to_string();
                self.down(&cause);
                StoreError::Failed(cause)
            }
            Err(_) => {
                self.late();
                StoreError::Timeout
            }
        };
        self.calls.failed.fetch_add(1, Ordering::Relaxed);
        Err(answer)
    }
}

async fn invoke<T: FromRedisValue>(
    connection: &MultiplexedConnection,
    script: &'static Script,
    keys: &[String],
    arguments: &[String],
) -> Result<Vec<T>, RedisError> {
    let mut connection = connection.clone();
    // By its hash; Redis is told the text where it does not know it, as after a restart.
    let mut call = script.compiled.get_or_init(|| ::redis::Script::new(script.code)).prepare_invoke();
    keys.iter().for_each(|key| {
        call.key(key);
    });
    arguments.iter().for_each(|argument| {
        call.arg(argument);
    });
    call.invoke_async(&mut connection).await
}

fn client(settings: &Settings) -> Result<Client, RedisError> {
    let address = match &settings.place {
        Place::Tcp { host, port, tls: false } => ConnectionAddr::Tcp(host.clone(), *port),
        Place::Tcp { host, port, tls: true } => {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        }
        Place::Unix(path) => ConnectionAddr::Unix(path.clone()),
    };
    // What names the client is not known to servers before 7.2, and to nobody of use.
    let mut log_in = RedisConnectionInfo::default().set_db(settings.database).set_skip_set_lib_name();
    if let Some(username) = &settings.username {
        log_in = log_in.set_username(username);
    }
    if let Some(password) = &settings.password {
        log_in = log_in.set_password(password.expose());
    }
    let info = address
        .into_connection_info()?
        .set_redis_settings(log_in)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    match (&settings.place, &settings.ca) {
        (Place::Tcp { tls: true, .. }, Some(ca)) => {
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(ca.clone()) })
        }
        (Place::Tcp { .. } | Place::Unix(_), _) => Client::open(info),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
