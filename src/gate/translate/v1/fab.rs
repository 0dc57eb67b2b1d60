//! Users, roles and permissions, which FAB's auth manager has. The others have none, and Airflow 2 says so.

use std::collections::HashSet;
use std::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::mask::{self, UPDATE_MASK};
use super::providers::pages;
use crate::gate::translate::asked::{Asked, Told};
use crate::gate::translate::body::{Need, Property, Type, may, must, read_only};
use crate::gate::translate::calls::{Answered, Call};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{LIMIT, OFFSET, OTHERS, order};
use crate::gate::translate::row::{
    Answer, Body, Detail, Row, Text, Work, Working, conflict, delete, get, not_found, patch, post,
};
use crate::gate::translate::shape::{Object, Shape, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/roles"),
        new: get("/auth/fab/v1/roles"),
        // Airflow 2 refuses the other way round, by mistake.
        query: &[LIMIT, OFFSET, order(&[("role_id", "role_id"), ("name", "name")])],
        body: Body::None,
        answer: Answer::Page("roles", "roles", &ROLE),
        status: 200,
        texts: &[],
        work: Work::By(table),
    },
    Row {
        old: post("/api/v1/roles"),
        new: post("/auth/fab/v1/roles"),
        query: &[OTHERS],
        body: Body::Object(&[must("name", Type::Text, Need::Model), may("actions", Type::Any)]),
        answer: Answer::Own,
        status: 200,
        texts: &[conflict("Role with name '{name}' already exists; please update with the PATCH endpoint")],
        work: Work::By(make_role),
    },
    Row {
        old: get("/api/v1/roles/{role_name}"),
        new: get("/auth/fab/v1/roles/{role_name}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&ROLE),
        status: 200,
        texts: &[NO_ROLE],
        work: Work::By(table),
    },
    Row {
        old: patch("/api/v1/roles/{role_name}"),
        new: patch("/auth/fab/v1/roles/{role_name}"),
        query: &[UPDATE_MASK],
        body: Body::Object(&[may("name", Type::Text), may("actions", Type::Any)]),
        answer: Answer::One(&ROLE),
        status: 200,
        texts: &[NO_ROLE],
        work: Work::By(change_role),
    },
    Row {
        old: delete("/api/v1/roles/{role_name}"),
        new: delete("/auth/fab/v1/roles/{role_name}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[NO_ROLE],
        work: Work::By(table),
    },
    Row {
        old: get("/api/v1/permissions"),
        new: get("/auth/fab/v1/permissions"),
        query: &[LIMIT, OFFSET],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(actions),
    },
    Row {
        old: get("/api/v1/users"),
        new: get("/auth/fab/v1/users"),
        query: &[
            LIMIT,
            OFFSET,
            order(&[
                ("id", "id"),
                ("first_name", "first_name"),
                ("last_name", "last_name"),
                ("email", "email"),
                ("is_active", "active"),
            ]),
        ],
        body: Body::None,
        answer: Answer::Page("users", "users", &USER),
        status: 200,
        texts: &[],
        work: Work::By(table),
    },
    Row {
        old: post("/api/v1/users"),
        new: post("/auth/fab/v1/users"),
        query: &[OTHERS],
        body: Body::Object(USER_PROPERTIES),
        answer: Answer::One(&USER),
        status: 200,
        texts: &[Text { status: 409, title: None, detail: Detail::Theirs }],
        work: Work::By(table),
    },
    Row {
        old: get("/api/v1/users/{username}"),
        new: get("/auth/fab/v1/users/{username}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&USER),
        status: 200,
        texts: &[NO_USER],
        work: Work::By(table),
    },
    Row {
        old: patch("/api/v1/users/{username}"),
        new: patch("/auth/fab/v1/users/{username}"),
        query: &[UPDATE_MASK],
        body: Body::Object(USER_PROPERTIES),
        answer: Answer::One(&USER),
        status: 200,
        texts: &[NO_USER, Text { status: 409, title: None, detail: Detail::Theirs }],
        work: Work::By(change_user),
    },
    Row {
        old: delete("/api/v1/users/{username}"),
        new: delete("/auth/fab/v1/users/{username}"),
        query: &[],
        body: Body::None,
        answer: Answer::Nothing,
        status: 204,
        texts: &[NO_USER],
        work: Work::By(table),
    },
];

const NO_ROLE: Text = not_found("Role not found", "Role with name '{role_name}' was not found");
const NO_USER: Text = not_found("User not found", "The User with username `{username}` was not found");

const USER_PROPERTIES: &[Property] = &[
    must("first_name", Type::Text, Need::Model),
    must("last_name", Type::Text, Need::Model),
    must("username", Type::Text, Need::Model),
    must("email", Type::Text, Need::Model),
    may("password", Type::Text),
    may("roles", Type::Any),
    read_only("active"),
    read_only("last_login"),
    read_only("login_count"),
    read_only("failed_login_count"),
    read_only("created_on"),
    read_only("changed_on"),
];

static ROLE: Shape = Shape(&[same("name"), same("actions")]);

/// Its times are naive, then and today.
static USER: Shape = Shape(&[
    same("first_name"),
    same("last_name"),
    same("username"),
    same("email"),
    same("active"),
    same("last_login"),
    same("login_count"),
    same("fail_login_count"),
    same("roles"),
    same("created_on"),
    same("changed_on"),
]);

/// Makes a call to FAB's routes.
///
/// # Errors
/// As any call; or this Airflow has no FAB. Then it answers with the page of its user interface, or, where another auth
/// manager has routes of its own, that there is no such route.
async fn good(asked: &Asked, call: Call) -> Result<Answered, Fault> {
    let answered = asked.calls.any(call).await?;
    let kind = answered.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    // FAB 2, which Airflow 3.0 has, tells failures as Airflow 2 did.
    let of_fab = ["application/json", "application/problem+json"];
    let is_json =
        answered.body.is_empty() || of_fab.iter().any(|known| kind.eq_ignore_ascii_case(known.as_bytes()));
    let no_route = answered.status == StatusCode::METHOD_NOT_ALLOWED
        || (answered.status == StatusCode::NOT_FOUND && *answered.body == *br#"{"detail":"Not Found"}"#);
    if !is_json || no_route {
        let detail = "This endpoint is only available when using the default auth manager FabAuthManager.";
        return Err(Fault::bad_request(detail));
    }
    if answered.status.is_success() { Ok(answered) } else { Err(Fault::Airflow(answered.into())) }
}

/// What the row says.
fn table(asked: &Asked) -> Working<'_> {
    Box::pin(async move { asked.told(good(asked, asked.call()?).await?).await })
}

/// Airflow 2 answers an empty object.
fn make_role(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        good(asked, asked.call()?).await?;
        Ok(asked.json("{}"))
    })
}

/// Airflow 2 adds actions to a role, and never takes any away. Airflow 3 replaces them.
fn change_role(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let unknown = |name: &str| format!("'{name}' in update_mask is unknown");
        let names = mask::meant(asked, "", unknown)?;
        let mut sent = mask::of(&asked.body.today, &names);
        let odd = || Fault::unreadable("a role is not what it should be");
        if sent.raw("name").is_none() {
            sent.set("name", crate::gate::translate::value::json(asked.params.get("role_name")));
        }
        if let Some(added) = sent.part("actions").cloned() {
            let path = asked.params.path(asked.row.new.path).ok_or_else(Fault::no_route)?;
            let role = good(asked, Call::new(http::Method::GET, path)).await?;
            let size = added.len() + role.body.len();
            let all = move || {
                let added = added_actions(&added)?;
                let read = Object::read(role.text()?).ok_or_else(odd)?;
                let had = read.list("actions").ok_or_else(odd)?;
                Ok::<_, Fault>(each_once(had.into_iter().chain(added)))
            };
            sent.set("actions", asked.calls.work(size, all).await??);
        }
        let mut call = asked.call()?;
        call.body = Some(sent.json());
        asked.told(good(asked, call).await?).await
    })
}

/// Most actions that a role is given at once, and most bytes of one: what is read of them is bounded, however small or
/// deep they are. Airflow's `Admin` has some 150, of 60 bytes each.
const MAX_ACTIONS: usize = 20_000;
const MAX_ACTION: usize = 4 << 10;

/// The actions that a body gives, as they are written.
fn added_actions(json: &str) -> Result<Vec<&RawValue>, Fault> {
    let no_list = |_| Fault::bad_request("actions are not of type 'array' - 'actions'");
    let mut reader = serde_json::Deserializer::from_str(json);
    let added: Vec<&RawValue> = reader.deserialize_seq(Bounded).map_err(no_list)?;
    if added.len() > MAX_ACTIONS {
        return Err(Fault::bad_request(format!("'actions' are more than {MAX_ACTIONS}")));
    }
    if added.iter().any(|action| action.get().len() > MAX_ACTION) {
        return Err(Fault::bad_request(format!("One of 'actions' is longer than {MAX_ACTION} bytes")));
    }
    Ok(added)
}

/// Elements of a list: no more are kept than one too many.
struct Bounded;

impl<'de> Visitor<'de> for Bounded {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= MAX_ACTIONS
            && let Some(one) = list.next_element()?
        {
            kept.push(one);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}

/// A list of these in JSON, each once, however it was written.
fn each_once<'a>(actions: impl Iterator<Item = &'a RawValue>) -> String {
    let mut seen = HashSet::new();
    let written = |raw: &RawValue| {
        serde_json::from_str::<Value>(raw.get())
            .map_or_else(|_| raw.get().to_owned(), |value| value.to_string())
    };
    let all: Vec<_> = actions.filter(|raw| seen.insert(written(raw))).map(RawValue::get).collect();
    format!("[{}]", all.join(","))
}

fn change_user(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?;
        if let Some(names) = mask::names(asked) {
            let missing: Vec<_> = names.iter().filter(|name| asked.came().raw(name).is_none()).collect();
            if !missing.is_empty() {
                let missing: Vec<_> = missing.into_iter().map(|name| format!("'{name}'")).collect();
                return Err(Fault::bad_request(format!("Unknown update masks: {}", missing.join(", "))));
            }
            call = call.with("update_mask", names.join(","));
            call.body = Some(mask::of(&asked.body.today, &names).json());
        }
        asked.told(good(asked, call).await?).await
    })
}

/// Airflow 2 tells actions, such as `can_read`, as FAB 2 does; FAB 3, actions with the resources that they are for.
fn actions(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        // One page says whether there is FAB at all.
        good(asked, asked.call()?).await?;
        let pairs = pages(asked, "actions", |told, out| {
            let told = Object::read(told)?;
            let action = told.raw("action").map_or(Some(told), Object::read)?;
            out.push_str(action.raw("name")?);
            Some(())
        })
        .await?;
        let mut seen = HashSet::new();
        let all: Vec<&String> = pairs.iter().filter(|name| seen.insert(*name)).collect();
        let number = |name: &str| {
            let value = asked.query.today.iter().find(|(known, _)| known == name);
            value.and_then(|(_, value)| value.parse::<usize>().ok())
        };
        let page: Vec<_> = all
            .iter()
            .skip(number("offset").unwrap_or(0))
            .take(number("limit").unwrap_or(all.len()))
            .map(|name| format!("{{\"name\":{name}}}"))
            .collect();
        let total = all.len();
        Ok(Told::json(
            asked.status(),
            format!("{{\"actions\":[{}],\"total_entries\":{total}}}", page.join(",")),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_that_are_added_are_bounded() {
        let many = |count: usize| format!("[{}]", vec!["{}"; count].join(" , "));
        let long = |length: usize| format!("[\"{}\"]", "x".repeat(length - 2));
        for (name, json, expected) in [
            ("none", "[]".to_owned(), Ok(0)),
            ("as many as may be", many(MAX_ACTIONS), Ok(MAX_ACTIONS)),
            ("one more", many(MAX_ACTIONS + 1), Err("'actions' are more than 20000")),
            ("many more", many(1 << 21), Err("'actions' are more than 20000")),
            ("as long as may be", long(MAX_ACTION), Ok(1)),
            ("longer", long(MAX_ACTION + 1), Err("One of 'actions' is longer than 4096 bytes")),
            ("no list", "{}".to_owned(), Err("actions are not of type 'array' - 'actions'")),
            ("null", "null".to_owned(), Err("actions are not of type 'array' - 'actions'")),
        ] {
            match (added_actions(&json), expected) {
                (Ok(added), Ok(count)) => assert_eq!(added.len(), count, "{name}"),
                (Err(Fault::Refused(refusal)), Err(detail)) => {
                    assert_eq!(refusal.detail.as_deref(), Some(detail), "{name}");
                }
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }

    /// Minutes, if each were compared with those before it.
    #[test]
    fn actions_are_sent_once() {
        let many: Vec<_> = (0..50_000).map(|n| format!("{{\"action\":{n}}}")).collect();
        let again = r#"{"resource":{"name":"r"},"action":{"name":"a"}}, {"action": {"name":"\u0061"},"resource":{"name":"r"}}"#;
        let list = format!("[{again},{},{again}]", many.join(","));
        let read: Vec<&RawValue> = serde_json::from_str(&list).unwrap();
        let expected =
            format!("[{{\"resource\":{{\"name\":\"r\"}},\"action\":{{\"name\":\"a\"}}}},{}]", many.join(","));
        assert!(each_once(read.into_iter()) == expected);
    }
}
