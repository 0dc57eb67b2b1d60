//! Whether the directory answers, whoever asks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Filter, Flow, Ldap, Scope, Search, Trouble};

impl Ldap {
    /// How often the directory is looked at.
    pub(super) const LOOK: Duration = Duration::from_secs(5);
    /// Likewise where our own account is refused: each try counts against it.
    pub(super) const LOOK_REFUSED: Duration = Duration::from_secs(30);

    /// Says once that the directory does not answer, and once that it does again.
    pub(super) fn note(&self, result: Result<(), &str>) {
        match result {
            Ok(()) => {
                if self.trouble.swap(None).is_some() {
                    tracing::info!("LDAP directory answers again");
                }
            }
            Err(cause) => {
                let cause: Arc<str> = format!("ldap: {cause}").into();
                if self.trouble.swap(Some(Arc::new(Arc::clone(&cause)))).is_none() {
                    tracing::warn!(%cause, "LDAP directory cannot be asked");
                }
            }
        }
    }

    /// Whether any server can be asked. Returns when to look again.
    pub(super) async fn look(&self) -> Duration {
        let mut wait = Self::LOOK;
        let mut causes = Vec::new();
        for server in &self.servers {
            let looked: Result<(), Trouble> = async {
                let mut connection = server.connect().await?;
                match &self.settings.flow {
                    Flow::Indirect { user, password, .. } => {
                        self.bind_own(&mut *connection, user, password, None).await?;
                    }
                    // Nobody is bound. That the root (RFC 4512, section 5.1) is answered for is enough.
                    Flow::Direct { .. } => {
                        let (scope, filter) = (Scope::Base, &Filter::any());
                        let (attribute, time) = ("supportedLDAPVersion", self.settings.read_timeout);
                        connection.search(&Search { base: "", scope, filter, attribute, time }).await?;
                    }
                }
                connection.unbind().await;
                Ok(())
            }
            .await;
            match looked {
                Ok(()) => {
                    self.note(Ok(()));
                    return wait;
                }
                Err(Trouble { cause, try_next }) => {
                    causes.push(format!("{}: {cause}", server.name()));
                    if !try_next {
                        wait = Self::LOOK_REFUSED;
                        break;
                    }
                }
            }
        }
        self.note(Err(&causes.join("; ")));
        wait
    }

    /// Looks until the source is gone.
    pub(super) async fn keep_looking(ldap: Weak<Self>) {
        loop {
            let Some(this) = ldap.upgrade() else { return };
            let wait = this.look().await;
            drop(this);
            tokio::time::sleep(wait).await;
        }
    }
}
