//! The commands of `docs/keycloak.md`, as they are pasted, against the real servers.

use std::process::Command;

use serde_json::Value;

use super::before_keycloak;
use crate::support::keycloak;

#[test]
fn its_commands_work() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keycloak.md")).unwrap();
    let gate = before_keycloak("[lockout]\nattempts = 0\n");
    let mut given = Vec::new();
    for block in page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        let command = [
            ("http://127.0.0.1:8081", gate.url().as_str()),
            ("https://sso.example.com", &keycloak::shared().url),
            ("\"ann\"", "\"admin\""),
            ("the-password-of-ann", "admin-pw"),
            ("the-secret-of-that-client", "airflow-client-secret"),
            // Which not every machine has.
            ("jq -r .access_token", r#"sed 's/.*"access_token":"\([^"]*\)".*/\1/'"#),
        ]
        .into_iter()
        .fold(block.to_owned(), |command, (there, here)| command.replace(there, here));
        let mut bash = Command::new("bash");
        bash.args(["-c", &command]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let output = bash.env("SECRET", "ci-client-secret").output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        let told: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{block}: {e}: {output:?}"));
        let is_good = told["access_token"].is_string() || told["total_entries"].is_u64();
        assert!(is_good, "{block}: {told}");
        given.push(told["access_token"].is_string());
    }
    assert_eq!(given, [true, true, true, false], "three grants, and a token of Keycloak's own");
}
