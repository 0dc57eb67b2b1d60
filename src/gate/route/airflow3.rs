//! The operations of Airflow 3.3: the public API and that of the FAB auth manager.
//!
//! Held as a table rather than read from the upstream, so that routes are known while the upstream is
//! down, and labels in metrics stay bounded. An operation that is missing here, from a newer Airflow
//! say, is authenticated and clamped all the same; it only has no label of its own, and an absent
//! `limit` is not filled in.
//!
//! `tests/goldens/routes-airflow-3.3.2.jsonl` is what Airflow itself says: its routes in the order in
//! which they are registered (the routers' `routes`, which tell parameters that span segments, such as
//! `{pool_name:path}`), joined with the names of query parameters and of body properties of its OpenAPI
//! documents. A test compares the two.

use super::tree::{Entry, Row, Span, Verb};
use super::{Access, Effect, Paging};

/// The public API. The order matters where two templates match: the first one that has the
/// method wins, so `…/dry_run` stands before `…/{map_index}`.
pub(super) const PUBLIC: &[Row] = &[
    row("/api/v2/assets", &[PAGE]),
    row("/api/v2/assets/aliases", &[PAGE]),
    row("/api/v2/assets/aliases/{asset_alias_id}", &[GET]),
    row("/api/v2/assets/events", &[PAGE, POST]),
    row("/api/v2/assets/{asset_id}/materialize", &[POST]),
    row("/api/v2/assets/{asset_id}/queuedEvents", &[GET, DELETE]),
    row("/api/v2/assets/{asset_id}", &[GET]),
    row("/api/v2/dags/{dag_id}/assets/queuedEvents", &[GET, DELETE]),
    row("/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents", &[GET, DELETE]),
    row("/api/v2/backfills", &[PAGE, POST]),
    row("/api/v2/backfills/{backfill_id}", &[GET]),
    row("/api/v2/backfills/{backfill_id}/pause", &[PUT]),
    row("/api/v2/backfills/{backfill_id}/unpause", &[PUT]),
    row("/api/v2/backfills/{backfill_id}/cancel", &[PUT]),
    row("/api/v2/backfills/dry_run", &[TRY_POST]),
    row("/api/v2/connections/enqueue-test", &[GET, POST]),
    row("/api/v2/connections/{connection_id}", &[DELETE, GET, PATCH]),
    row("/api/v2/connections", &[PAGE, POST, PATCH]),
    row("/api/v2/connections/test", &[POST]),
    row("/api/v2/connections/defaults", &[POST]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", &[GET, DELETE, PATCH]),
    row("/api/v2/dags/{dag_id}/dagRuns", &[PATCH, PAGE, POST]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents", &[GET]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/clear", &[POST]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/wait", &[GET]),
    row("/api/v2/dags/{dag_id}/dagRuns/list", &[LIST]),
    row("/api/v2/dags/{dag_id}/clearDagRuns", &[POST]),
    row("/api/v2/dags/{dag_id}/clearPartitions", &[POST]),
    row("/api/v2/dagSources/{dag_id}", &[GET]),
    row("/api/v2/dagStats", &[GET]),
    row("/api/v2/config", &[GET]),
    row("/api/v2/config/section/{section}/option/{option}", &[GET]),
    row("/api/v2/dagWarnings", &[PAGE]),
    row("/api/v2/dags", &[PAGE, PATCH_PAGE]),
    row("/api/v2/dags/{dag_id}", &[GET, PATCH, DELETE]),
    row("/api/v2/dags/{dag_id}/details", &[GET]),
    row("/api/v2/dags/{dag_id}/favorite", &[POST]),
    row("/api/v2/dags/{dag_id}/unfavorite", &[POST]),
    row("/api/v2/eventLogs/{event_log_id}", &[GET]),
    row("/api/v2/eventLogs", &[PAGE]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/links", &[GET]),
    row("/api/v2/importErrors/{import_error_id}", &[GET]),
    row("/api/v2/importErrors", &[PAGE]),
    row("/api/v2/jobs", &[PAGE]),
    row("/api/v2/plugins", &[PAGE]),
    row("/api/v2/plugins/importErrors", &[GET]),
    span("/api/v2/pools/{pool_name}", &[DELETE, GET, PATCH]),
    row("/api/v2/pools", &[PAGE, POST, PATCH]),
    row("/api/v2/providers", &[PAGE]),
    row("/api/v2/assets/{asset_id}/state-store", &[PAGE, DELETE]),
    span("/api/v2/assets/{asset_id}/state-store/{key}", &[GET, PUT, DELETE]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/state-store", &[PAGE, DELETE]),
    span(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/state-store/{key}",
        &[GET, PUT, PATCH, DELETE],
    ),
    span(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/{xcom_key}",
        &[GET, PATCH, DELETE],
    ),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries", &[PAGE, POST]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}", &[GET, PATCH, DELETE]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/listMapped", &[PAGE]),
    row(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dependencies",
        &[GET],
    ),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies", &[GET]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries", &[GET]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries", &[GET]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances", &[PAGE, PATCH]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/list", &[LIST]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/tries/{task_try_number}", &[GET]),
    row(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries/{task_try_number}",
        &[GET],
    ),
    row("/api/v2/dags/{dag_id}/clearTaskInstances", &[POST]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskGroupInstances/{group_id}", &[PATCH]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskGroupInstances/{group_id}/dry_run", &[TRY_PATCH]),
    row(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dry_run",
        &[TRY_PATCH],
    ),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dry_run", &[TRY_PATCH]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}", &[GET, PATCH]),
    row("/api/v2/dags/{dag_id}/tasks", &[GET]),
    row("/api/v2/dags/{dag_id}/tasks/{task_id}", &[GET]),
    span("/api/v2/variables/{variable_key}", &[DELETE, GET, PATCH]),
    row("/api/v2/variables", &[PAGE, POST, PATCH]),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{try_number}", &[GET]),
    row(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/externalLogUrl/{try_number}",
        &[GET],
    ),
    row("/api/v2/parseDagFile/{file_token}", &[PUT]),
    row("/api/v2/dagTags", &[PAGE]),
    row("/api/v2/dags/{dag_id}/dagVersions/{version_number}", &[GET]),
    row("/api/v2/dags/{dag_id}/dagVersions", &[PAGE]),
    row(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hitlDetails",
        &[PATCH, GET],
    ),
    row(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hitlDetails/tries/{try_number}",
        &[GET],
    ),
    row("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/hitlDetails", &[PAGE]),
    public("/api/v2/monitor/health", &[GET]),
    public("/api/v2/version", &[GET]),
    public("/api/v2/auth/login", &[GET]),
    public("/api/v2/auth/logout", &[GET]),
];

/// The API of the FAB auth manager.
pub(super) const FAB: &[Row] = &[
    row("/auth/fab/v1/roles", &[POST, PAGE]),
    row("/auth/fab/v1/roles/{name}", &[DELETE, GET, PATCH]),
    row("/auth/fab/v1/permissions", &[PAGE]),
    row("/auth/fab/v1/users", &[POST, PAGE]),
    row("/auth/fab/v1/users/{username}", &[GET, PATCH, DELETE]),
];

/// The lists of the user interface's API, which is otherwise forwarded as it comes: `_private_ui.yaml` of
/// Airflow has `limit` on these.
pub(super) const UI: &[Row] = &[
    row("/ui/dags", &[PAGE_WITH_RUNS]),
    row("/ui/dags/{dag_id}/dagRuns/{dag_run_id}/deadlines", &[PAGE]),
    row("/ui/dags/{dag_id}/deadlineAlerts", &[PAGE]),
    row("/ui/backfills", &[PAGE]),
    row("/ui/grid/structure/{dag_id}", &[PAGE]),
    row("/ui/grid/runs/{dag_id}", &[PAGE]),
    row("/ui/teams", &[PAGE]),
];

pub(super) const GET: Entry = Entry { verb: Verb::Get, effect: Effect::Reads, paging: Paging::None };
pub(super) const POST: Entry = changes(Verb::Post);
pub(super) const PUT: Entry = changes(Verb::Put);
pub(super) const PATCH: Entry = changes(Verb::Patch);
pub(super) const DELETE: Entry = changes(Verb::Delete);

/// A list that takes `limit`.
pub(super) const PAGE: Entry = Entry { paging: Paging::Limit, ..GET };
/// A list that takes `limit`, and `dag_runs_limit` for the runs to each row.
const PAGE_WITH_RUNS: Entry = Entry { paging: Paging::LimitAndRuns, ..GET };
/// A bulk change of what a filter finds, page by page: it takes `limit` too.
pub(super) const PATCH_PAGE: Entry = Entry { paging: Paging::Limit, ..PATCH };
/// A list whose filter, with `page_limit`, is a JSON body.
pub(super) const LIST: Entry = Entry { effect: Effect::Reads, paging: Paging::PageLimit, ..POST };
/// What a `POST` or `PATCH` would do, without doing it.
const TRY_POST: Entry = Entry { effect: Effect::Reads, ..POST };
const TRY_PATCH: Entry = Entry { effect: Effect::Reads, ..PATCH };

const fn changes(verb: Verb) -> Entry {
    Entry { verb, effect: Effect::Changes, paging: Paging::None }
}

pub(super) const fn row(template: &'static str, entries: &'static [Entry]) -> Row {
    Row { template, span: Span::Segment, access: Access::Authenticated, entries }
}

/// A row whose last parameter takes all that is left of the path, slashes included.
pub(super) const fn span(template: &'static str, entries: &'static [Entry]) -> Row {
    Row { template, span: Span::Rest, access: Access::Authenticated, entries }
}

/// A row that Airflow answers without a credential.
pub(super) const fn public(template: &'static str, entries: &'static [Entry]) -> Row {
    Row { template, span: Span::Segment, access: Access::Open, entries }
}
