//! An airgate with a backend of one's own: API keys, in a header of their own.
//!
//! ```toml
//! [api]
//! auth_backends = ["session", "jwt", "api_key"]
//!
//! [core]
//! simple_auth_manager_users = "robot:op"
//!
//! [api_auth]
//! jwt_secret = "airflow's own jwt_secret"
//!
//! [backend.api_key]
//! header = "X-Api-Key"
//! keys.robot = { file = "robot.key" }
//! ```
//!
//! `cargo run --example api_key -- run --conf airgate.toml`, and `check`, `config get-value` and all the rest, as
//! with airgate itself. In a crate of its own: depend on `airgate`, and on `serde` with its feature `derive`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use airgate::auth::{Attempt, Backend, Grant, Reason, Rejection, Verdict};
use airgate::http::{HeaderName, HeaderValue};
use airgate::registry::{BuildError, Setup};
use airgate::secret::Secret;
use serde::Deserialize;

fn main() -> ExitCode {
    airgate::Builder::new().backend(ApiKeys::NAME, ApiKeys::build).main()
}

/// The table `[backend.api_key]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The header that a key comes in.
    #[serde(default = "Settings::default_header")]
    header: String,
    /// A key for each user.
    keys: BTreeMap<String, String>,
}

impl Settings {
    fn default_header() -> String {
        "X-Api-Key".into()
    }
}

struct ApiKeys {
    header: HeaderName,
    challenge: HeaderValue,
    users: Vec<(String, Secret)>,
}

impl ApiKeys {
    const NAME: &'static str = "api_key";

    /// At the start, with each reload, and for `airgate check`.
    fn build(setup: &Setup<'_>) -> Result<Arc<dyn Backend>, BuildError> {
        let Settings { header, keys } = setup.settings()?;
        if let Some((user, _)) = keys.iter().find(|(_, key)| key.len() < 16) {
            return Err(format!("the key of {user} has fewer than 16 characters").into());
        }
        let challenge = format!("ApiKey realm=\"Airflow\", header=\"{header}\"");
        Ok(Arc::new(Self {
            header: header.parse()?,
            challenge: challenge.parse()?,
            users: keys.into_iter().map(|(user, key)| (user, Secret::new(key))).collect(),
        }))
    }
}

#[airgate::async_trait]
impl Backend for ApiKeys {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn challenge(&self) -> Option<&HeaderValue> {
        Some(&self.challenge)
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let Some(sent) = attempt.request.head.headers.get(&self.header) else { return Verdict::NotMine };
        let sent = Secret::new(String::from_utf8_lossy(sent.as_bytes()));
        // Every key is compared, each to its end, so that the time tells nothing.
        let found =
            self.users.iter().fold(None, |found, (user, key)| found.or((*key == sent).then_some(user)));
        match found {
            // No page of another site can make a browser send this header.
            Some(user) => {
                Verdict::Accepted(Arc::new(Grant { ambient: false, ..Grant::custom(Self::NAME, user) }))
            }
            None => {
                Verdict::Rejected(Rejection { reason: Reason::Refused, challenge: None, clear_cookie: false })
            }
        }
    }
}
