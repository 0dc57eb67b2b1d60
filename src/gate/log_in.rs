//! Log-ins at the token endpoints: who logs in, and the token that answers.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};

use super::decision::Outcome;
use super::reply::{Problem, Reply};
use super::route::Effect;
use super::token::{self, Asked, AuthManager, Client, Endpoint, Invalid};
use super::{Gate, mint_problem, refused};
use crate::auth::basic::Scratch;
use crate::auth::basic::check::{Login, PasswordCheck};
use crate::auth::chain::Cause;
use crate::auth::credentials::{Authorization, Credentials};
use crate::auth::keycloak::grants::Grants;
use crate::auth::{Attempt, Grant, Onward, Origin, Reason, Scope, Verdict};
use crate::request::Request;
use crate::secret::Secret;

/// Log-ins at the token endpoints.
pub struct LogIn {
    /// Whose token endpoints are answered.
    pub auth_manager: AuthManager,
    /// Checks passwords where tokens are minted here. Shared with `basic_auth`.
    pub passwords: Arc<PasswordCheck>,
    /// Keycloak's grants, where its auth manager is in use and tokens are issued here.
    pub keycloak: Option<Grants>,
    /// Has the upstream's own `/auth/token` check the password and issue the token.
    pub relay: PasswordCheck,
    /// Likewise, `/auth/token/cli`.
    pub relay_cli: PasswordCheck,
    /// `jwt_expiration_time`: how long a token from `/auth/token` lives.
    pub life: Duration,
    /// `jwt_cli_expiration_time`: how long one from `/auth/token/cli` lives.
    pub cli_life: Duration,
}

impl Gate {
    /// A log-in: by the body, or, where there is none, by a credential that the chain accepts.
    pub(super) async fn token(
        &self,
        endpoint: Endpoint,
        request: &Request<'_>,
        body: &[u8],
        outcome: &mut Outcome,
    ) -> Result<Reply, Problem> {
        let headers = &request.head.headers;
        let credentials = Credentials::read(headers).map_err(Problem::Credentials)?;
        if body.is_empty() {
            let attempt = Attempt { request, credentials, target: endpoint.path(), scope: Scope::Token };
            if let Some(exchanged) = self.exchange(endpoint, &attempt, outcome).await? {
                return Ok(exchanged);
            }
        }
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        match token::read(self.log_in.auth_manager, endpoint, content_type, body) {
            Ok(Asked::Password(login)) => match Login::new(&login.username, login.password.expose()) {
                Ok(login) => self.log_in(endpoint, request, login, outcome).await,
                // Nobody's name, nobody's password: what Airflow says of any wrong one.
                Err(_) => Err(self.log_in.refusal(Reason::WrongPassword)),
            },
            Ok(Asked::Client(client)) => self.client(endpoint, request, &client, outcome).await,
            Ok(Asked::Assertion(assertion)) => self.assertion(endpoint, request, assertion, outcome).await,
            Err(invalid) => Ok(self.invalid(&invalid, outcome)),
        }
    }

    fn invalid(&self, invalid: &Invalid, outcome: &mut Outcome) -> Reply {
        outcome.refused = Some("invalid_log_in");
        outcome.cause = Some(invalid.as_str().to_owned());
        Reply::json(invalid.status(), invalid.body())
    }

    /// Beyond Airflow: exchanges an accepted credential for a token, which lives no longer than that
    /// credential. `None` where there is none to be exchanged, and for Airflow's own Bearer, else a stolen token
    /// renews itself for ever; cookies no backend looks at here. Without a key of our own a name and password go
    /// to the upstream's endpoint, and nothing else can be exchanged.
    async fn exchange(
        &self,
        endpoint: Endpoint,
        attempt: &Attempt<'_>,
        outcome: &mut Outcome,
    ) -> Result<Option<Reply>, Problem> {
        let request = attempt.request;
        let grant = match self.authenticate(attempt, Effect::Changes, outcome).await {
            Ok(grant) => grant,
            Err(problem) if shows_nothing(attempt, &problem) => return Ok(None),
            Err(problem) => return Err(problem),
        };
        let mints = match grant.identity.origin {
            Origin::Airflow | Origin::Unverified | Origin::Anonymous => {
                // Good, and good for nothing here: nobody was let in by it.
                (outcome.grant, outcome.backend, outcome.cached) = (None, None, false);
                return Ok(None);
            }
            Origin::Upstream => false,
            // A name and password begin a session for each token: one that many share ends for all of them.
            Origin::Keycloak => self.log_in.keycloak.is_none() && self.mint.issues(),
            Origin::File
            | Origin::Database(_)
            | Origin::Ldap
            | Origin::Issuer(_)
            | Origin::Kerberos
            | Origin::Callout(_)
            | Origin::Custom(_) => self.mint.issues(),
        };
        let mut scratch = Scratch::new();
        if let (false, Some(login)) = (mints, scratch.login(&attempt.credentials)) {
            return self.log_in(endpoint, request, login, outcome).await.map(Some);
        }
        self.issue_until_it_ends(endpoint, request, &grant, outcome).await.map(Some)
    }

    /// `client_credentials`.
    async fn client(
        &self,
        endpoint: Endpoint,
        request: &Request<'_>,
        client: &Client,
        outcome: &mut Outcome,
    ) -> Result<Reply, Problem> {
        let keycloak = self.log_in.keycloak.as_ref().ok_or_else(not_here)?;
        let Ok(login) = Login::new(&client.id, client.secret.expose()) else {
            return Err(self.log_in.refusal(Reason::WrongClient));
        };
        outcome.claimed = Some(client.id.as_str().into());
        let verdict = keycloak.client(login, request.peer, request.now).await;
        let grant = self.grant_of(verdict, outcome)?;
        self.issue(endpoint, request, &grant, outcome).await
    }

    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    async fn assertion(
        &self,
        endpoint: Endpoint,
        request: &Request<'_>,
        assertion: Secret,
        outcome: &mut Outcome,
    ) -> Result<Reply, Problem> {
        let keycloak = self.log_in.keycloak.as_ref().ok_or_else(not_here)?;
        let grant = self.grant_of(keycloak.assertion(assertion, request.now).await, outcome)?;
        self.issue_until_it_ends(endpoint, request, &grant, outcome).await
    }

    async fn log_in(
        &self,
        endpoint: Endpoint,
        request: &Request<'_>,
        login: Login<'_>,
        outcome: &mut Outcome,
    ) -> Result<Reply, Problem> {
        if let Some(keycloak) = &self.log_in.keycloak {
            outcome.claimed = Some(login.username().into());
            let verdict = keycloak.password(login, request.peer, request.now).await;
            let grant = self.grant_of(verdict, outcome)?;
            return self.issue(endpoint, request, &grant, outcome).await;
        }
        if self.mint.issues() {
            let grant = self.accepted(&self.log_in.passwords, request, login, outcome).await?;
            // Who only the upstream knows gets the upstream's own token.
            if self.mint.knows(&grant.identity) || grant.identity.origin != Origin::Upstream {
                return self.issue(endpoint, request, &grant, outcome).await;
            }
        }
        let grant = self.accepted(self.log_in.relay(endpoint), request, login, outcome).await?;
        match &grant.onward {
            Onward::Issued(header) => {
                let token = header.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
                outcome.issued = Some(endpoint.path());
                Ok(Reply::json(StatusCode::CREATED, token::success_body(token.ok_or(Problem::Internal)?)))
            }
            Onward::Unchanged | Onward::Cookies | Onward::Minted { .. } | Onward::Keycloak(_) => {
                Err(Problem::Internal)
            }
        }
    }

    /// Has a password checked. Who is not accepted gets no challenges: the log-in was in the body.
    async fn accepted(
        &self,
        passwords: &PasswordCheck,
        request: &Request<'_>,
        login: Login<'_>,
        outcome: &mut Outcome,
    ) -> Result<Arc<Grant>, Problem> {
        outcome.claimed = Some(login.username().into());
        self.grant_of(passwords.check(login, request.peer, request.now).await, outcome)
    }

    /// The grant, or why there is none.
    fn grant_of(&self, verdict: Verdict, outcome: &mut Outcome) -> Result<Arc<Grant>, Problem> {
        Err(match verdict {
            Verdict::Accepted(grant) | Verdict::Mutual(grant, _) => {
                (outcome.grant, outcome.claimed) = (Some(grant.clone()), None);
                return Ok(grant);
            }
            Verdict::Rejected(rejection) => {
                if let Reason::WrongAssertion(why) = rejection.reason {
                    outcome.cause = Some(why.to_owned());
                }
                self.log_in.refusal(rejection.reason)
            }
            Verdict::NotMine => self.log_in.refusal(Reason::WrongPassword),
            Verdict::Throttled(wait) => refused(Cause::Throttled(wait)),
            Verdict::Unavailable(outage) => refused(Cause::Unavailable {
                retry_after: outage.retry_after,
                outages: std::iter::once(("token endpoint", outage.cause)).collect(),
            }),
        })
    }

    /// A token of our own for an accepted credential, which it does not outlive.
    async fn issue_until_it_ends(
        &self,
        endpoint: Endpoint,
        request: &Request<'_>,
        grant: &Grant,
        outcome: &mut Outcome,
    ) -> Result<Reply, Problem> {
        let whole = self.log_in.life(endpoint);
        let left = grant.expires.map(|end| end.duration_since(request.now).unwrap_or_default());
        let life = left.map_or(whole, |left| left.min(whole));
        // A token ends at a whole second.
        if life < Duration::from_secs(1) {
            return Err(self.log_in.refusal(Reason::WrongPassword));
        }
        self.issue_for(life, endpoint, request, grant, outcome).await
    }

    /// A token of our own for a password or a secret, which do not end.
    async fn issue(
        &self,
        endpoint: Endpoint,
        request: &Request<'_>,
        grant: &Grant,
        outcome: &mut Outcome,
    ) -> Result<Reply, Problem> {
        self.issue_for(self.log_in.life(endpoint), endpoint, request, grant, outcome).await
    }

    async fn issue_for(
        &self,
        life: Duration,
        endpoint: Endpoint,
        request: &Request<'_>,
        grant: &Grant,
        outcome: &mut Outcome,
    ) -> Result<Reply, Problem> {
        let issued = self.mint.token(grant, life, request.now).await;
        let token = issued.map_err(|error| mint_problem(error, outcome))?;
        outcome.issued = Some(endpoint.path());
        Ok(Reply::json(StatusCode::CREATED, token::success_body(token.expose())))
    }
}

impl LogIn {
    fn life(&self, endpoint: Endpoint) -> Duration {
        match endpoint {
            Endpoint::Token => self.life,
            Endpoint::Cli => self.cli_life,
        }
    }

    /// How a log-in is refused: Airflow says 401, but with keycloak 403.
    fn refusal(&self, reason: Reason) -> Problem {
        refused(match self.auth_manager {
            AuthManager::Simple | AuthManager::Fab => Cause::Unauthorized(Some(reason)),
            AuthManager::Keycloak => Cause::Forbidden(reason),
        })
    }

    fn relay(&self, endpoint: Endpoint) -> &PasswordCheck {
        match endpoint {
            Endpoint::Token => &self.relay,
            Endpoint::Cli => &self.relay_cli,
        }
    }

    pub(super) fn wrong_method(&self, endpoint: Endpoint, method: &Method) -> Reply {
        let wrong = token::wrong_method(self.auth_manager, endpoint, method);
        let reply = Reply::json(wrong.status(), wrong.body());
        match wrong.allow() {
            Some(allow) => reply.with(ALLOW, HeaderValue::from_static(allow)),
            None => reply,
        }
    }
}

/// Whether a request without `Authorization` was refused for want of any credential: it is a log-in whose body is
/// missing, and is told so.
fn shows_nothing(attempt: &Attempt<'_>, problem: &Problem) -> bool {
    let Problem::Refused(refusal) = problem else { return false };
    attempt.credentials.authorization == Authorization::Absent
        && match refusal.cause {
            Cause::Unauthorized(None) | Cause::Forbidden(Reason::Denied) => true,
            Cause::Unauthorized(Some(_))
            | Cause::Forbidden(_)
            | Cause::Throttled(_)
            | Cause::Unavailable { .. } => false,
        }
}

/// A grant that takes a key of our own, and a client of Keycloak's.
fn not_here() -> Problem {
    let why = "this grant needs a signing key and [keycloak_auth_manager]";
    refused(Cause::Unavailable {
        retry_after: Duration::from_secs(60),
        outages: std::iter::once(("token endpoint", why.into())).collect(),
    })
}
