//! The gate: what happens to a request, top to bottom.
//!
//! Pure: given a request's head, its peer and the time, it says what is to be done. It opens no
//! socket and reads no clock; what waits (a backend's password check, say) is behind traits.

pub mod cors;
pub mod cross_site;
pub mod decision;
pub mod forward;
pub mod headers;
pub mod limit;
pub mod log_in;
pub mod mint;
pub mod quota;
pub mod reply;
pub mod route;
pub mod target;
pub mod token;
pub mod translate;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, EXPECT, ORIGIN, SET_COOKIE, TRANSFER_ENCODING, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::auth::basic::Scratch;
use crate::auth::chain::{Accepted, Cause, Chain, Refusal, Trail};
use crate::auth::credentials::Credentials;
use crate::auth::{Attempt, Grant, Onward, Reason, Scope};
use crate::request::Request;
use cross_site::Own;
use decision::{Edits, ErrorForm, Forward, List, Outcome, Pending, ReplyPlan, Step};
use limit::{Clamped, ClampedBody, Dialect, ListEndpoint, PageLimit};
use log_in::LogIn;
use mint::{Mint, MintError, Presented};
use quota::Quota;
use reply::{Problem, Reply};
use route::{Access, Api, BasePath, Effect, Operation, Paging, Passage, Release, Route, RouteKind, Routes};
use target::Target;
use translate::{Resumed, Translator};

static INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"Airflow\", error=\"invalid_token\"");
static PAGE_LIMIT: HeaderName = HeaderName::from_static("x-airgate-page-limit");

/// Everything that decides. Built from the settings, replaced whole on reload.
pub struct Gate {
    /// Which routes there are.
    pub routes: Routes,
    /// CORS, if any origin is allowed.
    pub cors: Option<cors::Policy>,
    /// The page size.
    pub limit: PageLimit,
    /// Who may in.
    pub chain: Chain,
    /// What the upstream is told.
    pub mint: Mint,
    /// How many requests a user may make, where that is limited.
    pub quota: Option<Quota>,
    /// Log-ins at the token endpoints.
    pub log_in: LogIn,
    /// The APIs of Airflow 2, in front of Airflow 3.
    pub translator: Translator,
}

impl Gate {
    /// Decides a request by its head alone.
    pub async fn decide(&self, request: &Request<'_>, outcome: &mut Outcome) -> Step {
        match self.try_decide(request, outcome).await {
            Ok(Step::Reply(reply)) => Step::Reply(self.dress(request, reply, outcome)),
            Ok(step) => step,
            Err(problem) => Step::Reply(self.fail(request, &problem, outcome)),
        }
    }

    /// Goes on with a request whose body has been read. At a token endpoint the chain has not run before; where it
    /// has, it does not run again.
    pub async fn resume(
        &self,
        pending: Pending,
        request: &Request<'_>,
        body: Bytes,
        outcome: &mut Outcome,
    ) -> Resumed {
        let answered = match pending {
            Pending::Token(endpoint) => self.token(endpoint, request, &body, outcome).await,
            Pending::List(list) => return Resumed::Forwarded(self.list(*list, request, body, outcome)),
            Pending::Translation(ticket) => return self.translate(*ticket, request, body, outcome).await,
        };
        Resumed::Whole(match answered {
            Ok(reply) => self.dress(request, reply.no_store(), outcome),
            Err(problem) => self.fail(request, &problem, outcome).no_store(),
        })
    }

    /// The answer to a problem, as complete as any other.
    pub fn fail(&self, request: &Request<'_>, problem: &Problem, outcome: &mut Outcome) -> Reply {
        outcome.refused = Some(problem.label());
        if let Problem::Refused(refusal) = problem
            && let Cause::Unavailable { outages, .. } = &refusal.cause
        {
            let causes: Vec<_> =
                outages.iter().map(|(backend, cause)| format!("{backend}: {cause}")).collect();
            outcome.cause = Some(causes.join("; "));
        }
        if let Problem::ExperimentalOff = problem {
            outcome.cause = Some("[api] enable_experimental_api is false".to_owned());
        }
        if let Problem::NoRoom(full) = problem {
            outcome.cause = Some(full.to_string());
        }
        let mut reply = match outcome.errors {
            ErrorForm::Detail => Reply::problem(problem),
            ErrorForm::ProblemJson => Reply::problem_json(problem),
            ErrorForm::Error => Reply::problem_error(problem),
        };
        if let (Problem::Refused(refusal), Some(base)) = (problem, self.routes.base_path())
            && refusal.clear_cookie
        {
            // Airflow clears the one at "/" as well, which older versions have set.
            reply = reply.clear_cookie(&format!("{}/", base.as_str()));
        }
        self.dress(request, reply, outcome)
    }

    /// The changes to an answer of the upstream.
    pub fn on_reply(&self, plan: &ReplyPlan, status: StatusCode, answered: &http::HeaderMap) -> Edits {
        let mut edits = Edits::default();
        if let Some(policy) = &self.cors {
            edits.remove.extend(cors::REPLACED.iter().filter(|name| answered.contains_key(*name)).cloned());
            edits.set.extend(policy.on_reply(plan.origin.as_ref()).into_headers());
            edits.set.extend(cors::vary(answered.get_all(VARY)).map(|vary| (VARY, vary)));
        }
        if let Some(limit) = &plan.page_limit {
            edits.set.push((PAGE_LIMIT.clone(), limit.clone()));
        }
        if let Some(proof) = proves(status, plan.proof.as_ref()) {
            edits.set.push((WWW_AUTHENTICATE, proof.clone()));
        }
        if plan.strip_cookies
            && let Some(kept) = forward::kept_cookies(answered)
        {
            edits.remove.push(SET_COOKIE);
            edits.append.extend(kept.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        }
        edits
    }

    /// Forgets the password that a grant was for, so that it is checked again.
    fn forget(&self, request: &Request<'_>, grant: &Arc<Grant>) -> bool {
        let Ok(credentials) = Credentials::read(&request.head.headers) else { return false };
        let mut scratch = Scratch::new();
        scratch
            .login(&credentials)
            .is_some_and(|login| self.log_in.passwords.forget(login, request.peer, grant, request.now))
    }

    /// The upstream refused a token that it had issued itself: forgets it, unless it is so new that
    /// the refusal must have another reason. Says whether it was forgotten.
    pub fn refused(&self, request: &Request<'_>, grant: &Arc<Grant>) -> bool {
        match &grant.onward {
            Onward::Issued(_) => self.forget(request, grant),
            Onward::Unchanged | Onward::Cookies | Onward::Minted { .. } | Onward::Keycloak(_) => false,
        }
    }

    async fn try_decide(&self, request: &Request<'_>, outcome: &mut Outcome) -> Result<Step, Problem> {
        let head = request.head;
        outcome.errors = unread_error_form(request.target, self.routes.base_path());
        let target = Target::parse(request.target, request.host()).map_err(Problem::Target)?;
        let route = self.routes.find(&target, &head.method).map_err(Problem::Target)?;
        outcome.route = route.template;
        outcome.errors = error_form(&route.kind, self.routes.release());
        if cors::is_preflight(&head.method, &head.headers) {
            match (&self.cors, route.kind) {
                (Some(policy), _) => {
                    let preflight = policy.preflight(&head.headers);
                    if preflight.status != StatusCode::OK {
                        outcome.refused = Some(cors::Policy::REFUSED);
                        outcome.cause = Some(preflight.body.clone());
                    }
                    return Ok(Step::Reply(preflight.into()));
                }
                (None, RouteKind::Other(Passage::Denied | Passage::Off)) => {}
                // The upstream may have a policy of its own, and browsers send no credentials here.
                (None, _) => return self.forward(request, &target, &route, None, outcome).await,
            }
        }
        let (scope, effect) = match route.kind {
            RouteKind::Token(endpoint) if head.method == Method::POST => {
                return Ok(Step::Body(Pending::Token(endpoint)));
            }
            RouteKind::Token(endpoint) => {
                return Ok(Step::Reply(self.log_in.wrong_method(endpoint, &head.method)));
            }
            RouteKind::Other(Passage::Denied) => return Err(Problem::NoRoute),
            RouteKind::Other(Passage::Off) => return Err(Problem::ExperimentalOff),
            RouteKind::Other(Passage::Allowed | Passage::Paged(_)) => {
                return self.forward(request, &target, &route, None, outcome).await;
            }
            RouteKind::Api(operation) => match operation.access {
                Access::Open => {
                    if let Some(ticket) = self.ticket(request, &target, &route, None, outcome).await? {
                        return Ok(Step::Body(Pending::Translation(ticket)));
                    }
                    return self.forward(request, &target, &route, None, outcome).await;
                }
                Access::Authenticated => (Scope::Api, operation.effect),
            },
            RouteKind::Experimental(effect) => (Scope::Experimental, effect),
        };
        let credentials = Credentials::read(&head.headers).map_err(Problem::Credentials)?;
        let forwarded = forwarded(&target)?;
        let attempt = Attempt { request, credentials, target: &forwarded, scope };
        let grant = self.authenticate(&attempt, effect, outcome).await?;
        if let Some(ticket) = self.ticket(request, &target, &route, Some(&grant), outcome).await? {
            return Ok(Step::Body(Pending::Translation(ticket)));
        }
        self.forward(request, &target, &route, Some(&grant), outcome).await
    }

    /// Asks the chain, and refuses what a foreign page has a browser change with credentials that it
    /// sends by itself.
    async fn authenticate(
        &self,
        attempt: &Attempt<'_>,
        effect: Effect,
        outcome: &mut Outcome,
    ) -> Result<Arc<Grant>, Problem> {
        // Another one decides a request anew whose token the upstream refused.
        let is_first = outcome.grant.is_none();
        outcome.trail = Trail::default();
        let evaluated = self.chain.evaluate(attempt, &mut outcome.trail).await;
        let Accepted { grant, backend, cached, proof } = evaluated.map_err(|refusal| {
            let mut scratch = Scratch::new();
            outcome.claimed = scratch.login(&attempt.credentials).map(|login| login.username().into());
            Problem::Refused(refusal.into())
        })?;
        outcome.backend = Some(backend);
        outcome.cached = cached;
        outcome.proof = proof;
        outcome.grant = Some(grant.clone());
        if let Some(quota) = self.quota.as_ref().filter(|_| is_first) {
            quota.take(&grant.identity, attempt.request.now).map_err(Problem::TooManyRequests)?;
        }
        match (grant.ambient, effect) {
            (true, Effect::Changes) => {
                let request = attempt.request;
                let own = request.authority().map(|authority| Own { authority, tls: request.peer.tls });
                cross_site::check(&request.head.headers, own, self.cors.as_ref())
                    .map_err(Problem::CrossSite)?;
            }
            (true, Effect::Reads) | (false, Effect::Reads | Effect::Changes) => {}
        }
        Ok(grant)
    }

    /// What the upstream is told of who calls.
    async fn present(
        &self,
        request: &Request<'_>,
        grant: &Arc<Grant>,
        outcome: &mut Outcome,
    ) -> Result<Presented, Problem> {
        let presented = self.mint.present(grant, request.now).await;
        presented.map_err(|error| {
            if let MintError::Ended(_) = error {
                self.forget(request, grant);
            }
            mint_problem(error, outcome)
        })
    }

    /// Sends a request on: clamped, with the identity that the upstream understands.
    async fn forward(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        route: &Route,
        grant: Option<&Arc<Grant>>,
        outcome: &mut Outcome,
    ) -> Result<Step, Problem> {
        let presented = match grant {
            Some(grant) => Some(self.present(request, grant, outcome).await?),
            None => None,
        };
        let query = match paging(&route.kind, self.routes.release()) {
            Some((dialect, endpoint)) => self.limit.clamp(target.query(), dialect, endpoint),
            None => Clamped::Unchanged,
        };
        let (uri, lowered) = match &query {
            Clamped::Unchanged if target.is_verbatim() => (None, false),
            Clamped::Unchanged => (Some(target.uri(target.query()).map_err(Problem::Target)?), false),
            Clamped::Rewritten { query, lowered } => {
                (Some(target.uri(Some(query)).map_err(Problem::Target)?), *lowered)
            }
        };
        outcome.clamped = lowered;
        let forward = Forward {
            uri,
            body: None,
            headers: forward::request(request, &route.kind, presented.as_ref()),
            issued: matches!(presented, Some(Presented::Replaced(_)))
                && grant.is_some_and(|grant| matches!(grant.onward, Onward::Issued(_))),
            reply: ReplyPlan {
                origin: self.cors.as_ref().and_then(|_| request.head.headers.get(ORIGIN).cloned()),
                page_limit: lowered.then(|| HeaderValue::from(self.limit.maximum())),
                strip_cookies: matches!(presented, Some(Presented::Header | Presented::Replaced(_))),
                proof: outcome.proof.clone(),
            },
        };
        let dialect = page_in_body(&route.kind, self.routes.release())
            .filter(|_| limit::may_be_json(content_types(request)));
        Ok(match dialect {
            Some(dialect) => Step::Body(Pending::List(List { forward, dialect }.into())),
            None => Step::Forward(forward),
        })
    }

    /// Sends on a list whose body is here: with the page size in it clamped, and its length known.
    fn list(&self, list: List, request: &Request<'_>, body: Bytes, outcome: &mut Outcome) -> Forward {
        let List { mut forward, dialect } = list;
        let (body, lowered) = match self.limit.clamp_body(&body, dialect) {
            ClampedBody::Unchanged => (body, None),
            ClampedBody::Rewritten { body, lowered } => (body.into(), lowered),
        };
        if let Some(page) = lowered {
            outcome.clamped = true;
            forward.reply.page_limit = Some(HeaderValue::from(page));
        }
        let sent = &request.head.headers;
        // Whoever waited for a go-ahead has been given it.
        forward.headers.remove.extend([EXPECT].into_iter().filter(|name| sent.contains_key(name)));
        if !body.is_empty() {
            forward.headers.remove.push(TRANSFER_ENCODING);
            forward.headers.set.push((CONTENT_LENGTH, HeaderValue::from(body.len())));
            forward.body = Some(body);
        }
        forward
    }

    /// What every answer of our own gets: CORS and `Vary`, as if Airflow had answered, and the proof for
    /// a client that asked for one.
    fn dress(&self, request: &Request<'_>, mut reply: Reply, outcome: &Outcome) -> Reply {
        if let Some(proof) = proves(reply.status, outcome.proof.as_ref()) {
            reply.headers.push((WWW_AUTHENTICATE, proof.clone()));
        }
        if reply.headers.iter().any(|(name, _)| name == VARY) {
            return reply; // a preflight comes with all of its headers
        }
        match &self.cors {
            Some(policy) => {
                reply.headers.extend(policy.on_reply(request.head.headers.get(ORIGIN)).into_headers());
                reply.with(VARY, HeaderValue::from_static("Accept-Encoding, Origin"))
            }
            None => reply.with(VARY, HeaderValue::from_static("Accept-Encoding")),
        }
    }
}

/// Path and query as they are forwarded, page sizes aside.
fn forwarded<'a>(target: &Target<'a>) -> Result<Cow<'a, str>, Problem> {
    match target.verbatim() {
        Some(verbatim) => Ok(verbatim.into()),
        None => Ok(target.uri(target.query()).map_err(Problem::Target)?.to_string().into()),
    }
}

/// How errors are told of a target that cannot be read: as its start says.
fn unread_error_form(target: &[u8], base: Option<&BasePath>) -> ErrorForm {
    let slashes = target.iter().take_while(|&&byte| byte == b'/').count();
    let path = target.get(slashes.saturating_sub(1)..).unwrap_or_default();
    let inner = path.strip_prefix(base.map_or("", BasePath::as_str).as_bytes()).unwrap_or(path);
    if inner.starts_with(b"/api/v1/") { ErrorForm::ProblemJson } else { ErrorForm::Detail }
}

/// How an API tells errors.
fn error_form(kind: &RouteKind, release: Release) -> ErrorForm {
    match kind {
        RouteKind::Api(operation) => match (operation.api, release) {
            (Api::Stable, _) | (Api::Fab, Release::Airflow2) => ErrorForm::ProblemJson,
            (Api::Public, _) | (Api::Fab, Release::Airflow3 | Release::Unknown) => ErrorForm::Detail,
        },
        RouteKind::Experimental(_) | RouteKind::Other(Passage::Off) => ErrorForm::Error,
        RouteKind::Token(_) | RouteKind::Other(Passage::Allowed | Passage::Paged(_) | Passage::Denied) => {
            ErrorForm::Detail
        }
    }
}

/// How an API reads page sizes; `None` for what is not an API.
fn paging(kind: &RouteKind, release: Release) -> Option<(Dialect, ListEndpoint)> {
    match kind {
        RouteKind::Api(operation) => {
            let dialect = match (operation.api, release) {
                (Api::Public, _) => Dialect::Airflow3,
                (Api::Fab, Release::Airflow3) => Dialect::Airflow3Fab,
                (Api::Fab, Release::Unknown) => Dialect::AnyFab,
                (Api::Fab, Release::Airflow2) | (Api::Stable, _) => Dialect::Airflow2,
            };
            Some((dialect, list_endpoint(operation.paging)))
        }
        RouteKind::Experimental(_) => Some((Dialect::Airflow2, ListEndpoint::No)),
        RouteKind::Other(Passage::Paged(paging)) => Some((Dialect::Airflow3, list_endpoint(*paging))),
        RouteKind::Token(_) | RouteKind::Other(Passage::Allowed | Passage::Denied | Passage::Off) => None,
    }
}

fn list_endpoint(paging: Paging) -> ListEndpoint {
    match paging {
        Paging::Limit => ListEndpoint::Yes,
        Paging::LimitAndRuns => ListEndpoint::WithRuns,
        Paging::None | Paging::PageLimit => ListEndpoint::No,
    }
}

/// How an API reads the page size in a body, where an operation has it there.
fn page_in_body(kind: &RouteKind, release: Release) -> Option<Dialect> {
    let RouteKind::Api(Operation { paging: Paging::PageLimit, .. }) = kind else { return None };
    paging(kind, release).map(|(dialect, _)| dialect)
}

fn content_types<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a [u8]> {
    request.head.headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes)
}

/// The proof of an answer with this status. With a 401 it would ask for another round (RFC 4559, section
/// 5), which is not what is meant.
fn proves(status: StatusCode, proof: Option<&HeaderValue>) -> Option<&HeaderValue> {
    proof.filter(|_| status != StatusCode::UNAUTHORIZED)
}

/// As an expired token is refused: whoever sent it must log in again.
fn ended() -> Problem {
    let cause = Cause::Unauthorized(Some(Reason::TokenExpired));
    Problem::Refused(
        Refusal { cause, challenges: smallvec::smallvec![INVALID_TOKEN.clone()], clear_cookie: false }.into(),
    )
}

fn refused(cause: Cause) -> Problem {
    let refusal = Refusal { cause, challenges: smallvec::SmallVec::new(), clear_cookie: false };
    Problem::Refused(refusal.into())
}

fn mint_problem(error: MintError, outcome: &mut Outcome) -> Problem {
    outcome.cause = Some(error.to_string());
    outcome.lacking = error.lacking();
    match error {
        MintError::Unknown(..) | MintError::Inactive(_) | MintError::Several(_) => Problem::UnknownToAirflow,
        MintError::Unavailable(outage) => refused(Cause::Unavailable {
            retry_after: outage.retry_after,
            outages: std::iter::once(("identity", outage.cause)).collect(),
        }),
        MintError::Ended(_) => ended(),
        MintError::Sign(_) => Problem::Internal,
    }
}

#[cfg(test)]
mod tests;
