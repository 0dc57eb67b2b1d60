//! Lists of runs and of task instances: what both have.

use std::collections::BTreeMap;

use http::{Method, StatusCode};

use crate::gate::translate::asked::{Asked, Told};
use crate::gate::translate::body::Members;
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::row::{Answer, Working};
use crate::gate::translate::value::json;

/// The page and the dates of a query, and more. What has no logical date is in none of `execution_date_*`.
macro_rules! filters {
    ($($more:expr),* $(,)?) => {{
        use $crate::gate::translate::query::{Kind, LIMIT, OFFSET, date, renamed};
        &[
            LIMIT,
            OFFSET,
            renamed("execution_date_gte", "logical_date_gte", Kind::Date),
            renamed("execution_date_lte", "logical_date_lte", Kind::Date),
            date("start_date_gte"),
            date("start_date_lte"),
            date("end_date_gte"),
            date("end_date_lte"),
            date("updated_at_gte"),
            date("updated_at_lte"),
            $($more),*
        ]
    }};
}
pub(super) use filters;

/// The same of a body. Takes `may` and `Type` from where it is used.
macro_rules! filter_properties {
    ($($more:expr),* $(,)?) => {
        &[
            may("page_offset", Type::Whole),
            may("page_limit", Type::PageLimit),
            may("dag_ids", Type::Texts),
            may("execution_date_gte", Type::Date).today("logical_date_gte"),
            may("execution_date_lte", Type::Date).today("logical_date_lte"),
            may("start_date_gte", Type::Date),
            may("start_date_lte", Type::Date),
            may("end_date_gte", Type::Date),
            may("end_date_lte", Type::Date),
            $($more),*
        ]
    };
}
pub(super) use filter_properties;

/// The page that the row says.
pub fn page(asked: &Asked) -> Working<'_> {
    Box::pin(async move { empty_where_missing(asked, asked.call()?).await })
}

/// A page, which in Airflow 2 is an empty one where that whose list it is does not exist.
///
/// # Errors
/// See [`Fault`].
pub async fn empty_where_missing(asked: &Asked, call: Call) -> Result<Told, Fault> {
    let answered = asked.calls.any(call).await?;
    match (answered.status, &asked.row.answer) {
        (StatusCode::NOT_FOUND, Answer::Page(then, ..)) => {
            Ok(asked.json(format!("{{\"{then}\":[],\"total_entries\":0}}")))
        }
        (status, _) if status.is_success() => asked.told(answered).await,
        _ => Err(Fault::Airflow(answered.into())),
    }
}

/// The list of runs by its body, and that of task instances.
pub const RUNS: &str = "/api/v2/dags/~/dagRuns/list";
/// See [`RUNS`].
pub const INSTANCES: &str = "/api/v2/dags/~/dagRuns/~/taskInstances/list";

/// A page by a query. Where that asks for a begin or an end, Airflow 3 takes now for those that there are not yet, and finds
/// what has not begun or not ended, which Airflow 2 did not: then the same is asked of `list`, whose filters are in a body.
///
/// # Errors
/// See [`Fault`].
pub async fn filtered(asked: &Asked, call: Call, list: &'static str) -> Result<Told, Fault> {
    let has = |prefix: &str| call.query.iter().any(|(name, _)| name.starts_with(prefix));
    if !has("start_date_") && !has("end_date_") {
        return empty_where_missing(asked, call).await;
    }
    if has("updated_at_") {
        return Err(Fault::bad_request(
            "Airflow 3 does not look for 'updated_at' together with 'start_date' or 'end_date'",
        ));
    }
    let (mut body, mut lists) = (Members::default(), BTreeMap::<&str, Vec<String>>::new());
    for (param, ids) in [("dag_id", "dag_ids"), ("dag_run_id", "dag_run_ids")] {
        let id = asked.params.find(param).filter(|id| *id != "~");
        lists.entry(ids).or_default().extend(id.map(json));
    }
    for (name, value) in &call.query {
        match (&**name, list) {
            ("limit", _) => body.set("page_limit", value.clone()),
            ("offset", _) => body.set("page_offset", value.clone()),
            ("state", RUNS) => lists.entry("states").or_default().push(json(value)),
            ("state", _) if value == "none" => lists.entry("state").or_default().push("null".into()),
            ("state" | "pool" | "queue" | "executor", _) => lists.entry(name).or_default().push(json(value)),
            ("duration_gte" | "duration_lte", _) => {
                let number: Option<f64> = value.parse().ok();
                body.set(name, serde_json::json!(number).to_string());
            }
            _ => body.set(name, json(value)),
        }
    }
    for (name, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
        body.set(name, format!("[{}]", values.join(",")));
    }
    let call = Call { body: Some(body.json()), ..Call::new(Method::POST, list) };
    asked.told(asked.calls.good(call).await?).await
}

/// The page that a body asks for, of all DAGs and runs.
pub fn batch(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut params = Params::default();
        params.set("dag_id", "~");
        params.set("dag_run_id", "~");
        let path = params.path(asked.row.new.path).ok_or_else(Fault::no_route)?;
        let call = Call { body: Some(asked.body.today.json()), ..Call::new(Method::POST, path) };
        asked.told(asked.calls.good(call).await?).await
    })
}
