//! `kerberos_auth`: Kerberos tickets by SPNEGO (RFC 4559), accepted in one leg.

pub mod principal;
pub mod token;
mod workers;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::runtime::Handle;

use super::credentials::Authorization;
use super::{Attempt, Backend, Grant, Health, Identity, Onward, Origin, Outage, Reason, Rejection, Verdict};
use crate::ports::gssapi::{Acceptor, Established, Failure, Fault};
use principal::Principal;
use token::Token;
use workers::Workers;

/// The backend `kerberos_auth`.
///
/// Each token is good for one request: it is accepted by the library, and never from a cache, so that the
/// replay cache sees it. What is accepted is named `user@REALM`, as Airflow's documentation asks users to
/// be named; only the realms in `local_realms` are dropped.
pub struct KerberosAuth {
    acceptor: Arc<dyn Acceptor>,
    workers: Workers,
    local_realms: Vec<Box<str>>,
    challenge: HeaderValue,
    status: Arc<Status>,
}

/// When to come back after an outage: a keytab is put right by hand.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl KerberosAuth {
    /// How often the keytab is looked at without a request.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    /// Accepts tokens by `acceptor`, on the blocking threads of `runtime`. Starts with a look at the keytab:
    /// if it is not there, `/readyz` says so until it is.
    pub fn new(acceptor: Arc<dyn Acceptor>, local_realms: &[String], runtime: Handle) -> Self {
        let status = Arc::new(Status::new(acceptor.probe()));
        Self {
            acceptor,
            workers: Workers::new(runtime),
            local_realms: local_realms.iter().map(|realm| realm.as_str().into()).collect(),
            challenge: HeaderValue::from_static("Negotiate"),
            status,
        }
    }

    /// Looks at the keytab at once and every so often, until the backend is gone, and says in the log what
    /// has changed. To be called when the backend is in force.
    pub fn watch(&self, runtime: &Handle, every: Duration) {
        let (acceptor, status) = (Arc::clone(&self.acceptor), Arc::downgrade(&self.status));
        runtime.spawn(async move {
            loop {
                let acceptor = Arc::clone(&acceptor);
                let Ok(found) = tokio::task::spawn_blocking(move || acceptor.probe()).await else { return };
                let Some(status) = status.upgrade() else { return };
                status.note(found);
                drop(status);
                tokio::time::sleep(every).await;
            }
        });
    }

    async fn judge(&self, token: Token, attempt: &Attempt<'_>) -> Verdict {
        let acceptor = Arc::clone(&self.acceptor);
        match self.workers.run(move || acceptor.accept(token.as_bytes())).await {
            Ok(Ok(established)) => {
                self.status.note(Ok(()));
                self.accepted(established, attempt)
            }
            Ok(Err(Failure::Bad(fault, text))) => {
                tracing::debug!(id = attempt.request.id.as_str(), %text, "a Kerberos token is not accepted");
                refused(Reason::TicketRefused(why(fault)))
            }
            Ok(Err(Failure::Unable(text))) => {
                self.status.note(Err(text.clone()));
                Verdict::Unavailable(Outage { cause: text.into(), retry_after: RETRY_AFTER })
            }
            Err(busy) => {
                Verdict::Unavailable(Outage { cause: busy.to_string().into(), retry_after: RETRY_AFTER })
            }
        }
    }

    fn accepted(&self, established: Established, attempt: &Attempt<'_>) -> Verdict {
        let principal = match Principal::parse(&established.principal) {
            Ok(principal) => principal,
            Err(invalid) => return refused(Reason::TicketRefused(invalid.as_str())),
        };
        let grant = Arc::new(Grant {
            identity: Identity { origin: Origin::Kerberos, name: principal.user(&self.local_realms).into() },
            ambient: true,
            expires: established.lifetime.and_then(|left| attempt.request.now.checked_add(left)),
            onward: Onward::Minted { jti: None },
        });
        if established.reply.is_empty() {
            return Verdict::Accepted(grant);
        }
        match HeaderValue::try_from(format!("Negotiate {}", STANDARD.encode(established.reply))) {
            Ok(mut proof) => {
                proof.set_sensitive(true);
                Verdict::Mutual(grant, proof)
            }
            // Base64 is what a header may hold.
            Err(_) => Verdict::Accepted(grant),
        }
    }
}

#[async_trait]
impl Backend for KerberosAuth {
    fn name(&self) -> &'static str {
        "kerberos_auth"
    }

    fn challenge(&self) -> Option<&HeaderValue> {
        Some(&self.challenge)
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        match attempt.credentials.authorization {
            Authorization::Negotiate(_) => None,
            Authorization::Absent
            | Authorization::Bearer(_)
            | Authorization::Basic(_)
            | Authorization::Other => Some(Verdict::NotMine),
        }
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let Authorization::Negotiate(encoded) = attempt.credentials.authorization else {
            return Verdict::NotMine;
        };
        match Token::parse(encoded) {
            Ok(token) => self.judge(token, attempt).await,
            Err(invalid) => refused(Reason::Malformed(invalid.as_str())),
        }
    }

    fn health(&self) -> Health {
        self.status.health()
    }
}

/// Whether tokens can be accepted, as far as is known.
struct Status(Mutex<Known>);

/// Why they cannot, if they cannot.
struct Known {
    cause: Option<Arc<str>>,
    /// What the log has said of it: once, when it changes.
    said: Option<Arc<str>>,
}

impl Status {
    fn new(found: Result<(), String>) -> Self {
        Self(Mutex::new(Known { cause: found.err().map(Into::into), said: None }))
    }

    fn note(&self, found: Result<(), String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.cause = found.err().map(Into::into);
        if known.cause == known.said {
            return;
        }
        match &known.cause {
            Some(cause) => {
                tracing::warn!(backend = "kerberos_auth", %cause, "Kerberos tokens cannot be accepted");
            }
            None => tracing::info!(backend = "kerberos_auth", "Kerberos tokens can be accepted again"),
        }
        known.said = known.cause.clone();
    }

    fn health(&self) -> Health {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.cause.clone().map_or(Health::Up, Health::Down)
    }
}

fn refused(reason: Reason) -> Verdict {
    Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: false })
}

/// A fault, for the audit log.
fn why(fault: Fault) -> &'static str {
    match fault {
        Fault::Expired => "the ticket has expired",
        Fault::NotYetValid => "the ticket is not valid yet",
        Fault::Replayed => "the token has been used before",
        Fault::ClockSkew => "the client's clock differs too much",
        Fault::NoKey => "the keytab has no key for the ticket's service",
        Fault::WrongKey => "the keytab's key does not decrypt the token",
        Fault::Defective => "not a token of SPNEGO or Kerberos",
        Fault::Mechanism => "another mechanism than Kerberos",
        Fault::Continued => "a negotiation of more than one leg",
        Fault::Anonymous => "an anonymous ticket",
        Fault::Other => "the ticket is not accepted",
    }
}

#[cfg(test)]
mod tests;
