//! The forms that the token endpoint is sent.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Grant;
use crate::secret::Secret;

/// What needs no encoding, neither in a form nor in a segment of a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A value for a form or a segment of a path.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The body of a grant. `own` is the configured client's id and secret.
pub(super) fn body(grant: Grant<'_>, own: (&str, &Secret)) -> Bytes {
    let mut form = Form(String::with_capacity(512));
    let (id, secret) = match grant {
        Grant::Password { username, password } => {
            form.add("grant_type", "password").add("username", username).add("password", password.expose());
            form.add("scope", "openid");
            own
        }
        Grant::ClientCredentials { id, secret } => {
            form.add("grant_type", "client_credentials").add("scope", "openid");
            (id, secret)
        }
        Grant::RefreshToken(token) => {
            form.add("grant_type", "refresh_token").add("refresh_token", token.expose());
            own
        }
    };
    form.add("client_id", id);
    // A public client has none.
    if !secret.is_empty() {
        form.add("client_secret", secret.expose());
    }
    form.0.into()
}

struct Form(String);

impl Form {
    fn add(&mut self, name: &str, value: &str) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, ENCODED));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let secret = |text: &str| Secret::new(text);
        let (password, token, own) = (secret("a=b&c+d%20"), secret("r.t-x_y"), secret("s"));
        for (name, grant, client, expected) in [
            (
                "a password",
                Grant::Password { username: "admin&grant_type=x", password: &password },
                ("airflow", &own),
                "grant_type=password&username=admin%26grant_type%3Dx&password=a%3Db%26c%2Bd%2520&scope=openid\
                 &client_id=airflow&client_secret=s",
            ),
            (
                "letters beyond ASCII",
                Grant::Password { username: "ünï", password: &own },
                ("airflow", &own),
                "grant_type=password&username=%C3%BCn%C3%AF&password=s&scope=openid&client_id=airflow&client_secret=s",
            ),
            (
                "a client's own",
                Grant::ClientCredentials { id: "ci", secret: &password },
                ("airflow", &own),
                "grant_type=client_credentials&scope=openid&client_id=ci&client_secret=a%3Db%26c%2Bd%2520",
            ),
            (
                "a refresh, by a public client",
                Grant::RefreshToken(&token),
                ("cli", &secret("")),
                "grant_type=refresh_token&refresh_token=r.t-x_y&client_id=cli",
            ),
        ] {
            assert_eq!(body(grant, client), expected, "{name}");
        }
    }
}
