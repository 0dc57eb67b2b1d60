//! The APIs of Airflow 2, answered by Airflow 3: a table of rows, each an operation of then and what it is today.
//!
//! A request is read as its row says ([`asked`]), becomes one call or a few on `/api/v2` ([`calls`]), made as the
//! caller, and the answer is written as its row says ([`shape`]). What a table cannot say is a function that its
//! row names. How a row is added is told in `ARCHITECTURE.md`.

pub mod asked;
pub mod body;
pub mod calls;
pub mod events;
pub mod experimental;
pub mod fault;
mod form;
pub mod path;
pub mod python;
pub mod query;
pub mod row;
pub mod shape;
mod step;
#[cfg(test)]
mod tests;
pub mod v1;
pub mod value;
pub mod workers;

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, Method};

use self::path::Params;
use self::row::Row;
use self::workers::Workers;
use super::decision::ReplyPlan;
use super::route::{Api, Effect, Release, Route, RouteKind, Verb};
use crate::ports::{Chunks, StreamClient};

/// Translates requests.
pub struct Translator {
    tables: HashMap<Old, Table>,
    airflow: Arc<dyn StreamClient>,
    workers: Workers,
    release: Release,
}

/// The operations of an API, by template and method.
type Table = HashMap<(&'static str, Verb), &'static Row>;

/// An API of Airflow 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Old {
    /// `/api/v1`.
    Stable,
    /// `/api/experimental`.
    Experimental,
}

/// Which APIs are translated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// `[api] enable_stable_v1`.
    pub stable: bool,
    /// `[api] enable_experimental_api`.
    pub experimental: bool,
    /// `[upstream] airflow`: Airflow 2 has these APIs itself.
    pub release: Release,
}

/// A request that has been let in, and is to be translated once its body is there.
pub struct Ticket {
    old: Old,
    what: What,
    params: Params,
    query: String,
    /// What Airflow is told of the caller, with each call.
    headers: HeaderMap,
    /// Whether the token among them came from the upstream, and may be refused by it.
    issued: bool,
    effect: Effect,
    reply: ReplyPlan,
}

/// What a request is for.
#[derive(Clone, Copy)]
enum What {
    Operation(&'static Row),
    /// A path of the API's, with a method that it does not have.
    Method,
    /// Nothing that the API has.
    Nothing,
}

/// What becomes of a request that was resumed.
pub enum Resumed {
    /// It goes to the upstream after all.
    Forwarded(super::decision::Forward),
    /// All of it.
    Whole(super::reply::Reply),
    /// Its head, and a body that comes in pieces.
    Streamed(super::reply::Reply, Box<dyn Chunks>),
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its headers hold a credential.
        f.debug_struct("Ticket").field("old", &self.old).finish_non_exhaustive()
    }
}

impl Translator {
    /// Translates what the settings say, and asks `airflow`. Large bodies are left to `workers`.
    pub fn new(settings: Settings, airflow: Arc<dyn StreamClient>, workers: Workers) -> Self {
        let mut tables = HashMap::new();
        let is_translated = match settings.release {
            Release::Airflow2 => false,
            Release::Airflow3 | Release::Unknown => true,
        };
        if is_translated {
            let on = [(Old::Stable, settings.stable), (Old::Experimental, settings.experimental)];
            tables.extend(on.into_iter().filter(|(_, on)| *on).map(|(old, _)| (old, old.table())));
        }
        Self { tables, airflow, workers, release: settings.release }
    }

    /// The API that a route belongs to, if it is one that is translated.
    fn old(&self, route: &Route) -> Option<Old> {
        let old = match route.kind {
            RouteKind::Api(operation) => match operation.api {
                Api::Stable => Old::Stable,
                Api::Public | Api::Fab => return None,
            },
            RouteKind::Experimental(_) => Old::Experimental,
            RouteKind::Token(_) | RouteKind::Other(_) => return None,
        };
        self.tables.contains_key(&old).then_some(old)
    }

    fn what(&self, old: Old, route: &Route, method: &Method) -> What {
        let Some(table) = self.tables.get(&old) else { return What::Nothing };
        // As Flask does, which answers HEAD wherever it answers GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let verb = Verb::of(method);
        match verb.and_then(|verb| table.get(&(route.template, verb))) {
            Some(row) => What::Operation(row),
            None if table.keys().any(|(template, _)| *template == route.template) => What::Method,
            None => What::Nothing,
        }
    }
}

impl Old {
    /// Its operations.
    pub fn rows(self) -> impl Iterator<Item = &'static Row> {
        match self {
            Self::Stable => v1::ROWS,
            Self::Experimental => experimental::ROWS,
        }
        .iter()
        .flat_map(|rows| rows.iter())
    }

    fn table(self) -> Table {
        self.rows().map(|row| ((row.old.path, row.old.verb), row)).collect()
    }
}
