//! What a service of one's own answers. Input: a status, then header lines.

use std::time::Duration;

use airgate::auth::Reason;
use airgate::auth::callout::Answer;
use airgate::auth::callout::answer::{MAX_CHALLENGES, MAX_NAME};
use http::StatusCode;

use super::credentials::headers;

/// Only 2xx with one name accepts, and only 401 and 403 reject. What is taken over is bounded and printable.
pub fn holds(input: &[u8]) {
    let (first, lines) = input.split_at(input.iter().position(|&b| b == b'\n').unwrap_or(input.len()));
    let Ok(status) = StatusCode::from_bytes(first.trim_ascii()) else { return };
    let headers = headers(lines);
    match Answer::read(status, &headers) {
        Answer::Accepted { user, .. } => {
            assert!(status.is_success());
            assert_eq!(headers.get_all("x-auth-user").iter().count(), 1);
            assert!(!user.trim().is_empty() && user.len() <= MAX_NAME && !user.contains(char::is_control));
            assert!(
                headers["x-auth-user"].as_bytes().windows(user.len()).any(|part| part == user.as_bytes())
            );
        }
        Answer::Rejected(rejection) => {
            let expected = match status.as_u16() {
                401 => Reason::Refused,
                403 => Reason::Forbidden,
                other => panic!("{other}"),
            };
            assert_eq!((rejection.reason, rejection.clear_cookie), (expected, false));
            let challenges = rejection.challenge.unwrap_or_default();
            assert!(challenges.len() <= MAX_CHALLENGES.0);
            for challenge in &challenges {
                let text = challenge.to_str().unwrap();
                assert!(!text.trim().is_empty() && text.len() <= MAX_CHALLENGES.1 && !text.contains('\t'));
                assert!(headers.get_all("www-authenticate").iter().any(|sent| sent == challenge));
            }
        }
        Answer::Unclear { cause, retry_after } => {
            assert!(!matches!(status.as_u16(), 401 | 403));
            assert!(cause.is_ascii() && !cause.is_empty() && cause.len() < 100);
            assert!((Duration::from_secs(1)..=Duration::from_secs(60)).contains(&retry_after));
        }
    }
}
