//! Airflow 2.11 behind airgate, which gives it the client's own credential.

use super::*;
use crate::support::airflow::Airflow;

/// The rows of Airflow 2 in one of its variants.
fn recorded<'a>(
    what: &'a str,
    variant: &'a str,
    groups: &'a [&'a str],
    deviations: &'a [Deviation],
) -> Recorded<'a> {
    Recorded { what, file: "af2.jsonl", variant, groups, deviations, challenges: &[] }
}

/// airgate in front of it, with the limits that it has, and without a CORS policy: Airflow's own headers pass.
fn gate(airflow: &Airflow, more: &str) -> Airgate {
    Airgate::before(
        &airflow.url,
        &format!(
            "airflow = 2\n[gate]\nother_routes = \"ui\"\n[lockout]\nattempts = 0\n[api]\n\
             enable_experimental_api = true\nmaximum_page_limit = 5\nfallback_page_limit = 3\n{more}"
        ),
    )
}

const SHIPPED: &[Deviation] = &[
    rows(
        PublicRole,
        401,
        &[
            "basic.missing",
            "basic.unknown-user",
            "basic.empty-password",
            "basic.empty-username",
            "basic.no-colon",
            "basic.malformed-base64-length",
            "basic.not-base64-plain",
            "basic.non-utf8",
            "basic.header-empty",
            "basic.scheme-only-space",
            "basic.inactive",
            "basic.unicode-password-latin1",
            "basic.unicode-username",
            "basic.no-separator",
            "basic.padding-missing",
            "basic.base64-inner-space",
            "basic.base64-inner-garbage",
            "basic.nul-in-username",
            "basic.username-trailing-space",
            "basic.password-trailing-space",
            "basic.scheme-Bearer",
            "basic.scheme-Negotiate",
            "basic.comma-joined",
            "basic.quoted-params",
            "basic.proxy-authorization",
            "basic.remote-user",
            "basic.bad-session-cookie",
            "basic-exp.missing",
            "basic-exp.header-empty",
            "basic-exp.norole",
            "basic-exp.proxy-authorization",
            "basic-exp.remote-user",
            "basic-exp.bad-session-cookie",
            "session.api-with-garbage-session",
        ],
    ),
    rows(ControlCharacter, 401, &["basic.nul-in-password", "basic-exp.nul-in-password"]),
    rows(
        RepeatedAuthorization,
        400,
        &[
            "basic.header-twice-invalid-first",
            "basic-exp.header-twice-valid-first",
            "basic-exp.header-twice-invalid-first",
        ],
    ),
    rows(
        ExperimentalError,
        401,
        &[
            "basic-exp.unknown-user",
            "basic-exp.empty-username",
            "basic-exp.empty-both",
            "basic-exp.no-colon",
            "basic-exp.malformed-base64",
            "basic-exp.malformed-base64-length",
            "basic-exp.non-utf8",
            "basic-exp.scheme-only-space",
            "basic-exp.inactive",
            "basic-exp.unicode-password-latin1",
            "basic-exp.unicode-username",
            "basic-exp.tab-separator",
            "basic-exp.no-separator",
            "basic-exp.trailing-word",
            "basic-exp.padding-extra",
            "basic-exp.nul-in-username",
            "basic-exp.scheme-Negotiate",
            "basic-exp.scheme-Digest",
            "basic-exp.scheme-unknown",
            "basic-exp.comma-joined",
        ],
    ),
    rows(
        AuthenticationFirst,
        401,
        &[
            "public.get /api/v1/ui/",
            "public.get /api/v1",
            "public.get /api/v1/",
            "public.get /api/experimental/test",
            "public.get /api/experimental/info",
            "public.get /api/v1/dags/nope",
            "public.get /auth/fab/v1/users",
            "public.get /auth/fab/v1/roles",
            "public.head /api/v1/pools",
            "public.options /api/v1/pools",
            "public.delete /api/v1/pools",
            "public.patch /api/v1/pools",
            "public.post /api/experimental/test",
            "public.head /api/experimental/test",
            "public.options /api/experimental/test",
            "public.delete /api/experimental/test",
            "public.patch /api/experimental/test",
            "public.put /api/experimental/test",
            "public.trace /api/experimental/test",
        ],
    ),
    rows(
        AmbiguousTarget,
        400,
        &[
            "limit.dags.raw-utf8-fullwidth",
            "path.double-slash-middle",
            "path.dot",
            "path.encoded-prefix",
            "path.encoded-slash",
            "path.matrix-parameter",
            "path.backslash",
            "path.invalid-utf8",
        ],
    ),
    rows(
        Unlimited,
        200,
        &[
            "limit.dags.dup-1000-minus1",
            "limit.variables.minus-1",
            "limit.dagRuns.minus-1",
            "limit.taskInstances.none",
            "limit.taskInstances.6",
            "limit.taskInstances.1000",
            "limit.taskInstances.0",
            "limit.taskInstances.minus-1",
            "limit.taskInstances.int64-max-plus-1",
            "limit.taskInstances.dup-1-1000",
            "limit.plugins.minus-1",
            "limit.fab-users.minus-1",
            "limit.users.minus-1",
            "limit.roles.minus-1",
        ],
    ),
    rows(
        Clamped,
        200,
        &[
            "batch.dagRuns.empty-object",
            "batch.dagRuns.7",
            "batch.dagRuns.100",
            "batch.dagRuns.1000",
            "batch.dagRuns.100000",
            "batch.dagRuns.int64-max",
            "batch.dagRuns.gzip-body",
            "batch.taskInstances.empty-object",
            "batch.taskInstances.7",
            "batch.taskInstances.100",
            "batch.taskInstances.1000",
            "batch.taskInstances.100000",
            "batch.taskInstances.huge",
            "batch.taskInstances.duplicate-key",
            "batch.taskInstances.query-limit",
            "batch.taskInstances.gzip-body",
        ],
    ),
    rows(CrossSite, 403, &["cors.405.allowed", "cors.405.disallowed"]),
    rows(
        PublicRole,
        401,
        &[
            "cors.401.bad.no-origin",
            "cors.experimental.no-origin",
            "cors.fab.no-origin",
            "cors.401.bad.allowed",
            "cors.experimental.allowed",
            "cors.401.bad.disallowed",
            "cors.preflight.no-origin",
            "cors.preflight.no-request-method",
            "cors.options-plain",
        ],
    ),
];

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn as_airflow_2_is_shipped() {
    let gate = gate(airflow::airflow_2(), "");
    let groups = ["basic", "basic-exp", "session", "path", "public", "limit", "batch", "cors"];
    compare_all(&gate, recorded("Airflow 2, as it is shipped", "default", &groups, SHIPPED));
}

const NO_PUBLIC_ROLE: &[Deviation] = &[
    rows(
        ExperimentalError,
        401,
        &[
            "basic-exp.unknown-user",
            "basic-exp.empty-password",
            "basic-exp.empty-username",
            "basic-exp.empty-both",
            "basic-exp.no-colon",
            "basic-exp.malformed-base64",
            "basic-exp.not-base64-plain",
            "basic-exp.non-utf8",
            "basic-exp.header-empty",
            "basic-exp.scheme-only",
            "basic-exp.scheme-only-space",
        ],
    ),
    rows(AuthenticationFirst, 401, &["unauth.GET /api/v1/nope"]),
];

const BASIC_ALONE: &[Deviation] = &[
    rows(
        ExperimentalError,
        401,
        &[
            "basic-exp.unknown-user",
            "basic-exp.empty-password",
            "basic-exp.empty-both",
            "basic-exp.malformed-base64-length",
            "basic-exp.not-base64-plain",
            "basic-exp.header-empty",
            "basic-exp.scheme-only",
        ],
    ),
    rows(AuthenticationFirst, 401, &["unauth.GET /api/v1/nope", "unauth.GET /api/v1/pools?limit=abc"]),
];

const SESSION_FIRST: &[Deviation] = &[
    rows(WholeChain, 200, &["basic-exp.valid"]),
    rows(
        ExperimentalError,
        401,
        &[
            "basic-exp.invalid-password",
            "basic-exp.unknown-user",
            "basic-exp.empty-password",
            "basic-exp.empty-username",
            "basic-exp.empty-both",
            "basic-exp.no-colon",
            "basic-exp.not-base64-plain",
            "basic-exp.non-utf8",
        ],
    ),
    rows(AuthenticationFirst, 401, &["unauth.GET /api/v1/nope", "unauth.PUT /api/v1/pools"]),
];

#[track_caller]
fn without_a_public_role(variant: &str, more: &[&str], deviations: &[Deviation]) {
    let gate = gate(airflow::airflow_2_without_public_role(), "");
    let groups = [&["basic", "basic-exp", "session", "unauth", "viewer-post-403"], more].concat();
    compare_all(&gate, recorded("Airflow 2, nobody without a role", variant, &groups, deviations));
}

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn basic_and_session() {
    without_a_public_role("no-public-role", &["cors"], NO_PUBLIC_ROLE);
}

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn basic_alone() {
    without_a_public_role("no-public-role-basic-only", &[], BASIC_ALONE);
}

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn session_and_basic() {
    without_a_public_role("no-public-role-session-basic", &["cors"], SESSION_FIRST);
}

const DENY_ALL: &[Deviation] = &[rows(
    Denied,
    403,
    &[
        "basic.missing",
        "basic.valid",
        "basic.unknown-user",
        "basic.empty-password",
        "basic.malformed-base64",
        "basic.malformed-base64-length",
        "basic.non-utf8",
        "basic.header-empty",
        "basic.scheme-only-space",
        "basic-exp.valid",
        "basic-exp.invalid-password",
        "basic-exp.unknown-user",
        "basic-exp.empty-password",
        "basic-exp.empty-username",
        "basic-exp.empty-both",
        "basic-exp.no-colon",
        "basic-exp.malformed-base64",
        "basic-exp.malformed-base64-length",
        "basic-exp.non-utf8",
        "basic-exp.header-empty",
        "unauth.GET /auth/fab/v1/users",
        "cors.401.allowed",
    ],
)];

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn nobody() {
    let gate = gate(airflow::airflow_2_without_public_role(), "auth_backends = \"deny_all\"\n");
    compare_all(
        &gate,
        recorded(
            "Airflow 2, `deny_all`",
            "backend-deny-all",
            &["basic", "basic-exp", "unauth", "cors"],
            DENY_ALL,
        ),
    );
}
