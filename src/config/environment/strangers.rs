//! Variables that begin like ours and are none: misspelt ones, and those of others.

use crate::config::options;

/// What a variable is that is not `AIRGATE__…`.
#[derive(Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Of another program, or read elsewhere.
    NotOurs,
    /// Most likely meant for this one, whose name it is.
    Misspelt(String),
    /// Nobody's that is known.
    Unknown,
}

/// What is said of an unknown one.
pub const UNKNOWN: &str =
    "is not read: options are AIRGATE__SECTION__KEY, and AIRGATE_CONF names the configuration file";

/// Variables that are read elsewhere: [`super::super::Sources`], and the process before at an upgrade.
const KNOWN: &[&str] = &["AIRGATE_CONF", "AIRGATE_INHERIT_SOCKETS"];

/// Of airgate's own tests and scripts.
const OWN_SCRIPTS: &[&str] = &["AIRGATE_TEST_", "AIRGATE_WRITE_", "AIRGATE_DEV"];

/// More differences are no slip of the fingers, and refusing to start for a variable of somebody else's is worse
/// than a warning.
const SLIPS: usize = 2;

/// What a variable is that does not begin with `AIRGATE__`.
pub fn judge(variable: &str) -> Stranger {
    let own = KNOWN.contains(&variable) || OWN_SCRIPTS.iter().any(|prefix| variable.starts_with(prefix));
    if !variable.starts_with("AIRGATE_") || own || is_of_a_service(variable) {
        return Stranger::NotOurs;
    }
    nearest(variable).map_or(Stranger::Unknown, Stranger::Misspelt)
}

/// The variable of ours that differs least, when it differs little. How many underscores there are counts for nothing.
pub fn nearest(variable: &str) -> Option<String> {
    let bare = |name: &str| name.trim_start_matches("AIRGATE_").replace("__", "_");
    let wrong = bare(variable);
    let options = options::ALL.iter().filter(|option| !option.repeats());
    let options = options.flat_map(|option| {
        let command = option.secret.then(|| format!("{}_CMD", option.variable()));
        [option.variable()].into_iter().chain(command)
    });
    let all = options.chain(["AIRGATE_CONF".to_owned()]);
    all.map(|name| (strsim::damerau_levenshtein(&wrong, &bare(&name)), name))
        .filter(|(distance, name)| *distance <= SLIPS.min(wrong.len().max(bare(name).len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Kubernetes puts these into every container for each Service: for one called `airgate` or `airgate-admin`
/// `AIRGATE_SERVICE_HOST`, `AIRGATE_ADMIN_SERVICE_PORT_HTTP`, `AIRGATE_PORT`, `AIRGATE_PORT_8080_TCP_ADDR`.
fn is_of_a_service(variable: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| variable.ends_with(end));
    let of_a_port = variable.match_indices("_PORT_").any(|(at, found)| {
        let mut parts = variable.get(at + found.len()..).unwrap_or_default().split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        number && parts.next().is_some_and(|part| matches!(part, "TCP" | "UDP" | "SCTP"))
    });
    ends || of_a_port || variable.contains("_SERVICE_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_apart() {
        let misspelt = |name: &str| Stranger::Misspelt(name.to_owned());
        for (variable, expected) in [
            ("AIRGATE_CONF", Stranger::NotOurs),
            ("AIRGATE_INHERIT_SOCKETS", Stranger::NotOurs),
            ("AIRFLOW_HOME", Stranger::NotOurs),
            ("AIRGATE", Stranger::NotOurs),
            ("AIRGATE_TEST_KEYCLOAK", Stranger::NotOurs),
            ("AIRGATE_DEV_PORT", Stranger::NotOurs),
            ("AIRGATE_SERVICE_HOST", Stranger::NotOurs),
            ("AIRGATE_SERVICE_PORT", Stranger::NotOurs),
            ("AIRGATE_SERVICE_PORT_HTTP", Stranger::NotOurs),
            ("AIRGATE_PORT", Stranger::NotOurs),
            ("AIRGATE_PORT_8080_TCP", Stranger::NotOurs),
            ("AIRGATE_PORT_8080_TCP_ADDR", Stranger::NotOurs),
            ("AIRGATE_PORT_53_UDP_PROTO", Stranger::NotOurs),
            ("AIRGATE_ADMIN_SERVICE_HOST", Stranger::NotOurs),
            ("AIRGATE_ADMIN_PORT_9091_TCP", Stranger::NotOurs),
            ("AIRGATE_CONFIG", misspelt("AIRGATE_CONF")),
            ("AIRGATE_CNF", misspelt("AIRGATE_CONF")),
            ("AIRGATE_SERVER_LISTEN", misspelt("AIRGATE__SERVER__LISTEN")),
            ("AIRGATE_SERVER__LISTEN", misspelt("AIRGATE__SERVER__LISTEN")),
            ("AIRGATE_UPSTREAM_ULR", misspelt("AIRGATE__UPSTREAM__URL")),
            ("AIRGATE_SERVER_TLS_KEY", misspelt("AIRGATE__SERVER__TLS__KEY")),
            ("AIRGATE_API_AUTH_JWT_SECRET_CMD", misspelt("AIRGATE__API_AUTH__JWT_SECRET_CMD")),
            ("AIRGATE_PORT_FORWARD", Stranger::Unknown),
            ("AIRGATE_CODE", Stranger::Unknown),
            ("AIRGATE_CORE", Stranger::Unknown),
            ("AIRGATE_VERSION", Stranger::Unknown),
            ("AIRGATE_IMAGE_TAG", Stranger::Unknown),
        ] {
            assert_eq!(judge(variable), expected, "{variable}");
        }
        assert_eq!(nearest("AIRGATE__SERVER_LISTEN").as_deref(), Some("AIRGATE__SERVER__LISTEN"));
        assert_eq!(nearest("AIRGATE__NONSENSE"), None);
    }

    /// Nothing that Kubernetes makes up is one of our own.
    #[test]
    fn no_option_looks_like_a_service() {
        for option in options::ALL {
            assert!(!is_of_a_service(&option.variable()), "{}", option.title());
        }
    }
}
