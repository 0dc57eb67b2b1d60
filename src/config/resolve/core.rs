//! `[core]`.

use super::parse;
use super::reader::{Reader, Resolved, values};
use crate::config::airflow::expand;
use crate::config::location::Located;
use crate::config::options as o;
use crate::config::settings::Core;

impl Reader<'_> {
    pub(super) fn core(&mut self) -> Resolved<Core> {
        let option = &o::CORE_SIMPLE_AUTH_MANAGER_USERS;
        let at = self.at(option);
        let users = self.list(option, parse::simple_user);
        let passwords = self.path(&o::CORE_SIMPLE_AUTH_MANAGER_PASSWORDS_FILE);
        let users = users?;
        for (i, user) in users.iter().enumerate() {
            if users[..i].iter().any(|u| u.name == user.name) {
                let message = format!("{}: the user {:?} occurs twice", option.title(), user.name);
                self.findings.errors.push(&user.at, message);
            }
        }
        let generated =
            self.environment.get("AIRFLOW_HOME").filter(|home| !home.is_empty()).and_then(|home| {
                let home = expand::expand(home, self.environment).ok()?;
                let file =
                    self.folders.working.join(home).join("simple_auth_manager_passwords.json.generated");
                Some(Located::default_value(file))
            });
        Ok(Core {
            simple_users: at.filter(|_| !users.is_empty()).map(|at| Located::new(values(users), at)),
            simple_passwords_file: passwords?.or(generated),
        })
    }
}
