//! How long a wrong password takes, so that a name that nobody has takes as long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::ldap::{LdapConnection, LdapError};
use crate::secret::Secret;

/// What the last wrong passwords took.
///
/// For a name that is not there a name is bound that does not exist either. That is one more question to
/// the directory, but it may cost it less: there is no hash to compute. So both answers wait: for as long as
/// the longer of two wrong passwords of known names took, of which a known name's own is one. Both wait by
/// the timer, whose ticks are longer than some of these differences. No real entry is bound in the place of
/// the one that is not there: its password policy would count the failures, and lock it.
#[derive(Default)]
pub(super) struct Pace(Mutex<Lately>);

#[derive(Default)]
struct Lately {
    took: [Duration; Pace::KEPT],
    known: usize,
    /// Where the next one goes.
    at: usize,
    /// Which one is waited for next.
    next: usize,
}

impl Pace {
    const KEPT: usize = 32;
    /// Slower answers are outliers, and are not imitated.
    const LONGEST: Duration = Duration::from_secs(2);
    /// Of Tokio's timer.
    const TICK: Duration = Duration::from_millis(1);

    /// A known name was refused, which took from `began` until now: for its password if `wrong`, else for a
    /// reason that the next one need not have.
    pub(super) async fn refuse_known(&self, began: Instant, wrong: bool) {
        let took = began.elapsed().min(Self::LONGEST);
        let other = self.example();
        if wrong {
            self.learn(took);
        }
        Self::wait(began + took.max(other)).await;
    }

    /// Binds a name that does not exist, with the password that was given, and takes as long as for one
    /// that does.
    pub(super) async fn refuse_nobody(
        &self,
        connection: &mut dyn LdapConnection,
        base: &str,
        password: &Secret,
    ) -> Result<(), LdapError> {
        let end = Instant::now() + self.example().max(self.example());
        let name = if base.is_empty() { NOBODY.to_owned() } else { format!("{NOBODY},{base}") };
        // Whatever is answered: it is nobody's.
        let _outcome = connection.bind(&name, password).await?;
        Self::wait(end).await;
        Ok(())
    }

    async fn wait(end: Instant) {
        tokio::time::sleep_until(end.max(Instant::now()) + Self::TICK).await;
    }

    fn learn(&self, took: Duration) {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = lately.at % Self::KEPT;
        if let Some(place) = lately.took.get_mut(at) {
            *place = took;
        }
        lately.at = at + 1;
        lately.known = (lately.known + 1).min(Self::KEPT);
    }

    /// What some known name's took.
    fn example(&self) -> Duration {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.next += 1;
        let at = lately.next.checked_rem(lately.known);
        at.and_then(|at| lately.took.get(at)).copied().unwrap_or_default()
    }
}

const NOBODY: &str = "cn=airgate-nobody";
