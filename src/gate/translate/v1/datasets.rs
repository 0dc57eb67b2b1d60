//! Datasets, which are assets today: the same thing, but known by a number where they were known by their URI.

mod queued;

use http::{Method, StatusCode};

use super::shapes::DATASET_EVENT;
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{Need, Type, may, must};
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{
    Key, Kind, LIMIT, OFFSET, OTHERS, order, own, renamed, some_text, whole_but_zero,
};
use crate::gate::translate::row::{Answer, Body, Row, Text, Work, Working, get, not_found, post};
use crate::gate::translate::shape::{Object, Shape, date, each, same, try_by};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/datasets"),
        new: get("/api/v2/assets"),
        query: &[
            LIMIT,
            OFFSET,
            renamed("uri_pattern", "uri_pattern", Kind::InUri),
            DAG_IDS,
            order(&[
                ("id", "id"),
                ("uri", "uri"),
                ("created_at", "created_at"),
                ("updated_at", "updated_at"),
            ]),
        ],
        body: Body::None,
        answer: Answer::Page("datasets", "assets", &DATASET),
        status: 200,
        texts: &[],
        work: Work::By(all),
    },
    Row {
        old: get("/api/v1/datasets/{uri}"),
        new: get("/api/v2/assets"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[not_found("Dataset not found", "The Dataset with uri: `{uri}` was not found")],
        work: Work::By(one),
    },
    Row {
        old: get("/api/v1/datasets/events"),
        new: get("/api/v2/assets/events"),
        query: &[
            LIMIT,
            OFFSET,
            order(&[
                ("source_dag_id", "source_dag_id"),
                ("source_task_id", "source_task_id"),
                ("source_run_id", "source_run_id"),
                ("source_map_index", "source_map_index"),
                ("timestamp", "timestamp"),
            ]),
            renamed("dataset_id", "asset_id", Kind::WholeButZero),
            some_text("source_dag_id"),
            some_text("source_task_id"),
            some_text("source_run_id"),
            whole_but_zero("source_map_index"),
        ],
        body: Body::None,
        answer: Answer::Page("dataset_events", "asset_events", &DATASET_EVENT),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
    Row {
        old: post("/api/v1/datasets/events"),
        new: post("/api/v2/assets/events"),
        query: &[OTHERS],
        body: Body::Object(&[
            must("dataset_uri", Type::Text, Need::Document).today(""),
            may("extra", Type::Object).null_in_model(),
        ]),
        answer: Answer::One(&DATASET_EVENT),
        status: 200,
        texts: &[NO_DATASET],
        work: Work::By(make_event),
    },
    queued::OF_DATASET,
    queued::DELETE_OF_DATASET,
    queued::OF_DAG,
    queued::DELETE_OF_DAG,
    queued::OF_DAG_AND_DATASET,
    queued::DELETE_OF_DAG_AND_DATASET,
];

const DAG_IDS: Key = own("dag_ids", Kind::Text);

const NO_DATASET: Text = not_found("Dataset not found", "Dataset with uri: '{dataset_uri}' not found");

static DATASET: Shape = Shape(&[
    same("id"),
    same("uri"),
    same("extra"),
    date("created_at"),
    date("updated_at"),
    // Called otherwise before Airflow 3.1.
    try_by("consuming_dags", &["scheduled_dags", "consuming_dags"], consuming_dags),
    each("producing_tasks", "producing_tasks", &PRODUCING_TASK),
    each("aliases", "aliases", &ALIAS),
]);

static CONSUMING_DAG: Shape = Shape(&[same("dag_id"), date("created_at"), date("updated_at")]);

static PRODUCING_TASK: Shape =
    Shape(&[same("dag_id"), same("task_id"), date("created_at"), date("updated_at")]);

static ALIAS: Shape = Shape(&[same("id"), same("name")]);

/// Nothing for what cannot be read: Airflow 3 always tells them.
fn consuming_dags(asset: &Object<'_>) -> Option<String> {
    let list = asset.raw("scheduled_dags").or_else(|| asset.raw("consuming_dags"))?;
    let mut out = String::new();
    CONSUMING_DAG.write_list(list, &mut out)?;
    Some(out)
}

/// Airflow 2 lists those that no DAG uses any more, too.
fn all(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked.call()?.with("only_active", "false");
        // The last counts, and an empty one is none.
        let ids = asked.query.get(DAG_IDS.name).filter(|ids| !ids.is_empty());
        for id in ids.into_iter().flat_map(|ids| ids.split(',')) {
            call = call.with(DAG_IDS.name, id);
        }
        asked.told(asked.calls.good(call).await?).await
    })
}

fn one(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let (_, asset) = find(asked, asked.params.get("uri")).await?.ok_or_else(|| unknown(asked))?;
        let mut out = String::new();
        let odd = || Fault::unreadable("an asset is not what it should be");
        DATASET.write(&asset, &mut out).ok_or_else(odd)?;
        Ok(asked.json(out))
    })
}

fn unknown(asked: &Asked) -> Fault {
    let detail = format!("The Dataset with uri: `{}` was not found", asked.params.get("uri"));
    Fault::refused(StatusCode::NOT_FOUND, Some("Dataset not found"), Some(detail))
}

fn make_event(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let uri = asked.came().text("dataset_uri").unwrap_or_default();
        let Some((id, _)) = find(asked, &uri).await? else {
            let detail = format!("Dataset with uri: '{uri}' not found");
            return Err(Fault::refused(StatusCode::NOT_FOUND, Some("Dataset not found"), Some(detail)));
        };
        let mut sent = asked.body.today.clone();
        sent.set("asset_id", id);
        if sent.raw("extra").is_none() {
            // Airflow 3 notes in it who made the event, and only where there is one.
            sent.set("extra", "{}");
        }
        let mut call = asked.call()?;
        call.body = Some(sent.json());
        asked.told(asked.calls.good(call).await?).await
    })
}

/// Most pages that are searched for a dataset.
const MAX_PAGES: u32 = 20;

/// What a page of assets says.
struct Page {
    /// The one that is looked for: its id, and all of it.
    found: Option<(String, String)>,
    /// How many it has.
    entries: u64,
    /// How many there are on all pages.
    total: u64,
}

fn page(text: &str, uri: &str) -> Option<Page> {
    let page = Object::read(text)?;
    let (assets, mut found) = (page.list("assets")?, None);
    for asset in &assets {
        let read = Object::read(asset.get())?;
        if read.text("uri").as_deref() == Some(uri) {
            found = Some((read.raw("id")?.to_owned(), asset.get().to_owned()));
            break;
        }
    }
    Some(Page { found, entries: assets.len() as u64, total: page.raw("total_entries")?.parse().ok()? })
}

/// The asset with exactly this URI: its id and all of it. Airflow 3 finds them by a pattern, which matches more.
///
/// # Errors
/// It is not among as many as may be looked at.
async fn find(asked: &Asked, uri: &str) -> Result<Option<(String, String)>, Fault> {
    let odd = || Fault::unreadable("a list of assets is not what it should be");
    let (limit, mut offset) = (asked.calls.limit().maximum(), 0_u64);
    for _ in 0..MAX_PAGES {
        let call = Call::new(Method::GET, "/api/v2/assets")
            .with("uri_pattern", uri)
            .with("only_active", "false")
            .with("order_by", "id")
            .with("limit", limit.to_string())
            .with("offset", offset.to_string());
        let wanted = uri.to_owned();
        let page = move |text: &str| page(text, &wanted).ok_or_else(odd);
        let Page { found, entries, total } = asked.calls.read(asked.calls.good(call).await?, page).await?;
        if found.is_some() {
            return Ok(found);
        }
        offset += entries;
        if entries == 0 || offset >= total {
            return Ok(None);
        }
    }
    Err(Fault::bad_request("Too many datasets have a URI like this one to look for it"))
}
