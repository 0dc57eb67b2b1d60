//! The bodies of Airflow, recorded: `af3-simple` and `af3-fab` over the network, `token-bodies`
//! from the same code in-process and, for the simple auth manager, from a live server too.

use super::*;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Lines of a file of recorded answers.
pub(super) fn rows(file: &str) -> Vec<serde_json::Value> {
    let path = format!("{}/tests/goldens/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn json_vectors() -> Vec<serde_json::Value> {
    rows("python-json")
}

/// The body of a row, written as text or, where it is none, in base64.
pub(super) fn body_of(row: &serde_json::Value) -> Vec<u8> {
    match (row["body"].as_str(), row["body_b64"].as_str()) {
        (Some(text), _) => text.into(),
        (None, Some(encoded)) => BASE64_STANDARD.decode(encoded).unwrap(),
        (None, None) => Vec::new(),
    }
}

fn manager_of(word: &str) -> AuthManager {
    match word {
        "simple" => AuthManager::Simple,
        "fab" => AuthManager::Fab,
        other => panic!("{other}"),
    }
}

pub(super) fn first_content_type(row: &serde_json::Value) -> Option<&str> {
    let headers = row["request"]["headers"].as_array().unwrap();
    let found = headers.iter().find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case("content-type"));
    found.map(|pair| pair[1].as_str().unwrap())
}

/// Where Airflow answers 500, the answer is 422 and one of these.
const INSTEAD_OF_500: [(&str, &str); 6] = [
    (
        "af3-simple token.zero-length-body",
        "1 validation error for LoginBody\n  Invalid JSON: Expecting value (char 0) [type=json_invalid]\n    \
         For further information visit https://errors.pydantic.dev/2.14/v/json_invalid",
    ),
    (
        "af3-simple token.basic-header-no-body",
        "1 validation error for LoginBody\n  Invalid JSON: Expecting value (char 0) [type=json_invalid]\n    \
         For further information visit https://errors.pydantic.dev/2.14/v/json_invalid",
    ),
    (
        "af3-simple token.json-array-of-pairs",
        "1 validation error for LoginBody\n  Input should be a valid dictionary or object to extract fields \
         from [type=model_attributes_type, input_value=[['username', 'admin'], ['password', 'admin-pw']], \
         input_type=list]\n    \
         For further information visit https://errors.pydantic.dev/2.14/v/model_attributes_type",
    ),
    (
        "af3-simple token.json-string",
        "1 validation error for LoginBody\n  Input should be a valid dictionary or object to extract fields \
         from [type=model_attributes_type, input_value='admin', input_type=str]\n    \
         For further information visit https://errors.pydantic.dev/2.14/v/model_attributes_type",
    ),
    (
        "af3-simple token.json-lone-surrogate-password",
        "1 validation error for LoginBody\npassword\n  Input should be a valid string, unable to parse raw \
         data as a unicode string [type=string_unicode, input_value='\\ud800', input_type=str]\n    \
         For further information visit https://errors.pydantic.dev/2.14/v/string_unicode",
    ),
    (
        "af3-simple token-cli.json-lone-surrogate-password",
        r#"[{"type":"string_unicode","loc":["body","password"],"msg":"Input should be a valid string, unable to parse raw data as a unicode string","input":"\ufffd"}]"#,
    ),
];

#[test]
fn goldens_of_the_token_endpoints() {
    let mut seen = Vec::new();
    for (file, manager) in [("af3-simple", AuthManager::Simple), ("af3-fab", AuthManager::Fab)] {
        for row in rows(file).iter().filter(|row| row["variant"] == "default") {
            let short = row["name"].as_str().unwrap();
            if !short.starts_with("token.") && !short.starts_with("token-cli.") {
                continue;
            }
            let name = format!("{file} {short}");
            let request = &row["request"];
            let endpoint = match request["path"].as_str().unwrap().split('?').next() {
                Some("/auth/token" | "/auth/%74oken") => Endpoint::Token,
                Some("/auth/token/cli" | "/auth/%74oken/cli") => Endpoint::Cli,
                // The target decides on these, not the body.
                Some(_) | None => continue,
            };
            let status = row["response"]["status"].as_u64().unwrap() as u16;
            let answer = &row["response"]["body"];
            if request["method"] != "POST" {
                check_method(&name, manager, endpoint, row);
                continue;
            }
            if request["body_cut"].is_u64() {
                // Not recorded whole, and longer than a body may be.
                assert!(short == "token-cli.big-password", "{name}");
                continue;
            }
            let read = read(manager, endpoint, first_content_type(row).map(str::as_bytes), &body_of(request));
            match (status, read) {
                (201, Ok(Asked::Password(login))) => {
                    check_login(&name, &login, request);
                    if manager == AuthManager::Simple {
                        assert_eq!(row["derived"]["jwt_claims"]["sub"], login.username.as_str(), "{name}");
                    }
                }
                (401, Ok(Asked::Password(login))) => check_login(&name, &login, request),
                (500, Err(invalid)) => {
                    let expected = INSTEAD_OF_500.iter().find(|(known, _)| *known == name);
                    let (known, expected) = expected.unwrap_or_else(|| panic!("{name} is not listed"));
                    seen.push(*known);
                    assert_eq!(invalid.status(), 422, "{name}");
                    let body: serde_json::Value = serde_json::from_slice(&invalid.body()).unwrap();
                    let expected = match serde_json::from_str(expected) {
                        Ok(list) => list,
                        Err(_) => serde_json::Value::from(*expected),
                    };
                    assert_eq!(body["detail"], expected, "{name}");
                }
                (status, Err(invalid)) => {
                    assert_eq!(invalid.status(), status, "{name}");
                    let body: serde_json::Value = serde_json::from_slice(&invalid.body()).unwrap();
                    assert_eq!(body, *answer, "{name}");
                }
                (status, Ok(_)) => panic!("{name}: Airflow answers {status}"),
            }
        }
    }
    let missing: Vec<_> = INSTEAD_OF_500.iter().filter(|(name, _)| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "not recorded: {missing:?}");
}

fn check_login(name: &str, login: &Login, request: &serde_json::Value) {
    let body = body_of(request);
    let (username, password) = match serde_json::from_slice::<serde_json::Value>(&body) {
        Ok(body) => {
            (body["username"].as_str().unwrap().to_owned(), body["password"].as_str().unwrap().to_owned())
        }
        // A form, or JSON that only Python reads: all of them are of one user.
        Err(_) if name.ends_with("form-invalid-password") => ("admin".into(), "nope".into()),
        Err(_) => ("admin".into(), "admin-pw".into()),
    };
    assert_eq!(login.username, username, "{name}");
    assert_eq!(login.password.expose(), password, "{name}");
}

fn check_method(name: &str, manager: AuthManager, endpoint: Endpoint, row: &serde_json::Value) {
    let method = row["request"]["method"].as_str().unwrap().parse().unwrap();
    let response = &row["response"];
    let wrong = wrong_method(manager, endpoint, &method);
    assert_eq!(u64::from(wrong.status().as_u16()), response["status"], "{name}");
    assert_eq!(wrong.allow(), response["headers"]["allow"][0].as_str(), "{name}");
    // FAB's page is not copied; an answer to HEAD has no body.
    if manager == AuthManager::Simple && method != Method::HEAD {
        let body: serde_json::Value = serde_json::from_slice(&wrong.body()).unwrap();
        assert_eq!(body, response["body"], "{name}");
    }
}

#[test]
fn methods_beyond_the_goldens() {
    // Asked of a live server, but for the last: Airflow shows a page of its user interface there.
    let rows = [
        (AuthManager::Simple, Endpoint::Token, "GET", 403),
        (AuthManager::Simple, Endpoint::Token, "TRACE", 405),
        (AuthManager::Simple, Endpoint::Token, "PROPFIND", 405),
        (AuthManager::Simple, Endpoint::Cli, "DELETE", 405),
        (AuthManager::Simple, Endpoint::Cli, "GET", 405),
    ];
    for (manager, endpoint, method, status) in rows {
        let wrong = wrong_method(manager, endpoint, &method.parse().unwrap());
        assert_eq!(wrong.status(), status, "{method} {endpoint:?}");
    }
}

#[test]
fn bodies_as_airflow_reads_them() {
    for (number, row) in rows("token-bodies").iter().enumerate() {
        let name = format!("row {}: {row}", number + 1);
        let manager = manager_of(row["manager"].as_str().unwrap());
        let endpoint = if row["endpoint"] == "cli" { Endpoint::Cli } else { Endpoint::Token };
        // Written as text in the file, Latin-1 on the wire.
        let content_type = row["content_type"].as_str();
        let content_type = content_type.map(|value| value.chars().map(|c| c as u8).collect::<Vec<u8>>());
        let read = read(manager, endpoint, content_type.as_deref(), &body_of(row));
        match (row["status"].as_u64().unwrap() as u16, read) {
            (200, Ok(Asked::Password(login))) => {
                assert_eq!(row["login"][0], login.username.as_str(), "{name}");
                assert_eq!(row["login"][1], login.password.expose(), "{name}");
            }
            (500, Err(invalid)) => {
                assert_eq!(invalid.status(), 422, "{name}");
                let body: serde_json::Value = serde_json::from_slice(&invalid.body()).unwrap();
                let as_text = manager == AuthManager::Simple && endpoint == Endpoint::Token;
                assert_eq!(body["detail"].is_string(), as_text, "{name}");
                assert_eq!(body["detail"].is_array(), !as_text, "{name}");
            }
            (status, Err(invalid)) => {
                assert_eq!(invalid.status(), status, "{name}");
                let body = String::from_utf8(invalid.body().into()).unwrap();
                assert_eq!(body, row["answer"].as_str().unwrap(), "{name}");
            }
            (status, Ok(_)) => panic!("{name}: Airflow answers {status}"),
        }
    }
}

#[test]
fn what_json_cannot_carry_is_replaced() {
    let rows: [(&str, &[u8], &str); 4] = [
        (
            "nan and infinity",
            br#"{"username":[NaN,-Infinity,1e400],"password":"b"}"#,
            r#"[{"type":"string_type","loc":["body","username"],"msg":"Input should be a valid string","input":[null,null,null]}]"#,
        ),
        (
            "lone surrogates in values",
            br#"{"username":{"\ud800":"\udc00"},"password":"b"}"#,
            r#"[{"type":"string_type","loc":["body","username"],"msg":"Input should be a valid string","input":{"�":"�"}}]"#,
        ),
        (
            "a lone surrogate in a key",
            br#"{"username":1,"\ud800":"x"}"#,
            r#"[{"type":"string_unicode","loc":["body"],"msg":"Input should be a valid string, unable to parse raw data as a unicode string","input":"�"}]"#,
        ),
        ("not JSON by its first byte", b"\xff", r#"{"detail":"There was an error parsing the body"}"#),
    ];
    for (name, body, expected) in rows {
        let invalid = read(AuthManager::Simple, Endpoint::Cli, Some(b"application/json"), body).unwrap_err();
        let body = String::from_utf8(invalid.body().into()).unwrap();
        let expected =
            if expected.starts_with('[') { format!("{{\"detail\":{expected}}}") } else { expected.into() };
        assert_eq!(body, expected, "{name}");
    }
}

#[test]
fn unreadable_bodies_of_the_text_endpoint() {
    let deep = b"[".repeat(2000);
    let digits = b"1".repeat(4301);
    let rows: [(&str, &[u8], &str); 3] = [
        ("not text", b"{\"\xff\"}", "not valid text"),
        ("deep", &deep, "too deeply nested"),
        ("digits", &digits, "too long an integer"),
    ];
    for (name, body, expected) in rows {
        let invalid = read(AuthManager::Simple, Endpoint::Token, None, body).unwrap_err();
        assert_eq!(invalid.status(), 422, "{name}");
        let body: serde_json::Value = serde_json::from_slice(&invalid.body()).unwrap();
        let expected = format!(
            "1 validation error for LoginBody\n  Invalid JSON: {expected} [type=json_invalid]\n    \
             For further information visit https://errors.pydantic.dev/2.14/v/json_invalid"
        );
        assert_eq!(body["detail"], expected, "{name}");
    }
}

#[test]
fn the_deepest_body_is_repeated_without_exhausting_the_stack() {
    let nested = format!("{{\"username\":{}{}}}", "[".repeat(955), "]".repeat(955));
    for endpoint in [Endpoint::Token, Endpoint::Cli] {
        let content_type = Some(&b"application/json"[..]);
        let invalid = read(AuthManager::Simple, endpoint, content_type, nested.as_bytes()).unwrap_err();
        assert_eq!(invalid.status(), 422, "{endpoint:?}");
    }
}

#[test]
fn of_very_many_faults_the_first_are_told() {
    let keys: Vec<_> = (0..10_000).map(|n| format!("\"k{n}\":0")).collect();
    let body = format!("{{\"username\":\"a\",\"password\":\"b\",{}}}", keys.join(","));
    for endpoint in [Endpoint::Token, Endpoint::Cli] {
        let content_type = Some(&b"application/json"[..]);
        let invalid = read(AuthManager::Simple, endpoint, content_type, body.as_bytes()).unwrap_err();
        assert_eq!(invalid.status(), 422, "{endpoint:?}");
        let answer = String::from_utf8(invalid.body().to_vec()).unwrap();
        assert!(answer.contains("k99") && !answer.contains("k100"), "{endpoint:?}");
        assert!(answer.len() < 32 * 1024, "{endpoint:?}: {} bytes", answer.len());
    }
}

#[test]
fn the_answer_to_a_success() {
    assert_eq!(success_body("a.b-c_d"), r#"{"access_token":"a.b-c_d"}"#);
    assert_eq!(success_body("a\"b"), r#"{"access_token":"a\"b"}"#);
}

#[test]
fn nothing_shows_the_password() {
    let body = br#"{"username":"admin","password":"hunter2"}"#;
    let login = read(AuthManager::Simple, Endpoint::Cli, Some(b"application/json"), body).unwrap();
    assert!(!format!("{login:?}").contains("hunter2"));
    let invalid = read(AuthManager::Simple, Endpoint::Cli, None, body).unwrap_err();
    assert!(String::from_utf8_lossy(&invalid.body()).contains("hunter2"), "as Airflow does");
    assert!(!format!("{invalid:?}").contains("hunter2"));
}

#[test]
fn no_bytes_make_it_panic_or_answer_out_of_proportion() {
    // Made of what the readers care about, by a fixed generator: the same bytes in every run.
    const ALPHABET: &[u8] = b"{}[]\",:\\u0dD8c9-+.eEnNtfI \n=&%username\x00\xff\xfe\xed\xa0\xef\xbb\xbf";
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let types =
        [None, Some("application/json"), Some("application/x-www-form-urlencoded"), Some("text/plain")];
    for _ in 0..20_000 {
        let body: Vec<u8> = (0..next() % 40).map(|_| ALPHABET[next() % ALPHABET.len()]).collect();
        let content_type = types[next() % types.len()].map(str::as_bytes);
        let manager = [AuthManager::Simple, AuthManager::Fab, AuthManager::Keycloak][next() % 3];
        let endpoint = [Endpoint::Token, Endpoint::Cli][next() % 2];
        if let Err(invalid) = read(manager, endpoint, content_type, &body) {
            let answer = invalid.body();
            assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok(), "{body:?}");
            assert!(answer.len() <= 1000 + 40 * body.len(), "{body:?}");
        }
    }
}
