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
/// or not somebody logs in. An answer that tells nothing (a 500, say) is known from log-ins alone. It stands until
/// a better one comes, or for [`Trouble::TOLD`], since the next log-in may be days away.
#[derive(Default)]
pub struct Trouble {
    last: ArcSwapOption<(Arc<str>, Instant)>,
}

impl Trouble {
    /// How long a useless answer is told of.
    pub const TOLD: Duration = Duration::from_secs(60);

    /// There was an answer that tells something.
    pub fn end(&self) {
        if self.last.load().is_some() {
            self.last.store(None);
        }
    }

    /// There was an answer that tells nothing.
    pub fn note(&self, cause: &Arc<str>) {
        self.last.store(Some(Arc::new((Arc::clone(cause), Instant::now()))));
    }

    /// There was no answer. Without a connection, or with one that broke, that is the upstream's own trouble, of
    /// which its health tells.
    pub fn note_failure(&self, error: &SendError, cause: &Arc<str>) {
        match error {
            SendError::Connect(_) | SendError::Other(_) => {}
            SendError::Timeout | SendError::TooLarge => self.note(cause),
        }
    }

    /// How it fares now, asked through `client`.
    pub fn health(&self, client: &dyn HttpClient) -> Health {
        if let Some(cause) = client.trouble() {
            return Health::Down(format!("upstream: {cause}").into());
        }
        match &*self.last.load() {
            Some(last) if last.1.elapsed() < Self::TOLD => Health::Down(Arc::clone(&last.0)),
            Some(_) | None => Health::Up,
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
        for error in [SendError::Connect("refused".into()), SendError::Other("closed".into())] {
            trouble.note_failure(&error, &"no connection".into());
            assert_eq!(trouble.health(&upstream), Health::Up, "{error}");
        }
        *upstream.0.lock().unwrap() = Some("refused".into());
        assert_eq!(trouble.health(&upstream), down("upstream: refused"));
        *upstream.0.lock().unwrap() = None;
        assert_eq!(trouble.health(&upstream), Health::Up);

        for error in [SendError::Timeout, SendError::TooLarge] {
            trouble.note_failure(&error, &"no use".into());
            assert_eq!(trouble.health(&upstream), down("no use"), "{error}");
            trouble.end();
            assert_eq!(trouble.health(&upstream), Health::Up, "{error}");
        }

        trouble.note(&"answered 500".into());
        tokio::time::advance(Trouble::TOLD - Duration::from_millis(1)).await;
        assert_eq!(trouble.health(&upstream), down("answered 500"));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(trouble.health(&upstream), Health::Up);
    }
}
