//! `[upstream] airflow = 2`.

use super::*;

const TWO: &str = "[upstream]\nairflow = 2\n";

#[test]
fn the_chain_has_what_airflow_2_can_be_given() {
    use BackendName::{BasicAuth, DenyAll, Session};
    for (name, cfg, toml, expected) in [
        ("by default", "", TWO.to_owned(), &[Session, BasicAuth][..]),
        (
            "Airflow's own list is taken as it is",
            "[api]\nauth_backends = basic_auth\n",
            TWO.into(),
            &[BasicAuth],
        ),
        (
            "so is ours",
            "",
            format!("{TWO}[api]\nauth_backends = \"basic_auth, deny_all\""),
            &[BasicAuth, DenyAll],
        ),
    ] {
        let case = Case::new().cfg(cfg).toml(&toml);
        assert_eq!(values(&case.settings().api.auth_backends), expected, "{name}");
    }
}

#[test]
fn airflow_2_is_given_the_clients_own_credential() {
    let settings = |toml: &str| Case::new().toml(toml).settings();
    for (name, toml, release, passes_on, mints) in [
        ("not said", "", Release::Airflow3, false, false),
        ("3", "[upstream]\nairflow = 3\n", Release::Airflow3, false, false),
        ("2", TWO, Release::Airflow2, true, false),
        (
            "2 with a key",
            "[upstream]\nairflow = 2\n[api_auth]\njwt_secret = \"s\"",
            Release::Airflow2,
            true,
            false,
        ),
        (
            "2 with a file that Airflow shares",
            "[upstream]\nairflow = 2\n[basic]\nsources = \"file\"\nusers_file = \"u\"",
            Release::Airflow2,
            true,
            false,
        ),
    ] {
        let settings = settings(toml);
        assert_eq!(settings.release(), release, "{name}");
        assert_eq!((settings.passes_on(), settings.mints()), (passes_on, mints), "{name}");
    }
}

/// What the upstream says counts where nothing is written, and where `auto` is.
#[test]
fn what_it_says_itself() {
    use Release::{Airflow2, Airflow3};
    for (name, toml, said, expected) in [
        ("nothing", "", None, Airflow::Unknown),
        ("3", "", Some(Airflow3), Airflow::Found(Airflow3)),
        ("2", "[upstream]\nairflow = \"auto\"\n", Some(Airflow2), Airflow::Found(Airflow2)),
        ("2, where 3 is written", "[upstream]\nairflow = 3\n", Some(Airflow2), Airflow::Set(Airflow3)),
        (
            "3, where 2 is written as text",
            "[upstream]\nairflow = \"2\"\n",
            Some(Airflow3),
            Airflow::Set(Airflow2),
        ),
    ] {
        let case = Case::new().toml(toml);
        let loaded =
            case.sources.load_for(said, &[]).unwrap_or_else(|rejected| panic!("{}", rejected.errors));
        let (settings, two) = (loaded.settings, expected.release() == Airflow2);
        assert_eq!((settings.upstream.airflow, settings.passes_on()), (expected, two), "{name}");
        let has_jwt = values(&settings.api.auth_backends).contains(&BackendName::Jwt);
        assert_eq!(has_jwt, !two, "{name}");
    }
}

#[test]
fn what_airflow_2_cannot_be_told_is_refused() {
    for (name, toml, expected) in [
        (
            "another version",
            "[upstream]\nairflow = 1".to_owned(),
            &["airgate.toml:2:11: [upstream] airflow: expected auto, 2 or 3, found \"1\""][..],
        ),
        (
            "minting",
            format!("{TWO}identity = \"mint\"\n[api_auth]\njwt_secret = \"s\""),
            &[
                "airgate.toml:3:12: [upstream] identity: Airflow takes tokens from version 3 on, and [upstream] airflow is 2",
            ],
        ),
        (
            "exchange",
            format!("{TWO}identity = \"exchange\""),
            &[
                "airgate.toml:3:12: [upstream] identity: Airflow takes tokens from version 3 on, and [upstream] airflow is 2",
            ],
        ),
        (
            "tokens",
            format!("{TWO}[api]\nauth_backends = \"jwt\""),
            &[
                "airgate.toml:4:17: [api] auth_backends: jwt: Airflow has tokens from version 3 on, and [upstream] airflow is 2",
            ],
        ),
        (
            "anonymous",
            format!(
                "{TWO}[api]\nauth_backends = \"default\"\nanonymous_user = \"a\"\nenable_experimental_api = true"
            ),
            &[
                "airgate.toml:4:17: [api] auth_backends: default: who has no credential cannot be named to Airflow 2, and [upstream] airflow is 2",
            ],
        ),
        (
            "tokens of others",
            format!(
                "{TWO}[[jwt.issuers]]\nissuer = \"x\"\njwks_url = \"k\"\naudience = \"a\"\nusername_prefix = \"x:\""
            ),
            &[
                "airgate.toml:3:1: [[jwt.issuers]]: who has a token of another issuer cannot be named to Airflow 2, and [upstream] airflow is 2",
            ],
        ),
    ] {
        assert_eq!(Case::new().toml(&toml).errors(), expected, "{name}");
    }
}
