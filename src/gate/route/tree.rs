//! Finds the template of a path, segment by segment, without allocation.

use http::Method;

use super::{Access, Effect, Paging};

/// A path template of the API, with what each method does there.
#[derive(Debug)]
pub(super) struct Row {
    /// As in the OpenAPI document, e.g. `/api/v2/pools/{pool_name}`.
    pub template: &'static str,
    /// What the last parameter takes.
    pub span: Span,
    /// Who may ask.
    pub access: Access,
    /// By method.
    pub entries: &'static [Entry],
}

/// What the last parameter of a template takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// One segment, which is not empty.
    Segment,
    /// All that is left, slashes included, and be it nothing: `{name:path}` of starlette.
    Rest,
}

/// What one method does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub verb: Verb,
    pub effect: Effect,
    pub paging: Paging,
}

/// A method that the API has operations for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Verb> for Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Get => Self::GET,
            Verb::Post => Self::POST,
            Verb::Put => Self::PUT,
            Verb::Patch => Self::PATCH,
            Verb::Delete => Self::DELETE,
        }
    }
}

impl Verb {
    /// As it is written in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// `None` for any other method, `HEAD` included: Airflow answers 405.
    pub fn of(method: &Method) -> Option<Self> {
        match method.as_str() {
            "GET" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "PUT" => Some(Self::Put),
            "PATCH" => Some(Self::Patch),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// A table as a tree of segments.
///
/// Where several templates match, the first one in the table that has the method wins, else the first
/// one: as in starlette, which tries its routes in the order in which they were added.
pub(super) struct Tree {
    rows: &'static [Row],
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    literals: Vec<(&'static str, usize)>,
    parameter: Option<usize>,
    /// The row whose template ends here.
    end: Option<usize>,
    /// The row whose last parameter takes all from here on.
    rest: Option<usize>,
}

/// What a path and a method were found to be.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub row: &'static Row,
    /// `None` where the template does not have the method.
    pub entry: Option<&'static Entry>,
    index: usize,
}

impl Tree {
    /// Builds the tree of a table whose templates all begin with `prefix`, which has no slash at the
    /// end.
    pub(super) fn new(prefix: &str, rows: &'static [Row]) -> Self {
        let mut tree = Self { rows, nodes: vec![Node::default()] };
        for (index, row) in rows.iter().enumerate() {
            if let Some(rest) = row.template.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
                tree.insert(rest, index, row.span);
            }
        }
        tree
    }

    fn insert(&mut self, template: &'static str, index: usize, span: Span) {
        let mut node = 0;
        let mut segments = template.split('/').peekable();
        while let Some(segment) = segments.next() {
            let parameter = segment.starts_with('{');
            if parameter && span == Span::Rest && segments.peek().is_none() {
                self.nodes[node].rest.get_or_insert(index);
                return;
            }
            node = if parameter { self.parameter(node) } else { self.literal(node, segment) };
        }
        self.nodes[node].end.get_or_insert(index);
    }

    fn parameter(&mut self, node: usize) -> usize {
        let new = self.nodes.len();
        let next = *self.nodes[node].parameter.get_or_insert(new);
        if next == new {
            self.nodes.push(Node::default());
        }
        next
    }

    fn literal(&mut self, node: usize, segment: &'static str) -> usize {
        if let Some(next) = self.nodes[node].literal(segment) {
            return next;
        }
        let new = self.nodes.len();
        self.nodes[node].literals.push((segment, new));
        self.nodes.push(Node::default());
        new
    }

    /// Finds what is behind the prefix of the tree: nothing, or a path that begins with a slash.
    pub(super) fn find(&self, path: &str, verb: Option<Verb>) -> Option<Found> {
        let mut found = None;
        self.walk(0, path.strip_prefix('/'), verb, &mut found);
        found
    }

    /// Follows every template that matches. As deep as the longest template, at most.
    fn walk(&self, node: usize, path: Option<&str>, verb: Option<Verb>, found: &mut Option<Found>) {
        let node = &self.nodes[node];
        let Some(path) = path else {
            self.consider(node.end, verb, found);
            return;
        };
        self.consider(node.rest, verb, found);
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        if let Some(next) = node.literal(segment) {
            self.walk(next, rest, verb, found);
        }
        if let Some(next) = node.parameter.filter(|_| !segment.is_empty()) {
            self.walk(next, rest, verb, found);
        }
    }

    fn consider(&self, index: Option<usize>, verb: Option<Verb>, found: &mut Option<Found>) {
        let Some(index) = index else { return };
        let row = &self.rows[index];
        let entry = row.entries.iter().find(|entry| Some(entry.verb) == verb);
        let better = found.is_none_or(|best| (entry.is_none(), index) < (best.entry.is_none(), best.index));
        if better {
            *found = Some(Found { row, entry, index });
        }
    }
}

impl Node {
    fn literal(&self, segment: &str) -> Option<usize> {
        self.literals.iter().find(|(literal, _)| *literal == segment).map(|&(_, next)| next)
    }
}
