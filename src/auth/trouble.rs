//! What was wrong when the upstream was last asked about a credential.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::Health;
use crate::ports::{HttpClient, SendError};

/// How the upstream has fared of late with questions about credentials.
///
/// Whether it answers at all is watched all the time, and told as it is at the moment: it comes back whether
/// or not somebody logs in. An answer that tells nothing (a 500, say), or none where others are answered, is known
/// from log-ins alone. It stands until a better one comes, or the upstream itself is seen to be down, which explains
/// it, or for [`Trouble::TOLD`], since the next log-in may be days away. One alone is chance as often as not, and tells
/// of something degraded; it is down with the next that fares no better.
#[derive(Default)]
pub struct Trouble {
    last: ArcSwapOption<Useless>,
}

struct Useless {
    cause: Arc<str>,
    at: Instant,
    /// The one before was useless, too.
    again: bool,
}

impl Useless {
    fn is_told(&self) -> bool {
        self.at.elapsed() < Trouble::TOLD
    }
}

impl Trouble {
    /// How long a useless answer is told of: long enough for an alert that waits for some minutes.
    pub const TOLD: Duration = Duration::from_secs(600);

    /// There was an answer that tells something.
    pub fn end(&self) {
        if self.last.load().is_some() {
            self.last.store(None);
        }
    }

    /// There was an answer that tells nothing.
    pub fn note(&self, cause: &Arc<str>) {
        let again = self.last.load().as_ref().is_some_and(|last| last.is_told());
        self.last.store(Some(Arc::new(Useless { cause: Arc::clone(cause), at: Instant::now(), again })));
    }

    /// There was no answer. That there was no connection is the upstream's own trouble, of which its health tells.
    /// One that broke may have been for what was asked: something in front of the upstream can close those alone.
    pub fn note_failure(&self, error: &SendError, cause: &Arc<str>) {
        match error {
            SendError::Connect(_) => {}
            SendError::Timeout | SendError::TooLarge | SendError::Other(_) => self.note(cause),
        }
    }

    /// How it fares now, asked through `client`.
    pub fn health(&self, client: &dyn HttpClient) -> Health {
        if let Some(cause) = client.trouble() {
            self.end();
            return Health::Down(format!("upstream: {cause}").into());
        }
        match &*self.last.load() {
            Some(last) if !last.is_told() => Health::Up,
            Some(last) if last.again => Health::Down(Arc::clone(&last.cause)),
            Some(last) => Health::Degraded(Arc::clone(&last.cause)),
            None => Health::Up,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;
    use http::{Request, Response};

    #[derive(Default)]
    struct Watched(Mutex<Option<Arc<str>>>);

    #[async_trait]
    impl HttpClient for Watched {
        async fn send(&self, _: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
            Err(SendError::Timeout)
        }

        fn trouble(&self) -> Option<Arc<str>> {
            self.0.lock().unwrap().clone()
        }
    }

    fn down(cause: &str) -> Health {
        Health::Down(cause.into())
    }

    #[tokio::test(start_paused = true)]
    async fn told_until_something_better_is_known() {
        let (trouble, upstream) = (Trouble::default(), Watched::default());
        assert_eq!(trouble.health(&upstream), Health::Up);
        trouble.note_failure(&SendError::Connect("refused".into()), &"no connection".into());
        assert_eq!(trouble.health(&upstream), Health::Up);
        trouble.note(&"explained by what comes".into());
        *upstream.0.lock().unwrap() = Some("refused".into());
        assert_eq!(trouble.health(&upstream), down("upstream: refused"));
        *upstream.0.lock().unwrap() = None;
        assert_eq!(trouble.health(&upstream), Health::Up);

        for error in [SendError::Timeout, SendError::TooLarge, SendError::Other("closed".into())] {
            trouble.note_failure(&error, &"no use".into());
            assert_eq!(trouble.health(&upstream), Health::Degraded("no use".into()), "{error}");
            trouble.note_failure(&error, &"again".into());
            assert_eq!(trouble.health(&upstream), down("again"), "{error}");
            trouble.end();
            assert_eq!(trouble.health(&upstream), Health::Up, "{error}");
        }

        for _ in 0..2 {
            trouble.note(&"answered 500".into());
            tokio::time::advance(Trouble::TOLD - Duration::from_millis(1)).await;
            assert_eq!(trouble.health(&upstream), Health::Degraded("answered 500".into()));
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(trouble.health(&upstream), Health::Up);
        }
    }
}
