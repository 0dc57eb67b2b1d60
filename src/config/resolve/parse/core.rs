//! `[core]`.

use super::{Fault, Parsed, because};
use crate::config::settings::SimpleUser;

/// A user of the simple auth manager.
pub fn simple_user(text: &str) -> Parsed<SimpleUser> {
    let teams = |teams: &str| Some(teams.split('|').map(str::to_owned).collect());
    let (name, role, teams) = match text.split(':').collect::<Vec<_>>().as_slice() {
        [name, role] => (*name, *role, None),
        [name, role, of] if is_role(role) || !is_role(of) => (*name, *role, teams(of)),
        // A name with colons, as Kubernetes' service accounts have; Airflow itself knows none, and is not asked.
        [_, _, .., role, of] if is_role(role) && !is_role(of) => {
            (&text[..text.len() - role.len() - of.len() - 2], *role, teams(of))
        }
        [_, _, .., role] => (&text[..text.len() - role.len() - 1], *role, None),
        [_] | [] => return Err(Fault::Expected),
    };
    if name.is_empty() {
        return Err(Fault::Expected);
    }
    if !is_role(role) {
        return because(format!("expected the role viewer, user, op or admin, found {role:?}"));
    }
    Ok(SimpleUser { name: name.to_owned(), role: role.to_owned(), teams })
}

fn is_role(text: &str) -> bool {
    ["viewer", "user", "op", "admin"].iter().any(|role| text.eq_ignore_ascii_case(role))
}
