//! Names of sections and keys: known, renamed, not yet available, unknown.

use super::options::{self, Alias, Opt};

/// What a name is.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// An option.
    Option(&'static Opt),
    /// Another name of an option.
    Alias(&'static Opt, &'static Alias),
    /// Planned, but not in this release. The text says so.
    Unavailable(String),
    /// Nothing. The text says so, and names the nearest.
    Unknown(String),
}

/// Options of Flask-AppBuilder's `AUTH_LDAP` that are no options here, and why.
const NOT_OFFERED: &[(&str, &str)] = &[
    ("tls_demand", "leave it out: certificates are always verified"),
    (
        "allow_self_signed",
        "leave it out: whoever answered would be given every password. Put the server's certificate into tls_cacertfile",
    ),
    ("tls_cacertdir", "put the certificates into one file, and name it in tls_cacertfile"),
    ("bind_first", "leave it out: with bind_user that is bound first, else the user's own name"),
    ("group_field", ROLES),
    ("firstname_field", REGISTRATION),
    ("lastname_field", REGISTRATION),
    ("email_field", REGISTRATION),
];
const ROLES: &str = "leave it out: roles are Airflow's. search_filter can ask for a group";
const REGISTRATION: &str = "leave it out: airgate registers no users";

/// What a section and key of our own sources mean.
pub fn lookup(section: &str, key: &str) -> Known {
    let (shown, section) = (section, table(section));
    if section == BACKEND || section.starts_with("backend.") {
        return Known::Unknown(FREE.to_owned());
    }
    if let Some(option) = options::find(section, key) {
        return Known::Option(option);
    }
    for option in options::ALL {
        if let Some(alias) = option.aliases.iter().find(|a| a.section == section && a.key == key) {
            return Known::Alias(option, alias);
        }
    }
    if let ("ldap", Some((_, reason))) = (section, NOT_OFFERED.iter().find(|(name, _)| *name == key)) {
        return Known::Unavailable(format!("[ldap] {key}: {reason}"));
    }
    if has_table(section, key) {
        return Known::Unknown(format!(
            "[{section}] {key} is a table: write {key} = {{ … }} or [{section}.{key}]"
        ));
    }
    Known::Unknown(unknown(shown, key))
}

/// The section of tables that belong to backends registered in Rust.
pub const BACKEND: &str = "backend";
/// Why no option is one of a backend's own table.
const FREE: &str =
    "[backend.NAME] is a table that the backend itself reads: write it into the configuration file";

/// Tables in sections, which are sections of their own: `tls` in `[server]` is `[server.tls]`.
const TABLES: &[(&str, &str)] = &[("server", "tls")];

/// Whether a key of a section is a table, and a section of its own.
pub fn has_table(section: &str, key: &str) -> bool {
    TABLES.contains(&(section, key))
}

/// The section of the table of options that a section is one of.
fn table(section: &str) -> &str {
    if callout(section).is_some() { options::CALLOUTS } else { section }
}

/// The name in `callout.NAME`, if a section is one of these and the name is one.
pub fn callout(section: &str) -> Option<&str> {
    section.strip_prefix("callout.").filter(|name| is_name(name))
}

/// Whether a callout or a backend of one's own may be called so.
pub fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

/// Why a name is none.
pub const NO_NAME: &str = "a name is made of up to 64 letters, digits, `-` and `_`";

/// Whether there is such a section, or a message that says why not.
///
/// # Errors
/// The message.
pub fn section(section: &str) -> Result<(), String> {
    match section {
        "callout" => return Err("[callout] holds tables with names: write [callout.NAME]".into()),
        BACKEND => return Err("[backend] holds tables with names: write [backend.NAME]".into()),
        _ if callout(section).is_some() => return Ok(()),
        _ if section.starts_with("callout.") => return Err(format!("[{section}]: {NO_NAME}")),
        _ => {}
    }
    let alias = |o: &Opt| o.aliases.iter().any(|a| a.section == section);
    if options::ALL.iter().any(|o| o.section == section || alias(o)) {
        return Ok(());
    }
    Err(unknown_section(section))
}

fn unknown_section(section: &str) -> String {
    let nearest = nearest(section, options::SECTIONS.iter().map(|(name, _)| *name));
    match nearest {
        Some(name) => format!("unknown section [{section}]; the nearest is [{name}]"),
        None => {
            let all: Vec<String> = options::SECTIONS.iter().map(|(name, _)| format!("[{name}]")).collect();
            format!("unknown section [{section}]; there are {}", all.join(", "))
        }
    }
}

fn unknown(section_name: &str, key: &str) -> String {
    match section(section_name) {
        Err(message) if section_name.starts_with("callout") => return message,
        Err(_) => return unknown_section(section_name),
        Ok(()) => {}
    }
    let elsewhere = options::ALL.iter().find(|o| o.key == key && !o.repeats());
    let within = options::ALL.iter().filter(|o| o.section == table(section_name)).map(|o| o.key);
    let hint = match (nearest(key, within.clone()), elsewhere) {
        (Some(name), _) => format!("the nearest is {name}"),
        (None, Some(option)) => format!("there is {}", option.title()),
        (None, None) => match nearest_anywhere(key) {
            Some(option) => format!("the nearest is {}", option.title()),
            None => format!("there are {}", within.collect::<Vec<_>>().join(", ")),
        },
    };
    format!("unknown key {key} in [{section_name}]; {hint}")
}

fn nearest_anywhere(key: &str) -> Option<&'static Opt> {
    let name = nearest(key, options::ALL.iter().filter(|o| !o.repeats()).map(|o| o.key))?;
    options::ALL.iter().find(|o| o.key == name)
}

/// The name that differs least, when it differs little: what a typing error makes of it.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    names
        .map(|name| (strsim::damerau_levenshtein(&wrong, name), name))
        .filter(|(distance, name)| *distance <= (name.len().max(wrong.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let rows = [
            (
                "misspelt key",
                "api",
                "auth_backnds",
                "unknown key auth_backnds in [api]; the nearest is auth_backends",
            ),
            (
                "key of another section",
                "server",
                "auth_backends",
                "unknown key auth_backends in [server]; there is [api] auth_backends",
            ),
            (
                "misspelt key of another section",
                "gate",
                "auth_backnds",
                "unknown key auth_backnds in [gate]; the nearest is [api] auth_backends",
            ),
            (
                "nothing near",
                "gate",
                "zzzzzzzzzzzz",
                "unknown key zzzzzzzzzzzz in [gate]; there are airflow_cfg, other_routes",
            ),
            ("misspelt section", "apii", "auth_backends", "unknown section [apii]; the nearest is [api]"),
            (
                "section not near",
                "zzzzzz",
                "x",
                "unknown section [zzzzzz]; there are [server], [server.tls], [admin], [upstream], [basic], [ldap], [gate], [core], [api], [api_auth], [database], [kerberos], [keycloak_auth_manager], [lockout], [redis], [limits], [log], [jwt.issuers], [callout.NAME]",
            ),
            (
                "not offered",
                "ldap",
                "group_field",
                "[ldap] group_field: leave it out: roles are Airflow's. search_filter can ask for a group",
            ),
            ("misspelt", "ldap", "usr_field", "unknown key usr_field in [ldap]; the nearest is uid_field"),
            (
                "misspelt key of Keycloak",
                "keycloak_auth_manager",
                "client",
                "unknown key client in [keycloak_auth_manager]; the nearest is client_id",
            ),
            (
                "misspelt key of a named section",
                "callout.mine",
                "ur",
                "unknown key ur in [callout.mine]; the nearest is url",
            ),
            (
                "no name",
                "callout.my service",
                "url",
                "[callout.my service]: a name is made of up to 64 letters, digits, `-` and `_`",
            ),
            (
                "a backend's own table",
                "backend.mine",
                "url",
                "[backend.NAME] is a table that the backend itself reads: write it into the configuration file",
            ),
            ("a table", "server", "tls", "[server] tls is a table: write tls = { … } or [server.tls]"),
            (
                "misspelt key of a table",
                "server.tls",
                "certificat",
                "unknown key certificat in [server.tls]; the nearest is certificate",
            ),
        ];
        for (name, section, key, expected) in rows {
            match lookup(section, key) {
                Known::Unavailable(message) | Known::Unknown(message) => {
                    assert_eq!(message, expected, "{name}")
                }
                Known::Option(option) | Known::Alias(option, _) => panic!("{name}: {}", option.title()),
            }
        }
    }

    #[test]
    fn other_names_lead_to_the_option() {
        for (section, key, expected) in [
            ("api", "auth_backend", "api.auth_backends"),
            ("fab", "auth_backends", "api.auth_backends"),
            ("api", "access_control_allow_origin", "api.access_control_allow_origins"),
            ("webserver", "base_url", "api.base_url"),
            ("api", "page_size", "api.fallback_page_limit"),
            ("api", "jwt_audience", "api_auth.jwt_audience"),
        ] {
            match lookup(section, key) {
                Known::Alias(option, _) => assert_eq!(option.path(), expected),
                other => panic!("{section}.{key}: {other:?}"),
            }
        }
    }
}
