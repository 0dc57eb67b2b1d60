//! The gate's steps for a request that is translated: let in, then carried out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::asked::{Asked, Came, Content, Told};
use super::calls::Calls;
use super::fault::Fault;
use super::form::{self, Failed};
use super::path::Params;
use super::row::{Body, Row};
use super::{Old, Resumed, Ticket, What};
use crate::auth::{Grant, Onward};
use crate::gate::decision::{Outcome, Pending, ReplyPlan, Step};
use crate::gate::mint::Presented;
use crate::gate::reply::{Problem, Reply};
use crate::gate::route::{Effect, Release, Route};
use crate::gate::target::Target;
use crate::gate::{Gate, PAGE_LIMIT, forward};
use crate::request::Request;

static TRANSLATED: HeaderName = HeaderName::from_static("x-airgate-translated");

impl Ticket {
    /// Whether a body is to be read for it.
    pub fn takes_body(&self) -> bool {
        match self.what {
            What::Operation(row) => !matches!(row.body, Body::None),
            What::Method | What::Nothing => false,
        }
    }

    /// Whether carrying it out changes something.
    pub fn effect(&self) -> Effect {
        self.effect
    }
}

impl Gate {
    /// Lets a request in that is to be translated; `None` where it is none of those.
    pub(in crate::gate) async fn ticket(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        route: &Route,
        grant: Option<&Arc<Grant>>,
        outcome: &mut Outcome,
    ) -> Result<Option<Box<Ticket>>, Problem> {
        let Some(old) = self.translator.old(route) else { return Ok(None) };
        if self.translator.release == Release::Unknown {
            outcome.cause = Some("the upstream has not said yet which Airflow it is".into());
            return Err(Problem::UpstreamDown);
        }
        let what = self.translator.what(old, route, &request.head.method);
        let presented = match grant {
            Some(grant) => Some(self.present(request, grant, outcome).await?),
            None => None,
        };
        if let What::Operation(row) = what {
            outcome.translated = Some(row.new);
        }
        Ok(Some(Box::new(Ticket {
            old,
            what,
            params: Params::read(route.template, self.routes.inner(target.decoded())),
            query: target.query().unwrap_or_default().to_owned(),
            headers: headers(request, route, presented.as_ref()),
            issued: matches!(presented, Some(Presented::Replaced(_)))
                && grant.is_some_and(|grant| matches!(grant.onward, Onward::Issued(_))),
            effect: route.effect(),
            reply: ReplyPlan {
                strip_cookies: !matches!(presented, Some(Presented::Cookies)),
                ..ReplyPlan::default()
            },
        })))
    }

    /// Carries a translated request out, once its body is there. If Airflow refuses the token that it gave for the
    /// client's password, a request that changes nothing is let in anew, once.
    pub(in crate::gate) async fn translate(
        &self,
        ticket: Ticket,
        request: &Request<'_>,
        body: Bytes,
        outcome: &mut Outcome,
    ) -> Resumed {
        let effect = ticket.effect;
        let (resumed, forgotten) = self.carry_out(ticket, request, body.clone(), outcome).await;
        if forgotten && effect == Effect::Reads {
            outcome.refused = None;
            match Box::pin(self.decide(request, outcome)).await {
                Step::Body(Pending::Translation(ticket)) => {
                    return self.carry_out(*ticket, request, body, outcome).await.0;
                }
                Step::Reply(reply) => return Resumed::Whole(reply),
                Step::Body(Pending::Token(_) | Pending::List(_)) | Step::Forward(_) => {}
            }
        }
        resumed
    }

    /// Likewise, and whether Airflow's own token was refused and is forgotten.
    async fn carry_out(
        &self,
        ticket: Ticket,
        request: &Request<'_>,
        body: Bytes,
        outcome: &mut Outcome,
    ) -> (Resumed, bool) {
        let Ticket { old, what, params, query, headers, issued, effect: _, reply: plan } = ticket;
        let row = match what {
            What::Operation(row) => row,
            What::Method | What::Nothing => {
                return (Resumed::Whole(self.unknown(old, what, request, outcome)), false);
            }
        };
        let calls = {
            let (airflow, workers) = (self.translator.airflow.clone(), self.translator.workers.clone());
            Calls::new(airflow, headers, self.limit, workers)
        };
        let came = Came {
            old,
            row,
            params: params.clone(),
            query: &query,
            body,
            headers: &request.head.headers,
            now: request.now,
        };
        let asked = match Asked::read(came, calls).await {
            Ok(asked) => asked,
            Err(fault) => {
                let failed = Failed { row: Some(row), params: &params, came: None };
                let reply = named(self.fault(old, fault, &failed, request, outcome), row);
                return (Resumed::Whole(reply), false);
            }
        };
        let carried_out = asked.carry_out().await;
        let forgotten = match (&carried_out, &outcome.grant) {
            (Err(Fault::Airflow(answered)), Some(grant)) if issued => {
                matches!(answered.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                    && self.refused(request, grant)
            }
            _ => false,
        };
        let lowered =
            asked.query.lowered || asked.body.lowered || carried_out.as_ref().is_ok_and(|told| told.lowered);
        let (mut reply, stream) = match carried_out {
            Ok(Told { status, content_type, body, lowered: _ }) => {
                let (body, stream) = match body {
                    Content::Whole(body) => (body, None),
                    Content::Streamed(chunks) => (Bytes::new(), Some(chunks)),
                };
                let mut reply = Reply { status, headers: smallvec::SmallVec::new(), body };
                reply.headers.extend(content_type.map(|kind| (CONTENT_TYPE, kind)));
                let reply = match old {
                    Old::Stable => reply,
                    Old::Experimental => reply.deprecated(),
                };
                (self.dress(request, reply, outcome), stream)
            }
            Err(fault) => {
                let failed = Failed { row: Some(row), params: &asked.params, came: Some(asked.came()) };
                (self.fault(old, fault, &failed, request, outcome), None)
            }
        };
        reply = named(reply, row);
        if lowered {
            outcome.clamped = true;
            reply = reply.with(PAGE_LIMIT.clone(), HeaderValue::from(self.limit.maximum()));
        }
        if !plan.strip_cookies {
            let cookies = asked.calls.cookies();
            reply.headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        }
        let resumed = match stream {
            Some(stream) => Resumed::Streamed(reply, stream),
            None => Resumed::Whole(reply),
        };
        (resumed, forgotten)
    }

    /// A path or a method that the API does not have.
    fn unknown(&self, old: Old, what: What, request: &Request<'_>, outcome: &mut Outcome) -> Reply {
        let fault = match what {
            What::Method if request.head.method == Method::OPTIONS => {
                let reply = Reply::json(StatusCode::OK, "");
                let reply = match old {
                    Old::Stable => reply,
                    Old::Experimental => reply.deprecated(),
                };
                return self.dress(request, reply, outcome);
            }
            What::Method => Fault::no_method(),
            What::Nothing | What::Operation(_) => Fault::no_route(),
        };
        let failed = Failed { row: None, params: &Params::default(), came: None };
        self.fault(old, fault, &failed, request, outcome)
    }

    fn fault(
        &self,
        old: Old,
        fault: Fault,
        failed: &Failed<'_>,
        request: &Request<'_>,
        outcome: &mut Outcome,
    ) -> Reply {
        match form::reply(old, fault, failed) {
            Ok(reply) => self.dress(request, reply, outcome),
            Err((problem, cause)) => {
                let reply = self.fail(request, &problem, outcome);
                outcome.cause = cause;
                reply
            }
        }
    }
}

/// An answer that says what became of its operation, whether it was carried out or refused.
fn named(reply: Reply, row: &Row) -> Reply {
    match HeaderValue::try_from(row.new.to_string()) {
        Ok(operation) => reply.with(TRANSLATED.clone(), operation),
        Err(_) => reply,
    }
}

/// What Airflow is told with each call: who the caller is, from where, and in which trace. Nothing else of the request
/// goes on.
fn headers(request: &Request<'_>, route: &Route, presented: Option<&Presented>) -> HeaderMap {
    let sent = &request.head.headers;
    let edits = forward::request(request, &route.kind, presented);
    let mut headers = HeaderMap::new();
    let credential = match presented {
        Some(Presented::Header) => Some(&AUTHORIZATION),
        Some(Presented::Cookies) => Some(&COOKIE),
        Some(Presented::Replaced(_)) | None => None,
    };
    let vouched = forward::VOUCHED.iter().filter(|name| !edits.remove.contains(name));
    for name in credential.into_iter().chain(vouched.copied()) {
        for value in sent.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    for (name, value) in edits.set {
        if name != COOKIE {
            headers.insert(name, value);
        }
    }
    headers
}
