//! What Keycloak answers, and what its tokens say. Input: a status, then a body, which is also taken for the claims of a
//! token.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use airgate::async_trait;
use airgate::auth::keycloak::{Claims, Held};
use airgate::ports::keycloak::{Fault, Grant, HttpKeycloak, Keycloak, KeycloakError, Settings};
use airgate::ports::{HttpClient, SendError};
use airgate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

/// Whoever asks is answered this.
struct Answers(StatusCode, Bytes);

#[async_trait]
impl HttpClient for Answers {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        let mut answer = Response::new(self.1.clone());
        *answer.status_mut() = self.0;
        Ok(answer)
    }
}

/// What is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nobody waits for anything here"),
    }
}

/// Only 200 gives tokens and names, and those are Keycloak's; what is said of anything else can be logged; and no time
/// that it says is past all time.
pub fn holds(input: &[u8]) {
    let (first, body) = input.split_at(input.iter().position(|&b| b == b'\n').unwrap_or(input.len()));
    let Ok(status) = StatusCode::from_bytes(first.trim_ascii()) else { return };
    let settings = Settings {
        server_url: "http://keycloak".into(),
        realm: "airflow".into(),
        client_id: "airflow".into(),
        client_secret: Secret::new("s"),
        ca: None,
        verify: true,
        timeout: Duration::from_secs(1),
    };
    let client = Arc::new(Answers(status, Bytes::copy_from_slice(body)));
    let keycloak = HttpKeycloak::with(settings, client).unwrap();
    // What is not looked at may be no JSON that could be kept, such as a number past all numbers.
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let says = |name: &str, value: &str| said.as_ref().is_none_or(|said| said[name] == value);

    match now(keycloak.grant(Grant::RefreshToken(&Secret::new("r")))) {
        Ok(tokens) => {
            assert!(status == StatusCode::OK && says("access_token", tokens.access.expose()));
            if let Some(refresh) = &tokens.refresh {
                assert!(!refresh.expose().is_empty() && says("refresh_token", refresh.expose()));
            }
            assert!(tokens.sid.is_none_or(|sid| !sid.is_empty()));
            assert!(SystemTime::now().checked_add(tokens.expires_in).is_some());
        }
        Err(error) => explained(status, &error),
    }
    match now(keycloak.user_info(&Secret::new("a"))) {
        Ok(user) => assert!(status == StatusCode::OK && says("sub", &user.id)),
        Err(error) => explained(status, &error),
    }

    let _ = Claims::read(body).and_then(|claims| claims.expires());
    inside(body);
    let wrapped = json!({
        "user_id": "u", "name": "n", "refresh_token": "r",
        "access_token": format!("e30.{}.x", URL_SAFE_NO_PAD.encode(body)),
    });
    inside(wrapped.to_string().as_bytes());
}

fn explained(status: StatusCode, error: &KeycloakError) {
    let text = error.to_string();
    assert!(!text.contains(char::is_control) && text.chars().count() < 300, "{text:?}");
    match error {
        KeycloakError::Refused(_) | KeycloakError::Client(_) => {
            assert!(matches!(status.as_u16(), 400 | 401 | 403));
        }
        KeycloakError::Unavailable { fault, retry_after, .. } => {
            let expected = if status.is_server_error() { Fault::ServerError } else { Fault::Odd };
            assert_eq!(*fault, expected);
            assert!((Duration::from_secs(1)..=Duration::from_secs(3600)).contains(retry_after));
        }
    }
}

/// The payload of a token of Airflow's.
fn inside(payload: &[u8]) {
    let Some(held) = Held::inside(payload, true) else { return };
    if let Ok(said) = serde_json::from_slice::<Value>(payload) {
        let parts = [&*held.user_id, &*held.name, held.access.expose()];
        assert_eq!(parts, ["user_id", "name", "access_token"].map(|name| said[name].as_str().unwrap()));
    }
    assert!(held.expires.checked_sub(Duration::from_secs(10)).is_some());
    let _ = held.principal();
}
