//! The test servers themselves: what other tests take for granted.

use serde_json::json;

use crate::support::keycloak::{self, Keycloak};
use crate::support::{airflow, get, post, token};

/// Keycloak answers, its realm is the fixtures', and a realm of one's own can be changed without harm to it.
fn check(keycloak: &Keycloak) {
    let shared = keycloak.airflow();
    let tokens = shared.log_in("viewer", "viewer-pw");
    let claims = token::read(&tokens.access);
    assert_eq!(claims["iss"], shared.issuer());
    assert_eq!(claims["preferred_username"], "viewer");
    assert_eq!(claims["sub"], "00000000-0000-4000-8000-000000000002");
    assert_eq!(shared.user_info(&tokens.access).status, 200);

    let own = keycloak.realm_of_its_own(|realm| realm["accessTokenLifespan"] = json!(7));
    let claims = token::read(&own.log_in("viewer", "viewer-pw").access);
    let time = |name: &str| claims[name].as_u64().unwrap();
    assert_eq!(time("exp") - time("iat"), 7);
    let id = own.new_user("made", &["Op"]);
    own.withdraw(&id, &["Op"]);
    own.grant(&id, &["User"]);
    let tokens = own.log_in_by("cli", "made", "made-pw");
    assert!(token::read(&tokens.access)["realm_access"].to_string().contains("User"));
    own.log_out(&id);
    assert_eq!(own.user_info(&tokens.access).status, 401);
    // what this key signs Keycloak takes for its own, until it has another
    let claims = json!({
        "iss": own.issuer(), "aud": "airflow", "sub": own.user_id("viewer"), "azp": "airflow", "typ": "Bearer", "jti": "trrtcc:x",
        "iat": 1_700_000_000, "exp": 4_102_444_800_u64, "scope": "openid",
    });
    let signed = own.sign(&claims);
    assert_eq!(own.user_info(&signed).status, 200);
    own.add_key(200);
    own.remove_key(&own.key("fixture-rsa"));
    assert_eq!(own.user_info(&signed).status, 401);
}

#[test]
fn keycloak_answers() {
    check(keycloak::shared());
}

#[test]
#[ignore = "needs Keycloak 26.5.6: make test-all"]
fn the_older_keycloak_answers() {
    check(keycloak::older());
}

/// Airflow's own endpoint issues tokens by Keycloak, and asks it what they permit.
#[test]
fn airflow_asks_keycloak() {
    let airflow = airflow::keycloak();
    let log_in = |user: &str| {
        post("/auth/token")
            .json(json!({ "username": user, "password": format!("{user}-pw") }))
            .send(airflow.address())
    };
    for (user, reads, makes) in [("admin", 200, 422), ("viewer", 200, 403), ("norole", 403, 403)] {
        let token = log_in(user).token();
        let pools = get("/api/v2/pools").bearer(&token).send(airflow.address());
        assert_eq!(pools.status, reads, "{user}: {}", pools.text());
        let made = post("/api/v2/pools").bearer(&token).json(json!({})).send(airflow.address());
        assert_eq!(made.status, makes, "{user}: {}", made.text());
    }
}
