//! Every option there is, in one table: `check`, `config get-value`, `--help`, the nearest-key
//! suggestions, `conf/airgate.toml` and the table of `docs/configuration.md` all come from it.

/// The options of a section: a constant each, and all of them.
macro_rules! options {
    ($($name:ident { $($body:tt)* })*) => {
        $(
            #[doc = "See [`ALL`](crate::config::options::ALL)."]
            pub const $name: Opt = Opt { $($body)*, ..BLANK };
        )*
        /// The options of this section, in order.
        pub(super) const SECTION: &[Opt] = &[$($name),*];
    };
}

mod admin;
mod api;
mod api_auth;
mod basic;
mod callout;
mod core;
mod database;
mod gate;
mod issuers;
mod kerberos;
mod keycloak;
mod ldap;
mod limits;
mod lockout;
mod log;
mod redis;
pub mod reference;
mod server;
mod tls;
mod upstream;

pub use self::admin::*;
pub use self::api::*;
pub use self::api_auth::*;
pub use self::basic::*;
pub use self::callout::*;
pub use self::core::*;
pub use self::database::*;
pub use self::gate::*;
pub use self::issuers::*;
pub use self::kerberos::*;
pub use self::keycloak::*;
pub use self::ldap::*;
pub use self::limits::*;
pub use self::lockout::*;
pub use self::log::*;
pub use self::redis::*;
pub use self::server::*;
pub use self::tls::*;
pub use self::upstream::*;

/// One option of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// Section, e.g. `api`. `jwt.issuers` is an array of tables.
    pub section: &'static str,
    /// Key within the section.
    pub key: &'static str,
    /// What a value looks like.
    pub shape: Shape,
    /// What is allowed, for error messages: "expected …".
    pub allowed: &'static str,
    /// The default as one would write it on a command line. Empty: not set.
    pub default: &'static str,
    /// A value to show where there is no default.
    pub example: &'static str,
    /// Never printed, and a `_CMD` variant exists, as in Airflow.
    pub secret: bool,
    /// Whether Airflow has it: then `airflow.cfg` and `AIRFLOW__SECTION__KEY` are read too.
    pub airflow: bool,
    /// Other names, first is preferred.
    pub aliases: &'static [Alias],
    /// The effect, in a sentence or two.
    pub help: &'static str,
}

/// What a value looks like, and how a list is cut out of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A text such as `20s`, or a whole number of seconds.
    Duration,
    /// A word, or a whole number.
    WordOrInteger,
    /// `true` or `false`.
    Boolean,
    /// An array, or a text with commas or white space between the items.
    List,
    /// An array, or a text with commas between the items.
    CommaList,
    /// An array, or one text that is one item whatever it holds.
    ArrayList,
}

impl Shape {
    /// Whether it may be several values.
    pub fn is_list(self) -> bool {
        match self {
            Self::List | Self::CommaList | Self::ArrayList => true,
            Self::Text | Self::Integer | Self::Duration | Self::WordOrInteger | Self::Boolean => false,
        }
    }
}

/// Another name of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// Its section.
    pub section: &'static str,
    /// Its key.
    pub key: &'static str,
    /// What the name is.
    pub age: Age,
}

/// What another name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// A name that some release of Airflow still uses properly: no warning where Airflow's own
    /// sources use it.
    Current,
    /// A name that Airflow has left behind: always a warning.
    Old,
}

const fn current(section: &'static str, key: &'static str) -> Alias {
    Alias { section, key, age: Age::Current }
}

const fn old(section: &'static str, key: &'static str) -> Alias {
    Alias { section, key, age: Age::Old }
}

const BLANK: Opt = Opt {
    section: "",
    key: "",
    shape: Shape::Text,
    allowed: "a text",
    default: "",
    example: "",
    secret: false,
    airflow: false,
    aliases: &[],
    help: "",
};

const SECONDS: &str = "a duration such as \"20s\" or \"5m\", or a whole number of seconds";
const ADDRESSES: &str = "an address and port such as \"127.0.0.1:8081\", or \"unix:\" and an absolute path";

/// All options, section by section.
pub const ALL: &[Opt] = &all::<{ count() }>();

/// The sections, in the order of the table.
const TABLES: &[&[Opt]] = &[
    server::SECTION,
    tls::SECTION,
    admin::SECTION,
    upstream::SECTION,
    basic::SECTION,
    ldap::SECTION,
    gate::SECTION,
    core::SECTION,
    api::SECTION,
    api_auth::SECTION,
    database::SECTION,
    lockout::SECTION,
    redis::SECTION,
    limits::SECTION,
    log::SECTION,
    kerberos::SECTION,
    keycloak::SECTION,
    issuers::SECTION,
    callout::SECTION,
];

const fn count() -> usize {
    let (mut count, mut table) = (0, 0);
    while table < TABLES.len() {
        count += TABLES[table].len();
        table += 1;
    }
    count
}

const fn all<const N: usize>() -> [Opt; N] {
    let mut all = [BLANK; N];
    let (mut at, mut table) = (0, 0);
    while table < TABLES.len() {
        let mut row = 0;
        while row < TABLES[table].len() {
            all[at] = TABLES[table][row];
            at += 1;
            row += 1;
        }
        table += 1;
    }
    all
}

/// The array of tables, whose options repeat.
pub const ISSUERS: &str = "jwt.issuers";

/// The tables of services of one's own, whose options repeat under the name of each.
pub const CALLOUTS: &str = "callout.NAME";

/// What the introduction of a section says, in the order of the sections.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "Where and how airgate listens."),
    (
        "server.tls",
        "TLS with clients. In place of this section tls = { certificate = \"…\", key = \"…\" } may stand in [server], not beside it: take this section out, then.",
    ),
    ("admin", "Metrics and health: a port of its own."),
    ("upstream", "The Airflow behind airgate."),
    ("basic", "Name and password, on the API and on the token endpoints."),
    ("ldap", "The source ldap: the AUTH_LDAP_* options of Flask-AppBuilder, lower case, without the prefix."),
    ("gate", "What passes."),
    ("core", "As in airflow.cfg."),
    ("api", "As in airflow.cfg, with the options of Airflow 2 that Airflow 3 left behind."),
    ("api_auth", "As in airflow.cfg: the tokens of Airflow itself. The values must be Airflow's own."),
    ("database", "As in airflow.cfg: Airflow's metadata database, read and never written."),
    ("kerberos", "As in airflow.cfg: the backend kerberos_auth."),
    (
        "keycloak_auth_manager",
        "As in airflow.cfg: the realm of the auth manager keycloak, and more of what concerns it here.",
    ),
    ("lockout", "What too many wrong passwords lead to."),
    ("redis", "What replicas share."),
    ("limits", "What one client may take."),
    ("log", "What is written down, and where."),
    (ISSUERS, "Foreign issuers of tokens. Repeat the whole table for each."),
    (
        CALLOUTS,
        "A service of one's own that judges credentials, as nginx's auth_request asks one. NAME is what `callout:NAME` in auth_backends names.",
    ),
];

/// The option of this section and key, if there is one.
pub fn find(section: &str, key: &str) -> Option<&'static Opt> {
    ALL.iter().find(|o| o.section == section && o.key == key)
}

impl Opt {
    /// The option as error messages write it: `[api] auth_backends`.
    pub fn title(&self) -> String {
        format!("[{}] {}", self.section, self.key)
    }

    /// The option as `--set` writes it: `api.auth_backends`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// The option as an environment variable: `AIRGATE__API__AUTH_BACKENDS`.
    pub fn variable(&self) -> String {
        format!("AIRGATE__{}", self.path().replace('.', "__").to_uppercase())
    }

    /// What its help says is done without it: `standard output`.
    pub fn without(&self) -> Option<&'static str> {
        let (_, rest) = self.help.split_once("Default: ")?;
        Some(rest.split(". ").next().unwrap_or(rest))
    }

    /// Whether there may be several of it: in an array of tables, where no environment variable reaches, or
    /// in tables with names.
    pub fn repeats(&self) -> bool {
        self.section == ISSUERS || self.section == CALLOUTS
    }
}
