//! `[core]`.

use std::path::PathBuf;

use crate::config::location::Located;

/// `[core]`.
#[derive(Debug, Clone)]
pub struct Core {
    /// `simple_auth_manager_users`, each name once. `None` when nobody wrote it: Airflow's own
    /// default, `admin:admin`, is not assumed.
    pub simple_users: Option<Located<Vec<SimpleUser>>>,
    /// `simple_auth_manager_passwords_file`. Default
    /// `$AIRFLOW_HOME/simple_auth_manager_passwords.json.generated`; `None` without `AIRFLOW_HOME`.
    pub simple_passwords_file: Option<Located<PathBuf>>,
}

/// A user of the simple auth manager, `name:role` or `name:role:team|team`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleUser {
    /// The name. Not empty.
    pub name: String,
    /// The role as written, e.g. `admin`: Airflow compares it in upper case.
    pub role: String,
    /// Its teams; `None` when no third part is written, as in Airflow.
    pub teams: Option<Vec<String>>,
}
