//! The samples of Airflow's own documentation, as they stand there, with airgate in Airflow's place.
//!
//! Only the port and what the documentation puts in angle brackets or calls "your-…" is replaced.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Airgate, Answer, airflow, get, keycloak, options, post};

/// "Generate a JWT token", from "Public API" (`security/api.html`) of Airflow 3.0.
const PUBLIC_API_TOKEN: &str = r#"
ENDPOINT_URL="http://localhost:8080/"
curl -X POST ${ENDPOINT_URL}/auth/token \
  -H "Content-Type: application/json" \
  -d '{
    "username": "your-username",
    "password": "your-password"
  }'
"#;

/// "Use the JWT token to call Airflow public API", from the same page.
const PUBLIC_API_DAGS: &str = r#"
ENDPOINT_URL="http://localhost:8080/"
curl -X GET ${ENDPOINT_URL}/api/v2/dags \
  -H "Authorization: Bearer <JWT-TOKEN>"
"#;

/// "Generate JWT token with simple auth manager" of Airflow 3.0, and word for word with the FAB auth
/// manager of its provider 2.0.
const AUTH_MANAGER_TOKEN: &str = r#"
ENDPOINT_URL="http://localhost:8080/"
curl -X 'POST' \
    "${ENDPOINT_URL}/auth/token" \
    -H 'Content-Type: application/json' \
    -d '{
    "username": "<username>",
    "password": "<password>"
    }'
"#;

/// From the page of the simple auth manager: for where everybody is an administrator.
const ALL_ADMINS_TOKEN: &str = r#"
ENDPOINT_URL="http://localhost:8080/"
curl -X 'GET' "${ENDPOINT_URL}/auth/token"
"#;

/// "Generate JWT token with Keycloak auth manager": there is a space inside the URL.
const KEYCLOAK_TOKEN: &str = r#"
ENDPOINT_URL="http://localhost:8080 "
curl -X 'POST' \
    "${ENDPOINT_URL}/auth/token" \
    -H 'Content-Type: application/json' \
    -d '{
    "grant_type": "client_credentials",
    "client_id": "<client_id>",
    "client_secret": "<client_secret>"
    }'
"#;

/// "Generate JWT token with Keycloak auth manager" again, by name and password.
const KEYCLOAK_PASSWORD: &str = r#"
ENDPOINT_URL="http://localhost:8080"
curl -X 'POST' \
    "${ENDPOINT_URL}/auth/token" \
    -H 'Content-Type: application/json' \
    -d '{
    "username": "<username>",
    "password": "<password>"
    }'
"#;

/// "Configure Airflow to use the Keycloak auth manager", of its provider. What it names in words is given by variables
/// there, in the manner of its `AIRFLOW__KEYCLOAK_AUTH_MANAGER__REALM`.
const KEYCLOAK_CONFIGURATION: &str = "\
[core]
auth_manager = airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager

[api]
base_url = https://your-airflow-host.example.com
";

/// "Basic authentication", from "FAB auth manager API authentication", for today's API.
const BASIC_POOLS: &str = r#"
ENDPOINT_URL="http://localhost:8080/"
curl -X GET  \
    --user "username:password" \
    "${ENDPOINT_URL}/api/v2/pools"
"#;

/// "Enabling CORS", from "Public API": origins with a space between them.
const CORS: &str = "\
[api]
access_control_allow_headers = origin, content-type, accept
access_control_allow_methods = POST, GET, OPTIONS, DELETE
access_control_allow_origins = https://exampleclientapp1.com https://exampleclientapp2.com
";

/// A sample in which the address is the gate's, run by a shell with the real curl.
fn run(sample: &str, gate: &Airgate, replaced: &[(&str, &str)]) -> Output {
    let port = gate.address().port();
    let mut sample = sample.replace("localhost:8080", &format!("localhost:{port}"));
    for (placeholder, value) in replaced {
        assert!(sample.contains(placeholder), "{placeholder} is not in {sample}");
        sample = sample.replace(placeholder, value);
    }
    // Of the environment only what finds curl: no proxy of the machine's may see calls to loopback.
    let mut bash = Command::new("bash");
    bash.args(["-c", &sample]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    bash.output().unwrap()
}

#[track_caller]
fn answer(output: &Output) -> Value {
    let (out, err) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {err}", output.status);
    serde_json::from_slice(out).unwrap_or_else(|e| panic!("{e}: {} {err}", String::from_utf8_lossy(out)))
}

#[test]
fn a_token_and_a_call_with_it() {
    let airflow = airflow::simple();
    let with_key = format!("[gate]\nairflow_cfg = \"{}\"\n", airflow.config().display());
    for (name, config) in [("with Airflow's key", with_key.as_str()), ("without it", "")] {
        let gate = Airgate::before(&airflow.url, config);
        for (sample, user, password) in [
            (PUBLIC_API_TOKEN, "your-username", "your-password"),
            (AUTH_MANAGER_TOKEN, "<username>", "<password>"),
        ] {
            let told = answer(&run(sample, &gate, &[(user, "admin"), (password, "admin-pw")]));
            let token = told["access_token"].as_str().unwrap_or_else(|| panic!("{name}: {told}"));
            let dags = answer(&run(PUBLIC_API_DAGS, &gate, &[("<JWT-TOKEN>", token)]));
            assert_eq!(dags["total_entries"], 8, "{name}: {dags}");
        }
    }
}

#[test]
fn a_token_of_the_fab_auth_manager() {
    let gate = Airgate::before(&airflow::fab().url, "auth_manager = \"fab\"\n");
    let who = [("<username>", "admin"), ("<password>", "admin-pw")];
    let told = answer(&run(AUTH_MANAGER_TOKEN, &gate, &who));
    let token = told["access_token"].as_str().unwrap_or_else(|| panic!("{told}"));
    let dags = answer(&run(PUBLIC_API_DAGS, &gate, &[("<JWT-TOKEN>", token)]));
    assert_eq!(dags["total_entries"], 8, "{dags}");
}

/// Against the real Keycloak and the real Airflow with its auth manager.
#[test]
fn the_keycloak_auth_manager() {
    let airflow = airflow::keycloak();
    let keycloak = keycloak::shared();
    let gate = Airgate::with(format!("[upstream]\nurl = \"{}\"\n", airflow.url));
    let home = gate.home().display().to_string();
    let secret = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789";
    let gate = gate
        .file("airflow.cfg", KEYCLOAK_CONFIGURATION)
        .env("AIRFLOW_HOME", &home)
        .env("AIRFLOW__API_AUTH__JWT_SECRET", secret)
        .env("AIRFLOW__KEYCLOAK_AUTH_MANAGER__SERVER_URL", &keycloak.url)
        .env("AIRFLOW__KEYCLOAK_AUTH_MANAGER__REALM", "airflow")
        .env("AIRFLOW__KEYCLOAK_AUTH_MANAGER__CLIENT_ID", "airflow")
        .env("AIRFLOW__KEYCLOAK_AUTH_MANAGER__CLIENT_SECRET", "airflow-client-secret")
        .start();
    let client = KEYCLOAK_TOKEN.replace("8080 ", "8080");
    for (sample, name, its_name, word, its_word) in [
        (KEYCLOAK_PASSWORD, "<username>", "admin", "<password>", "admin-pw"),
        (&client, "<client_id>", "airflow", "<client_secret>", "airflow-client-secret"),
    ] {
        let told = answer(&run(sample, &gate, &[(name, its_name), (word, its_word)]));
        let token = told["access_token"].as_str().unwrap_or_else(|| panic!("{name}: {told}"));
        let dags = answer(&run(PUBLIC_API_DAGS, &gate, &[("<JWT-TOKEN>", token)]));
        assert!(dags["total_entries"].is_u64(), "{name}: {dags}");
    }
}

#[test]
fn name_and_password_on_the_api_itself() {
    let gate = Airgate::before(&airflow::simple().url, "");
    let pools = answer(&run(BASIC_POOLS, &gate, &[("username:password", "viewer:viewer-pw")]));
    assert_eq!(pools["pools"][0]["name"], "default_pool", "{pools}");
}

#[test]
fn no_token_without_credentials_unless_everybody_is_an_administrator() {
    let gate = Airgate::before(&airflow::simple().url, "");
    let ours = answer(&run(ALL_ADMINS_TOKEN, &gate, &[]));
    let airflows = get("/auth/token").send(airflow::simple().address());
    assert_eq!(ours, airflows.json());
    assert_eq!(gate.send(get("/auth/token")).status, airflows.status);
}

/// The manual says so: the sample is wrong, and no server can make it right.
#[test]
fn curl_itself_refuses_the_sample_that_has_a_space_in_its_url() {
    const MALFORMED_URL: i32 = 3;
    let gate = Airgate::before(&airflow::simple().url, "");
    let output = run(KEYCLOAK_TOKEN, &gate, &[]);
    assert_eq!(output.status.code(), Some(MALFORMED_URL), "{output:?}");
    // Without the space it gets here; this auth manager has no such grant.
    let told = answer(&run(&KEYCLOAK_TOKEN.replace("8080 ", "8080"), &gate, &[]));
    assert!(told["detail"].is_string(), "{told}");
}

/// An airgate that finds this `airflow.cfg` as Airflow would: in `AIRFLOW_HOME`.
fn configured(airflow_cfg: &str, upstream: &str) -> Airgate {
    let gate = Airgate::with(format!("[upstream]\nurl = \"{upstream}\"\n"));
    let home = gate.home().display().to_string();
    gate.file("airflow.cfg", airflow_cfg).env("AIRFLOW_HOME", &home).start()
}

#[test]
fn cors_lists_with_spaces_allow_each_of_their_members() {
    let gate = configured(CORS, &airflow::simple().url);
    let preflight = |origin: &str, method: &str| {
        let ask =
            options("/api/v2/dags").with("Origin", origin).with("Access-Control-Request-Method", method);
        gate.send(ask.with("Access-Control-Request-Headers", "accept, content-type"))
    };
    let told = |answer: &Answer| (answer.status, answer.text());
    let ok = (200, "OK".to_owned());
    for origin in ["https://exampleclientapp1.com", "https://exampleclientapp2.com"] {
        for method in ["POST", "GET", "DELETE"] {
            let answer = preflight(origin, method);
            assert_eq!(told(&answer), ok, "{origin} {method}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        }
        let pools = gate.send(get("/api/v2/pools").with("Origin", origin).basic("viewer", "viewer-pw"));
        assert_eq!(pools.status, 200, "{}", pools.text());
        assert_eq!(pools.all("access-control-allow-origin"), [origin], "once, and exactly");
    }
    for (name, origin, method) in [
        ("another origin", "https://exampleclientapp3.com", "GET"),
        ("the list itself", "https://exampleclientapp1.com https://exampleclientapp2.com", "GET"),
        ("another method", "https://exampleclientapp1.com", "PATCH"),
    ] {
        assert_eq!(preflight(origin, method).status, 400, "{name}");
    }
}

/// What a client may show, besides a token of Airflow's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Besides {
    Nothing,
    Basic,
    Cookie,
}

/// In front of Airflow 3 its own tokens are always accepted: these names are of what there is besides.
#[test]
fn the_backends_that_the_documentation_configures() {
    use Besides::{Basic, Cookie, Nothing};
    let (simple, fab) = (airflow::simple(), airflow::fab());
    let with_fab =
        "[core]\nauth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager\n";
    let fabs = "airflow.providers.fab.auth_manager.api.auth.backend";
    for (name, airflow, airflow_cfg, besides) in [
        (
            "2.0: the default",
            simple,
            "[api]\nauth_backend = airflow.api.auth.backend.deny_all\n".into(),
            Nothing,
        ),
        (
            "2.0: singular",
            simple,
            "[api]\nauth_backend = airflow.api.auth.backend.basic_auth\n".into(),
            Basic,
        ),
        ("2.3: plural", simple, "[api]\nauth_backends = airflow.api.auth.backend.basic_auth\n".into(), Basic),
        (
            "2.3: the default",
            simple,
            "[api]\nauth_backends = airflow.api.auth.backend.session\n".into(),
            Cookie,
        ),
        ("FAB 1.5", fab, format!("{with_fab}[api]\nauth_backends = {fabs}.basic_auth\n"), Basic),
        ("FAB 2", fab, format!("{with_fab}[fab]\nauth_backends = {fabs}.basic_auth\n"), Basic),
        ("FAB 2: the default", fab, format!("{with_fab}[fab]\nauth_backends = {fabs}.session\n"), Cookie),
    ] {
        let gate = configured(&airflow_cfg, &airflow.url);
        let viewer = json!({"username": "viewer", "password": "viewer-pw"});
        let token = post("/auth/token").json(viewer).send(airflow.address()).token();
        let pools = || get("/api/v2/pools");
        let accepts = |ask| gate.send(ask).status == 200;
        assert!(accepts(pools().bearer(&token)), "{name}: Bearer");
        assert_eq!(accepts(pools().basic("viewer", "viewer-pw")), besides == Basic, "{name}: Basic");
        let with_cookie = pools().with("Cookie", format!("_token={token}"));
        assert_eq!(accepts(with_cookie), besides == Cookie, "{name}: cookie");
        assert!(!accepts(pools()), "{name}: nothing");
    }
}

/// "You can only disable authentication for experimental API, not the stable REST API."
#[test]
fn authentication_cannot_be_disabled_on_the_stable_api() {
    let airflow_cfg = "[api]\nauth_backend = airflow.api.auth.backend.default\n";
    let start = |api: &str| {
        let key =
            "[api_auth]\njwt_secret = \"a-secret\"\n[core]\nsimple_auth_manager_users = \"viewer:viewer\"\n";
        let config = format!("[upstream]\nurl = \"{}\"\n{key}[api]\n{api}", airflow::simple().url);
        Airgate::with(config).file("airflow.cfg", airflow_cfg).env("AIRFLOW_CONFIG", "airflow.cfg")
    };
    let (code, errors) = start("").fails();
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("anonymous_user"), "{errors}");
    let gate = start("anonymous_user = \"viewer\"\n").start();
    assert_eq!(gate.send(get("/api/v2/pools")).status, 401);
}

/// "Page size limit": the default is 100, `maximum_page_limit` changes it.
#[test]
fn the_page_size_limit() {
    let gate = configured("[api]\nmaximum_page_limit = 2\n", &airflow::simple().url);
    let count = |ask| gate.send(ask).json()["pools"].as_array().map(Vec::len);
    for (name, query, expected) in [("clamped", "?limit=1000", 2), ("less", "?limit=1", 1), ("none", "", 2)] {
        let ask = get(format!("/api/v2/pools{query}")).basic("viewer", "viewer-pw");
        assert_eq!(count(ask), Some(expected), "{name}");
    }
}

/// `airflow config get-value api auth_backends`, of which the documentation shows the answer too.
#[test]
fn the_configured_backends_can_be_asked_for() {
    let backend = "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth";
    let (code, out) = Airgate::with("")
        .file("airflow.cfg", format!("[api]\nauth_backends = {backend}\n"))
        .env("AIRFLOW_CONFIG", "airflow.cfg")
        .says(&["config", "get-value", "api", "auth_backends"]);
    assert_eq!((code, out.trim_end()), (Some(0), backend));
}
