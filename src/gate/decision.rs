//! What the gate decides, and what it noticed on the way.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri};

use super::limit::Dialect;
use super::reply::Reply;
use super::route::Effect;
use super::token::Endpoint;
use super::translate::Ticket;
use super::translate::row::Operation;
use crate::auth::Grant;
use crate::auth::chain::Trail;

/// What happens next with a request.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// It is answered here.
    Reply(Reply),
    /// It goes to the upstream.
    Forward(Forward),
    /// Its body is needed: read it, bounded, then call [`super::Gate::resume`].
    Body(Pending),
}

/// A request that waits for its body.
#[derive(Debug)]
pub enum Pending {
    /// A log-in at a token endpoint.
    Token(Endpoint),
    /// A list that may have its page size in the body. All but that is decided.
    List(Box<List>),
    /// A request of an API of Airflow 2's, already let in.
    Translation(Box<Ticket>),
}

impl Pending {
    /// Whether there is a body to be read.
    pub fn takes_body(&self) -> bool {
        match self {
            Self::Token(_) | Self::List(_) => true,
            Self::Translation(ticket) => ticket.takes_body(),
        }
    }

    /// Whether it changes something.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Token(_) => Effect::Changes,
            Self::List(_) => Effect::Reads,
            Self::Translation(ticket) => ticket.effect(),
        }
    }

    /// Whether Airflow is asked, by calls of the gate's own.
    pub fn asks_airflow(&self) -> bool {
        match self {
            Self::Token(_) | Self::List(_) => false,
            Self::Translation(_) => true,
        }
    }
}

/// A request for a list whose filter is its body.
#[derive(Debug)]
pub struct List {
    pub(super) forward: Forward,
    pub(super) dialect: Dialect,
}

/// How a request goes to the upstream.
#[derive(Debug, Default)]
pub struct Forward {
    /// The path and query to send; `None` sends them as they came.
    pub uri: Option<Uri>,
    /// Changes to the request's headers.
    pub headers: Edits,
    /// The body to send in place of the one that came, which has been read; `None` sends what comes.
    pub body: Option<Bytes>,
    /// Whether the upstream's own token was put in, from the cache of verified credentials: if the
    /// upstream refuses it, it is forgotten, and a safe request is decided once more.
    pub issued: bool,
    /// What happens to the answer.
    pub reply: ReplyPlan,
}

/// Header changes: first all removals, then all settings. On the heap, since a decision is moved often.
#[derive(Debug, Default)]
pub struct Edits {
    /// Names to remove, in all their occurrences.
    pub remove: Vec<HeaderName>,
    /// Headers to set, in place of what is there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Headers to add to what is there.
    pub append: Vec<(HeaderName, HeaderValue)>,
}

/// What happens to an answer of the upstream, decided with the request.
#[derive(Debug, Default, Clone)]
pub struct ReplyPlan {
    /// The request's `Origin`, when there is a CORS policy and it has one.
    pub origin: Option<HeaderValue>,
    /// The page size that the request was lowered to, for `X-Airgate-Page-Limit`.
    pub page_limit: Option<HeaderValue>,
    /// Whether Airflow's own cookies are kept from the client, since the gate speaks for it.
    pub strip_cookies: bool,
    /// The proof that the client spoke to the right party, for `WWW-Authenticate`.
    pub proof: Option<HeaderValue>,
}

/// How an error is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"detail": …}`, as Airflow 3 does.
    #[default]
    Detail,
    /// `application/problem+json`, as Airflow 2 does.
    ProblemJson,
    /// `{"error": …}`, as the experimental API does.
    Error,
}

/// What the gate noticed: feeds metrics, access log and audit log.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The route's template: a bounded label.
    pub route: &'static str,
    /// The form of an error of the gate's own.
    pub errors: ErrorForm,
    /// Each backend that had something to say, with its verdict.
    pub trail: Trail,
    /// The backend that accepted.
    pub backend: Option<&'static str>,
    /// Who, and what for.
    pub grant: Option<Arc<Grant>>,
    /// The name that came with a password that nobody accepted, for the audit log alone.
    pub claimed: Option<Box<str>>,
    /// Whether the verdict came from a cache.
    pub cached: bool,
    /// The proof that the client spoke to the right party, for the answer, whoever gives it.
    pub proof: Option<HeaderValue>,
    /// Why the gate itself refused, as a bounded label for metrics and logs.
    pub refused: Option<&'static str>,
    /// What the log needs to know of the refusal and no client may see.
    pub cause: Option<String>,
    /// What lacks a user who is not known to Airflow, for the audit log.
    pub lacking: Option<&'static str>,
    /// Whether a page size was lowered.
    pub clamped: bool,
    /// The operation of Airflow 3's that the request was translated to.
    pub translated: Option<Operation>,
    /// The token endpoint that issued a token.
    pub issued: Option<&'static str>,
}
