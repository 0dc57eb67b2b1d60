//! How many runs of each state DAGs have.

use std::collections::{BTreeMap, HashSet};

use http::{Method, StatusCode};

use crate::gate::translate::asked::Asked;
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::query::{Kind, own};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get};
use crate::gate::translate::shape::{Object, Shape, same};
use crate::gate::translate::value;

/// The operation.
pub const ROWS: &[Row] = &[Row {
    old: get("/api/v1/dagStats"),
    new: get("/api/v2/dagStats"),
    query: &[own("dag_ids", Kind::Text)],
    body: Body::None,
    answer: Answer::Own,
    status: 200,
    texts: &[],
    work: Work::By(stats),
}];

static STATS: Shape = Shape(&[same("dag_id"), same("stats")]);

/// The states that Airflow 2 tells, in its order.
const STATES: [&str; 4] = ["queued", "running", "success", "failed"];

/// Most DAGs without runs that are looked up.
const MAX_LOOKUPS: usize = 20;

/// Airflow 2 tells zeros for a DAG without runs, and nothing for one that there is not. Airflow 3 tells of neither.
fn stats(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        // Of several the last counts, and blanks belong to the ids.
        let Some(ids) = asked.query.get("dag_ids") else {
            return Err(Fault::bad_request("Missing query parameter 'dag_ids'"));
        };
        let mut seen = HashSet::new();
        let wanted: Vec<&str> = ids.split(',').filter(|id| seen.insert(*id)).collect();
        let mut call = asked.call()?;
        call.query.extend(wanted.iter().map(|id| ("dag_ids".to_owned(), (*id).to_owned())));
        let read = |text: &str| {
            by_id(text).ok_or_else(|| Fault::unreadable("statistics are not what they should be"))
        };
        let mut told = asked.calls.read(asked.calls.good(call).await?, read).await?;
        let mut listed = Vec::with_capacity(wanted.len());
        let mut looked_up = 0;
        for id in wanted {
            if let Some(stats) = told.remove(id) {
                listed.push(stats);
                continue;
            }
            looked_up += 1;
            if looked_up > MAX_LOOKUPS {
                return Err(Fault::bad_request("Too many of these DAGs have no runs: ask for fewer at once"));
            }
            if is_known(asked, id).await? {
                listed.push(zeros(id));
            }
        }
        let total = listed.len();
        Ok(asked.json(format!("{{\"dags\":[{}],\"total_entries\":{total}}}", listed.join(","))))
    })
}

/// What is told of each DAG, by its id.
fn by_id(text: &str) -> Option<BTreeMap<String, String>> {
    let mut told = BTreeMap::new();
    for dag in Object::read(text)?.list("dags")? {
        let mut out = String::new();
        STATS.write(dag.get(), &mut out)?;
        told.insert(Object::read(dag.get())?.text("dag_id")?, out);
    }
    Some(told)
}

async fn is_known(asked: &Asked, id: &str) -> Result<bool, Fault> {
    let mut params = Params::default();
    params.set("dag_id", id);
    let Some(path) = params.path("/api/v2/dags/{dag_id}") else { return Ok(false) };
    let answered = asked.calls.any(Call::new(Method::GET, path)).await?;
    match answered.status {
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(false),
        status if status.is_success() => Ok(true),
        _ => Err(Fault::Airflow(answered.into())),
    }
}

fn zeros(id: &str) -> String {
    let states: Vec<_> =
        STATES.iter().map(|state| format!("{{\"state\":\"{state}\",\"count\":0}}")).collect();
    format!("{{\"dag_id\":{},\"stats\":[{}]}}", value::json(id), states.join(","))
}
