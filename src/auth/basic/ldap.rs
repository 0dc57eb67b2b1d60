//! The source `ldap`: a directory judges name and password, as Flask-AppBuilder's `AUTH_LDAP` has it.

pub mod answer;
pub mod name;
mod pace;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::check::{Source, SourceVerdict};
use crate::auth::{Health, Identity, Onward, Origin, Outage, steps};
use crate::ports::ldap::filter::Filter;
use crate::ports::ldap::{Entry, Found, LdapConnection, LdapError, LdapServer, Outcome, Scope, Search};
use crate::secret::Secret;
use answer::{Bound, Refusal};
use name::NameFormat;
use pace::Pace;

/// A directory, on one or more servers that hold the same.
///
/// Each check has a connection of its own, which ends with it: a connection that somebody has bound is
/// nobody else's, an outage leaves nothing behind to be noticed later, and since passwords found right
/// are cached, checks are rare enough.
pub struct Ldap {
    servers: Vec<Arc<dyn LdapServer>>,
    /// The server that answered last, which is asked first.
    first: AtomicUsize,
    settings: Settings,
    fingerprint: Box<str>,
    trouble: ArcSwapOption<Arc<str>>,
    connections: Semaphore,
    /// Room for log-ins, those that wait included.
    room: Semaphore,
    pace: Pace,
    /// When the directory last refused our own account, and how.
    refused: Mutex<Option<(SystemTime, String)>>,
}

/// How the directory is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who is bound, and how the entry is found.
    pub flow: Flow,
    /// `uid_field`: the attribute that holds a user's name. Default `uid`.
    pub uid_field: Box<str>,
    /// The longest that one operation may take; a search is told so.
    pub read_timeout: Duration,
}

/// Who is bound, and how the entry is found.
#[derive(Clone)]
pub enum Flow {
    /// An account of our own finds the entry, which is then bound with the password.
    Indirect {
        /// `bind_user`.
        user: Box<str>,
        /// `bind_password`.
        password: Secret,
        /// Where and what to search.
        find: Find,
    },
    /// A name made of the user's is bound with the password; then the entry is read as that user.
    Direct {
        /// `username_format` and `append_domain`.
        format: NameFormat,
        /// Where and what to search. `None` only with a format that makes distinguished names: then the
        /// entry of that name is read.
        find: Option<Find>,
    },
}

/// How entries are found: those below `base` whose `uid_field` is the name, and which pass the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// `search`.
    pub base: Box<str>,
    /// `search_filter`.
    pub filter: Option<Filter>,
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Indirect { user, find, password: _ } => {
                f.debug_struct("Indirect").field("user", user).field("find", find).finish()
            }
            Self::Direct { format, find } => {
                f.debug_struct("Direct").field("format", format).field("find", find).finish()
            }
        }
    }
}

/// Why it cannot be told.
struct Trouble {
    cause: String,
    /// Whether another server may know more.
    try_next: bool,
}

impl From<LdapError> for Trouble {
    fn from(error: LdapError) -> Self {
        Self { cause: error.to_string(), try_next: true }
    }
}

/// What a directory says of a name and a password.
enum Answer {
    Accepted(Arc<str>),
    Unknown,
    Refused(Refusal, Option<Outcome>),
}

impl Ldap {
    /// Connections at a time; more log-ins wait.
    const CONNECTIONS: usize = 32;
    /// Log-ins that wait at most; more are told to come again.
    const WAITING: usize = 256;
    /// The longest that a check may take, with all servers and operations. Below what any source may
    /// take, so that it is this source that says so.
    const PATIENCE: Duration = Duration::from_secs(25);
    /// When to ask again.
    const RETRY: Duration = Duration::from_secs(5);

    /// Asks these servers, at least one, in turn.
    pub fn new(servers: Vec<Arc<dyn LdapServer>>, settings: Settings) -> Self {
        let names: Vec<&str> = servers.iter().map(|server| server.name()).collect();
        let fingerprint = format!("{} {settings:?}", names.join(" ")).into();
        Self {
            servers,
            first: AtomicUsize::new(0),
            settings,
            fingerprint,
            trouble: ArcSwapOption::empty(),
            connections: Semaphore::new(Self::CONNECTIONS),
            room: Semaphore::new(Self::CONNECTIONS + Self::WAITING),
            pace: Pace::default(),
            refused: Mutex::default(),
        }
    }

    /// Asks server after server, until one can tell.
    async fn ask(&self, username: &str, password: &Secret, now: SystemTime) -> Result<Answer, String> {
        let mut causes = Vec::new();
        let first = self.first.load(Ordering::Relaxed);
        let count = self.servers.len();
        for place in (0..count).map(|turn| (first + turn) % count.max(1)) {
            let Some(server) = self.servers.get(place) else { continue };
            let asked = async {
                let mut connection = server.connect().await?;
                let answer = self.judge(&mut *connection, username, password, now).await;
                connection.unbind().await;
                answer
            };
            match asked.await {
                Ok(answer) => {
                    self.first.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Trouble { cause, try_next }) => {
                    causes.push(format!("{}: {cause}", server.name()));
                    if !try_next {
                        break;
                    }
                }
            }
        }
        Err(causes.join("; "))
    }

    async fn judge(
        &self,
        connection: &mut dyn LdapConnection,
        username: &str,
        password: &Secret,
        now: SystemTime,
    ) -> Result<Answer, Trouble> {
        let found = match &self.settings.flow {
            Flow::Indirect { user, password: own, find } => {
                self.bind_own(connection, user, own, Some(now)).await?;
                let entry = match self.search(connection, find, username).await? {
                    Ok(entry) => entry,
                    Err(matches) => {
                        // What a known name costs, an unknown one costs too.
                        self.pace.refuse_nobody(connection, &find.base, password).await?;
                        return Ok(match matches {
                            Matches::None => Answer::Unknown,
                            Matches::Several => Answer::Refused(Refusal::Several, None),
                        });
                    }
                };
                let began = Instant::now();
                match bind(connection, &entry.name, password).await? {
                    Ok(()) => entry,
                    Err(refused) => {
                        let wrong = matches!(refused, Answer::Refused(Refusal::WrongPassword, _));
                        self.pace.refuse_known(began, wrong).await;
                        return Ok(refused);
                    }
                }
            }
            Flow::Direct { format, find } => {
                let name = format.bind_name(username);
                if let Err(refused) = bind(connection, &name, password).await? {
                    return Ok(refused);
                }
                match find {
                    None => match self.read(connection, &name).await? {
                        Some(entry) => entry,
                        None => return Ok(Answer::Refused(Refusal::NoName, None)),
                    },
                    Some(find) => {
                        let entry = match self.search(connection, find, username).await? {
                            Ok(entry) => entry,
                            Err(Matches::None) => return Ok(Answer::Refused(Refusal::NotFound, None)),
                            Err(Matches::Several) => return Ok(Answer::Refused(Refusal::Several, None)),
                        };
                        // Else whoever has a password could be taken for another entry of that name.
                        if !entry.name.eq_ignore_ascii_case(&name)
                            && bind(connection, &entry.name, password).await?.is_err()
                        {
                            return Ok(Answer::Refused(Refusal::AnotherEntry, None));
                        }
                        entry
                    }
                }
            }
        };
        Ok(match name::canonical(&found, &self.settings.uid_field, username) {
            Ok(name) => Answer::Accepted(name),
            Err(refusal) => Answer::Refused(refusal, None),
        })
    }

    /// Binds our own account. Once refused it is not tried again for a while (unless `now` is not given):
    /// each try counts against it.
    async fn bind_own(
        &self,
        connection: &mut dyn LdapConnection,
        user: &str,
        password: &Secret,
        now: Option<SystemTime>,
    ) -> Result<(), Trouble> {
        let refused = || self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(now), Some((since, cause))) = (now, &*refused())
            && now.duration_since(*since).is_ok_and(|ago| ago < Self::RETRY)
        {
            return Err(Trouble { cause: cause.clone(), try_next: false });
        }
        let outcome = connection.bind(user, password).await?;
        match answer::read(&outcome) {
            Bound::Yes => {
                *refused() = None;
                Ok(())
            }
            Bound::No(refusal) => {
                let Outcome { code, text, .. } = outcome;
                let said = if text.is_empty() { code.to_string() } else { format!("{code} {text}") };
                let cause = format!("the directory refuses bind_user: {refusal} ({said})");
                *refused() = now.map(|now| (now, cause.clone()));
                Err(Trouble { cause, try_next: false })
            }
            Bound::CannotTell => Err(cannot_tell("bind_user", &outcome)),
        }
    }

    /// The one entry of this name.
    async fn search(
        &self,
        connection: &mut dyn LdapConnection,
        find: &Find,
        username: &str,
    ) -> Result<Result<Entry, Matches>, Trouble> {
        let named = Filter::equal(&self.settings.uid_field, username);
        let filter = match &find.filter {
            Some(filter) => Filter::And(vec![filter.clone(), named]),
            None => named,
        };
        let search = Search {
            base: &find.base,
            scope: Scope::Subtree,
            filter: &filter,
            attribute: &self.settings.uid_field,
            time: self.settings.read_timeout,
        };
        let Found { entries, outcome } = connection.search(&search).await?;
        match (outcome.code, <[Entry; 1]>::try_from(entries)) {
            (0, Ok([entry])) => Ok(Ok(entry)),
            (0, Err(none)) if none.is_empty() => Ok(Err(Matches::None)),
            // sizeLimitExceeded: there are more than were given.
            (0, Err(_)) | (4, _) => Ok(Err(Matches::Several)),
            (_, _) => Err(cannot_tell("the search", &outcome)),
        }
    }

    /// The entry of this very name, as whoever is bound may read it.
    async fn read(&self, connection: &mut dyn LdapConnection, name: &str) -> Result<Option<Entry>, Trouble> {
        let search = Search {
            base: name,
            scope: Scope::Base,
            filter: &Filter::any(),
            attribute: &self.settings.uid_field,
            time: self.settings.read_timeout,
        };
        let Found { mut entries, outcome } = connection.search(&search).await?;
        match outcome.code {
            0 => Ok(entries.pop()),
            // What may not be read is either said or not there.
            10 | 32 | 34 | 50 => Ok(None),
            _ => Err(cannot_tell("reading the entry", &outcome)),
        }
    }
}

/// How many entries a search found, if not one.
enum Matches {
    None,
    Several,
}

/// Binds what a user gave. An empty name or password is never sent: a directory takes it for an
/// anonymous bind, and says yes (RFC 4513, section 5.1).
async fn bind(
    connection: &mut dyn LdapConnection,
    name: &str,
    password: &Secret,
) -> Result<Result<(), Answer>, Trouble> {
    if name.trim().is_empty() || password.is_empty() {
        return Ok(Err(Answer::Refused(Refusal::NoBindName, None)));
    }
    let outcome = connection.bind(name, password).await?;
    match answer::read(&outcome) {
        Bound::Yes => Ok(Ok(())),
        Bound::No(refusal) => Ok(Err(Answer::Refused(refusal, Some(outcome)))),
        Bound::CannotTell => Err(cannot_tell("the bind", &outcome)),
    }
}

fn cannot_tell(what: &str, outcome: &Outcome) -> Trouble {
    let hint = match outcome.code {
        8 | 13 => ", so it wants TLS: ldaps:// or use_tls",
        32 => ", so `search` names no entry that may be seen",
        _ => "",
    };
    Trouble {
        cause: format!("{what} was answered with {} {}{hint}", outcome.code, outcome.text),
        try_next: true,
    }
}

#[async_trait]
impl Source for Ldap {
    fn name(&self) -> &'static str {
        "ldap"
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    async fn check(&self, username: &str, password: &Secret, now: SystemTime) -> SourceVerdict {
        if username.trim().is_empty() || password.is_empty() || username.contains('\0') {
            return SourceVerdict::Rejected;
        }
        let Ok(room) = self.room.try_acquire() else {
            let cause = "ldap: too many log-ins wait".into();
            return SourceVerdict::Unavailable(Outage { cause, retry_after: Duration::from_secs(1) });
        };
        let begun = Instant::now();
        let asked = async {
            let _connection = self.connections.acquire().await.map_err(|error| error.to_string())?;
            self.ask(username, password, now).await
        };
        let answer = tokio::time::timeout(Self::PATIENCE, asked).await;
        match answer.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(answer) => {
                self.note(Ok(()));
                let verdict = verdict(username, answer);
                match (&self.settings.flow, &verdict) {
                    // Nothing can be bound in the place of a name that is not there, and take as long. Who only waits
                    // takes nobody's place.
                    (Flow::Direct { .. }, SourceVerdict::Rejected | SourceVerdict::Unknown) => {
                        drop(room);
                        steps::refuse(begun).await;
                    }
                    (Flow::Direct { .. } | Flow::Indirect { .. }, _) => {}
                }
                verdict
            }
            Err(cause) => {
                self.note(Err(&cause));
                let cause = format!("ldap: {cause}").into();
                SourceVerdict::Unavailable(Outage { cause, retry_after: Self::RETRY })
            }
        }
    }

    fn health(&self) -> Health {
        match self.trouble.load_full() {
            None => Health::Up,
            Some(cause) => Health::Down(Arc::clone(&cause)),
        }
    }

    fn adopted(self: Arc<Self>, runtime: &Handle) {
        runtime.spawn(Self::keep_looking(Arc::downgrade(&self)));
    }
}

fn verdict(username: &str, answer: Answer) -> SourceVerdict {
    match answer {
        Answer::Accepted(name) => SourceVerdict::Accepted {
            identity: Identity { origin: Origin::Ldap, name },
            onward: Onward::Minted { jti: None },
            expires: None,
            seal: None,
        },
        Answer::Unknown => SourceVerdict::Unknown,
        // The audit log says so.
        Answer::Refused(Refusal::WrongPassword, _) => SourceVerdict::Rejected,
        Answer::Refused(refusal, outcome) => {
            let (code, text) = outcome.map_or((None, None), |o| (Some(o.code), Some(o.text)));
            tracing::warn!(claimed = username, reason = %refusal, code, text = text.as_deref(), "LDAP log-in refused");
            SourceVerdict::Rejected
        }
    }
}

#[cfg(test)]
mod tests;
