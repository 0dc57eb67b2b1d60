//! Failures counted for all replicas, in Redis.
//!
//! Neither names nor addresses are kept there: keys are HMACs under a secret that the replicas share,
//! and that Redis does not know unless it is the password that Redis itself asks for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::memory::{InMemory, Pair};
use super::{LockedOut, LockoutSettings, Network, spelling};
use crate::auth::Outage;
use crate::ports::{Script, ScriptStore, StoreError};
use crate::secret::Secret;

/// `[lockout] when_redis_is_down`: what a log-in is told that cannot be counted for all replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDown {
    /// Each replica counts by itself, and begins with the failures that it has seen. So a guesser
    /// gets as many tries from each replica, and nobody else notices.
    Open,
    /// 503: nobody logs in. Cached credentials and tokens go on working.
    Closed,
}

/// The failures that all replicas have seen.
pub(super) struct Replicated {
    store: Arc<dyn ScriptStore>,
    key: hmac::Key,
    when_down: WhenDown,
    /// Told of every failure, for when the store is down.
    memory: Arc<InMemory>,
}

/// Leave for one look.
pub(super) struct Permit(Option<Look>);

/// One look under way.
struct Look {
    counts: Arc<Replicated>,
    settings: LockoutSettings,
    keys: [String; 3],
    id: String,
    pair: Pair,
    delay: Duration,
}

/// What the script is told.
#[derive(Debug, Clone, Copy)]
enum What {
    Admit,
    Failed,
    Succeeded,
    Dropped,
}

/// Keeps the keys apart from whatever else the secret is used for.
const PURPOSE: &[u8] = b"airgate lock-out 1";

static COUNTS: Script = Script::new(include_str!("shared/counts.lua"));

/// After this time a look is not held for under way any more, whatever became of it. Longer than the delay of a user
/// who is tried from many networks and all sources take together. Who waits for others of the network is not yet
/// counted.
const LEASE: Duration = Duration::from_secs(180);

/// The rest of a log-in cannot be counted: when to try again.
const RETRY: Duration = Duration::from_secs(1);

impl Replicated {
    pub(super) fn new(
        store: Arc<dyn ScriptStore>,
        secret: &Secret,
        when_down: WhenDown,
        memory: Arc<InMemory>,
    ) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, PURPOSE).as_ref());
        Self { store, key, when_down, memory }
    }

    pub(super) fn when_down(&self) -> WhenDown {
        self.when_down
    }

    pub(super) async fn admit(
        self: &Arc<Self>,
        settings: &LockoutSettings,
        username: &str,
        network: Network,
    ) -> Result<Result<Permit, LockedOut>, StoreError> {
        let mut look = Look {
            counts: Arc::clone(self),
            settings: *settings,
            keys: self.keys(username, network),
            id: uuid::Uuid::new_v4().simple().to_string(),
            pair: self.memory.pair(username, network),
            delay: Duration::ZERO,
        };
        match look.tell(What::Admit).await?[..] {
            [0, failures] => {
                look.delay = settings.delay(u32::try_from(failures).unwrap_or(u32::MAX));
                Ok(Ok(Permit(Some(look))))
            }
            [_, left] => Ok(Err(LockedOut(Duration::from_millis(u64::try_from(left).unwrap_or_default())))),
            _ => Err(StoreError::Answer),
        }
    }

    /// Where the pair, its looks and the user are counted. The braces keep them together on a cluster.
    fn keys(&self, username: &str, network: Network) -> [String; 3] {
        let name: String = spelling(username).collect();
        let user = self.tag(&[b"lockout user", name.as_bytes()]);
        let network = match &network {
            Network::Local => self.tag(&[b"lockout network", name.as_bytes()]),
            Network::V4(bits) => self.tag(&[b"lockout network", name.as_bytes(), bits]),
            Network::V6(bits) => self.tag(&[b"lockout network", name.as_bytes(), bits]),
        };
        let user = format!("airgate:lockout:{{{user}}}");
        [format!("{user}:{network}"), format!("{user}:{network}:looks"), user]
    }

    fn tag(&self, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        URL_SAFE_NO_PAD.encode(context.sign().as_ref().get(..16).unwrap_or_default())
    }
}

impl Look {
    async fn tell(&self, what: What) -> Result<Vec<i64>, StoreError> {
        let milliseconds = |time: Duration| time.as_millis().to_string();
        let what = match what {
            What::Admit => "admit",
            What::Failed => "failed",
            What::Succeeded => "succeeded",
            What::Dropped => "dropped",
        };
        let arguments = [
            what.to_owned(),
            self.settings.attempts.to_string(),
            milliseconds(self.settings.window),
            milliseconds(self.settings.duration),
            self.id.clone(),
            milliseconds(LEASE),
        ];
        self.counts.store.run(&COUNTS, &self.keys, &arguments).await
    }
}

impl Permit {
    pub(super) fn delay(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |look| look.delay)
    }

    /// A failure that cannot be told is still counted by this replica, and the look holds a place
    /// among those under way until its time is over.
    pub(super) async fn failed(mut self, now: SystemTime) {
        if let Some(look) = self.0.take() {
            look.counts.memory.fail(look.pair, &look.settings, now);
            let _ = look.tell(What::Failed).await;
        }
    }

    pub(super) async fn succeeded(mut self) {
        if let Some(look) = self.0.take() {
            look.counts.memory.forgive(look.pair);
            let _ = look.tell(What::Succeeded).await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Outside a runtime, as when the process ends, the look is given back by its age.
        if let (Some(look), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                let _ = look.tell(What::Dropped).await;
            });
        }
    }
}

/// What a client is told when nothing can be counted.
pub(super) fn outage(error: &StoreError) -> Outage {
    Outage { cause: format!("lock-out: redis: {error}").into(), retry_after: RETRY }
}

#[cfg(test)]
mod tests;
