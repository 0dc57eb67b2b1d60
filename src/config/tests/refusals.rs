//! What is refused, and with which words.

use super::*;

#[test]
fn five_mistakes_are_five_errors() {
    let case = Case::new().toml(
        "[server]\n\
         listne = \"127.0.0.1:1\"\n\
         threads = \"four\"\n\
         \n\
         [api]\n\
         maximum_page_limit = 0\n\
         access_control_allow_origins = [\"https://ok.example\", \"*\"]\n\
         \n\
         [upsteam]\n\
         url = \"http://127.0.0.1:8080\"\n",
    );
    assert_eq!(
        case.errors(),
        [
            "airgate.toml:2:1: unknown key listne in [server]; the nearest is listen",
            "airgate.toml:3:11: [server] threads: expected a whole number from 0 to 1024, found the text \"four\"",
            "airgate.toml:6:22: [api] maximum_page_limit: expected a whole number from 1 to 4294967295, found \"0\"",
            "airgate.toml:7:55: [api] access_control_allow_origins: `*` is refused: the API is called with \
             credentials, and browsers reject every answer that allows credentials to all origins. List the exact \
             origins, such as \"https://airflow.example.com\"",
            "airgate.toml:9:2: unknown section [upsteam]; the nearest is [upstream]",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_still_tells_the_rest() {
    let case = Case::new().toml(
        "[server]\nthreads = \nlisten = 5\n[api]\nmaximum_page_limit = 1\nmaximum_page_limit = 2\nnonsense = 1\n",
    );
    let errors = case.errors();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert_eq!(errors[0], "airgate.toml:2:11: string values must be quoted, expected literal string");
    assert_eq!(
        errors[1],
        "airgate.toml:3:10: [server] listen: expected an address and port such as \"127.0.0.1:8081\", or \
         \"unix:\" and an absolute path, found the number 5"
    );
    assert_eq!(
        errors[2],
        "airgate.toml:6:1: [api] maximum_page_limit is written a second time: the first time is at airgate.toml:5:1. \
         Write it once"
    );
    assert!(errors[3].starts_with("airgate.toml:7:1: unknown key nonsense in [api]"), "{errors:#?}");
}

/// What is there twice, and both places.
#[test]
fn what_is_written_twice_is_named_with_both_places() {
    let rows = [
        (
            "a key outside",
            "a = 1\na = 2\n",
            "2:1: a is written a second time: the first time is at airgate.toml:1:1",
        ),
        (
            "a key",
            "[server]\nthreads = 1\nlisten = [\n  \"127.0.0.1:1\",\n]\n  threads = 2\n",
            "6:3: [server] threads is written a second time: the first time is at airgate.toml:2:1",
        ),
        (
            "a section",
            "[log]\nlevel = \"info\"\n[server]\n[ log ] # again\naccess = true\n",
            "4:3: [log] is written a second time: the first time is at airgate.toml:1:2",
        ),
        (
            "a table in a section, and as a section: the sample uncommented",
            "[server]\ntls = { certificate = \"a\", key = \"b\" }\n\n[server.tls]\n",
            "4:9: [server.tls] is written a second time: the first time is at airgate.toml:2:1",
        ),
        (
            "a key after a table in its section",
            "[server]\ntls = { certificate = \"a\", key = \"b\" }\nthreads = 1\nthreads = 2\n",
            "4:1: [server] threads is written a second time: the first time is at airgate.toml:3:1",
        ),
        (
            "a key with dots",
            "[server]\ntls.key = \"a\"\ntls.key = \"b\"\n",
            "3:5: [server] tls.key is written a second time: the first time is at airgate.toml:2:5",
        ),
        (
            "a key of one of several tables",
            "[[jwt.issuers]]\nissuer = \"a\"\n[[jwt.issuers]]\nissuer = \"b\"\nissuer = \"c\"\n",
            "5:1: [jwt.issuers] issuer is written a second time: the first time is at airgate.toml:4:1",
        ),
        (
            "in a table on one line",
            "[server]\ntls = { key = \"a\", key = \"b\" }\n",
            "2:20: key in one table is written a second time: the first time is at airgate.toml:2:9",
        ),
    ];
    for (name, text, expected) in rows {
        let errors = Case::new().toml(text).errors();
        let expected = format!("airgate.toml:{expected}. Write it once");
        assert!(errors.contains(&expected), "{name}: {expected}\n{errors:#?}");
    }
}

/// One error in our own file, and its whole text.
#[test]
fn every_refusal_says_why() {
    const KEY: &str = "[api_auth]\njwt_secret = \"s\"\n";
    let rows: &[(&str, &str, &str)] = &[
        (
            "a key outside of a section",
            "listen = 1",
            "airgate.toml:1:1: listen stands in no section; there is [server] listen",
        ),
        (
            "a section that is a value",
            "api = 1",
            "airgate.toml:1:1: [api]: expected a section, found a whole number",
        ),
        (
            "a fraction",
            "[server]\nthreads = 1.5",
            "airgate.toml:2:11: [server] threads: expected a whole number from 0 to 1024, found a number with a fraction",
        ),
        (
            "a date",
            "[log]\nlevel = 1979-05-27",
            "airgate.toml:2:9: [log] level: expected error, warn, info, debug, trace or off, or a list such as warn,airgate::auth=debug, found a date",
        ),
        (
            "a flag for a text",
            "[log]\nlevel = true",
            "airgate.toml:2:9: [log] level: expected error, warn, info, debug, trace or off, or a list such as warn,airgate::auth=debug, found true",
        ),
        (
            "an array for a text",
            "[log]\nlevel = [\"info\"]",
            "airgate.toml:2:9: [log] level: expected error, warn, info, debug, trace or off, or a list such as warn,airgate::auth=debug, found an array",
        ),
        (
            "a number for a flag",
            "[log]\naccess = 1",
            "airgate.toml:2:10: [log] access: expected true or false, found the number 1",
        ),
        (
            "a slip in a log's place",
            "[log]\naudit_file = \"stdrr\"",
            "airgate.toml:2:14: [log] audit_file: \"stdrr\" is no path; the nearest is stderr. A file of that name is ./stdrr",
        ),
        (
            "a slip in a module's name",
            "[log]\nlevel = \"warn,airgate::auht=debug\"",
            "airgate.toml:2:9: [log] level: airgate has no module airgate::auht; the nearest is airgate::auth",
        ),
        (
            "a table",
            "[log]\nlevel = { x = 1 }",
            "airgate.toml:2:9: expected a value or { file = \"…\" }, found another table",
        ),
        (
            "a file that is no path",
            "[log]\nlevel = { file = 1 }",
            "airgate.toml:2:18: { file = … }: expected a path, found a whole number",
        ),
        (
            "a file that is not there",
            "[log]\nlevel = { file = \"none\" }",
            "airgate.toml:2:9: [log] level: none cannot be read: No such file or directory (os error 2)",
        ),
        (
            "a duration",
            "[basic]\ncache_ttl = \"5 apples\"",
            "airgate.toml:2:13: [basic] cache_ttl: expected a duration such as \"20s\" or \"5m\", or a whole number of seconds, found \"5 apples\"",
        ),
        (
            "no time at all",
            "[upstream]\nread_timeout = 0",
            "airgate.toml:2:16: [upstream] read_timeout: expected more than 0",
        ),
        (
            "an empty list",
            "[server]\nlisten = []",
            "airgate.toml:2:10: [server] listen: expected at least one: an address and port such as \"127.0.0.1:8081\", or \"unix:\" and an absolute path",
        ),
        (
            "a host name to listen on",
            "[server]\nlisten = \"localhost:8081\"",
            "airgate.toml:2:10: [server] listen: expected an address and port such as \"127.0.0.1:8081\", or \"unix:\" and an absolute path, found \"localhost:8081\"",
        ),
        (
            "one port for two",
            "[admin]\nlisten = \"127.0.0.1:8081\"",
            "airgate.toml:2:10: [admin] listen: 127.0.0.1:8081 is taken twice: [server] listen has it already. Give each another port or path",
        ),
        (
            "airgate as its own upstream",
            "[upstream]\nurl = [\"http://airflow:8080\", \"http://localhost:8081\"]",
            "airgate.toml:2:31: [upstream] url: http://localhost:8081 is airgate itself, which listens there ([server] listen: 127.0.0.1:8081). Give the address of Airflow, or let airgate listen elsewhere",
        ),
        (
            "the admin port as the upstream",
            "[upstream]\nurl = \"http://127.0.0.1:9091\"",
            "airgate.toml:2:7: [upstream] url: http://127.0.0.1:9091 is airgate itself, which listens there ([admin] listen: 127.0.0.1:9091). Give the address of Airflow, or let airgate listen elsewhere",
        ),
        (
            "the port of the default upstream",
            "[server]\nlisten = \"0.0.0.0:8080\"",
            "airgate.toml:2:10: [upstream] url: http://127.0.0.1:8080 is airgate itself, which listens there ([server] listen: 0.0.0.0:8080). Give the address of Airflow, or let airgate listen elsewhere",
        ),
        (
            "a proxy's name",
            "[server]\ntrusted_proxies = \"proxy\"",
            "airgate.toml:2:19: [server] trusted_proxies: expected an address such as \"10.0.0.7\", a network such as \"10.0.0.0/8\", or \"unix\", found \"proxy\"",
        ),
        (
            "an upstream with a path",
            "[upstream]\nurl = \"http://h/airflow\"",
            "airgate.toml:2:7: [upstream] url: a URL with a path is refused: requests are forwarded with the path they came with. If Airflow has a path of its own, set [api] base_url",
        ),
        (
            "an upstream with a query",
            "[upstream]\nurl = \"http://h?x\"",
            "airgate.toml:2:7: [upstream] url: a URL with a query or fragment is refused",
        ),
        (
            "an upstream with a password",
            "[upstream]\nurl = \"http://u:hunter2@h\"",
            "airgate.toml:2:7: [upstream] url: a URL with a user or password in it is refused: it would end up in logs",
        ),
        (
            "an upstream without scheme",
            "[upstream]\nurl = \"h:8080\"",
            "airgate.toml:2:7: [upstream] url: expected a URL such as \"http://127.0.0.1:8080\", without user, path, query or fragment, or \"unix:\" and an absolute path, found \"h:8080\"",
        ),
        (
            "no server name",
            "[upstream]\nurl = \"https://h\"\nserver_name = \"\"",
            "airgate.toml:3:15: [upstream] server_name: an empty name is refused: the upstream's certificate would not be checked",
        ),
        (
            "mint without a key",
            "[upstream]\nidentity = \"mint\"",
            "airgate.toml:2:12: [upstream] identity: mint needs a signing key, [api_auth] jwt_secret or jwt_private_key_path; with trusted_jwks_url only the latter signs",
        ),
        (
            "mint with a secret that verifies nothing",
            "[upstream]\nidentity = \"mint\"\n[api_auth]\njwt_secret = \"s\"\ntrusted_jwks_url = \"keys.json\"",
            "airgate.toml:2:12: [upstream] identity: mint needs a signing key, [api_auth] jwt_secret or jwt_private_key_path; with trusted_jwks_url only the latter signs",
        ),
        (
            "mint with fab",
            "[upstream]\nidentity = \"mint\"\nauth_manager = \"fab\"",
            "airgate.toml:2:12: [upstream] identity: mint asks for tokens signed here, which with the fab auth manager needs the ids in Airflow's database: [database] sql_alchemy_conn",
        ),
        (
            "mint with Keycloak, and nothing of Keycloak",
            "[upstream]\nauth_manager = \"keycloak\"\n[api_auth]\njwt_secret = \"s\"",
            "airgate.toml:2:16: [upstream] auth_manager: keycloak needs [keycloak_auth_manager] server_url, realm, client_id, client_secret, as Airflow has them, or [upstream] identity exchange",
        ),
        (
            "an unknown auth manager",
            "[core]\nauth_manager = \"my.Manager\"",
            "airgate.toml:2:16: [core] auth_manager: expected simple, fab, keycloak, or the class of one of them, found \"my.Manager\"",
        ),
        (
            "the source keycloak without a realm",
            "[basic]\nsources = \"upstream keycloak\"",
            "airgate.toml:2:11: [basic] sources: keycloak needs [keycloak_auth_manager] server_url, realm, client_id and client_secret",
        ),
        (
            "a source without its database",
            "[basic]\nsources = [\"database\"]",
            "airgate.toml:2:12: [basic] sources: database needs [database] sql_alchemy_conn",
        ),
        (
            "mint with fab, a database and no key",
            "[upstream]\nidentity = \"mint\"\nauth_manager = \"fab\"\n[database]\nsql_alchemy_conn = \"sqlite:////a\"",
            "airgate.toml:2:12: [upstream] identity: mint needs a signing key, [api_auth] jwt_secret or jwt_private_key_path; with trusted_jwks_url only the latter signs",
        ),
        (
            "the file source without a key",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[core]\nsimple_auth_manager_users = \"a:admin\"",
            "airgate.toml:2:11: [basic] sources: file needs a signing key, [api_auth] jwt_secret or jwt_private_key_path; with trusted_jwks_url only the latter signs. Airflow does not know the credential",
        ),
        (
            "the file source without users",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[api_auth]\njwt_secret = \"s\"",
            "airgate.toml:2:11: [basic] sources: file needs [core] simple_auth_manager_users, which says who there is and with which role",
        ),
        (
            "the file source without passwords",
            "[basic]\nsources = \"file\"\n[core]\nsimple_auth_manager_users = \"a:admin\"\n[api_auth]\njwt_secret = \"s\"",
            "airgate.toml:2:11: [basic] sources: file needs [basic] users_file or [core] simple_auth_manager_passwords_file",
        ),
        (
            "the file source with fab",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[upstream]\nauth_manager = \"fab\"\n[api_auth]\njwt_secret = \"s\"\n[core]\nsimple_auth_manager_users = \"a:admin\"",
            "airgate.toml:2:11: [basic] sources: file needs a token signed here, which with the fab auth manager needs the ids in Airflow's database: [database] sql_alchemy_conn",
        ),
        (
            "the file source with exchange",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[upstream]\nidentity = \"exchange\"\n[api_auth]\njwt_secret = \"s\"\n[core]\nsimple_auth_manager_users = \"a:admin\"",
            "airgate.toml:2:11: [basic] sources: file needs [upstream] identity auto or mint",
        ),
        (
            "a user without role",
            "[core]\nsimple_auth_manager_users = \"a:admin, b\"",
            "airgate.toml:2:29: [core] simple_auth_manager_users: expected name:role or name:role:team|team, found \"b\"",
        ),
        (
            "a role that is none",
            "[core]\nsimple_auth_manager_users = \"a:root\"",
            "airgate.toml:2:29: [core] simple_auth_manager_users: expected the role viewer, user, op or admin, found \"root\"",
        ),
        (
            "a user twice",
            "[core]\nsimple_auth_manager_users = [\"a:op\", \"a:admin\"]",
            "airgate.toml:2:38: [core] simple_auth_manager_users: the user \"a\" occurs twice",
        ),
        (
            "base_url without scheme",
            "[api]\nbase_url = \"/airflow\"",
            "airgate.toml:2:12: [api] base_url: expected a URL such as \"https://host/airflow\", without user, query or fragment, found \"/airflow\"",
        ),
        (
            "base_url with an odd path",
            "[api]\nbase_url = \"https://h/a//b\"",
            "airgate.toml:2:12: [api] base_url: its path may only hold letters, digits, `-`, `.`, `_` and `~` between single slashes",
        ),
        (
            "an unknown backend",
            "[api]\nauth_backends = \"basic\"",
            "airgate.toml:2:17: [api] auth_backends: expected session, jwt, basic_auth, kerberos_auth, default, deny_all, callout:NAME, or Airflow's module path of one of them, found \"basic\". A backend of one's own is asked over HTTP: write callout:NAME here, and where it is asked into [callout.NAME] url",
        ),
        (
            "a callout without its section",
            &format!("[api]\nauth_backends = \"callout:mine\"\n{KEY}"),
            "airgate.toml:2:17: [api] auth_backends: callout:mine needs a section [callout.mine] with its url",
        ),
        (
            "a callout whose users Airflow cannot be told",
            "[api]\nauth_backends = \"callout:mine\"\n[callout.mine]\nurl = \"http://auth\"",
            "airgate.toml:2:17: [api] auth_backends: callout:mine needs a signing key, [api_auth] jwt_secret or jwt_private_key_path; with trusted_jwks_url only the latter signs. Airflow does not know the credential",
        ),
        (
            "a callout without its url",
            "[callout.mine]\ntimeout = \"1s\"",
            "airgate.toml:1:10: [callout.mine]: url is missing",
        ),
        (
            "a callout with a header that is no credential",
            "[callout.mine]\nurl = \"http://auth\"\nheaders = [\"Authorization\", \"X_Auth_User\"]",
            "airgate.toml:3:29: [callout.mine] headers: X_Auth_User is refused: any client can write it, and it is no credential",
        ),
        (
            "a misspelt key of a callout",
            "[callout.mine]\nulr = \"http://auth\"\nurl = \"http://auth\"",
            "airgate.toml:2:1: unknown key ulr in [callout.mine]; the nearest is url",
        ),
        (
            "a callout that is no table",
            "[callout]\nurl = \"http://auth\"",
            "airgate.toml:2:1: [callout.url]: expected a table, found a text",
        ),
        (
            "a callout with a name that is none",
            "[callout.\"a b\"]\nurl = \"http://auth\"",
            "airgate.toml:1:10: [callout.a b]: a name is made of up to 64 letters, digits, `-` and `_`",
        ),
        (
            "a backend that nobody has registered",
            "[api]\nauth_backends = \"api_key\"\n[backend.api_key]\nkeys = 1",
            "airgate.toml:2:17: [api] auth_backends: expected session, jwt, basic_auth, kerberos_auth, default, deny_all, callout:NAME, or Airflow's module path of one of them, found \"api_key\". A backend of one's own is asked over HTTP: write callout:NAME here, and where it is asked into [callout.NAME] url",
        ),
        (
            "a file of a backend's own table",
            "[backend.mine]\nkey = { file = \"missing\" }",
            "airgate.toml:2:7: [backend.mine]: missing cannot be read: No such file or directory (os error 2)",
        ),
        (
            "a Python module",
            "[api]\nauth_backends = \"my_company.auth\"",
            "airgate.toml:2:17: [api] auth_backends: the Python module my_company.auth cannot run in airgate. A backend of one's own is asked over HTTP: write callout:NAME here, and where it is asked into [callout.NAME] url",
        ),
        (
            "anonymous without user",
            "[api]\nauth_backends = \"default\"",
            "airgate.toml:2:17: [api] auth_backends: default needs [api] anonymous_user, who such a request counts as",
        ),
        (
            "anonymous without key",
            "[api]\nauth_backends = \"default\"\nanonymous_user = \"a\"",
            "airgate.toml:2:17: [api] auth_backends: default needs a signing key, [api_auth] jwt_secret or jwt_private_key_path; with trusted_jwks_url only the latter signs. Airflow does not know the credential",
        ),
        (
            "an unknown anonymous",
            &format!("[api]\nauth_backends = \"default\"\nanonymous_user = \"a\"\n{KEY}"),
            "airgate.toml:3:18: [api] anonymous_user: \"a\" is not in [core] simple_auth_manager_users",
        ),
        (
            "the null origin",
            "[api]\naccess_control_allow_origins = \"null\"",
            "airgate.toml:2:32: [api] access_control_allow_origins: `null` is refused: every sandboxed page has this origin, whoever wrote it",
        ),
        (
            "an origin with a slash",
            "[api]\naccess_control_allow_origins = \"https://A.example/\"",
            "airgate.toml:2:32: [api] access_control_allow_origins: browsers never send \"https://A.example/\", and origins are compared exactly: write \"https://a.example\"",
        ),
        (
            "an origin that is none",
            "[api]\naccess_control_allow_origins = \"example.com\"",
            "airgate.toml:2:32: [api] access_control_allow_origins: expected an origin such as \"https://example.com\", scheme, host and port alone, found \"example.com\"",
        ),
        (
            "a header that is none",
            "[api]\naccess_control_allow_headers = [\"a:b\"]",
            "airgate.toml:2:33: [api] access_control_allow_headers: expected a header's name, or *, found \"a:b\"",
        ),
        (
            "no algorithm",
            "[api_auth]\njwt_algorithm = \"none\"",
            "airgate.toml:2:17: [api_auth] jwt_algorithm: `none` is refused: anybody can write a token that nobody signed",
        ),
        (
            "an algorithm that is missing here",
            "[api_auth]\njwt_algorithm = \"ES512\"",
            "airgate.toml:2:17: [api_auth] jwt_algorithm: ES512 cannot be verified here; Airflow can, so choose another one for both",
        ),
        (
            "an unknown algorithm",
            "[api_auth]\njwt_algorithm = \"hs512\"",
            "airgate.toml:2:17: [api_auth] jwt_algorithm: expected one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, or GUESS, found \"hs512\"",
        ),
        (
            "a secret of the wrong type",
            "[api_auth]\njwt_secret = 123456",
            "airgate.toml:2:14: [api_auth] jwt_secret: expected a text, or an array of texts",
        ),
        (
            "an empty secret among others",
            "[api_auth]\njwt_secret = [\"\", \"s\"]",
            "airgate.toml:2:15: [api_auth] jwt_secret: a secret must not be empty",
        ),
        (
            "keys from nowhere",
            "[api_auth]\ntrusted_jwks_url = \"ftp://h/x\"",
            "airgate.toml:2:20: [api_auth] trusted_jwks_url: expected an http or https URL, or a path, found \"ftp://h/x\"",
        ),
        (
            "no URL of Keycloak",
            "[keycloak_auth_manager]\nserver_url = \"sso.example.com\"",
            "airgate.toml:2:14: [keycloak_auth_manager] server_url: expected a URL such as \"https://sso.example.com\", without user, query or fragment, found \"sso.example.com\"",
        ),
        (
            "a certificate without a key",
            "[server]\ntls = { certificate = \"x\" }",
            "airgate.toml:2:23: [server.tls] certificate and [server.tls] key: there must be one key for each certificate, found 1 and 0",
        ),
        (
            "an option twice, by two names",
            "[api]\nauth_backend = \"jwt\"\nauth_backends = \"jwt\"",
            "airgate.toml:3:1: [api] auth_backends and [api] auth_backend are one option: write it once",
        ),
        (
            "issuers that are none",
            "[jwt.issuers]\nissuer = \"x\"",
            "airgate.toml:1:6: [[jwt.issuers]]: expected an array of tables, found a table",
        ),
        (
            "a misplaced issuer key",
            "[jwt]\nissuer = \"x\"",
            "airgate.toml:2:1: unknown key issuer in [jwt]; there is [[jwt.issuers]]",
        ),
    ];
    for (name, toml, expected) in rows {
        assert_eq!(Case::new().toml(toml).errors(), [*expected], "{name}");
    }
}

#[test]
fn a_secret_is_in_no_message() {
    for toml in [
        "[api_auth]\njwt_secret = hunter2",
        "[api_auth]\njwt_secret = \"hunter2\n",
        "[api_auth]\njwt_secret = { hunter2 = \"hunter2\" }",
        "[api_auth]\njwt_secret = [[\"hunter2\"]]",
        "[api_auth]\njwt_secret = [{ file = \"missing\" }, \"hunter2\"]",
        "[api_auth]\njwt_secret = 'hunter2' 'hunter2'",
    ] {
        let errors = Case::new().toml(toml).errors().join("\n");
        assert!(!errors.is_empty() && !errors.contains("hunter2"), "{toml}: {errors}");
    }
    let case = Case::new().toml("[api_auth]\njwt_secret = [\"hunter2\"]\n");
    let loaded = case.loaded();
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
}

#[test]
fn secrets_that_cannot_be_had_are_told() {
    let backend = "asks a secrets backend of Airflow, which is Python code that airgate cannot run: write the \
                   value itself, a _CMD variant, or { file = \"…\" } in our own file";
    let rows = [
        (
            "a secrets backend of Airflow",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_SECRET", "x"),
            format!("AIRFLOW__API_AUTH__JWT_SECRET_SECRET: AIRFLOW__API_AUTH__JWT_SECRET_SECRET {backend}"),
        ),
        (
            "a secrets backend in airflow.cfg",
            Case::new().cfg("[api_auth]\njwt_secret_secret = x\n"),
            format!("airflow.cfg:2: jwt_secret_secret {backend}"),
        ),
        (
            "a secrets backend of ours",
            Case::new().variable("AIRGATE__API_AUTH__JWT_SECRET_SECRET", "x"),
            format!("AIRGATE__API_AUTH__JWT_SECRET_SECRET: AIRGATE__API_AUTH__JWT_SECRET_SECRET {backend}"),
        ),
        (
            "a command that fails",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "sh -c 'echo hunter2; exit 3'"),
            "AIRFLOW__API_AUTH__JWT_SECRET_CMD: [api_auth] jwt_secret: the command failed: exit status: 3"
                .to_owned(),
        ),
        (
            "a command that prints nothing",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "true"),
            "AIRFLOW__API_AUTH__JWT_SECRET_CMD: [api_auth] jwt_secret: a secret must not be empty".to_owned(),
        ),
        (
            "an empty file",
            Case::new().toml("[api_auth]\njwt_secret = { file = \"s\" }").file("s", "\n"),
            "airgate.toml:2:14: [api_auth] jwt_secret: a secret must not be empty".to_owned(),
        ),
    ];
    for (name, case, expected) in rows {
        assert_eq!(case.errors(), [expected], "{name}");
    }
}

#[test]
fn our_variables_and_assignments_must_be_known() {
    let tables = "[[jwt.issuers]] is a list of tables, which one text cannot hold: write it into the configuration file";
    let rows = [
        (
            Case::new().variable("AIRGATE__API__AUTH_BACKNDS", "x"),
            "AIRGATE__API__AUTH_BACKNDS: unknown key auth_backnds in [api]; the nearest is auth_backends"
                .to_owned(),
        ),
        (
            Case::new().variable("AIRGATE__API", "x"),
            "AIRGATE__API: expected AIRGATE__SECTION__KEY".to_owned(),
        ),
        (Case::new().variable("AIRGATE__JWT__ISSUERS", "x"), format!("AIRGATE__JWT__ISSUERS: {tables}")),
        (
            Case::new().variable("AIRGATE__SERVER__THREADS", "x"),
            "AIRGATE__SERVER__THREADS: [server] threads: expected a whole number from 0 to 1024, found \"x\""
                .to_owned(),
        ),
        (Case::new().set("jwt.issuers=x"), format!("--set jwt.issuers: {tables}")),
        (Case::new().set("jwt.issuers.issuer=x"), format!("--set jwt.issuers.issuer: {tables}")),
        (
            Case::new().set("upstrem.url=x"),
            "--set upstrem.url: unknown section [upstrem]; the nearest is [upstream]".to_owned(),
        ),
        (
            Case::new().set("server.threads=x"),
            "--set server.threads: [server] threads: expected a whole number from 0 to 1024, found \"x\""
                .to_owned(),
        ),
    ];
    for (case, expected) in rows {
        assert_eq!(case.errors(), [expected.as_str()]);
    }
}

#[test]
fn a_bad_airflow_cfg_is_told() {
    let rows: Vec<(Case, &[&str])> = vec![
        (
            Case::new().toml("[gate]\nairflow_cfg = \"none.cfg\"\n"),
            &[
                "airgate.toml:2:15: [gate] airflow_cfg: none.cfg cannot be read: No such file or directory (os error 2)",
            ],
        ),
        (
            Case::new().cfg("[api]\nnonsense\nmaximum_page_limit = 50%\n[api]\n"),
            &[
                "airflow.cfg:2: expected `key = value`, a [section], or a line that is indented to go on with a value",
                "airflow.cfg:3: [api] maximum_page_limit: `%` must be followed by `%` or `(`: a per cent sign is \
                 written `%%`",
                "airflow.cfg:4: section [api] occurs twice",
            ],
        ),
        (
            Case::new().cfg("[api]\nbase_url = $A\n").variable("A", "x$A"),
            &["airflow.cfg:2: [api] base_url: its environment variables refer to themselves"],
        ),
    ];
    for (case, expected) in rows {
        assert_eq!(case.errors(), expected);
    }
}

#[test]
fn settings_without_effect_are_warned_about() {
    let case = Case::new().toml("[upstream]\nca_file = \"ca.pem\"\nserver_name = \"h\"\n");
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:2:11: [upstream] ca_file has no effect: no upstream is https",
            "airgate.toml:3:15: [upstream] server_name has no effect: no upstream is https",
        ]
    );
    let case = Case::new().toml("[basic]\nusers_file = \"u\"\n");
    assert_eq!(
        case.warnings(),
        ["airgate.toml:2:14: [basic] users_file has no effect: [basic] sources does not name file"]
    );
    let case = Case::new().toml("[server]\ntrusted_proxies = [\"10.0.0.7\", \"unix\"]\n");
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:2:32: [server] trusted_proxies: unix has no effect: [server] listen has no Unix socket"
        ]
    );
    assert_eq!(case.set("server.listen=unix:/run/a.sock").warnings(), [] as [&str; 0]);
}
