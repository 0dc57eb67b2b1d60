//! Keycloak's tokens: whom they name, and what goes on when they end.
//!
//! Airflow's own token with Keycloak's inside it is good for as long as it says, and of no use from when the one
//! inside has ended: Airflow asks Keycloak about each request with the latter, and never renews it on the API. Here
//! the inner token is renewed, for as long as its session lives.

pub mod bearer;
pub mod grants;
mod realm;
pub mod sessions;
pub mod shared;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use realm::Realm;

use crate::auth::jwt::Principal;
use crate::secret::Secret;

/// A Keycloak access token that a credential came with, or was exchanged for, and what renews it.
pub struct Held {
    /// Keycloak's id of the user, which a token's `user_id` has.
    pub user_id: Box<str>,
    /// The user's name.
    pub name: Arc<str>,
    /// The access token.
    pub access: Secret,
    /// When it ends.
    pub expires: SystemTime,
    /// What goes on then.
    pub renewal: Renewal,
    /// Whether the client's own header is a token of Airflow's that has this one inside, so that it may pass as it
    /// came while this one lives.
    pub passes: bool,
    /// `jti` of the client's token, if it had one.
    pub jti: Option<Box<str>>,
    /// From when on it is renewed.
    pub(super) renew: SystemTime,
    presented: ArcSwapOption<Header>,
}

/// What renews an access token.
#[derive(Clone, PartialEq, Eq)]
pub enum Renewal {
    /// The refresh token of a session.
    Session {
        /// The session's id.
        sid: Arc<str>,
        /// The refresh token that came with the credential. The session may have a newer one by now.
        refresh: Secret,
    },
    /// The grant of a client of its own, if that is the configured client.
    Client {
        /// `azp`: which client's.
        id: Arc<str>,
    },
    /// Nothing: the credential ends with it.
    Never,
}

/// A token of Airflow's with a Keycloak token inside, ready to be sent.
struct Header {
    /// Which access token is inside.
    serial: u64,
    /// Who made it: settings that are gone had another key.
    maker: Arc<()>,
    value: HeaderValue,
    renew: SystemTime,
}

impl Held {
    /// An access token is renewed when less than this is left of its life: on its way it must not run out. Of a token
    /// that lives shorter than 40 s, when a quarter is left.
    const MARGIN: Duration = Duration::from_secs(10);

    /// What a grant gave that was asked for at this time.
    pub fn granted(
        user_id: impl Into<Box<str>>,
        name: impl Into<Arc<str>>,
        access: Secret,
        life: (SystemTime, Duration),
        renewal: Renewal,
    ) -> Self {
        let (asked, life) = life;
        Self {
            user_id: user_id.into(),
            name: name.into(),
            access,
            expires: asked + life,
            renewal,
            passes: false,
            jti: None,
            renew: asked + life - Self::margin(life),
            presented: ArcSwapOption::empty(),
        }
    }

    /// What a verified token of Airflow's has inside, by its payload. `passes` says that Airflow accepts that token as
    /// it is. `None` where nothing is inside, as in the cookies of Airflow's pages: Airflow knows what that is worth.
    pub fn inside(payload: &[u8], passes: bool) -> Option<Self> {
        #[derive(Deserialize)]
        struct Outer {
            user_id: Box<str>,
            name: Box<str>,
            access_token: Box<str>,
            #[serde(default)]
            refresh_token: Option<Box<str>>,
            #[serde(default)]
            jti: Option<Box<str>>,
        }
        let outer: Outer = serde_json::from_slice(payload).ok()?;
        let access = Claims::unverified(&outer.access_token)?;
        let refresh = outer.refresh_token.filter(|token| !token.is_empty());
        let expires = access.expires()?;
        let life = access.issued().and_then(|issued| expires.duration_since(issued).ok());
        let margin = life.map_or(Self::MARGIN, Self::margin);
        let sid = || access.sid.clone().or_else(|| Claims::unverified(refresh.as_deref()?)?.sid);
        let renewal = match (&refresh, sid(), &access.azp) {
            (Some(refresh), Some(sid), _) => {
                Renewal::Session { sid: sid.into(), refresh: Secret::new(refresh.clone()) }
            }
            (None, None, Some(id)) => Renewal::Client { id: id.as_ref().into() },
            (Some(_), None, _) | (None, Some(_), _) | (None, None, None) => Renewal::Never,
        };
        Some(Self {
            user_id: outer.user_id,
            name: outer.name.into(),
            access: Secret::new(outer.access_token),
            expires,
            renewal,
            passes,
            jti: outer.jti,
            renew: expires - margin,
            presented: ArcSwapOption::empty(),
        })
    }

    /// Whom a token is for that a client keeps: with all that renews what is inside.
    pub fn principal(&self) -> Principal<'_> {
        let refresh = match &self.renewal {
            Renewal::Session { refresh, .. } => Some(refresh),
            Renewal::Client { .. } | Renewal::Never => None,
        };
        Principal::Keycloak { id: &self.user_id, name: &self.name, access: &self.access, refresh }
    }

    /// With the `jti` of the client's token.
    #[must_use]
    pub fn with_jti(mut self, jti: Option<Box<str>>) -> Self {
        self.jti = jti;
        self
    }

    pub(super) fn margin(life: Duration) -> Duration {
        Self::MARGIN.min(life / 4)
    }

    /// The header that was made for this access token, if it can still be sent.
    pub fn recall(&self, serial: u64, maker: &Arc<()>, now: SystemTime) -> Option<HeaderValue> {
        let presented = self.presented.load();
        let header = presented.as_ref()?;
        let same = header.serial == serial && Arc::ptr_eq(&header.maker, maker) && now < header.renew;
        same.then(|| header.value.clone())
    }

    /// Remembers a header until `renew`.
    pub fn remember(&self, serial: u64, maker: &Arc<()>, value: HeaderValue, renew: SystemTime) {
        let header = Header { serial, maker: Arc::clone(maker), value, renew };
        self.presented.store(Some(Arc::new(header)));
    }
}

/// Two are the same if they are one: each stands for a credential.
impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Held {}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("user_id", &self.user_id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The claims of a Keycloak token that are looked at here. A claim of another type is a token of another kind.
#[derive(Deserialize)]
pub struct Claims {
    /// The user's id.
    #[serde(default)]
    pub sub: Option<Box<str>>,
    /// The user's name. A lightweight token has none.
    #[serde(default)]
    pub preferred_username: Option<Box<str>>,
    /// The session. A client's own grant has none.
    #[serde(default)]
    pub sid: Option<Box<str>>,
    /// The client that the token was issued to.
    #[serde(default)]
    pub azp: Option<Box<str>>,
    /// `Bearer` for an access token; `ID`, `Refresh`, `Logout` and others are no access tokens.
    #[serde(default)]
    pub typ: Option<Box<str>>,
    /// Whose key must be shown beside the token (RFC 7800): it is no bearer token then.
    #[serde(default)]
    pub cnf: Option<IgnoredAny>,
    exp: f64,
    #[serde(default)]
    iat: Option<f64>,
}

impl Claims {
    /// Of a payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// Of a token whose signature is not looked at.
    fn unverified(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        Self::read(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?)
    }

    /// `exp`.
    pub fn expires(&self) -> Option<SystemTime> {
        at(self.exp)
    }

    fn issued(&self) -> Option<SystemTime> {
        at(self.iat?)
    }
}

fn at(seconds: f64) -> Option<SystemTime> {
    // Not before the margin, so that what is taken from it is a time.
    let since = Duration::try_from_secs_f64(seconds).ok().filter(|since| *since >= Held::MARGIN)?;
    UNIX_EPOCH.checked_add(since)
}
