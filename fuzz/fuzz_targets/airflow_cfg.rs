//! `airflow.cfg` of any text: nothing panics or runs away, and every value that is read can be asked for.

#![no_main]

use airgate::config::airflow::cfg::Cfg;
use airgate::config::airflow::expand::{Environment, expand};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (cfg, bad) = Cfg::parse(text);
    let lines = text.split(['\n', '\r']).count();
    assert!(bad.iter().all(|bad| (1..=lines).contains(&bad.line)));
    let environment = Environment::from([("A".to_owned(), "$B".to_owned()), ("HOME".to_owned(), "~".to_owned())]);
    for (section, key) in [("core", "x"), ("api", "auth_backends"), ("api_auth", "jwt_secret")] {
        if let Some((Ok(value), line)) = cfg.get(section, key) {
            assert!((1..=lines).contains(&line));
            let _ = expand(&value, &environment);
        }
    }
});
