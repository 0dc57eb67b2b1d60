//! Backends whose answer does not depend on a credential: `default` and `deny_all`.

use std::sync::Arc;

use async_trait::async_trait;

use super::credentials::{Authorization, Credentials};
use super::{Attempt, Backend, Grant, Identity, Onward, Origin, Reason, Rejection, Scope, Verdict};

/// `default`: lets anonymous requests through as `[api] anonymous_user`, on the experimental API
/// alone, as Airflow documents it. A request that presents any credential is not anonymous: a
/// wrong password still fails.
///
/// To send nothing is what a browser does for every page, so that it counts as a credential that
/// browsers send by themselves: no foreign page can have one change something.
pub struct AllowAnonymous {
    grant: Arc<Grant>,
}

impl AllowAnonymous {
    /// Anonymous requests act as this user of the upstream.
    pub fn new(anonymous_user: &str) -> Self {
        let identity = Identity { origin: Origin::Anonymous, name: anonymous_user.into() };
        let grant = Grant { identity, ambient: true, expires: None, onward: Onward::Minted { jti: None } };
        Self { grant: Arc::new(grant) }
    }
}

#[async_trait]
impl Backend for AllowAnonymous {
    fn name(&self) -> &'static str {
        "default"
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        (!self.applies(attempt)).then_some(Verdict::NotMine)
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        if self.applies(attempt) { Verdict::Accepted(Arc::clone(&self.grant)) } else { Verdict::NotMine }
    }
}

impl AllowAnonymous {
    fn applies(&self, attempt: &Attempt<'_>) -> bool {
        match attempt.scope {
            Scope::Experimental => presents_nothing(&attempt.credentials),
            Scope::Api | Scope::Token => false,
        }
    }
}

/// The cookies by which Airflow knows somebody, of any release and auth manager.
const SESSION_COOKIES: [&str; 4] = ["_token", "_access_token", "_refresh_token", "session"];

fn presents_nothing(credentials: &Credentials<'_>) -> bool {
    credentials.authorization == Authorization::Absent
        && SESSION_COOKIES.iter().all(|name| credentials.cookie(name).is_none())
}

/// `deny_all`: 403 to everybody whom no earlier backend accepts.
pub struct DenyAll;

#[async_trait]
impl Backend for DenyAll {
    fn name(&self) -> &'static str {
        "deny_all"
    }

    async fn authenticate(&self, _attempt: &Attempt<'_>) -> Verdict {
        Verdict::Rejected(Rejection { reason: Reason::Denied, challenge: None, clear_cookie: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::Case;

    #[tokio::test]
    async fn anonymous_passes_on_the_experimental_api_only_and_only_without_a_credential() {
        let backend = AllowAnonymous::new("robot");
        for (name, case, accepted) in [
            ("nothing, experimental", Case::default(), true),
            ("an empty Authorization is none", Case::default().header("authorization", ""), true),
            ("a cookie of somebody else", Case::default().header("cookie", "theme=dark"), true),
            ("stable API", Case::default().scope(Scope::Api), false),
            ("token endpoint", Case::default().scope(Scope::Token), false),
            ("a wrong Basic", Case::default().header("authorization", "Basic eDp5"), false),
            ("an unknown scheme", Case::default().header("authorization", "Frob x"), false),
            ("a session cookie", Case::default().header("cookie", "a=b; _token=x"), false),
            ("a Flask session", Case::default().header("cookie", "session=x"), false),
        ] {
            let verdict = case.run(async |attempt| backend.authenticate(&attempt).await).await;
            match verdict {
                Verdict::Accepted(grant) => {
                    assert!(accepted, "{name}");
                    assert_eq!(grant.identity, Identity { origin: Origin::Anonymous, name: "robot".into() });
                    assert_eq!(grant.onward, Onward::Minted { jti: None });
                    assert!(grant.ambient);
                }
                other => assert!(!accepted && matches!(other, Verdict::NotMine), "{name}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn deny_all_denies_all() {
        for case in [Case::default(), Case::default().scope(Scope::Api).header("authorization", "Basic eDp5")]
        {
            let verdict = case.run(async |attempt| DenyAll.authenticate(&attempt).await).await;
            assert!(matches!(verdict, Verdict::Rejected(Rejection { reason: Reason::Denied, .. })));
        }
    }
}
