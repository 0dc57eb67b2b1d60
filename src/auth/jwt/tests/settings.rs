//! Settings that cannot work, all told at once; and which keys count.

use super::*;

fn key(name: &str) -> Settings {
    Settings { private_key: Some(private_key(name)), ..Settings::default() }
}

fn with(mut settings: Settings, change: impl FnOnce(&mut Settings)) -> Settings {
    change(&mut settings);
    settings
}

#[test]
fn what_cannot_work() {
    use SettingsError::*;
    let unfit = |algorithm, key: &str| Unfit(algorithm, key.to_owned());
    let curve = || "a P-256 key".to_owned();
    let jwks = |s: &mut Settings| s.jwks = Some(JwksSource::File("/nowhere".into()));
    for (name, settings, expected) in [
        (
            "several mistakes",
            with(secrets(&["", "-----BEGIN PRIVATE KEY-----"]), |s| {
                s.audience.clear();
                s.algorithms = vec!["ES512".into(), "GUESS".into(), "RS256".into()];
            }),
            vec![
                Algorithm(AlgorithmError::Unsupported("ES512".into(), "the curve P-521")),
                GuessAmongOthers,
                NoAudience,
                EmptySecret,
                SecretIsAKey,
                unfit("RS256", "a secret"),
            ],
        ),
        (
            "a secret's algorithm for a key",
            with(key("rsa.pem"), |s| s.algorithms = vec!["HS512".into()]),
            vec![unfit("HS512", "an RSA key")],
        ),
        (
            "a secret's algorithm for a key set",
            with(Settings::default(), |s| {
                jwks(s);
                s.algorithms = vec!["RS256".into(), "HS256".into()];
            }),
            vec![unfit("HS256", "a key set")],
        ),
        (
            "another curve",
            with(key("p256.pem"), |s| {
                s.algorithms = vec!["ES384".into()];
                s.kid = Some("k".into());
            }),
            vec![unfit("ES384", "a P-256 key"), CurveNeedsKid(curve()), KidWithoutKeySet],
        ),
        ("a curve alone", key("p256.pem"), vec![CurveNeedsAlgorithm(curve()), CurveNeedsKid(curve())]),
        (
            "a kid that Airflow would not look for",
            with(key("rsa.pem"), |s| s.kid = Some("k".into())),
            vec![KidWithoutKeySet],
        ),
    ] {
        assert_eq!(settings.build(no_store).map(|_| ()).unwrap_err(), expected, "{name}");
    }
}

#[test]
fn which_keys_count() {
    let jwks = |s: &mut Settings| s.jwks = Some(JwksSource::File("/nowhere".into()));
    for (name, settings, keys, signer) in [
        ("none", Settings::default(), None, None),
        ("a secret", secrets(&["s"]), Some("1 secrets"), Some("Signer(HS512)")),
        (
            "a private key beside a secret",
            with(key("ed25519.pem"), |s| s.secrets = vec![Secret::new("s")]),
            Some("key wxFEDQJuag5xgVjQjRuO4wC2I5GolGQvMv76sIb5OdI"),
            Some("Signer(EdDSA)"),
        ),
        (
            "a key set beside both",
            with(key("rsa.pem"), |s| {
                s.secrets = vec![Secret::new("s")];
                jwks(s);
            }),
            Some("JwksStore(/nowhere)"),
            Some("Signer(RS256)"),
        ),
        (
            "a key set beside a secret: Airflow would refuse what it signs",
            with(secrets(&["s"]), jwks),
            Some("JwksStore(/nowhere)"),
            None,
        ),
    ] {
        let store = |source: &JwksSource| match source {
            JwksSource::File(path) => {
                assert_eq!(path.to_str(), Some("/nowhere"));
                store::nowhere()
            }
            JwksSource::Url(_) => panic!(),
        };
        let built = settings.build(store).unwrap();
        let found = built.verifier.map(|verifier| format!("{:?}", verifier.keys));
        assert_eq!(found.as_deref(), keys, "{name}");
        assert_eq!(built.signer.map(|signer| format!("{signer:?}")).as_deref(), signer, "{name}");
    }
}
