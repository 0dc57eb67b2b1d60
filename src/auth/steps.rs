//! Refusals in steps of time, where another server's own time tells which check failed.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Refusals come after a whole number of these. Keycloak's own answers take from 2 to some 60 ms, a disabled user's in
/// 26.5 a fourth of a wrong password's; a directory has no hash to compute for a name that is not there.
const STEP: Duration = Duration::from_millis(250);

/// Waits for the end of the step that the time since `begun` has come to.
pub(super) async fn refuse(begun: Instant) {
    let steps = begun.elapsed().as_nanos() / STEP.as_nanos() + 1;
    sleep_until(begun + STEP * u32::try_from(steps).unwrap_or(1)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_takes_whole_steps() {
        for (took, whole) in [(0, 250), (1, 250), (249, 250), (250, 500), (251, 500), (1100, 1250)] {
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_millis(took)).await;
            refuse(begun).await;
            assert_eq!(begun.elapsed().as_millis(), whole, "{took}");
        }
    }
}
