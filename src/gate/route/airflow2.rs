//! The operations of Airflow 2.11's stable API.
//!
//! `tests/goldens/routes-airflow-2.11.2.jsonl` is what Airflow itself says, in its OpenAPI document: paths in
//! alphabetical order, names of query parameters and of body properties. A test compares the two.

use super::airflow3::{DELETE, GET, LIST, PAGE, PATCH, PATCH_PAGE, POST, PUT, public, row, span};
use super::tree::{Entry, Row, Verb};
use super::{Effect, Paging};

/// The stable API. Where two templates match, Werkzeug takes a literal rather than a parameter, and the first
/// one wins here: so `…/~/…` and `…/tries` stand before `…/{dag_id}/…` and `…/{map_index}`.
///
/// `limit` is filled in only where the table says that it is known: Airflow 2 refuses unknown keys.
pub(super) const STABLE: &[Row] = &[
    public("/api/v1/health", &[GET]),
    public("/api/v1/version", &[GET]),
    public("/api/v1/openapi.json", &[GET]),
    public("/api/v1/openapi.yaml", &[GET]),
    row("/api/v1/config", &[GET]),
    row("/api/v1/config/section/{section}/option/{option}", &[GET]),
    row("/api/v1/connections", &[PAGE, POST]),
    row("/api/v1/connections/test", &[POST]),
    row("/api/v1/connections/{connection_id}", &[GET, PATCH, DELETE]),
    row("/api/v1/dagSources/{file_token}", &[GET]),
    row("/api/v1/dagStats", &[GET]),
    row("/api/v1/dagWarnings", &[PAGE]),
    row("/api/v1/dags", &[PAGE, PATCH_PAGE]),
    row("/api/v1/dags/~/dagRuns/list", &[LIST]),
    row("/api/v1/dags/~/dagRuns/~/taskInstances/list", &[LIST]),
    row("/api/v1/dags/{dag_id}", &[GET, PATCH, DELETE]),
    row("/api/v1/dags/{dag_id}/clearTaskInstances", &[POST]),
    row("/api/v1/dags/{dag_id}/dagRuns", &[PAGE, POST]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}", &[GET, DELETE, PATCH]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/clear", &[POST]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/setNote", &[PATCH]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances", &[PAGE]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}", &[GET, PATCH]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies", &[GET]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/links", &[GET]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/listMapped", &[PAGE]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{task_try_number}", &[GET]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/setNote", &[PATCH]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries", &[PAGE]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries/{task_try_number}", &[GET]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries", &[PAGE]),
    span("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key}", &[GET]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}", &[GET, PATCH]),
    row(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dependencies",
        &[GET],
    ),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/setNote", &[PATCH]),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries", &[PAGE]),
    row(
        "/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries/{task_try_number}",
        &[GET],
    ),
    row("/api/v1/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamDatasetEvents", &[GET]),
    row("/api/v1/dags/{dag_id}/datasets/queuedEvent", &[GET, DELETE]),
    span("/api/v1/dags/{dag_id}/datasets/queuedEvent/{uri}", &[GET, DELETE]),
    row("/api/v1/dags/{dag_id}/details", &[GET]),
    row("/api/v1/dags/{dag_id}/tasks", &[GET]),
    row("/api/v1/dags/{dag_id}/tasks/{task_id}", &[GET]),
    row("/api/v1/dags/{dag_id}/updateTaskInstancesState", &[POST]),
    row("/api/v1/datasets", &[PAGE]),
    row("/api/v1/datasets/events", &[PAGE, POST]),
    span("/api/v1/datasets/queuedEvent/{uri}", &[GET, DELETE]),
    span("/api/v1/datasets/{uri}", &[GET]),
    row("/api/v1/eventLogs", &[PAGE]),
    row("/api/v1/eventLogs/{event_log_id}", &[GET]),
    row("/api/v1/importErrors", &[PAGE]),
    row("/api/v1/importErrors/{import_error_id}", &[GET]),
    row("/api/v1/parseDagFile/{file_token}", &[PUT]),
    row("/api/v1/permissions", &[PAGE]),
    row("/api/v1/plugins", &[PAGE]),
    row("/api/v1/pools", &[PAGE, POST]),
    row("/api/v1/pools/{pool_name}", &[GET, PATCH, DELETE]),
    row("/api/v1/providers", &[GET]),
    row("/api/v1/roles", &[PAGE, POST]),
    row("/api/v1/roles/{role_name}", &[GET, PATCH, DELETE]),
    row("/api/v1/users", &[PAGE, POST]),
    row("/api/v1/users/{username}", &[GET, PATCH, DELETE]),
    row("/api/v1/variables", &[PAGE, POST]),
    span("/api/v1/variables/{variable_key}", &[GET, PATCH, DELETE]),
];

/// The experimental API, in Airflow 1.10 and 2 (`airflow/www/api/experimental/endpoints.py`).
pub(super) const EXPERIMENTAL: &[Row] = &[
    row("/api/experimental/test", &[GET]),
    row("/api/experimental/info", &[GET]),
    row("/api/experimental/latest_runs", &[GET]),
    row("/api/experimental/pools", &[GET, POST]),
    row("/api/experimental/pools/{name}", &[GET, DELETE]),
    row("/api/experimental/dags/{dag_id}", &[DELETE]),
    // What Airflow 2's own client asks for, and its server does not have.
    row("/api/experimental/dags/{dag_id}/delete_dag", &[DELETE]),
    row("/api/experimental/dags/{dag_id}/code", &[GET]),
    row("/api/experimental/dags/{dag_id}/paused", &[GET]),
    row("/api/experimental/dags/{dag_id}/paused/{paused}", &[GET_CHANGES]),
    row("/api/experimental/dags/{dag_id}/tasks/{task_id}", &[GET]),
    row("/api/experimental/dags/{dag_id}/dag_runs", &[GET, POST]),
    row("/api/experimental/dags/{dag_id}/dag_runs/{execution_date}", &[GET]),
    row("/api/experimental/dags/{dag_id}/dag_runs/{execution_date}/tasks/{task_id}", &[GET]),
    row("/api/experimental/lineage/{dag_id}/{execution_date}", &[GET]),
];

/// A `GET` that changes something.
const GET_CHANGES: Entry = Entry { verb: Verb::Get, effect: Effect::Changes, paging: Paging::None };
