//! What a request target is: API, token endpoint, or something else.

mod airflow2;
mod airflow3;
mod base;
#[cfg(test)]
mod tests;
mod tree;

use http::Method;

use super::target::{InvalidTarget, Target};
use super::token::Endpoint;
pub use base::{BasePath, InvalidBasePath};
use tree::Tree;
pub use tree::Verb;

/// The routes, as configured. Built once for each configuration.
pub struct Routes {
    settings: RouteSettings,
    public: Tree,
    fab: Tree,
    stable: Tree,
    experimental: Tree,
    ui: Tree,
}

/// What decides about routes in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteSettings {
    /// Path part of `[api] base_url`. Airflow answers with it and without it: so do we, as the same
    /// route.
    pub base_path: Option<BasePath>,
    /// `[gate] other_routes`.
    pub other_routes: OtherRoutes,
    /// `[api] enable_experimental_api`. Off, `/api/experimental` is none of the API's routes. Default off.
    pub experimental: bool,
    /// `[upstream] airflow`.
    pub release: Release,
}

/// Which Airflow the routes lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Release {
    /// It has no token endpoints, reads page sizes as Python does, and tells errors as
    /// `application/problem+json`.
    Airflow2,
    /// The usual one.
    #[default]
    Airflow3,
    /// It has not been heard yet. Treated as Airflow 3, and page sizes as by both; what Airflow 2 would have to be sent
    /// as it came is not sent at all.
    Unknown,
}

impl Release {
    /// Its major version, if it is known.
    pub fn number(self) -> Option<u8> {
        match self {
            Self::Airflow2 => Some(2),
            Self::Airflow3 => Some(3),
            Self::Unknown => None,
        }
    }
}

/// What is let through that is neither API nor token endpoint. Default: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherRoutes {
    /// Nothing.
    #[default]
    Deny,
    /// Everything that browsers need: all but `/execution`.
    Ui,
    /// Everything, the Task Execution API of the workers included.
    All,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What it is.
    pub kind: RouteKind,
    /// The path template, for metrics and logs: one of a fixed set, whatever the client sends.
    pub template: &'static str,
}

/// The kinds of routes, each with a treatment of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// A REST API: authenticated unless open, clamped, forwarded.
    Api(Operation),
    /// A token endpoint: answered here.
    Token(Endpoint),
    /// `/api/experimental`, where enabled.
    Experimental(Effect),
    /// Anything else: `[gate] other_routes` decides.
    Other(Passage),
}

/// An operation of a REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Which API.
    pub api: Api,
    /// Who may ask.
    pub access: Access,
    /// Whether it changes something.
    pub effect: Effect,
    /// How it is told the size of a page.
    pub paging: Paging,
}

/// The REST APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// Airflow 3's `/api/v2`, with `/openapi.json`.
    Public,
    /// The FAB auth manager's `/auth/fab/v1`.
    Fab,
    /// Airflow 2's stable API, `/api/v1`. Airflow 3 answers 404 there.
    Stable,
}

/// Who may ask for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anybody, as in Airflow, with whatever method: Airflow answers 405 to the others.
    Open,
    /// Whoever the chain accepts.
    Authenticated,
}

/// Whether an operation changes something, so that a foreign page must not have a browser ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It only reads: `GET`, `HEAD`, `OPTIONS`, and the `POST` and `PATCH` that Airflow has for lists with
    /// a long filter and for dry runs.
    Reads,
    /// It may change something. Everything that is not known to only read.
    Changes,
}

/// How an operation is told the size of a page. Tells where an absent one is filled in; a `limit` that
/// is there is clamped on every route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Paging {
    /// Not at all, as far as is known.
    None,
    /// By the query parameter `limit`.
    Limit,
    /// Likewise, and of the runs to each row by `dag_runs_limit`.
    LimitAndRuns,
    /// By `page_limit` in the JSON body.
    PageLimit,
}

/// What `[gate] other_routes` says of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Passage {
    /// Forwarded with its credentials: Airflow judges them itself.
    Allowed,
    /// Likewise, and clamped: the API of Airflow 3's own user interface, below `/ui`.
    Paged(Paging),
    /// 404.
    Denied,
    /// 404 too: the experimental API, which `[api] enable_experimental_api` turns on.
    Off,
}

impl Routes {
    /// Builds the routes of a configuration.
    pub fn new(settings: RouteSettings) -> Self {
        Self {
            settings,
            public: Tree::new(PUBLIC, airflow3::PUBLIC),
            fab: Tree::new(FAB, airflow3::FAB),
            stable: Tree::new(STABLE, airflow2::STABLE),
            experimental: Tree::new(EXPERIMENTAL, airflow2::EXPERIMENTAL),
            ui: Tree::new(UI_API, airflow3::UI),
        }
    }

    /// The path that Airflow may have before its own, and its cookies with it.
    pub fn base_path(&self) -> Option<&BasePath> {
        self.settings.base_path.as_ref()
    }

    /// Which Airflow they lead to.
    pub fn release(&self) -> Release {
        self.settings.release
    }

    /// Finds the route of a target. Exact by segment, and case-sensitive.
    ///
    /// # Errors
    /// The target decodes to an API or token path and is not written as one: answer with 400.
    pub fn find(&self, target: &Target<'_>, method: &Method) -> Result<Route, InvalidTarget> {
        let decoded = target.decoded();
        // All that stands before `rest`, base path included, and the slash that `rest` begins with.
        let written = |rest: &str| {
            let end = decoded.len() - rest.len() + usize::from(!rest.is_empty());
            if end <= target.plain_length() { Ok(()) } else { Err(InvalidTarget::EncodedPrefix) }
        };
        match self.place(decoded) {
            Place::Api { api, rest } => {
                written(rest)?;
                Ok(self.operation(api, rest, target, method))
            }
            Place::Document if target.is_encoded() => Ok(self.other(Reach::Ui)),
            Place::Document => Ok(Route {
                kind: RouteKind::Api(Operation {
                    api: Api::Public,
                    access: Access::Open,
                    effect: effect_of(method),
                    paging: Paging::None,
                }),
                template: DOCUMENT,
            }),
            Place::Token(_) if target.is_encoded() => Err(InvalidTarget::EncodedPrefix),
            Place::Token(endpoint) => {
                Ok(Route { kind: RouteKind::Token(endpoint), template: endpoint.path() })
            }
            Place::Experimental { rest } => {
                written(rest)?;
                let template = self.experimental.find(rest, Verb::of(method));
                let template = template.map_or("/api/experimental/{unknown}", |found| found.row.template);
                let effect = experimental_effect(rest, method);
                Ok(Route { kind: RouteKind::Experimental(effect), template })
            }
            Place::Other(reach) => {
                let reach = self.behind_empty_segments(target)?.unwrap_or(reach);
                Ok(self.other(reach))
            }
        }
    }

    /// A decoded path without the base path, if it leads to an API with it.
    pub fn inner<'p>(&self, path: &'p str) -> &'p str {
        let inner = self.settings.base_path.as_ref().and_then(|base| base.strip(path));
        inner.filter(|inner| !matches!(self.place_within(inner), Place::Other(_))).unwrap_or(path)
    }

    /// Where a decoded path leads, with the base path taken off or, failing that, as it is.
    fn place<'p>(&self, path: &'p str) -> Place<'p> {
        let inner = self.settings.base_path.as_ref().and_then(|base| base.strip(path));
        match inner.map(|inner| self.place_within(inner)) {
            None | Some(Place::Other(Reach::Ui)) => self.place_within(path),
            Some(place) => place,
        }
    }

    fn place_within<'p>(&self, path: &'p str) -> Place<'p> {
        for api in [Api::Public, Api::Fab, Api::Stable] {
            if let Some(rest) = below(path, api.prefix()) {
                return Place::Api { api, rest };
            }
        }
        if let Some(rest) = below(path, EXPERIMENTAL).filter(|_| self.settings.experimental) {
            return Place::Experimental { rest };
        }
        let endpoints: &[Endpoint] = match self.settings.release {
            Release::Airflow2 => &[],
            Release::Airflow3 | Release::Unknown => &[Endpoint::Token, Endpoint::Cli],
        };
        if let Some(&endpoint) = endpoints.iter().find(|endpoint| path == endpoint.path()) {
            return Place::Token(endpoint);
        }
        if path == DOCUMENT {
            Place::Document
        } else if below(path, EXECUTION).is_some() {
            Place::Other(Reach::Execution)
        } else if below(path, EXPERIMENTAL).is_some() {
            Place::Other(Reach::Experimental)
        } else if let Some(rest) = below(path, UI_API) {
            Place::Other(Reach::UiApi(self.ui_paging(rest)))
        } else {
            Place::Other(Reach::Ui)
        }
    }

    /// Looks at a path again, without the empty segments that encoded slashes make: some servers drop
    /// them, so `/api%2F%2Fv2` and `/%2Fexecution` must not pass for something else.
    fn behind_empty_segments(&self, target: &Target<'_>) -> Result<Option<Reach>, InvalidTarget> {
        if !target.is_encoded() || !target.decoded().contains("//") {
            return Ok(None);
        }
        let segments = target.decoded().split('/').filter(|segment| !segment.is_empty());
        let path: String = segments.flat_map(|segment| ["/", segment]).collect();
        match self.place(&path) {
            Place::Api { .. } | Place::Token(_) | Place::Experimental { .. } => {
                Err(InvalidTarget::EncodedPrefix)
            }
            Place::Document => Ok(None),
            Place::Other(reach) => Ok(Some(reach)),
        }
    }

    fn operation(&self, api: Api, rest: &str, target: &Target<'_>, method: &Method) -> Route {
        let tree = match api {
            Api::Public => &self.public,
            Api::Fab => &self.fab,
            Api::Stable => &self.stable,
        };
        let found = tree.find(rest, Verb::of(method));
        let known = found.and_then(|found| found.entry);
        let access = match found.map(|found| found.row.access) {
            Some(Access::Open) if !target.is_encoded() => Access::Open,
            Some(Access::Open | Access::Authenticated) | None => Access::Authenticated,
        };
        let effect = known.map_or_else(|| effect_of(method), |entry| entry.effect);
        let paging = known.map_or_else(|| paging_of(rest, method), |entry| entry.paging);
        Route {
            kind: RouteKind::Api(Operation { api, access, effect, paging }),
            template: found.map_or(api.unknown(), |found| found.row.template),
        }
    }

    /// How a list of the user interface's API is told the size of a page. It has lists by `GET` alone.
    fn ui_paging(&self, rest: &str) -> Paging {
        let found = self.ui.find(rest, Some(Verb::Get));
        found.and_then(|found| found.entry).map_or(Paging::None, |entry| entry.paging)
    }

    fn other(&self, reach: Reach) -> Route {
        let passage = match (self.settings.other_routes, reach) {
            (OtherRoutes::Deny, Reach::Ui | Reach::UiApi(_) | Reach::Execution) => Passage::Denied,
            (OtherRoutes::Deny, Reach::Experimental) => Passage::Off,
            (OtherRoutes::Ui, Reach::Execution) => Passage::Denied,
            (OtherRoutes::Ui | OtherRoutes::All, Reach::UiApi(paging)) => Passage::Paged(paging),
            (OtherRoutes::Ui, Reach::Ui | Reach::Experimental) => Passage::Allowed,
            (OtherRoutes::All, Reach::Ui | Reach::Experimental | Reach::Execution) => Passage::Allowed,
        };
        let template = match reach {
            Reach::Ui | Reach::UiApi(_) | Reach::Experimental => "/{path}",
            Reach::Execution => "/execution/{path}",
        };
        Route { kind: RouteKind::Other(passage), template }
    }
}

impl Api {
    fn prefix(self) -> &'static str {
        match self {
            Self::Public => PUBLIC,
            Self::Fab => FAB,
            Self::Stable => STABLE,
        }
    }

    /// The template of a path that the table does not have.
    fn unknown(self) -> &'static str {
        match self {
            Self::Public => "/api/v2/{unknown}",
            Self::Fab => "/auth/fab/v1/{unknown}",
            Self::Stable => "/api/v1/{unknown}",
        }
    }
}

const PUBLIC: &str = "/api/v2";
const FAB: &str = "/auth/fab/v1";
const STABLE: &str = "/api/v1";
const EXPERIMENTAL: &str = "/api/experimental";
const UI_API: &str = "/ui";
const EXECUTION: &str = "/execution";
const DOCUMENT: &str = "/openapi.json";

/// Where a decoded path leads, however it was written.
enum Place<'p> {
    Api { api: Api, rest: &'p str },
    Experimental { rest: &'p str },
    Token(Endpoint),
    Document,
    Other(Reach),
}

/// What `[gate] other_routes` tells apart.
#[derive(Clone, Copy)]
enum Reach {
    Ui,
    UiApi(Paging),
    /// The experimental API where it is not enabled.
    Experimental,
    Execution,
}

impl Route {
    /// Whether a request for it changes something.
    pub fn effect(&self) -> Effect {
        match self.kind {
            RouteKind::Api(operation) => operation.effect,
            RouteKind::Experimental(effect) => effect,
            RouteKind::Token(_) | RouteKind::Other(_) => Effect::Changes,
        }
    }
}

/// What is left of a path below a prefix: nothing, or something that begins with a slash.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is to be expected of a method where the operation is not known.
fn effect_of(method: &Method) -> Effect {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Effect::Reads,
        _ => Effect::Changes,
    }
}

/// What is to be expected of an operation that is not known: both Airflows call the lists that take
/// their filter as a body `list`.
fn paging_of(rest: &str, method: &Method) -> Paging {
    if *method == Method::POST && rest.ends_with("/list") { Paging::PageLimit } else { Paging::None }
}

/// The experimental API sets `paused` with a `GET`: `/dags/{dag_id}/paused/{paused}`.
fn experimental_effect(rest: &str, method: &Method) -> Effect {
    let mut segments = rest.split('/').skip(1);
    let pauses = segments.next() == Some("dags") && segments.nth(1) == Some("paused");
    if pauses && segments.next().is_some() { Effect::Changes } else { effect_of(method) }
}
