//! Keys that change.

use super::{SECRET, mirror, patient};
use crate::support::{get, keycloak};

/// Tokens of a new key work, within the ten seconds for which the keys are not fetched again; those of a key that was
/// taken away fail from then on.
#[test]
fn keys_are_rotated() {
    let realm = keycloak::shared().realm_of_its_own(|_| {});
    let mirror = mirror();
    let config = format!(
        "[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"viewer:viewer\"\n{}\
         allowed_client_ids = [\"cli\"]\n[basic]\ncache_ttl = \"0s\"\n",
        realm.section()
    );
    let airgate = patient(&mirror.url(), &config);
    let log_in = || realm.log_in_by("cli", "viewer", "viewer-pw").access;
    let status = |token: &str| airgate.send(get("/api/v2/pools").bearer(token)).status;
    let old = log_in();
    assert_eq!(status(&old), 200);
    realm.add_key(200);
    realm.remove_key(&realm.key("fixture-rsa"));
    let new = log_in();
    let began = std::time::Instant::now();
    airgate.until("a token of the new key works", |_| status(&new) == 200);
    assert!(began.elapsed().as_secs() <= 15, "{:?}", began.elapsed());
    assert_eq!(status(&old), 403);
}
