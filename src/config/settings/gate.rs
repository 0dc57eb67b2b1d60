//! `[gate]`.

/// `[gate]`.
#[derive(Debug, Clone)]
pub struct Gate {
    /// `other_routes`. Default deny.
    pub other_routes: OtherRoutes,
}

/// `[gate] other_routes`: what becomes of a request that is neither for the API nor for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherRoutes {
    /// 404.
    Deny,
    /// The user interface's are forwarded.
    Ui,
    /// All are forwarded, `/execution` included.
    All,
}
