//! How long a wrong password takes, so that a name that nobody has takes as long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::ldap::{LdapConnection, LdapError};
use crate::secret::Secret;

/// What the last wrong passwords took.
///
/// For a name that is not there a name is bound that does not exist either. That is one more question to
/// the directory, but it may cost it less: there is no hash to compute. So the answer waits for as long
/// as some known name's took. No real entry is bound in its place: its password policy would count the
/// failures, and lock it.
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

/// When something began.
pub(super) struct Clock(Instant);

impl Clock {
    /// Now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Pace {
    const KEPT: usize = 32;
    /// Slower answers are outliers, and are not imitated.
    const LONGEST: Duration = Duration::from_secs(2);

    /// A known name's wrong password took from `began` until now.
    pub(super) fn learn(&self, began: Clock) {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = lately.at % Self::KEPT;
        if let Some(place) = lately.took.get_mut(at) {
            *place = began.0.elapsed().min(Self::LONGEST);
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

    /// Binds a name that does not exist, with the password that was given, and takes as long as for one
    /// that does.
    pub(super) async fn bind_nobody(
        &self,
        connection: &mut dyn LdapConnection,
        base: &str,
        password: &Secret,
    ) -> Result<(), LdapError> {
        let end = Instant::now() + self.example();
        let name = if base.is_empty() { NOBODY.to_owned() } else { format!("{NOBODY},{base}") };
        // Whatever is answered: it is nobody's.
        let _outcome = connection.bind(&name, password).await?;
        tokio::time::sleep_until(end).await;
        Ok(())
    }
}

const NOBODY: &str = "cn=airgate-nobody";
