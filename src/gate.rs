//! The gate: what happens to a request, top to bottom.
