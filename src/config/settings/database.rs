//! `[database]`.

use crate::config::location::Located;
use crate::secret::Secret;

/// `[database]`.
#[derive(Debug, Clone)]
pub struct Database {
    /// `sql_alchemy_conn`, as it was written. Not empty.
    pub url: Located<Secret>,
    /// `sql_alchemy_schema`. Default: the database's own.
    pub schema: Option<Located<String>>,
}
