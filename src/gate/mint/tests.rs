//! Users of FAB's auth manager: who is whom.

use super::*;
use crate::auth::database::tests::{Fake, user};
use crate::auth::jwt::Settings;
use crate::ports::database::UserId;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::runtime::Handle;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn mint(fake: &Arc<Fake>) -> Mint {
    let settings = Settings { secrets: vec![Secret::new("a-secret")], ..Settings::default() };
    let signer = settings.build(|_| unreachable!()).unwrap().signer;
    let directory = UserDirectory::new(fake.clone(), Arc::default(), Handle::current());
    Mint::new(Mode::Mint, signer, Directory::Fab(Arc::new(directory)))
}

fn grant(origin: Origin, name: &str, jti: Option<&str>) -> Grant {
    let identity = Identity { origin, name: name.into() };
    let onward = Onward::Minted { jti: jti.map(Box::from) };
    Grant { identity, ambient: false, expires: None, onward }
}

/// `sub` and `jti` of what the upstream is given.
async fn given(mint: &Mint, grant: &Grant, now: SystemTime) -> Result<(String, String), String> {
    let presented = mint.present(grant, now).await.map_err(|error| error.to_string())?;
    let Presented::Replaced(header) = presented else { panic!("nothing was minted") };
    let token = header.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let text = |claim: &str| claims[claim].as_str().unwrap().to_owned();
    Ok((text("sub"), text("jti")))
}

#[tokio::test]
async fn each_origin_has_its_own_way_to_an_id() {
    let fake = Fake::with([
        user(1, "admin", None, true),
        user(2, "1", None, true),
        user(3, "gone", None, false),
        user(4, "twin", None, true),
        user(5, "TWIN", None, true),
    ]);
    let mint = mint(&fake);
    let issuer = || Origin::Issuer("https://idp.example".into());
    for (name, origin, called, expected) in [
        ("a name of the file", Origin::File, "admin", Ok("1")),
        ("a name that looks like an id", Origin::File, "1", Ok("2")),
        (
            "an id is no name",
            Origin::File,
            "2",
            Err("file:2 is not known to Airflow: no such user in Airflow's database"),
        ),
        ("a name of the file, in another case", Origin::File, "ADMIN", Ok("1")),
        ("an issuer's", issuer(), "admin", Ok("1")),
        (
            "an issuer's, in another case",
            issuer(),
            "ADMIN",
            Err("issuer:ADMIN is not known to Airflow: no such user in Airflow's database"),
        ),
        (
            "a realm's, in another case",
            Origin::Kerberos,
            "Admin",
            Err("kerberos:Admin is not known to Airflow: no such user in Airflow's database"),
        ),
        ("an issuer's, deactivated", issuer(), "gone", Err("issuer:gone is deactivated in Airflow")),
        ("nobody in particular", Origin::Anonymous, "admin", Ok("1")),
        ("Airflow's own, by its id", Origin::Airflow, "7", Ok("7")),
        (
            "Airflow's own, no id",
            Origin::Airflow,
            "admin",
            Err("airflow:admin is not known to Airflow: no such user in Airflow's database"),
        ),
        ("whose password it was", Origin::Database(UserId(9)), "1", Ok("9")),
        (
            "one of two",
            Origin::File,
            "twin",
            Err("file:twin is the name of more than one user of Airflow's: they differ in case alone"),
        ),
        (
            "not verified",
            Origin::Unverified,
            "admin",
            Err("unverified:admin is not known to Airflow: no such user in Airflow's database"),
        ),
    ] {
        let given = given(&mint, &grant(origin, called, Some("j")), now()).await;
        let expected = expected.map(|id| (id.to_owned(), "j".to_owned())).map_err(str::to_owned);
        assert_eq!(given, expected, "{name}");
    }
}

/// A minted token counts for minutes, a name for seconds.
#[tokio::test]
async fn a_name_that_goes_to_another_user_takes_no_token_along() {
    let fake = Fake::with([user(1, "robot", None, true)]);
    let mint = mint(&fake);
    let robot = grant(Origin::File, "robot", None);
    let after = |seconds| now() + Duration::from_secs(seconds);
    let first = given(&mint, &robot, now()).await.unwrap();
    assert_eq!(first.0, "1");
    fake.users.lock().unwrap()[0].id = UserId(2);
    assert_eq!(given(&mint, &robot, after(9)).await.unwrap(), first, "the same token");
    let second = given(&mint, &robot, after(10)).await.unwrap();
    assert_eq!(second.0, "2");
    fake.fail(true);
    assert_eq!(given(&mint, &robot, after(19)).await.unwrap(), second);
    let refused = mint.present(&robot, after(20)).await.err().unwrap();
    assert!(
        matches!(&refused, MintError::Unavailable(outage) if outage.retry_after.as_secs() == 5),
        "{refused}"
    );
}

#[tokio::test]
async fn the_upstreams_own_users_are_left_to_it() {
    let mint = mint(&Fake::with([user(1, "admin", None, true)]));
    for (origin, known) in [
        (Origin::Upstream, false),
        (Origin::Unverified, false),
        (Origin::File, true),
        (Origin::Database(UserId(1)), true),
    ] {
        let identity = Identity { origin, name: "admin".into() };
        assert_eq!(mint.knows(&identity), known, "{identity:?}");
    }
}
