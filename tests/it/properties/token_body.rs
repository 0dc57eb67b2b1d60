//! Bodies of the token endpoints. Input: the `Content-Type`, and the body from the second line on.

use airgate::gate::token::{self, Asked, AuthManager, Endpoint};
use serde::de::IgnoredAny;

/// Any body is a log-in with a name and a password, or gets an answer of 4xx in JSON that is no
/// longer than documented.
pub fn holds(input: &[u8]) {
    let mut lines = input.splitn(2, |&b| b == b'\n');
    let content_type = lines.next().filter(|line| !line.is_empty());
    let body = lines.next().unwrap_or_default();
    for manager in [AuthManager::Simple, AuthManager::Fab, AuthManager::Keycloak] {
        for endpoint in [Endpoint::Token, Endpoint::Cli] {
            match token::read(manager, endpoint, content_type, body) {
                Ok(Asked::Password(login)) => {
                    let whole = !login.username.is_empty() && !login.password.expose().is_empty();
                    // Whatever it is: Keycloak decides.
                    assert!(whole || manager == AuthManager::Keycloak);
                    assert!(!body.is_empty());
                }
                Ok(Asked::Client(_) | Asked::Assertion(_)) => assert!(manager == AuthManager::Keycloak),
                Err(invalid) => {
                    assert!(invalid.status().is_client_error());
                    let answer = invalid.body();
                    assert!(serde_json::from_slice::<IgnoredAny>(&answer).is_ok(), "{answer:?}");
                    assert!(answer.len() <= 1024 + 32 * body.len(), "{} bytes", answer.len());
                }
            }
        }
    }
}
