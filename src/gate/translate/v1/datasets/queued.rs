//! Events of datasets that DAGs wait with, until the others have come.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};

use super::find;
use crate::gate::translate::asked::{Asked, Told};
use crate::gate::translate::calls::{Answered, Call};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{Key, date};
use crate::gate::translate::row::{Answer, Body, Row, Text, Work, Working, delete, get, not_found};
use crate::gate::translate::shape::Object;
use crate::gate::translate::value;

const BEFORE: Key = date("before");
const NONE: &str = "Queue event not found";
const NONE_OF_DATASET: Text = not_found(NONE, "Queue event with dataset uri: `{uri}` was not found");
const NONE_OF_DAG: Text = not_found(NONE, "Queue event with dag_id: `{dag_id}` was not found");
const NONE_OF_BOTH: Text =
    not_found(NONE, "Queue event with dag_id: `{dag_id}` and dataset uri: `{uri}` was not found");

pub const OF_DATASET: Row = Row {
    old: get("/api/v1/datasets/queuedEvent/{uri}"),
    new: get("/api/v2/assets/{asset_id}/queuedEvents"),
    query: &[BEFORE],
    body: Body::None,
    answer: Answer::Own,
    status: 200,
    texts: &[NONE_OF_DATASET],
    work: Work::By(of_dataset),
};

pub const DELETE_OF_DATASET: Row = Row {
    old: delete("/api/v1/datasets/queuedEvent/{uri}"),
    new: delete("/api/v2/assets/{asset_id}/queuedEvents"),
    query: &[BEFORE],
    body: Body::None,
    answer: Answer::Nothing,
    status: 204,
    texts: &[NONE_OF_DATASET],
    work: Work::By(remove),
};

pub const OF_DAG: Row = Row {
    old: get("/api/v1/dags/{dag_id}/datasets/queuedEvent"),
    new: get("/api/v2/dags/{dag_id}/assets/queuedEvents"),
    query: &[BEFORE],
    body: Body::None,
    answer: Answer::Own,
    status: 200,
    texts: &[NONE_OF_DAG],
    work: Work::By(of_dag),
};

pub const DELETE_OF_DAG: Row = Row {
    old: delete("/api/v1/dags/{dag_id}/datasets/queuedEvent"),
    new: delete("/api/v2/dags/{dag_id}/assets/queuedEvents"),
    query: &[BEFORE],
    body: Body::None,
    answer: Answer::Nothing,
    status: 204,
    texts: &[NONE_OF_DAG],
    work: Work::Table,
};

pub const OF_DAG_AND_DATASET: Row = Row {
    old: get("/api/v1/dags/{dag_id}/datasets/queuedEvent/{uri}"),
    new: get("/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents"),
    query: &[BEFORE],
    body: Body::None,
    answer: Answer::Own,
    status: 200,
    texts: &[NONE_OF_BOTH],
    work: Work::By(of_dag_and_dataset),
};

pub const DELETE_OF_DAG_AND_DATASET: Row = Row {
    old: delete("/api/v1/dags/{dag_id}/datasets/queuedEvent/{uri}"),
    new: delete("/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents"),
    query: &[BEFORE],
    body: Body::None,
    answer: Answer::Nothing,
    status: 204,
    texts: &[NONE_OF_BOTH],
    work: Work::By(remove),
};

/// Most datasets of one DAG whose URIs are looked up one by one.
const MAX_LOOKUPS: usize = 20;

/// A queued event as Airflow 3 tells it, and the URI of its asset.
fn event(event: &Object<'_>, uri: &str) -> Option<String> {
    let created_at = value::date(event.raw("created_at")?);
    Some(format!(
        "{{\"created_at\":{created_at},\"dag_id\":{},\"uri\":{}}}",
        event.raw("dag_id")?,
        value::json(uri)
    ))
}

fn odd() -> Fault {
    Fault::unreadable("a queued event is not what it should be")
}

/// What Airflow 2 says where there is no such event.
fn none(asked: &Asked) -> Fault {
    let detail = asked.row.texts.iter().find_map(|text| match text.detail {
        crate::gate::translate::row::Detail::Is(detail) => Some(asked.params.fill(detail)),
        crate::gate::translate::row::Detail::None | crate::gate::translate::row::Detail::Theirs => None,
    });
    Fault::refused(StatusCode::NOT_FOUND, Some(NONE), detail)
}

/// The call, with the id of the asset in place of its URI.
async fn call(asked: &Asked) -> Result<Call, Fault> {
    let (id, _) = find(asked, asked.params.get("uri")).await?.ok_or_else(|| none(asked))?;
    let mut params = asked.params.clone();
    params.set("asset_id", id);
    let path = params.path(asked.row.new.path).ok_or_else(Fault::no_route)?;
    let mut call = Call::new(asked.row.new.verb.into(), path);
    call.query = asked.query.today.clone();
    Ok(call)
}

/// The ids of the assets of a list of events, each once.
async fn ids(asked: &Asked, answered: &Answered) -> Result<BTreeSet<String>, Fault> {
    fn read(text: &str) -> Option<BTreeSet<String>> {
        let events = Object::read(text)?.list("queued_events")?;
        events.iter().map(|event| Some(Object::read(event.get())?.raw("asset_id")?.to_owned())).collect()
    }
    asked.calls.read(answered.clone(), |text| read(text).ok_or_else(odd)).await
}

/// A list of events, whose assets have these URIs by their ids.
async fn told(asked: &Asked, answered: Answered, uris: BTreeMap<String, String>) -> Result<Told, Fault> {
    if uris.is_empty() {
        return Err(none(asked));
    }
    let list = move |text: &str| {
        let events = Object::read(text)?.list("queued_events")?;
        let listed = events.iter().map(|raw| {
            let read = Object::read(raw.get())?;
            event(&read, uris.get(read.raw("asset_id")?)?)
        });
        let listed = listed.collect::<Option<Vec<_>>>()?;
        let (events, total) = (listed.join(","), listed.len());
        Some(format!("{{\"queued_events\":[{events}],\"total_entries\":{total}}}"))
    };
    let json = asked.calls.read(answered, move |text| list(text).ok_or_else(odd)).await?;
    Ok(asked.json(json))
}

fn of_dataset(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let uri = asked.params.get("uri").to_owned();
        let answered = asked.calls.good(call(asked).await?).await?;
        let uris = ids(asked, &answered).await?.into_iter().map(|id| (id, uri.clone())).collect();
        told(asked, answered, uris).await
    })
}

fn of_dag(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let answered = asked.calls.good(asked.call()?).await?;
        let ids = ids(asked, &answered).await?;
        if ids.len() > MAX_LOOKUPS {
            return Err(Fault::bad_request(
                "This DAG waits with events of too many datasets to look up their URIs",
            ));
        }
        let mut uris = BTreeMap::new();
        for id in ids {
            let asset = asked.calls.good(Call::new(Method::GET, format!("/api/v2/assets/{id}"))).await?;
            let uri = |text: &str| Object::read(text).and_then(|asset| asset.text("uri")).ok_or_else(odd);
            uris.insert(id, asked.calls.read(asset, uri).await?);
        }
        told(asked, answered, uris).await
    })
}

fn of_dag_and_dataset(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let answered = asked.calls.good(call(asked).await?).await?;
        let read = Object::read(answered.text()?).ok_or_else(odd)?;
        let event = event(&read, asked.params.get("uri")).ok_or_else(odd)?;
        Ok(asked.json(event))
    })
}

fn remove(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        asked.calls.good(call(asked).await?).await?;
        Ok(Told::nothing(asked.status()))
    })
}
