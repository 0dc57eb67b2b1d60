//! `[keycloak_auth_manager]`, and what cannot work with the auth manager keycloak.

use super::Case;
use crate::config::settings::{AuthManager, Settings};

const WHOLE: &str = "[upstream]\nauth_manager = \"keycloak\"\n[api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n[keycloak_auth_manager]\n\
                     server_url = \"https://sso.example.com/\"\nrealm = \"airflow\"\nclient_id = \"airflow\"\n\
                     client_secret = \"c\"\n";

fn client(settings: &Settings) -> (String, String, String, String) {
    let client = settings.keycloak.client().unwrap();
    let secret = client.client_secret.expose().to_owned();
    (client.server_url.value.text.clone(), client.realm.into(), client.client_id.into(), secret)
}

#[test]
fn airflows_own_sources_are_enough() {
    let case = Case::new()
        .cfg(
            "[core]\nauth_manager = airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager\n\
             [api_auth]\njwt_secret = 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n[keycloak_auth_manager]\nserver_url = http://127.0.0.1:8080/\nrealm = airflow\n\
             client_id = airflow\njwt_federated_client_ids = ci, team a\nrequests_pool_size = 10\n",
        )
        .variable("AIRFLOW__KEYCLOAK_AUTH_MANAGER__CLIENT_SECRET", "c");
    let settings = case.settings();
    assert_eq!(settings.upstream.auth_manager.value, AuthManager::Keycloak);
    let expected = ("http://127.0.0.1:8080".into(), "airflow".into(), "airflow".into(), "c".into());
    assert_eq!(client(&settings), expected);
    assert_eq!(settings.keycloak.federated_clients, ["ci", "team a"]);
    assert!(settings.keycloak.allowed_clients.is_empty() && settings.keycloak.verify.value);
    assert!(settings.mints() && settings.asks_keycloak());
    assert_eq!(case.warnings(), [] as [&str; 0]);
}

#[test]
fn what_cannot_work() {
    let reason = "cannot work with the auth manager keycloak: Airflow asks Keycloak for each right, with a live token of \
                  that very user, and only Keycloak gives one";
    let issuer = "[[jwt.issuers]]\nissuer = \"https://kubernetes\"\njwks_url = \"https://kubernetes/keys\"\n\
                  audience = \"airflow\"\nusername_prefix = \"k8s:\"\n";
    let simple = "[upstream]\nauth_manager = \"keycloak\"\n";
    for (name, toml, expected) in [
        (
            "the source file",
            format!("{WHOLE}[basic]\nsources = \"file\"\nusers_file = \"u\"\n"),
            format!("airgate.toml:11:11: [basic] sources: file {reason}"),
        ),
        (
            "the source database",
            format!("{WHOLE}[basic]\nsources = \"database\"\n[database]\nsql_alchemy_conn = \"sqlite:////a\"\n"),
            format!("airgate.toml:11:11: [basic] sources: database {reason}"),
        ),
        (
            "the source ldap",
            format!("{WHOLE}[basic]\nsources = \"ldap\"\n[ldap]\nserver = \"ldaps://h\"\n"),
            format!("airgate.toml:11:11: [basic] sources: ldap {reason}"),
        ),
        (
            "the source keycloak, and no key",
            format!("{}[basic]\nsources = \"keycloak\"\n", WHOLE.replace("[api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n", "")),
            "airgate.toml:9:11: [basic] sources: keycloak needs a signing key, [api_auth] jwt_secret or \
             jwt_private_key_path; with trusted_jwks_url only the latter signs, and [upstream] identity auto or mint"
                .to_owned(),
        ),
        (
            "Kerberos",
            format!("{WHOLE}[api]\nauth_backends = \"jwt kerberos_auth\"\n"),
            format!("airgate.toml:11:17: [api] auth_backends: kerberos_auth {reason}"),
        ),
        (
            "a callout",
            format!("{WHOLE}[api]\nauth_backends = \"jwt callout:sso\"\n[callout.sso]\nurl = \"http://127.0.0.1:1/\"\n"),
            format!("airgate.toml:11:17: [api] auth_backends: callout:sso {reason}"),
        ),
        (
            "anonymous",
            format!(
                "{WHOLE}[api]\nauth_backends = \"jwt default\"\nanonymous_user = \"a\"\nenable_experimental_api = true\n"
            ),
            format!("airgate.toml:11:17: [api] auth_backends: default {reason}"),
        ),
        (
            "an issuer",
            format!("{WHOLE}{issuer}"),
            format!("airgate.toml:10:1: [[jwt.issuers]]: a token of another issuer {reason}"),
        ),
        (
            "Airflow 2",
            format!("{simple}airflow = 2\n"),
            "airgate.toml:2:16: [upstream] auth_manager: keycloak is for Airflow from version 3 on, and [upstream] \
             airflow is 2"
                .to_owned(),
        ),
        (
            "mint without a key",
            WHOLE.replace("[api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"", "identity = \"mint\""),
            "airgate.toml:3:12: [upstream] identity: mint needs a signing key, [api_auth] jwt_secret or \
             jwt_private_key_path; with trusted_jwks_url only the latter signs"
                .to_owned(),
        ),
        (
            "half a client",
            WHOLE.replace("client_secret = \"c\"\n", ""),
            "airgate.toml:2:16: [upstream] auth_manager: keycloak needs [keycloak_auth_manager] client_secret, as \
             Airflow has them, or [upstream] identity exchange"
                .to_owned(),
        ),
    ] {
        assert_eq!(Case::new().toml(&toml).errors(), [expected], "{name}");
    }
    // The upstream's own endpoint answers, so that nothing of Keycloak need be known.
    assert_eq!(Case::new().toml(simple).warnings(), [] as [&str; 0]);
}

#[test]
fn warnings() {
    let loud = "airgate.toml:10:10: [keycloak_auth_manager] verify = false: THE CERTIFICATE OF KEYCLOAK IS NOT VERIFIED. \
                Whoever sits in between reads every password, and can let in anybody. Name its authority in \
                [keycloak_auth_manager] ca_file instead";
    let ca = "airgate.toml:11:11: [keycloak_auth_manager] ca_file has no effect: [keycloak_auth_manager] ";
    let file = "ca_file = \"ca.pem\"\n";
    let plain = WHOLE.replace("https://sso", "http://sso");
    let local = WHOLE.replace("https://sso.example.com/", "http://[::1]:8080");
    for (name, toml, expected) in [
        ("verified", format!("{WHOLE}verify = true\n{file}"), vec![]),
        ("not verified", format!("{WHOLE}verify = false\n"), vec![loud.to_owned()]),
        (
            "not verified, with an authority",
            format!("{WHOLE}verify = false\n{file}"),
            vec![format!("{ca}verify is false"), loud.to_owned()],
        ),
        ("on this machine", format!("{local}verify = false\n"), vec![]),
        (
            "in the clear",
            format!("{plain}verify = true\n{file}"),
            vec![
                "airgate.toml:6:14: [keycloak_auth_manager] server_url: http: passwords and tokens cross the network in \
                 the clear"
                    .to_owned(),
                format!("{ca}server_url is not https"),
            ],
        ),
        (
            "with another auth manager",
            WHOLE.replace("\"keycloak\"", "\"simple\"").replace("jwt_secret = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n", ""),
            vec![
                "airgate.toml:5:14: [keycloak_auth_manager] server_url has no effect: [upstream] auth_manager is not \
                 keycloak, and no token is signed here"
                    .to_owned(),
            ],
        ),
        ("with another auth manager, and a key", WHOLE.replace("\"keycloak\"", "\"simple\""), vec![]),
        (
            "as a source of passwords",
            format!(
                "{}[basic]\nsources = \"keycloak\"\n[core]\nsimple_auth_manager_users = \"a:admin\"\n",
                WHOLE.replace("\"keycloak\"", "\"simple\"")
            ),
            vec![],
        ),
    ] {
        assert_eq!(Case::new().toml(&toml).warnings(), expected, "{name}");
    }
}
