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
    const WARNING: &str = "[api_auth] jwt_secret: shorter than 16 bytes. Whoever has a token can try to guess it: take \
                           64 random ones";
    // Airflow makes such a one up.
    let of_airflow = "YWJjZGVmZ2hpamtsbW5vcA==";
    let of_letters = |length| "q".repeat(length);
    for (name, secret, more, is_short) in [
        ("Airflow's own", of_airflow.to_owned(), "", false),
        ("long enough", of_letters(16), "", false),
        ("too short", of_letters(15), "", true),
        ("too short, HS256", of_letters(15), "jwt_algorithm = \"HS256\"\n", true),
        ("a key goes before it", of_letters(1), "jwt_private_key_path = \"key.pem\"\n", false),
        ("a key set goes before it", of_letters(1), "trusted_jwks_url = \"keys.json\"\n", false),
        ("Airflow 2 has no tokens", of_letters(1), "[upstream]\nairflow = 2\n", false),
    ] {
        let toml = format!("[api_auth]\njwt_secret = \"{secret}\"\n{more}");
        let warnings = Case::new().file("key.pem", "").toml(&toml).warnings();
        let expected = is_short.then(|| format!("airgate.toml:2:14: {WARNING}"));
        assert_eq!(warnings, expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
    let case = Case::new().toml(&format!("[api_auth]\njwt_secret = [\"{}\", \"former\"]\n", of_letters(64)));
    assert_eq!(case.warnings(), [format!("airgate.toml:2:83: {WARNING}")], "a former one");
    let case = Case::new().cfg(&format!("[api_auth]\njwt_secret = {of_airflow}\n"));
    assert_eq!(case.warnings(), NONE, "the airflow.cfg that Airflow makes");
}

#[test]
fn a_secret_that_is_empty() {
    let warning = |place: &str| format!("{place}: [api_auth] jwt_secret: is empty, and counts as not set");
    let toml = "[api_auth]\njwt_secret = \"\"\n";
    assert_eq!(Case::new().toml(toml).warnings(), [warning("airgate.toml:2:14")]);
    let variable = "AIRFLOW__API_AUTH__JWT_SECRET";
    assert_eq!(Case::new().variable(variable, "").warnings(), [warning(variable)]);
    assert_eq!(Case::new().cfg("[api_auth]\njwt_secret =\n").warnings(), [warning("airflow.cfg:2")]);
    let key = format!("{toml}jwt_private_key_path = \"key.pem\"\n");
    assert_eq!(Case::new().file("key.pem", "").toml(&key).warnings(), NONE, "a key goes before it");
}

#[test]
fn connections_that_are_kept_for_longer_than_airflow_keeps_them() {
    let idle = |time: &str| Case::new().toml(&format!("[upstream]\nidle_timeout = \"{time}\"\n")).warnings();
    assert_eq!(idle("119s"), NONE);
    assert_eq!(idle("120s\"\nairflow = \"2"), NONE, "Airflow 2 closes each at once");
    assert_eq!(
        idle("120s"),
        [
            "airgate.toml:2:16: [upstream] idle_timeout: Airflow's api-server closes unused connections after [api] \
          worker_timeout, 120 s by default. A change that is sent on one that is being closed gets 502: stay below"
        ]
    );
}
