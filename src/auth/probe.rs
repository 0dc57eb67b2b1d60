//! Airflow 2 asked whether it knows who sends a credential.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};

use super::trouble::Trouble;
use super::{Health, Outage};
use crate::ports::{HttpClient, SendError};

/// Asks an Airflow 2 for a page of one pool, with a credential and without.
///
/// Airflow 2 has nothing that says whether a password is right. `GET /api/v1/pools` answers 200 to who
/// may read pools, and 401 to who is nobody. But where `AUTH_ROLE_PUBLIC` is set, which Flask-AppBuilder
/// does unless `webserver_config.py` says otherwise, who is nobody has that role: 403, or even 200. So
/// the answer to nobody is asked for too, and a credential is good where it makes a difference:
///
/// | with the credential | without: 401 | without: 403 | without: 200 |
/// |---|---|---|---|
/// | 200 | known | known | cannot be told |
/// | 403 | known | stranger | known |
/// | 401 | stranger | stranger | stranger |
///
/// What cannot be told counts as an outage, so that nobody is let in for it.
pub struct Probe {
    client: Arc<dyn HttpClient>,
    target: Uri,
    fingerprint: Box<str>,
    trouble: Trouble,
}

/// What Airflow makes of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is somebody's.
    Known,
    /// It is nobody's: wrong, expired, or of a user who is deactivated. Or of one who may not read pools, in
    /// front of an Airflow that says 403 to everybody.
    Stranger,
}

/// What Airflow answered to the one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Pools,
    Forbidden,
    Unauthorized,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Unanswered(#[from] SendError),
    #[error("answered {0}")]
    Answered(u16),
    #[error("everybody may read pools (AUTH_ROLE_PUBLIC), so that Airflow tells nobody from a user")]
    Public,
}

impl Probe {
    /// The question, below the base path.
    pub const TARGET: &'static str = "/api/v1/pools?limit=1";

    /// When to ask again after an outage.
    pub const RETRY: Duration = Duration::from_secs(5);

    /// Asks through `client`, which knows where the upstream is. `name` stands for the upstream (its URL will
    /// do): what one upstream knows is not remembered for another.
    pub fn new(client: Arc<dyn HttpClient>, target: Uri, name: &str) -> Self {
        let fingerprint = format!("{target} of {name}").into();
        Self { client, target, fingerprint, trouble: Trouble::default() }
    }

    /// Which upstream is asked, and what.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// How it fares: whether it answers, and what it said of late.
    pub fn health(&self) -> Health {
        self.trouble.health(&*self.client)
    }

    /// What Airflow makes of these headers, which hold a credential.
    ///
    /// # Errors
    /// It does not answer, or its answer tells nothing.
    pub async fn ask(&self, credential: HeaderMap) -> Result<Standing, Outage> {
        match self.standing(credential).await {
            Ok(standing) => {
                self.trouble.end();
                Ok(standing)
            }
            Err(failed) => {
                let outage = outage(&failed.to_string());
                match failed {
                    Failed::Unanswered(error) => self.trouble.note_failure(&error, &outage.cause),
                    Failed::Answered(_) | Failed::Public => self.trouble.note(&outage.cause),
                }
                Err(outage)
            }
        }
    }

    async fn standing(&self, credential: HeaderMap) -> Result<Standing, Failed> {
        let with = self.answer(credential).await?;
        if with == Answer::Unauthorized {
            return Ok(Standing::Stranger);
        }
        let without = self.answer(HeaderMap::new()).await?;
        match (with, without) {
            (Answer::Unauthorized, _) | (Answer::Forbidden, Answer::Forbidden) => Ok(Standing::Stranger),
            (Answer::Pools, Answer::Unauthorized | Answer::Forbidden)
            | (Answer::Forbidden, Answer::Unauthorized | Answer::Pools) => Ok(Standing::Known),
            (Answer::Pools, Answer::Pools) => Err(Failed::Public),
        }
    }

    async fn answer(&self, headers: HeaderMap) -> Result<Answer, Failed> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        match self.client.send(request).await?.status() {
            StatusCode::OK => Ok(Answer::Pools),
            StatusCode::FORBIDDEN => Ok(Answer::Forbidden),
            StatusCode::UNAUTHORIZED => Ok(Answer::Unauthorized),
            other => Err(Failed::Answered(other.as_u16())),
        }
    }
}

fn outage(cause: &str) -> Outage {
    Outage { cause: format!("{}: {cause}", Probe::TARGET).into(), retry_after: Probe::RETRY }
}

#[cfg(test)]
mod tests;
