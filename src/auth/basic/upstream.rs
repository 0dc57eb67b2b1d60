//! The source `upstream`: the upstream's own token endpoint judges the password, and its token is
//! what the upstream is then given. Works with every auth manager of Airflow 3, and shares no
//! secret with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use super::check::{Source, SourceVerdict};
use crate::auth::hearsay::{expiry, retry_after};
use crate::auth::trouble::Trouble;
use crate::auth::{Health, Identity, Onward, Origin, Outage};
use crate::ports::HttpClient;
use crate::secret::Secret;

/// `POST /auth/token` of the upstream.
pub struct Upstream {
    client: Arc<dyn HttpClient>,
    endpoint: Uri,
    name: Box<str>,
    trouble: Trouble,
}

impl Upstream {
    /// The largest answer that is read. Airflow's is a few hundred bytes, a Keycloak one a few
    /// thousand.
    const MAX_ANSWER: usize = 64 * 1024;

    /// Asks the token endpoint with this path through `client`, which knows where the upstream is. `name`
    /// stands for the upstream (its URL will do): passwords verified by one upstream are not
    /// remembered for another.
    pub fn new(client: Arc<dyn HttpClient>, endpoint: Uri, name: &str) -> Self {
        Self { client, name: format!("{endpoint} of {name}").into(), endpoint, trouble: Trouble::default() }
    }

    fn unavailable(&self, cause: &str, retry_after: Duration) -> SourceVerdict {
        let outage = outage(cause, retry_after);
        self.trouble.note(&outage.cause);
        SourceVerdict::Unavailable(outage)
    }

    fn judge(&self, username: &str, response: &Response<Bytes>) -> SourceVerdict {
        match response.status() {
            StatusCode::CREATED => match issued(response.body()) {
                Ok((onward, expires)) => {
                    self.trouble.end();
                    let identity = Identity { origin: Origin::Upstream, name: username.into() };
                    SourceVerdict::Accepted { identity, onward: Onward::Issued(onward), expires, seal: None }
                }
                Err(fault) => self.unavailable(fault, RETRY),
            },
            // 401 by simple and FAB, 403 by Keycloak. 400 and 422 are about this user name and
            // password too: the request is otherwise always the same.
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY => {
                self.trouble.end();
                SourceVerdict::Rejected
            }
            other => {
                let wait = retry_after(response.headers()).unwrap_or(RETRY);
                self.unavailable(&format!("answered {}", other.as_u16()), wait)
            }
        }
    }
}

#[async_trait]
impl Source for Upstream {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn fingerprint(&self) -> &str {
        &self.name
    }

    async fn check(&self, username: &str, password: &Secret, _now: SystemTime) -> SourceVerdict {
        let Some(request) = request(&self.endpoint, username, password) else {
            return self.unavailable("the request cannot be written", RETRY);
        };
        match self.client.send(request).await {
            Ok(response) => self.judge(username, &response),
            Err(error) => {
                let outage = outage(&error.to_string(), RETRY);
                self.trouble.note_failure(&error, &outage.cause);
                SourceVerdict::Unavailable(outage)
            }
        }
    }

    fn health(&self) -> Health {
        self.trouble.health(&*self.client)
    }
}

/// When to ask again, where the upstream does not say.
const RETRY: Duration = Duration::from_secs(5);

fn outage(cause: &str, retry_after: Duration) -> Outage {
    Outage { cause: format!("upstream token endpoint: {cause}").into(), retry_after }
}

fn request(endpoint: &Uri, username: &str, password: &Secret) -> Option<Request<Bytes>> {
    #[derive(Serialize)]
    struct Body<'a> {
        username: &'a str,
        password: &'a str,
    }
    let body = serde_json::to_vec(&Body { username, password: password.expose() }).ok()?;
    Request::builder()
        .method(Method::POST)
        .uri(endpoint.clone())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .body(Bytes::from(body))
        .ok()
}

/// The token of an answer, as an `Authorization` value, and when it ends.
fn issued(body: &[u8]) -> Result<(HeaderValue, Option<SystemTime>), &'static str> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
    }
    if body.len() > Upstream::MAX_ANSWER {
        return Err("the answer is too large");
    }
    let Answer { access_token } = serde_json::from_slice(body).map_err(|_| "no token in the answer")?;
    let plain = !access_token.is_empty() && access_token.bytes().all(|b| b.is_ascii_graphic());
    let mut value = Some(format!("Bearer {access_token}"))
        .filter(|_| plain)
        .and_then(|text| HeaderValue::try_from(text).ok())
        .ok_or("the token cannot stand in a header")?;
    value.set_sensitive(true);
    Ok((value, expiry(&access_token)))
}

#[cfg(test)]
mod tests;
