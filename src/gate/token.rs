//! `/auth/token` and `/auth/token/cli`: reads the bodies as Airflow's auth managers do, and answers
//! what is wrong with them in their words.
//!
//! Whose password it is, is for others to find out. Follows Airflow 3.3 with the simple auth
//! manager, with FAB's and with Keycloak's; where Airflow answers 500, the answer here is 422 in the shape of that
//! endpoint's other validation errors.

mod form;
pub(in crate::gate) mod json;
mod keycloak;
mod media;
mod printable;
mod python;
#[cfg(test)]
mod tests;
mod validation;

use std::fmt;

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::secret::Secret;
use form::{Form, TooManyFields};
use json::{InvalidJson, Text, Value};
use media::Media;
use validation::{At, Fault, Input, Kind, Style};

/// One of the two token endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/auth/token`: the token lasts for `jwt_expiration_time`.
    Token,
    /// `/auth/token/cli`: the token lasts for `jwt_cli_expiration_time`.
    Cli,
}

impl Endpoint {
    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Token => "/auth/token",
            Self::Cli => "/auth/token/cli",
        }
    }
}

/// Whose rules a body is read by: the upstream's `[core] auth_manager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthManager {
    /// Airflow's simple auth manager.
    Simple,
    /// The auth manager of the FAB provider.
    Fab,
    /// The auth manager of the Keycloak provider.
    Keycloak,
}

/// What a client asks a token with. With keycloak nothing is known of the texts; else none is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A user's name and password.
    Password(Login),
    /// A client's own id and secret: `client_credentials`.
    Client(Client),
    /// An access token of Keycloak's: `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    Assertion(Secret),
}

/// What a client logs in with for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id in Keycloak.
    pub id: String,
    /// Its secret, not checked yet.
    pub secret: Secret,
}

/// What a user logs in with. Neither part is empty, but for keycloak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name, exactly as it was sent.
    pub username: String,
    /// The user's password, not checked yet.
    pub password: Secret,
}

/// Why a body gets no further. Its `Debug` shows nothing of the body.
#[derive(Clone, PartialEq, Eq)]
pub enum Invalid {
    /// 400: a name or a password is empty; with FAB also: is missing or counts as false in Python.
    Empty,
    /// 400: the bytes are no text, too deeply nested, or hold an integer of over 4300 digits.
    Unreadable,
    /// 400: a form of more than 1000 fields.
    TooManyFields,
    /// 401: a name that no user can have, since it is no string, or one that UTF-8 cannot carry.
    /// To be counted and delayed as any wrong password, so that it cannot be told from one.
    Credentials,
    /// 415: neither JSON nor a form.
    ContentType,
    /// 422, with the whole answer. It repeats what the client sent, its password included, as
    /// Airflow's does: it may go to that client, and nowhere else.
    Fields(Bytes),
}

/// Why a method other than POST gets no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongMethod {
    /// 405, with `Allow: POST`.
    NotAllowed,
    /// 403: `GET /auth/token` is for `[core] simple_auth_manager_all_admins`.
    AllAdminsOnly,
    /// 404: with FAB there is nothing under any other method. Airflow sends an HTML page.
    NotFound,
}

/// Reads the body of a POST. `content_type` is the first `Content-Type` header, whatever comes
/// after it. Bodies must be bounded by the caller; an answer is at most some thirty times as long.
///
/// # Errors
/// Whatever Airflow would answer without looking at a user, or could only answer with 401.
pub fn read(
    manager: AuthManager,
    endpoint: Endpoint,
    content_type: Option<&[u8]>,
    body: &[u8],
) -> Result<Asked, Invalid> {
    // White space around a field value is no part of it (RFC 9110, section 5.5).
    let content_type = content_type.map(<[u8]>::trim_ascii);
    let login = match (manager, endpoint) {
        (AuthManager::Simple, Endpoint::Token) => simple_token(content_type, body),
        (AuthManager::Simple, Endpoint::Cli) => {
            let body = fastapi_body(content_type, body)?.ok_or_else(missing)?;
            login(model(&body), Style::List)
        }
        (AuthManager::Fab, Endpoint::Token | Endpoint::Cli) => {
            fab_login(&fastapi_body(content_type, body)?.ok_or_else(missing)?)
        }
        (AuthManager::Keycloak, Endpoint::Token | Endpoint::Cli) => {
            return keycloak::read(endpoint, content_type, body);
        }
    };
    login.map(Asked::Password)
}

/// The answer to a method other than POST. With FAB, Airflow's 404 is a page of its user
/// interface; here it is a detail.
pub fn wrong_method(manager: AuthManager, endpoint: Endpoint, method: &Method) -> WrongMethod {
    match (manager, endpoint) {
        (AuthManager::Simple, Endpoint::Token) if method == Method::GET => WrongMethod::AllAdminsOnly,
        (AuthManager::Simple, Endpoint::Token | Endpoint::Cli) => WrongMethod::NotAllowed,
        (AuthManager::Fab, Endpoint::Token | Endpoint::Cli) => WrongMethod::NotFound,
        (AuthManager::Keycloak, Endpoint::Token | Endpoint::Cli) => WrongMethod::NotAllowed,
    }
}

/// The body of the 201, byte for byte as Airflow's.
pub fn success_body(token: &str) -> Bytes {
    let mut out = String::from("{\"access_token\":");
    python::write_json_chars(&mut out, token.chars());
    out.push('}');
    out.into()
}

impl Invalid {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Empty | Self::Unreadable | Self::TooManyFields => StatusCode::BAD_REQUEST,
            Self::Credentials => StatusCode::UNAUTHORIZED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Fields(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// The body of the answer, `application/json`. Never to be logged.
    pub fn body(&self) -> Bytes {
        Bytes::from_static(match self {
            Self::Empty => br#"{"detail":"Username and password must be provided"}"#,
            Self::Unreadable => br#"{"detail":"There was an error parsing the body"}"#,
            Self::TooManyFields => br#"{"detail":"Too many fields. Maximum number of fields is 1000."}"#,
            Self::Credentials => br#"{"detail":"Invalid credentials"}"#,
            Self::ContentType => {
                br#"{"detail":"Only application/json or application/x-www-form-urlencoded is supported"}"#
            }
            Self::Fields(body) => return body.clone(),
        })
    }

    /// One word for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::TooManyFields => "too_many_fields",
            Self::Credentials => "credentials",
            Self::ContentType => "content_type",
            Self::Fields(_) => "fields",
        }
    }
}

impl fmt::Debug for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invalid({})", self.as_str())
    }
}

impl WrongMethod {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AllAdminsOnly => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    /// The `Allow` header that goes with it (RFC 9110, section 15.5.6).
    pub fn allow(self) -> Option<&'static str> {
        match self {
            Self::NotAllowed => Some("POST"),
            Self::AllAdminsOnly | Self::NotFound => None,
        }
    }

    /// The body of the answer, `application/json`.
    pub fn body(self) -> Bytes {
        Bytes::from_static(match self {
            Self::NotAllowed => br#"{"detail":"Method Not Allowed"}"#,
            Self::AllAdminsOnly => {
                br#"{"detail":"This method is only allowed if ``[core] simple_auth_manager_all_admins`` is True"}"#
            }
            Self::NotFound => br#"{"detail":"Not Found"}"#,
        })
    }
}

/// `parse_login_body` of the simple auth manager.
fn simple_token(content_type: Option<&[u8]>, body: &[u8]) -> Result<Login, Invalid> {
    let form = match Media::parse(content_type) {
        Media::Json => {
            let body = json::read(body).map_err(|error| not_json(Style::Text, error))?;
            return login(model(&body), Style::Text);
        }
        Media::Form => Form::read(body).map_err(|TooManyFields| Invalid::TooManyFields)?,
        Media::EmptyForm => Form::empty(),
        Media::Other => return Err(Invalid::ContentType),
    };
    let field = |name| form.get(name).map_or(Value::Null, |value| Value::Text(value.as_str().into()));
    let members = ["username", "password"].map(|name| (name.into(), field(name)));
    login(model(&Value::Dict(members.into())), Style::Text)
}

/// How FastAPI reads a body: JSON by its content type, else bytes, which come out as a string.
/// `None` for no body and for `null`, which FastAPI takes for the same.
fn fastapi_body(content_type: Option<&[u8]>, body: &[u8]) -> Result<Option<Value>, Invalid> {
    if body.is_empty() {
        return Ok(None);
    }
    if !media::is_json(content_type) {
        return Ok(Some(Value::Text(String::from_utf8_lossy(body).as_ref().into())));
    }
    match json::read(body) {
        Ok(Value::Null) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error @ InvalidJson::Syntax { .. }) => Err(not_json(Style::List, error)),
        Err(InvalidJson::Encoding | InvalidJson::Depth | InvalidJson::Digits) => Err(Invalid::Unreadable),
    }
}

/// Pydantic's `LoginBody`: two strings and nothing else.
fn model(body: &Value) -> Result<(&Text, &Text), Vec<Fault<'_>>> {
    let Value::Dict(members) = body else {
        let kind = Kind::ModelAttributesType;
        return Err(vec![Fault { kind, at: At::Body, input: Input::Value(body) }]);
    };
    if let Some((key, _)) = members.iter().find(|(key, _)| key.has_lone_surrogate()) {
        return Err(vec![Fault { kind: Kind::StringUnicode, at: At::Body, input: Input::Text(key) }]);
    }
    let mut faults = Vec::new();
    let mut field = |name: &'static str| {
        let (kind, input) = match body.get(name) {
            Some(Value::Text(text)) => return Some(text),
            Some(other) => (Kind::StringType, other),
            None => (Kind::Missing, body),
        };
        faults.push(Fault { kind, at: At::Field(name), input: Input::Value(input) });
        None
    };
    let (username, password) = (field("username"), field("password"));
    for (key, value) in members {
        if key != "username" && key != "password" {
            let kind = Kind::ExtraForbidden;
            faults.push(Fault { kind, at: At::Key(key), input: Input::Value(value) });
        }
    }
    match (username, password) {
        (Some(username), Some(password)) if faults.is_empty() => Ok((username, password)),
        (Some(_) | None, Some(_) | None) => Err(faults),
    }
}

/// What `SimpleAuthManagerLogin` asks for before it looks for the user.
fn login(fields: Result<(&Text, &Text), Vec<Fault<'_>>>, style: Style) -> Result<Login, Invalid> {
    let (username, password) = fields.map_err(|faults| invalid(style, &faults))?;
    if username.is_empty() || password.is_empty() {
        return Err(Invalid::Empty);
    }
    representable(username, password, style)
}

/// FAB's `create_token`: a `dict` with two values that Python takes for true; the rest is ignored.
fn fab_login(body: &Value) -> Result<Login, Invalid> {
    let Value::Dict(_) = body else {
        let fault = Fault { kind: Kind::DictType, at: At::Body, input: Input::Value(body) };
        return Err(invalid(Style::List, &[fault]));
    };
    let given = |name| body.get(name).filter(|value| is_true(value)).ok_or(Invalid::Empty);
    let (username, password) = (given("username")?, given("password")?);
    let Value::Text(username) = username else { return Err(Invalid::Credentials) };
    if username.has_lone_surrogate() {
        return Err(Invalid::Credentials);
    }
    let Value::Text(password_text) = password else {
        // Airflow answers 401 or 500, which tells who is a user.
        let at = At::Field("password");
        let fault = Fault { kind: Kind::StringType, at, input: Input::Value(password) };
        return Err(invalid(Style::List, &[fault]));
    };
    representable(username, password_text, Style::List)
}

/// `bool(value)`.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Int(digits) => &**digits != "0",
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Dict(members) => !members.is_empty(),
    }
}

/// Nobody's name has a lone surrogate: 401, as in Airflow. With one in the password Airflow answers
/// 401 or 500, which tells who is a user: always 422 here.
fn representable(username: &Text, password: &Text, style: Style) -> Result<Login, Invalid> {
    let username = username.to_utf8().ok_or(Invalid::Credentials)?;
    let password = password.to_utf8().map(Secret::new).ok_or_else(|| {
        let at = At::Field("password");
        invalid(style, &[Fault { kind: Kind::StringUnicode, at, input: Input::Text(password) }])
    })?;
    Ok(Login { username, password })
}

/// FastAPI's answer where there is no body.
fn missing() -> Invalid {
    invalid(Style::List, &[Fault { kind: Kind::Missing, at: At::Body, input: Input::Nothing }])
}

fn invalid(style: Style, faults: &[Fault<'_>]) -> Invalid {
    Invalid::Fields(validation::body(style, faults).into())
}

fn not_json(style: Style, error: InvalidJson) -> Invalid {
    Invalid::Fields(validation::not_json(style, error).into())
}
