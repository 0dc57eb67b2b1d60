//! The source `upstream` in front of Airflow 2, which has no token endpoint.

use std::time::SystemTime;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::check::{Source, SourceVerdict};
use crate::auth::probe::{Probe, Standing};
use crate::auth::{Health, Identity, Onward, Origin, Outage};
use crate::secret::Secret;

/// Asks Airflow 2 for what a user may read, and gives it the client's own header afterwards.
pub struct Asked {
    probe: Probe,
}

impl Asked {
    /// Asks by `probe`.
    pub fn new(probe: Probe) -> Self {
        Self { probe }
    }
}

#[async_trait]
impl Source for Asked {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn fingerprint(&self) -> &str {
        self.probe.fingerprint()
    }

    async fn check(&self, username: &str, password: &Secret, _now: SystemTime) -> SourceVerdict {
        let standing = match basic(username, password) {
            Some(header) => self.probe.ask(HeaderMap::from_iter([(AUTHORIZATION, header)])).await,
            None => Err(Outage { cause: "the request cannot be written".into(), retry_after: Probe::RETRY }),
        };
        match standing {
            Ok(Standing::Known) => SourceVerdict::Accepted {
                identity: Identity { origin: Origin::Upstream, name: username.into() },
                onward: Onward::Unchanged,
                expires: None,
                seal: None,
            },
            Ok(Standing::Stranger) => SourceVerdict::Rejected,
            Err(outage) => SourceVerdict::Unavailable(outage),
        }
    }

    fn health(&self) -> Health {
        self.probe.health()
    }
}

fn basic(username: &str, password: &Secret) -> Option<HeaderValue> {
    let plain = Zeroizing::new(format!("{username}:{}", password.expose()));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(plain.as_bytes())));
    let mut header = HeaderValue::try_from(text.as_str()).ok()?;
    header.set_sensitive(true);
    Some(header)
}
