//! Warnings of what is allowed, and seldom meant.

use super::*;

const NONE: [&str; 0] = [];

#[test]
fn origins_whose_pages_can_ask_for_nothing() {
    let methods = "[api] access_control_allow_origins: [api] access_control_allow_methods is empty, so every preflight \
                   gets 400, for GET too, as from Airflow";
    let headers = "[api] access_control_allow_origins: [api] access_control_allow_headers is empty, so a preflight \
                   that asks for Authorization gets 400, as from Airflow";
    let lower = |method: &str| {
        format!(
            "[api] access_control_allow_methods: \"{method}\" allows nothing: methods are compared letter by letter, \
             and are in upper case"
        )
    };
    let at = |place: &str, message: &str| format!("{place}: {message}");
    let origins = "[api]\naccess_control_allow_origins = \"https://a.example\"\n";
    let both = "access_control_allow_methods = \"GET\"\naccess_control_allow_headers = \"authorization\"\n";
    for (name, toml, expected) in [
        ("all three", format!("{origins}{both}"), vec![]),
        ("no origin", format!("[api]\n{both}"), vec![]),
        (
            "no origin, and a method that never comes",
            "[api]\naccess_control_allow_methods = \"get\"\n".into(),
            vec![],
        ),
        (
            "origins alone",
            origins.into(),
            vec![at("airgate.toml:2:32", methods), at("airgate.toml:2:32", headers)],
        ),
        (
            "no header",
            format!("{origins}access_control_allow_methods = \"*\"\n"),
            vec![at("airgate.toml:2:32", headers)],
        ),
        (
            "no method",
            format!("{origins}access_control_allow_headers = \"*\"\n"),
            vec![at("airgate.toml:2:32", methods)],
        ),
        (
            "methods that never come",
            format!(
                "{origins}access_control_allow_headers = \"x\"\naccess_control_allow_methods = [\"get\", \"PUT\", \"Post\"]\n"
            ),
            vec![at("airgate.toml:4:33", &lower("get")), at("airgate.toml:4:47", &lower("Post"))],
        ),
    ] {
        assert_eq!(Case::new().toml(&toml).warnings(), expected, "{name}");
    }
    let case = Case::new().cfg("[api]\naccess_control_allow_origins = https://a.example\n");
    assert_eq!(
        case.warnings(),
        [at("airflow.cfg:2", methods), at("airflow.cfg:2", headers)],
        "Airflow's own"
    );
}

#[test]
fn secrets_that_are_too_short() {
    let warning = |bytes: usize, algorithm: &str| {
        format!(
            "[api_auth] jwt_secret: shorter than the {bytes} bytes that {algorithm} asks for (RFC 7518, section 3.2). \
             Whoever has a token can try to guess a short one"
        )
    };
    for (name, length, more, expected) in [
        ("HS512 by default", 63, "", Some((64, "HS512"))),
        ("HS512 by default, long enough", 64, "", None),
        ("a guess", 63, "jwt_algorithm = \"GUESS\"\n", Some((64, "HS512"))),
        ("HS384", 47, "jwt_algorithm = \"HS384\"\n", Some((48, "HS384"))),
        ("HS384, long enough", 48, "jwt_algorithm = \"HS384\"\n", None),
        ("HS256", 31, "jwt_algorithm = \"HS256\"\n", Some((32, "HS256"))),
        ("HS256, long enough", 32, "jwt_algorithm = \"HS256\"\n", None),
        ("several", 63, "jwt_algorithm = [\"HS256\", \"HS512\"]\n", Some((64, "HS512"))),
        ("a key goes before it", 1, "jwt_private_key_path = \"key.pem\"\n", None),
        ("a key set goes before it", 1, "trusted_jwks_url = \"keys.json\"\n", None),
        ("Airflow 2 has no tokens", 1, "[upstream]\nairflow = 2\n", None),
    ] {
        let toml = format!("[api_auth]\njwt_secret = \"{}\"\n{more}", "q".repeat(length));
        let expected: Vec<_> =
            expected.map(|(bytes, algorithm)| warning(bytes, algorithm)).into_iter().collect();
        let warnings = Case::new().file("key.pem", "").toml(&toml).warnings();
        let expected: Vec<_> = expected.iter().map(|text| format!("airgate.toml:2:14: {text}")).collect();
        assert_eq!(warnings, expected, "{name}");
    }
    let case = Case::new().toml(&format!("[api_auth]\njwt_secret = [\"{}\", \"former\"]\n", "q".repeat(64)));
    assert_eq!(case.warnings(), [format!("airgate.toml:2:83: {}", warning(64, "HS512"))], "a former one");
}

#[test]
fn connections_that_are_kept_for_longer_than_airflow_keeps_them() {
    let idle = |time: &str| Case::new().toml(&format!("[upstream]\nidle_timeout = \"{time}\"\n")).warnings();
    assert_eq!(idle("119s"), NONE);
    assert_eq!(
        idle("120s"),
        [
            "airgate.toml:2:16: [upstream] idle_timeout: Airflow's api-server closes unused connections after [api] \
          worker_timeout, 120 s by default. A change that is sent on one that is being closed gets 502: stay below"
        ]
    );
}
