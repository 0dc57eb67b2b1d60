//! Tokens, key sets and key files of any bytes: nothing panics, nothing unsigned is accepted, and what is
//! accepted has one spelling.

#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use airgate::auth::jwt::{KeySet, PrivateKey, Settings, Token, Verifier};
use airgate::secret::Secret;
use libfuzzer_sys::fuzz_target;

static VERIFIER: LazyLock<Arc<Verifier>> = LazyLock::new(|| {
    let settings = Settings { secrets: vec![Secret::new("unknown to the fuzzer")], ..Settings::default() };
    let built = settings.build(|_| unreachable!("no key set is configured")).expect("the settings are good");
    built.verifier.expect("there is a secret")
});

fuzz_target!(|data: &[u8]| {
    if let Ok(token) = Token::parse(data) {
        assert!(data.len() <= Token::MAX);
        assert!(!token.signature.contains('='));
        let _ = token.claimed_issuer();
    }
    let now = UNIX_EPOCH + Duration::from_secs(1_795_305_600);
    assert!(VERIFIER.verify(data, now).is_err());
    let _ = KeySet::parse(data);
    let _ = PrivateKey::parse(Path::new("fuzz"), data);
});
