//! Sessions that all replicas know, in Redis.
//!
//! What is kept there is encrypted, and found by an HMAC of the session's id, under keys that are made from the secret
//! that the replicas share: who reads Redis learns neither tokens nor whose they are.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::sessions::{Live, serial};
use crate::ports::{Script, ScriptStore, StoreError};
use crate::secret::Secret;

/// The sessions that all replicas know.
pub struct SharedSessions {
    store: Arc<dyn ScriptStore>,
    names: hmac::Key,
    records: RandomizedNonceKey,
    keep: Duration,
    /// After this time a replica that renews a session is given up.
    lease: Duration,
}

/// What a replica finds that wants to renew a session.
pub enum Turn {
    /// Nobody else does. With the newest tokens that anybody has recorded.
    Mine(MyTurn, Option<Arc<Live>>),
    /// Another replica does.
    Others(Option<Arc<Live>>),
}

/// The right to renew one session, until it is given up or its time is over.
pub struct MyTurn {
    shared: Arc<SharedSessions>,
    keys: [String; 2],
    id: String,
}

/// The random numbers or the key failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key for sessions in Redis cannot be made")]
pub struct NoKey;

/// A session's tokens as they are recorded.
#[derive(Serialize, Deserialize)]
struct Record<T> {
    #[serde(rename = "u")]
    user_id: Option<Box<str>>,
    #[serde(rename = "a")]
    access: T,
    #[serde(rename = "r")]
    refresh: Option<T>,
    /// Milliseconds since 1970.
    #[serde(rename = "e")]
    expires: u64,
    #[serde(rename = "n")]
    renew: u64,
}

/// Keep the keys apart from each other, and from whatever else the secret is used for.
const NAMES: &[u8] = b"airgate keycloak session names 1";
const RECORDS: &[u8] = b"airgate keycloak session records 1";

static TAKE: Script = Script::new(
    "local taken = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
     return {taken and '1' or '0', redis.call('GET', KEYS[1]) or ''}",
);
/// The newest tokens are recorded even by who was late: nobody else has them. The number before them is their end.
static RECORD: Script = Script::new(
    "local known = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):') or '0')
     if known < tonumber(ARGV[4]) then redis.call('SET', KEYS[1], ARGV[4] .. ':' .. ARGV[2], 'PX', ARGV[3]) end
     if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
     return {'1'}",
);
static GIVE_UP: Script = Script::new(
    "if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
     return {'1'}",
);

impl SharedSessions {
    /// How often, and how long apart, it is tried to record what Redis did not take.
    const TRIES: (u32, Duration) = (60, Duration::from_secs(1));

    /// Records sessions in `store`, under keys made from `secret`, for `keep` after each renewal. `longest` is how long
    /// a renewal may take.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn new(
        store: Arc<dyn ScriptStore>,
        secret: &Secret,
        keep: Duration,
        longest: Duration,
    ) -> Result<Arc<Self>, NoKey> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let key = hmac::sign(&secret, RECORDS);
        Ok(Arc::new(Self {
            store,
            names: hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, NAMES).as_ref()),
            records: RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| NoKey)?,
            keep,
            lease: longest + Duration::from_secs(2),
        }))
    }

    /// Takes the turn to renew a session, unless another replica has it.
    pub(super) async fn take_turn(self: &Arc<Self>, session: &str) -> Result<Turn, StoreError> {
        let turn = self.turn(session);
        let arguments = [turn.id.clone(), self.lease.as_millis().to_string()];
        let answer = self.store.run_texts(&TAKE, &turn.keys, &arguments).await?;
        let [taken, record] = &answer[..] else { return Err(StoreError::Answer) };
        let recorded = self.open(&turn.keys[0], record).map(Arc::new);
        Ok(if taken == "1" { Turn::Mine(turn, recorded) } else { Turn::Others(recorded) })
    }

    /// Records what was renewed without a turn, while Redis was down, as soon as it is back.
    pub(super) async fn record(self: &Arc<Self>, session: &str, live: &Live) {
        self.turn(session).record(live).await;
    }

    fn turn(self: &Arc<Self>, session: &str) -> MyTurn {
        let name = URL_SAFE_NO_PAD.encode(hmac::sign(&self.names, session.as_bytes()).as_ref());
        // The braces keep both on one node of a cluster.
        let keys = [format!("airgate:kc:{{{name}}}"), format!("airgate:kc:{{{name}}}:turn")];
        MyTurn { shared: Arc::clone(self), keys, id: uuid::Uuid::new_v4().simple().to_string() }
    }

    fn seal(&self, name: &str, live: &Live) -> Option<String> {
        let record = Record {
            user_id: live.user_id.clone(),
            access: live.access.expose(),
            refresh: live.refresh.as_ref().map(Secret::expose),
            expires: milliseconds(live.expires),
            renew: milliseconds(live.renew),
        };
        let mut bytes = serde_json::to_vec(&record).ok()?;
        let nonce = self.records.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut bytes).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Some(STANDARD_NO_PAD.encode(sealed))
    }

    /// What was sealed under this name, by this secret. Anything else is nothing.
    fn open(&self, name: &str, sealed: &str) -> Option<Live> {
        let (_, sealed) = sealed.split_once(':')?;
        let mut sealed = Zeroizing::new(STANDARD_NO_PAD.decode(sealed).ok()?);
        let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.records.open_in_place(nonce, Aad::from(name.as_bytes()), bytes).ok()?;
        let record: Record<Box<str>> = serde_json::from_slice(opened).ok()?;
        let time = |ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms));
        Some(Live {
            user_id: record.user_id,
            access: Secret::new(record.access),
            refresh: record.refresh.map(Secret::new),
            expires: time(record.expires)?,
            renew: time(record.renew)?,
            serial: serial(),
            own: false,
        })
    }
}

impl MyTurn {
    /// Records the new tokens, and gives the turn up. Where Redis does not take them now, again and again: with any
    /// others a replica would end the session.
    pub(super) async fn record(self, live: &Live) {
        let Some(sealed) = self.shared.seal(&self.keys[0], live) else { return };
        let ends = milliseconds(live.expires);
        if self.try_record(&sealed, ends).await.is_ok() {
            return;
        }
        tracing::warn!("redis did not take a renewed session of keycloak: trying again");
        tokio::spawn(async move {
            let (tries, pause) = SharedSessions::TRIES;
            for _ in 0..tries {
                tokio::time::sleep(pause).await;
                if self.try_record(&sealed, ends).await.is_ok() {
                    return;
                }
            }
            tracing::warn!("a renewed session of keycloak is known to this replica alone");
        });
    }

    async fn try_record(&self, sealed: &str, ends: u64) -> Result<(), StoreError> {
        let keep = self.shared.keep.as_millis().max(1).to_string();
        let arguments = [self.id.clone(), sealed.to_owned(), keep, ends.to_string()];
        self.shared.store.run_texts(&RECORD, &self.keys, &arguments).await.map(|_| ())
    }

    /// Lets another replica try.
    pub(super) async fn give_up(self) {
        // Where this fails its time is over soon.
        let _ = self.shared.store.run_texts(&GIVE_UP, &self.keys, std::slice::from_ref(&self.id)).await;
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
