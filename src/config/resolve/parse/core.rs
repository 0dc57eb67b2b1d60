//! `[core]`.

use super::{Fault, Parsed, because};
use crate::config::settings::SimpleUser;

/// A user of the simple auth manager.
pub fn simple_user(text: &str) -> Parsed<SimpleUser> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, role, teams) = match parts.as_slice() {
        [name, role] => (*name, *role, None),
        [name, role, teams] => (*name, *role, Some(teams.split('|').map(str::to_owned).collect())),
        _ => return Err(Fault::Expected),
    };
    if name.is_empty() {
        return Err(Fault::Expected);
    }
    match role.to_ascii_lowercase().as_str() {
        "viewer" | "user" | "op" | "admin" => {
            Ok(SimpleUser { name: name.to_owned(), role: role.to_owned(), teams })
        }
        _ => because(format!("expected the role viewer, user, op or admin, found {role:?}")),
    }
}
