//! Runs: triggered, listed, looked up by their date.
//!
//! A run had an `id`, which Airflow 3 does not tell: `null`. Its `dag_run_url` leads to Airflow 3's page of it.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use serde_json::Value;

use super::words::{NO_DAG, date, list, listed, members, run_at, said, spoken, total};
use crate::gate::translate::asked::Asked;
use crate::gate::translate::body::Members;
use crate::gate::translate::calls::Call;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::path::Params;
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get, post};
use crate::gate::translate::shape::{Field, Object, Shape, always, by, from, same};
use crate::gate::translate::v1::shapes::{EXECUTION_DATE, dated};
use crate::gate::translate::value::{self, Date};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: post("/api/experimental/dags/{dag_id}/dag_runs"),
        new: post("/api/v2/dags/{dag_id}/dagRuns"),
        query: &[],
        body: Body::Own,
        answer: Answer::Own,
        status: 200,
        texts: &[NO_DAG],
        work: Work::By(trigger),
    },
    Row {
        old: get("/api/experimental/dags/{dag_id}/dag_runs"),
        new: get("/api/v2/dags/{dag_id}/dagRuns"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[NO_DAG],
        work: Work::By(all),
    },
    Row {
        old: get("/api/experimental/dags/{dag_id}/dag_runs/{execution_date}"),
        new: get("/api/v2/dags/{dag_id}/dagRuns"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[NO_DAG],
        work: Work::By(state),
    },
    Row {
        old: get("/api/experimental/latest_runs"),
        new: get("/api/v2/dags/{dag_id}/dagRuns"),
        query: &[],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(latest),
    },
];

const URL: Field = by("dag_run_url", &["dag_id", "dag_run_id"], url);
const START: Field = by("start_date", &["start_date"], |run| match run.raw("start_date") {
    None | Some("null") => "\"\"".into(),
    Some(date) => value::date(date),
});

static RUN: Shape = Shape(&[
    always("id", "null"),
    from("run_id", "dag_run_id"),
    same("state"),
    same("dag_id"),
    EXECUTION_DATE,
    START,
    URL,
]);
static LATEST: Shape = Shape(&[same("dag_id"), EXECUTION_DATE, START, URL]);
static STATE: Shape = Shape(&[same("state")]);

/// The states of a run.
const STATES: [&str; 4] = ["queued", "running", "success", "failed"];
/// Most DAGs that are asked for their latest run one by one, and most of those without one that has a date.
const MAX_ALONE: usize = 23;
const MAX_UNDATED: usize = 5;

fn url(run: &Object<'_>) -> String {
    let mut params = Params::default();
    params.set("dag_id", run.text("dag_id").unwrap_or_default());
    params.set("run_id", run.text("dag_run_id").unwrap_or_default());
    value::json(&params.path("/dags/{dag_id}/runs/{run_id}").unwrap_or_default())
}

/// The date of a run, to sort by. Airflow 3 cannot sort by it: of a run without `logical_date` it is `run_after`.
fn moment(run: &str) -> Option<i64> {
    let run = Object::read(run)?;
    let date: String = serde_json::from_str(dated(&run)?).ok()?;
    Date::parse(&date).map(|date| date.micros)
}

/// Airflow 3's order of runs, latest first. Every run has this date, and no other has every run.
const LATEST_FIRST: (&str, &str) = ("order_by", "-run_after");
/// The order of those that have a date, by it, and what leaves out the others: where they stand depends on the database.
const LATEST_DATED: [(&str, &str); 2] =
    [("order_by", "-logical_date"), ("logical_date_lte", "9999-01-01T00:00:00+00:00")];

fn trigger(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let came = members(asked).await?;
        let given = |name| came.raw(name).filter(|raw| *raw != "null");
        // Airflow 2's own client sends `null` for what it was not given.
        if given("conf").is_some_and(|conf| !conf.starts_with('{')) {
            return Err(Fault::bad_request(
                "Dag Run conf must be a dictionary object, other types are not supported",
            ));
        }
        let at = match given("execution_date") {
            None => None,
            Some(raw) => Some(date(&came.text("execution_date").unwrap_or_else(|| raw.to_owned()))?),
        };
        let whole_seconds = match given("replace_microseconds") {
            None => at.is_none(),
            Some(raw) => matches!(
                raw.trim_matches('"').to_lowercase().as_str(),
                "true" | "yes" | "y" | "t" | "on" | "1"
            ),
        };
        let now = Date::at(asked.now);
        let mut at = at.unwrap_or(now).utc();
        if whole_seconds {
            at = at.whole_seconds();
        }
        let iso = at.iso();
        let id = came.text("run_id").filter(|id| !id.is_empty()).unwrap_or_else(|| format!("manual__{iso}"));
        let mut run = Members::default();
        run.set("logical_date", value::json(&iso));
        run.set("dag_run_id", value::json(&id));
        // Not before its date, as in Airflow 2.
        run.set("run_after", value::json(&if at.micros > now.micros { at } else { now }.iso()));
        let conf = came.part("conf").filter(|conf| **conf != "null").cloned();
        run.set("conf", conf.unwrap_or_else(|| "{}".into()));
        let answered = asked.calls.any(Call { body: Some(run.json()), ..asked.call()? }).await?;
        if answered.status == StatusCode::CONFLICT {
            let dag = asked.params.get("dag_id");
            let date = spoken(at);
            return Err(Fault::bad_request(format!(
                "A DAG Run already exists for DAG {dag} at {date} with run id {id}"
            )));
        }
        if !answered.status.is_success() {
            return Err(Fault::Airflow(answered.into()));
        }
        let run = Object::read(answered.text()?).ok_or_else(|| Fault::unreadable("no run"))?;
        let message = format!(
            "Created <DagRun {} @ {}: {id}, state:{}, queued_at: {}. externally triggered: True>",
            asked.params.get("dag_id"),
            spoken(at),
            said(run.raw("state")),
            said(run.raw("queued_at")),
        );
        let told = serde_json::json!({ "message": message, "execution_date": iso, "run_id": id });
        Ok(asked.json(told.to_string()))
    })
}

/// All runs of a DAG, oldest first; the latest of them where there are more than a page has.
fn all(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let mut call = asked
            .call()?
            .with("limit", asked.calls.limit().maximum().to_string())
            .with(LATEST_FIRST.0, LATEST_FIRST.1);
        if let Some(state) = asked.query.get("state").filter(|state| !state.is_empty()) {
            let state = state.to_lowercase();
            if !STATES.contains(&&*state) {
                return Err(Fault::bad_request(format!("'{state}' is not a valid DagRunState")));
            }
            call = call.with("state", state);
        }
        let answered = asked.calls.good(call).await?;
        let size = answered.body.len();
        let oldest_first = move || {
            let mut runs = list(&answered, "dag_runs")?;
            let whole = runs.len() >= total(&answered)?;
            runs.reverse();
            runs.sort_by_cached_key(|run| moment(run));
            Ok::<_, Fault>((written(&RUN, &runs)?, whole))
        };
        let (runs, whole) = asked.calls.work(size, oldest_first).await??;
        Ok(listed(asked, runs, whole))
    })
}

fn state(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let (run, _) = run_at(asked).await?;
        let mut out = String::new();
        STATE.write(&run, &mut out).ok_or_else(|| Fault::unreadable("no run"))?;
        Ok(asked.json(out))
    })
}

/// The latest run of each DAG, by its date. A page of the latest runs of all has most of them; who is not among them is
/// asked alone. Where there are too many it is refused: a part of them would pass for all. A run without a date is one of
/// them if it is on a page of the runs that were last due, or its DAG has none with a date.
fn latest(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let get = |path: &str| Call::new(Method::GET, path);
        let stats = asked.calls.good(get("/api/v2/dagStats")).await?;
        let mut left: BTreeSet<String> = BTreeSet::new();
        for dag in list(&stats, "dags")? {
            let dag: Value = serde_json::from_str(&dag).unwrap_or_default();
            let counts = dag["stats"].as_array().into_iter().flatten();
            let has_runs = counts.filter_map(|stat| stat["count"].as_u64()).any(|count| count > 0);
            left.extend(dag["dag_id"].as_str().filter(|_| has_runs).map(str::to_owned));
        }
        let rows = asked.calls.limit().maximum().to_string();
        let of = |path: &str, order: &[(&str, &str)], rows: &str| {
            order.iter().fold(get(path), |call, (name, value)| call.with(name, *value)).with("limit", rows)
        };
        let all = "/api/v2/dags/~/dagRuns";
        let mut found = Latest::default();
        for run in runs(asked, of(all, &[LATEST_FIRST], &rows)).await? {
            if Object::read(&run).is_some_and(|run| run.raw("logical_date") == Some("null")) {
                found.take(run);
            }
        }
        for (order, most) in [(&LATEST_DATED[..], MAX_ALONE), (&[LATEST_FIRST][..], MAX_UNDATED)] {
            if left.len() > most {
                let answered = asked.calls.good(of(all, order, &rows)).await?;
                let page = list(&answered, "dag_runs")?;
                let whole = page.len() >= total(&answered)?;
                // Runs that are on no page are not later.
                let last = page.last().and_then(|run| moment(run));
                for run in page {
                    left.remove(&found.take(run));
                }
                let settled = |own: &String| whole || (last.is_some() && moment(own) >= last);
                left.retain(|dag| !found.0.get(dag).is_some_and(settled));
            }
            if left.len() > most {
                return Err(Fault::refused(
                    StatusCode::NOT_IMPLEMENTED,
                    None,
                    Some(
                        "There are too many DAGs to ask each for its latest run. Use /api/v2/dags/~/dagRuns"
                            .into(),
                    ),
                ));
            }
            for dag in left.clone() {
                let mut params = Params::default();
                params.set("dag_id", dag);
                let path = params.path("/api/v2/dags/{dag_id}/dagRuns").ok_or_else(Fault::no_route)?;
                for run in runs(asked, of(&path, order, "1")).await? {
                    left.remove(&found.take(run));
                }
            }
            left.retain(|dag| !found.0.contains_key(dag));
        }
        let runs: Vec<_> = found.0.into_values().collect();
        Ok(asked.json(format!("{{\"items\":{}}}", written(&LATEST, &runs)?)))
    })
}

/// The latest run of each DAG, of those that came.
#[derive(Default)]
struct Latest(BTreeMap<String, String>);

impl Latest {
    /// Takes a run, if there is none that is later. Says of which DAG it is.
    fn take(&mut self, run: String) -> String {
        let dag = Object::read(&run).and_then(|run| run.text("dag_id")).unwrap_or_default();
        if self.0.get(&dag).is_none_or(|other| moment(other) < moment(&run)) {
            self.0.insert(dag.clone(), run);
        }
        dag
    }
}

async fn runs(asked: &Asked, call: Call) -> Result<Vec<String>, Fault> {
    list(&asked.calls.good(call).await?, "dag_runs")
}

fn written(shape: &Shape, objects: &[String]) -> Result<String, Fault> {
    let mut out = String::new();
    let done = shape.write_list(&format!("[{}]", objects.join(",")), &mut out);
    done.map(|()| out).ok_or_else(|| Fault::unreadable("no run"))
}
