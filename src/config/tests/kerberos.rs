//! `[kerberos]`, and the backend that reads it.

use super::*;

/// What the backend needs besides, in four lines.
const BACKEND: &str = "[api_auth]\njwt_secret = \"a-secret-that-is-long-enough-for-everyone-who-reads-it-0123456789abcdef\"\n[api]\n\
                       auth_backends = \"jwt, kerberos_auth\"\n";

#[test]
fn options() {
    let s = Case::new().settings().kerberos;
    assert_eq!((s.keytab, s.principal, s.replay_cache), (None, None, None));
    assert_eq!(s.local_realms, Vec::<String>::new());

    let case = Case::new()
        .toml(
            "[kerberos]\nkeytab = \"a.keytab\"\nprincipal = \"airflow/h@R\"\nlocal_realms = \"A, B\"\nreplay_cache = \"cache\"\n",
        );
    let s = case.settings().kerberos;
    assert_eq!(s.keytab.unwrap().value, case.folder.path().join("a.keytab"));
    assert_eq!(s.principal.unwrap().value, ServicePrincipal::Exact("airflow/h@R".into()));
    assert_eq!(s.local_realms, ["A", "B"]);
    assert_eq!(s.replay_cache.unwrap().value, case.folder.path().join("cache"));
}

#[test]
fn airflows_own_section_is_read() {
    // As a whole airflow.cfg of Airflow 2 has it.
    let case = Case::new().cfg(
        "[kerberos]\nccache = /tmp/airflow_krb5_ccache\nprincipal = airflow\nreinit_frequency = 3600\n\
         kinit_path = kinit\nkeytab = /etc/airflow.keytab\nforwardable = True\ninclude_ip = True\n",
    );
    let s = case.settings().kerberos;
    assert_eq!(s.keytab.unwrap().value, Path::new("/etc/airflow.keytab"));
    assert_eq!(s.principal.unwrap().value, ServicePrincipal::Renewer);
    assert_eq!(case.warnings(), Vec::<String>::new());
}

#[test]
fn principals() {
    let exact = |text: &str| Some(ServicePrincipal::Exact(text.into()));
    for (text, expected) in [
        ("airflow/h.example.org@EXAMPLE.ORG", exact("airflow/h.example.org@EXAMPLE.ORG")),
        ("HTTP/h.example.org", exact("HTTP/h.example.org")),
        ("airflow/_HOST@EXAMPLE.ORG", Some(ServicePrincipal::AnyHost("airflow".into()))),
        ("airflow", Some(ServicePrincipal::Renewer)),
        ("airflow@EXAMPLE.ORG", Some(ServicePrincipal::Renewer)),
        ("/h", None),
        ("airflow/", None),
        ("airflow/h@", None),
        ("airflow/h/x", None),
        ("airflow/h@A@B", None),
        ("airflow /h", None),
        ("@EXAMPLE.ORG", None),
    ] {
        let case = Case::new().set(&format!("kerberos.principal={text}"));
        match expected {
            Some(expected) => {
                assert_eq!(case.settings().kerberos.principal.unwrap().value, expected, "{text}")
            }
            None => assert_eq!(
                case.errors(),
                [format!(
                    "--set kerberos.principal: [kerberos] principal: expected service/host@REALM, service/host or \
                     service/_HOST, found {text:?}"
                )]
            ),
        }
    }
    let case = Case::new().set("kerberos.local_realms=A@B");
    assert_eq!(
        case.errors(),
        [
            "--set kerberos.local_realms: [kerberos] local_realms: expected a realm such as EXAMPLE.COM, found \"A@B\""
        ]
    );
}

#[cfg(feature = "kerberos")]
#[test]
fn the_backend_by_all_of_its_names() {
    for name in [
        "kerberos_auth",
        "airflow.api.auth.backend.kerberos_auth",
        "airflow.contrib.auth.backends.kerberos_auth",
        "airflow.providers.fab.auth_manager.api.auth.backend.kerberos_auth",
    ] {
        let case = Case::new().toml(BACKEND).set(&format!("api.auth_backends={name}"));
        assert_eq!(values(&case.settings().api.auth_backends), [BackendName::KerberosAuth], "{name}");
        assert_eq!(case.warnings(), Vec::<String>::new());
    }
}

#[cfg(not(feature = "kerberos"))]
#[test]
fn without_the_feature_it_is_refused_by_name() {
    let case = Case::new().toml(BACKEND);
    assert_eq!(
        case.errors(),
        [
            "airgate.toml:4:17: [api] auth_backends: this airgate was built without Kerberos. Build it with the \
          cargo feature `kerberos`"
        ]
    );
}

#[cfg(feature = "kerberos")]
#[test]
fn what_is_missing_is_said() {
    let case = Case::new().toml("[api]\nauth_backends = \"kerberos_auth\"");
    assert_eq!(
        case.errors(),
        [
            "airgate.toml:2:17: [api] auth_backends: kerberos_auth needs a signing key, [api_auth] jwt_secret or \
          jwt_private_key_path; with trusted_jwks_url only the latter signs. Airflow does not know the credential"
        ]
    );
    // An Airflow 2 may know the ticket's service itself.
    let case = case.set("upstream.identity=passthrough");
    assert_eq!(case.errors(), Vec::<String>::new());

    let case = Case::new().toml(&format!("{BACKEND}[kerberos]\nkeytab = \"k\"\nreplay_cache = \"r\"\n"));
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:6:10: [kerberos] keytab: k: No such file or directory (os error 2). Until it can be read, \
             tickets get 503",
            "airgate.toml:7:16: [kerberos] replay_cache: r is no folder. Until it is, tickets get 503",
        ]
    );
    // What is not used need not be there, but is said to be of no use. Airflow has the section for itself.
    assert_eq!(
        case.set("api.auth_backends=jwt").warnings(),
        ["airgate.toml:6:10: [kerberos] has no effect: [api] auth_backends does not name kerberos_auth"]
    );
    let case = Case::new().cfg("[kerberos]\nkeytab = airflow.keytab\nprincipal = airflow\n");
    assert_eq!(case.warnings(), Vec::<String>::new());
}
