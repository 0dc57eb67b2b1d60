//! What a backend of one's own gets to see of a request.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::COOKIE;
use http::request::Parts;

use crate::auth::credentials::Credentials;
use crate::auth::{Attempt, Backend, Health, Scope, Verdict};
use crate::gate::headers::claims;
use crate::request::Request;

/// A backend of one's own under the name that it is registered by. It sees no header by which any client could
/// claim to be somebody (`X-Forwarded-User`, `X-Auth-*`, …), unless a trusted proxy has set it, and no cookie where
/// a credential is exchanged for a token.
pub(super) struct Clean {
    name: &'static str,
    inner: Arc<dyn Backend>,
}

impl Clean {
    pub(super) fn new(name: &'static str, inner: Arc<dyn Backend>) -> Self {
        Self { name, inner }
    }
}

#[async_trait]
impl Backend for Clean {
    fn name(&self) -> &'static str {
        self.name
    }

    fn challenge(&self) -> Option<&HeaderValue> {
        self.inner.challenge()
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        let head = clean(attempt);
        let request = Request { head: &head, ..*attempt.request };
        self.inner.recall(&seen(attempt, &request))
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let head = clean(attempt);
        let request = Request { head: &head, ..*attempt.request };
        self.inner.authenticate(&seen(attempt, &request)).await
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

/// The head without what the client may not say.
fn clean<'a>(attempt: &Attempt<'a>) -> Cow<'a, Parts> {
    let head = attempt.request.head;
    let hidden: Vec<_> = claims(&head.headers, attempt.request.peer)
        .chain(head.headers.keys().filter(|name| attempt.scope == Scope::Token && **name == COOKIE))
        .cloned()
        .collect();
    if hidden.is_empty() {
        return Cow::Borrowed(head);
    }
    let mut head = head.clone();
    for name in hidden {
        head.headers.remove(name);
    }
    Cow::Owned(head)
}

fn seen<'a>(attempt: &Attempt<'a>, request: &'a Request<'a>) -> Attempt<'a> {
    // There is at most one `Authorization`, since there was.
    let credentials = Credentials::read(&request.head.headers).unwrap_or(attempt.credentials);
    Attempt { request, credentials, target: attempt.target, scope: attempt.scope }
}
