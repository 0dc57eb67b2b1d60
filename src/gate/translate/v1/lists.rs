//! Lists of runs and of task instances: what both have.

use http::{Method, StatusCode};

use crate::gate::translate::asked::{Asked, Told};
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::row::{Answer, Working};

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
