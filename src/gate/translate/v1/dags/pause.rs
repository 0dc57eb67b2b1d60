//! Pausing: one DAG, or those of a page.

use http::StatusCode;

use super::told::DAG;
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::{Property, Type, may, read_only};
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::row::Working;
use crate::gate::translate::shape::Object;

/// What can be changed of a DAG, and what cannot.
pub(super) const PAUSE: &[Property] = &[
    may("is_paused", Type::Flag).or_null(),
    read_only("dag_id"),
    read_only("dag_display_name"),
    read_only("root_dag_id"),
    read_only("is_active"),
    read_only("is_subdag"),
    read_only("last_parsed_time"),
    read_only("last_pickled"),
    read_only("last_expired"),
    read_only("scheduler_lock"),
    read_only("pickle_id"),
    read_only("default_view"),
    read_only("fileloc"),
    read_only("file_token"),
    read_only("owners"),
    read_only("description"),
    read_only("timetable_description"),
    read_only("tags"),
    read_only("max_active_tasks"),
    read_only("max_active_runs"),
    read_only("has_task_concurrency_limits"),
    read_only("has_import_errors"),
    read_only("next_dagrun"),
    read_only("next_dagrun_data_interval_start"),
    read_only("next_dagrun_data_interval_end"),
    read_only("next_dagrun_create_after"),
    read_only("max_consecutive_failed_dag_runs"),
];

/// What a body says of `is_paused`.
fn is_paused(asked: &Asked) -> Result<bool, Fault> {
    // Of several the last one counts.
    let mask = asked.query.get("update_mask").unwrap_or_default();
    if !mask.is_empty() && mask != "is_paused" {
        return Err(Fault::bad_request("Only `is_paused` field can be updated through the REST API"));
    }
    match asked.came().raw("is_paused") {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        // Airflow 2 answers 500, or changes nothing and 200.
        Some(_) | None => Err(Fault::bad_request("'is_paused' is a required property")),
    }
}

pub(super) fn pause(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        is_paused(asked)?;
        asked.told(asked.calls.good(asked.call()?).await?).await
    })
}

/// Airflow 3 would pause all that match, Airflow 2 those of the page: so they are changed one by one.
pub(super) fn pause_page(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let paused = is_paused(asked)?;
        let mut call = Call::new(http::Method::GET, "/api/v2/dags");
        call.query.clone_from(&asked.query.today);
        match asked.query.get("dag_id_pattern") {
            // Without a pattern Airflow 2 looks for `None`.
            None => call = call.with("dag_id_pattern", "None"),
            Some("~") => call.query.retain(|(name, _)| name != "dag_id_pattern"),
            Some(_) => {}
        }
        let answered = asked.calls.good(call.with("order_by", "dag_id")).await?;
        let odd = || Fault::unreadable("no list of DAGs");
        let read = move |text: &str| page(text, paused).ok_or_else(odd);
        let Page { dags, total } = asked.calls.read(answered, read).await?;
        let due = dags.iter().filter(|(_, told)| told.is_none()).count();
        if due > MAX_PAUSED {
            return Err(Fault::refused(
                StatusCode::BAD_REQUEST,
                Some("Bad Request"),
                Some(format!(
                    "At most {MAX_PAUSED} DAGs are changed at once: {due} would be. Use limit and offset"
                )),
            ));
        }
        let mut all = Vec::with_capacity(dags.len());
        for (id, told) in dags {
            let told = match told {
                Some(told) => told,
                None => {
                    let mut params = Params::default();
                    params.set("dag_id", id);
                    let path = params.path("/api/v2/dags/{dag_id}").ok_or_else(odd)?;
                    let body = Some(format!("{{\"is_paused\":{paused}}}"));
                    let call = Call { body, ..Call::new(http::Method::PATCH, path) };
                    let changed = asked.calls.good(call).await?;
                    asked.calls.read(changed, move |text| written(text).ok_or_else(odd)).await?
                }
            };
            all.push(told);
        }
        Ok(asked.json(format!("{{\"dags\":[{}],\"total_entries\":{total}}}", all.join(","))))
    })
}

/// A page of DAGs.
struct Page {
    /// Their ids; and how each is told, if it is as it shall be already.
    dags: Vec<(String, Option<String>)>,
    /// How many there are on all pages, in JSON.
    total: String,
}

fn page(text: &str, paused: bool) -> Option<Page> {
    let page = Object::read(text)?;
    let paused = paused.to_string();
    let mut dags = Vec::new();
    for raw in page.list("dags")? {
        let dag = Object::read(raw.get())?;
        let stays = dag.raw("is_paused") == Some(&*paused);
        let told = if stays { Some(written(raw.get())?) } else { None };
        dags.push((dag.text("dag_id").unwrap_or_default(), told));
    }
    Some(Page { dags, total: page.raw("total_entries")?.to_owned() })
}

fn written(dag: &str) -> Option<String> {
    let mut out = String::new();
    DAG.write(dag, &mut out)?;
    Some(out)
}

/// Most DAGs that one request pauses, each by a call of its own.
const MAX_PAUSED: usize = 30;
