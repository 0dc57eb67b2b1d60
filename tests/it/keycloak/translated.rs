//! Keycloak's credentials in the words of Airflow 2, in front of an Airflow with its auth manager.

use serde_json::json;

use super::before_keycloak;
use crate::support::{Ask, ask, delete, get, keycloak, post};

#[test]
fn every_credential_has_the_rights_of_its_user() {
    let realm = keycloak::shared().airflow();
    let airgate = before_keycloak(
        "[basic]\nsources = [\"keycloak\"]\n[lockout]\nattempts = 0\n[keycloak_auth_manager]\n\
         allowed_client_ids = [\"cli\"]\n",
    );
    for user in ["admin", "viewer"] {
        let password = format!("{user}-pw");
        let access = realm.log_in_by("cli", user, &password).access;
        let log_in = json!({"username": user, "password": password});
        let issued = airgate.send(post("/auth/token").json(log_in)).token();
        for name in ["an access token", "a password", "Airflow's token", "Airflow's cookie"] {
            let send = |ask: Ask| {
                airgate.send(match name {
                    "an access token" => ask.bearer(&access),
                    "a password" => ask.basic(user, &password),
                    "Airflow's token" => ask.bearer(&issued),
                    _ => ask.with("Cookie", format!("_token={issued}")),
                })
            };
            let pools = send(get("/api/v1/pools?limit=1"));
            assert_eq!(pools.status, 200, "{user}, {name}: {}", pools.text());
            assert_eq!(pools.header("x-airgate-translated"), Some("GET /api/v2/pools"), "{user}, {name}");
            let roles = send(get("/api/v1/roles"));
            assert_eq!(roles.status, 400, "{user}, {name}: {}", roles.text());
            assert!(roles.detail().contains("FabAuthManager"), "{user}, {name}: {}", roles.text());
            // Keycloak hears from no other client which object it is about: nothing that is there is changed, by whichever API.
            if name == "an access token" {
                let refused =
                    ask("PATCH", "/api/v1/pools/default_pool?update_mask=slots").json(json!({"slots": 128}));
                assert_eq!(send(refused).status, 403, "{user}, {name}");
                continue;
            }
            // Made, and set again: by two calls, each as the user.
            let key = format!("translated_{user}_{}", std::process::id());
            let status = if user == "admin" { 200 } else { 403 };
            for value in ["one", "two"] {
                let set = send(post("/api/v1/variables").json(json!({"key": key, "value": value})));
                assert_eq!(set.status, status, "{user}, {name}: {}", set.text());
            }
            let path = format!("/api/v1/variables/{key}");
            if user == "admin" {
                assert_eq!(send(get(&path)).json()["value"], "two", "{name}");
            }
            let change =
                ask("PATCH", "/api/v1/pools/default_pool?update_mask=slots").json(json!({"slots": 128}));
            assert_eq!(send(change).status, status, "{user}, {name}");
            assert_eq!(send(delete(&path)).status, if user == "admin" { 204 } else { 403 }, "{user}, {name}");
        }
    }
    let nobody = airgate.send(get("/api/v1/pools").basic("viewer", "wrong"));
    assert_eq!((nobody.status, nobody.header("content-type")), (401, Some("application/problem+json")));
}
