//! Airflow's own sources, and Airflow's names in ours.

use super::*;

#[test]
fn the_samples_of_airflows_documentation_are_read() {
    // https://airflow.apache.org/docs/apache-airflow/stable/security/api.html and the provider's.
    let case = Case::new().cfg(
        "[api]\n\
         access_control_allow_headers = origin, content-type, accept\n\
         access_control_allow_methods = POST, GET, OPTIONS, DELETE\n\
         access_control_allow_origins = https://exampleclientapp1.com https://exampleclientapp2.com\n\
         auth_backend = airflow.api.auth.backend.basic_auth\n",
    );
    let api = case.settings().api;
    let cors = api.cors.unwrap();
    assert_eq!(values(&cors.origins), ["https://exampleclientapp1.com", "https://exampleclientapp2.com"]);
    assert_eq!(values(&cors.methods), ["POST", "GET", "OPTIONS", "DELETE"]);
    assert_eq!(cors.headers, ["origin", "content-type", "accept"]);
    assert_eq!(values(&api.auth_backends), [BackendName::Jwt, BackendName::BasicAuth]);
    assert_eq!(
        case.warnings(),
        ["airflow.cfg:5: [api] auth_backend is read as [api] auth_backends: please rename it"]
    );
}

#[test]
fn old_names_of_our_own_sources_are_read_with_a_warning() {
    let case = Case::new()
        .toml(
            "[api]\naccess_control_allow_origin = \"https://a.example\"\n[webserver]\nbase_url = \"https://h/x\"\n",
        )
        .variable("AIRGATE__API__AUTH_BACKEND", "jwt")
        .set("api.page_size=20")
        .set("api.access_control_allow_methods=GET")
        .set("api.access_control_allow_headers=*");
    let api = case.settings().api;
    assert_eq!(values(&api.cors.as_ref().unwrap().origins), ["https://a.example"]);
    assert_eq!(api.base_url.unwrap().path, "/x");
    assert_eq!(values(&api.auth_backends), [BackendName::Jwt]);
    assert_eq!(api.fallback_page_limit.value, 20);
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:2:1: [api] access_control_allow_origin is read as [api] access_control_allow_origins: \
             please rename it",
            "airgate.toml:4:1: [webserver] base_url is read as [api] base_url: please rename it",
            "AIRGATE__API__AUTH_BACKEND: [api] auth_backend is read as [api] auth_backends: please rename it",
            "--set api.page_size: [api] page_size is read as [api] fallback_page_limit: please rename it",
        ]
    );
}

#[test]
fn the_chain_keeps_airflows_tokens_unless_we_say_otherwise() {
    use BackendName::{BasicAuth, Default, DenyAll, Jwt, Session};
    let fab = "[core]\nauth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager\n";
    let rows: &[(&str, &str, &str, &[BackendName])] = &[
        ("Airflow's, without session", "[api]\nauth_backends = basic_auth\n", "", &[Jwt, BasicAuth]),
        (
            "Airflow's, session first",
            "[api]\nauth_backends = session,basic_auth\n",
            "",
            &[Session, Jwt, BasicAuth],
        ),
        (
            "Airflow's, session last",
            "[api]\nauth_backends = basic_auth,session\n",
            "",
            &[Jwt, BasicAuth, Session],
        ),
        (
            "Airflow's own default of 2",
            "[api]\nauth_backends = airflow.api.auth.backend.session\n",
            "",
            &[Session, Jwt],
        ),
        (
            "Airflow's deny_all",
            "[api]\nauth_backends = airflow.api.auth.backend.deny_all\n",
            "",
            &[Jwt, DenyAll],
        ),
        (
            "ours is taken as it is",
            "[api]\nauth_backends = session\n",
            "[api]\nauth_backends = \"basic_auth\"",
            &[BasicAuth],
        ),
        ("ours names one twice", "", "[api]\nauth_backends = \"jwt basic_auth jwt\"", &[Jwt, BasicAuth]),
        (
            "[fab] without fab is what Airflow's generator wrote",
            "[fab]\nauth_backends = airflow.providers.fab.auth_manager.api.auth.backend.session\n",
            "",
            &[Session, Jwt, BasicAuth],
        ),
        (
            "[fab] with fab goes first",
            &format!("{fab}[api]\nauth_backends = session\n[fab]\nauth_backends = basic_auth\n"),
            "",
            &[Jwt, BasicAuth],
        ),
        (
            "[fab] with our auth manager",
            "[fab]\nauth_backends = basic_auth\n",
            "[upstream]\nauth_manager = \"fab\"",
            &[Jwt, BasicAuth],
        ),
        (
            "[api] with fab, as in Airflow 2",
            &format!("{fab}[api]\nauth_backends = session\n"),
            "",
            &[Session, Jwt],
        ),
        (
            "anonymous",
            "[api]\nauth_backends = airflow.api.auth.backend.default\n[core]\nsimple_auth_manager_users = a:viewer\n[api_auth]\njwt_secret = s\n",
            "[api]\nanonymous_user = \"a\"\nenable_experimental_api = true",
            &[Jwt, Default],
        ),
    ];
    for (name, cfg, toml, expected) in rows {
        let case = Case::new().cfg(cfg).toml(toml);
        assert_eq!(values(&case.settings().api.auth_backends), *expected, "{name}");
    }
}

#[test]
fn airflows_names_move_between_its_releases() {
    let rows: &[(&str, &str, &str)] = &[
        ("Airflow 2", "[webserver]\nbase_url = https://h/two\n", "/two"),
        ("Airflow 3", "[api]\nbase_url = https://h/three\n", "/three"),
        ("both", "[webserver]\nbase_url = https://h/two\n[api]\nbase_url = https://h/three\n", "/three"),
    ];
    for (name, cfg, path) in rows {
        let case = Case::new().cfg(cfg);
        assert_eq!(case.settings().api.base_url.unwrap().path, *path, "{name}");
        assert_eq!(case.warnings(), Vec::<String>::new(), "{name}");
    }
    let case = Case::new()
        .cfg("[api]\nbase_url = https://h/a\n")
        .variable("AIRFLOW__WEBSERVER__BASE_URL", "https://h/b");
    assert_eq!(case.settings().api.base_url.unwrap().path, "/b");
}

#[test]
fn what_is_airflows_alone_is_passed_over() {
    let case = Case::new()
        .cfg(
            "[core]\nexecutor = x\nfernet_key_cmd = false\n[database]\nsql_alchemy_conn = sqlite://\n[redis]\nx = 1\n\
             [api]\nworkers = many\nsecret_key_secret = x\n",
        )
        .variable("AIRFLOW__CORE__EXECUTOR", "x")
        .variable("AIRFLOW__API__MAXIMUM_PAGE_LIMIT_CMD", "false")
        .variable("AIRFLOW__API__MAXIMUM_PAGE_LIMIT_SECRET", "x")
        .variable("AIRFLOW_CTX_DAG_ID", "x");
    assert_eq!(case.warnings(), Vec::<String>::new());
}

#[test]
fn numbers_and_flags_of_airflow_are_read_as_laxly() {
    let case = Case::new().cfg(
        "[api]\nmaximum_page_limit =  1_000 \nfallback_page_limit = 7.0\nenable_experimental_api = T # on\n\
         [api_auth]\njwt_expiration_time = 1e3\njwt_leeway = +5\n",
    );
    let s = case.settings();
    assert_eq!(s.api.maximum_page_limit.value, 1000);
    assert_eq!(s.api.fallback_page_limit.value, 7);
    assert!(s.api.enable_experimental_api);
    assert_eq!(s.api_auth.jwt_expiration_time, Duration::from_secs(1000));
    assert_eq!(s.api_auth.jwt_leeway, Duration::from_secs(5));
}

#[test]
fn issuer_audience_and_algorithms_are_cut_as_in_airflow() {
    let cfg = "[api_auth]\njwt_issuer = https://a, https://b\njwt_audience = one,two\njwt_algorithm = HS512,HS256\n";
    let auth = Case::new().cfg(cfg).settings().api_auth;
    assert_eq!(auth.jwt_issuers, ["https://a", "https://b"]);
    assert_eq!(auth.jwt_audiences, ["one,two"]);
    assert_eq!(values(&auth.jwt_algorithms), [JwtAlgorithm::Hs512, JwtAlgorithm::Hs256]);

    let toml =
        "[api_auth]\njwt_issuer = [\"a,b\"]\njwt_audience = [\"one\", \"two\"]\njwt_algorithm = \"GUESS\"\n";
    let auth = Case::new().cfg(cfg).toml(toml).settings().api_auth;
    assert_eq!(auth.jwt_issuers, ["a,b"]);
    assert_eq!(auth.jwt_audiences, ["one", "two"]);
    assert_eq!(values(&auth.jwt_algorithms), []);

    let toml = "[api_auth]\njwt_audience = \"one,two\"\n";
    assert_eq!(Case::new().toml(toml).settings().api_auth.jwt_audiences, ["one,two"]);
}

#[test]
fn airflow_cfg_is_found_where_airflow_finds_it() {
    let limit = |case: &Case| case.settings().api.maximum_page_limit.value;
    let cfg = |n: u32| format!("[api]\nmaximum_page_limit = {n}\nfallback_page_limit = 1\n");
    let case =
        Case::new().file("home/airflow.cfg", &cfg(1)).file("other.cfg", &cfg(2)).file("third.cfg", &cfg(3));
    assert_eq!(limit(&case), 100);
    let case = case.variable("AIRFLOW_HOME", "home");
    assert_eq!(limit(&case), 1);
    let case = case.variable("AIRFLOW_CONFIG", "other.cfg");
    assert_eq!(limit(&case), 2);
    let case =
        case.file("conf/airgate.toml", "[gate]\nairflow_cfg = \"../third.cfg\"\n").conf("conf/airgate.toml");
    assert_eq!(limit(&case), 3);
    let case = case.set("gate.airflow_cfg=");
    assert_eq!(limit(&case), 100);
    // Airflow would make it; we do without.
    assert_eq!(limit(&Case::new().variable("AIRFLOW_HOME", "none")), 100);
}

#[test]
fn the_simple_auth_managers_users() {
    let case = Case::new()
        .cfg(
            "[core]\nsimple_auth_manager_users = bob:admin, peter:Viewer , team:user:a|b, ann:op:op, \
               system:serviceaccount:etl:robot:op, system:serviceaccount:etl:admin:viewer, \
               system:serviceaccount:etl:team:user:a\n",
        )
        .variable("AIRFLOW_HOME", "/opt/airflow");
    let core = case.settings().core;
    let user = |name: &str, role: &str, teams: Option<&[&str]>| SimpleUser {
        name: name.to_owned(),
        role: role.to_owned(),
        teams: teams.map(|teams| teams.iter().map(|t| (*t).to_owned()).collect()),
    };
    let expected = vec![
        user("bob", "admin", None),
        user("peter", "Viewer", None),
        user("team", "user", Some(&["a", "b"])),
        user("ann", "op", Some(&["op"])),
        user("system:serviceaccount:etl:robot", "op", None),
        user("system:serviceaccount:etl:admin", "viewer", None),
        user("system:serviceaccount:etl:team", "user", Some(&["a"])),
    ];
    assert_eq!(core.simple_users.unwrap().value, expected);
    let file = core.simple_passwords_file.unwrap();
    assert_eq!(file.value, Path::new("/opt/airflow/simple_auth_manager_passwords.json.generated"));
    assert!(!file.is_set());
}
