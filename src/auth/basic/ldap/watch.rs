//! Whether the directory answers, whoever asks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Flow, Ldap, Trouble};

impl Ldap {
    /// How often a directory that answers is looked at, and one that does not.
    pub(super) const LOOK: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));

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

    /// Whether any server can be asked. Returns when to look again: later where our own account is
    /// refused, since each try counts against it.
    pub(super) async fn look(&self) -> Duration {
        let (well, ill) = Self::LOOK;
        let mut wait = ill;
        let mut causes = Vec::new();
        for server in &self.servers {
            let looked: Result<(), Trouble> = async {
                let mut connection = server.connect().await?;
                if let Flow::Indirect { user, password, .. } = &self.settings.flow {
                    self.bind_own(&mut *connection, user, password, None).await?;
                }
                connection.unbind().await;
                Ok(())
            }
            .await;
            match looked {
                Ok(()) => {
                    self.note(Ok(()));
                    return well;
                }
                Err(Trouble { cause, try_next }) => {
                    causes.push(format!("{}: {cause}", server.name()));
                    if !try_next {
                        wait = well;
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
