//! Recorded answers of real Airflow, asked again through airgate in front of a live one that is set
//! up as it was then.
//!
//! Each row is equal, or deviates on purpose for a reason that is named here, or is wrong. The tally
//! is printed; none may be wrong, and a deviation that is no longer one must go from the table.

mod airflow2;
mod keycloak;
mod live;
pub mod parity;
pub mod reason;
pub mod row;
mod v1;
mod variants;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use crate::support::{Airgate, Answer, airflow};
use parity::Tally;
use reason::Reason;
use row::Row;

use Reason::{
    AmbiguousTarget, AuthenticationFirst, BadTicket, Basic, Clamped, ControlCharacter, CrossSite, Denied,
    Directory, Ended, ExactName, ExperimentalError, Framework, HtmlPage, LeadingSlashes, MissingChallenge,
    NoPolicy, Origins, OtherScheme, Outlived, OwnHeaders, OwnKey, Proof, PublicRole, RepeatedAuthorization,
    Rights, ServerError, Translated, Unending, UnjudgedCookie, Unlimited, Vary, WholeChain,
};

/// Rows that deviate for a reason, with the status that they get here.
#[derive(Clone, Copy)]
struct Deviation {
    reason: Reason,
    status: u16,
    rows: &'static [&'static str],
}

const fn rows(reason: Reason, status: u16, rows: &'static [&'static str]) -> Deviation {
    Deviation { reason, status, rows }
}

/// What the simple auth manager answers otherwise.
const SIMPLE: &[Deviation] = &[
    rows(
        ServerError,
        422,
        &[
            "token.zero-length-body",
            "token.json-array-of-pairs",
            "token.json-string",
            "token.json-lone-surrogate-password",
            "token-cli.json-lone-surrogate-password",
        ],
    ),
    rows(ServerError, 403, &["bearer.role-unknown"]),
    rows(Basic, 201, &["token.basic-header-no-body", "token-cli.basic-header-no-body"]),
    rows(
        Basic,
        401,
        &[
            "basic.invalid-password",
            "basic.unknown-user",
            "basic.empty-password",
            "basic.empty-username",
            "basic.empty-both",
            "basic.malformed-base64",
            "basic.malformed-base64-length",
            "basic.not-base64-plain",
        ],
    ),
    rows(LeadingSlashes, 201, &["token.double-slash"]),
    rows(
        RepeatedAuthorization,
        400,
        &["bearer.header-twice-valid-first", "bearer.header-twice-invalid-first"],
    ),
    rows(
        AmbiguousTarget,
        400,
        &[
            "token.percent-encoded-path",
            "token-cli.percent-encoded-path",
            "limit.dags.raw-utf8-fullwidth",
            "path.double-slash-middle",
            "path.dot",
            "path.encoded-dotdot",
            "path.encoded-prefix",
            "path.nul",
            "path.backslash",
            "path.invalid-percent",
        ],
    ),
    rows(
        Clamped,
        200,
        &[
            "batch.dagRuns.empty-object",
            "batch.dagRuns.100",
            "batch.dagRuns.100000",
            "batch.dagRuns.string-7",
            "batch.dagRuns.float-7.0",
            "batch.dagRuns.huge",
            "batch.dagRuns.duplicate-key",
            "batch.dagRuns.offset",
            "batch.dagRuns.query-limit",
            "batch.dagRuns.gzip-body",
            "batch.taskInstances.empty-object",
            "batch.taskInstances.6",
            "batch.taskInstances.100",
            "batch.taskInstances.string-7",
            "batch.taskInstances.float-7.0",
            "batch.taskInstances.1e1",
            "batch.taskInstances.huge",
            "batch.taskInstances.duplicate-key",
            "batch.taskInstances.offset",
            "batch.taskInstances.query-limit",
        ],
    ),
    rows(Framework, 400, &["path.absolute-form-other-host"]),
    rows(Vary, 400, &["public.frob /api/v2/monitor/health"]),
    rows(
        AuthenticationFirst,
        401,
        &[
            "token.api-v2-path",
            "bearer.401-method-not-allowed",
            "bearer.401-post-invalid-json",
            "cors.api-v1.allowed",
            "cors.api-v1.disallowed",
            "cors.preflight.no-origin",
            "cors.preflight.no-request-method-with-headers",
            "cors.options-plain",
            "public.get /api/v2/version/",
            "public.get /api/v2/openapi.json",
            "public.get /api/v1/dags",
            "public.get /api/v1",
            "public.get /api/v2/",
            "public.get /api/v2/monitor",
            "public.get /auth/fab/v1/roles",
            "public.post /api/v1/dags",
            "public.options /api/v1/dags",
            "public.delete /api/v1/dags",
            "public.patch /api/v1/dags",
            "public.frob /api/v1/dags",
            "public.post /api/v1/pools",
            "public.options /api/v1/pools",
            "public.delete /api/v1/pools",
            "public.patch /api/v1/pools",
            "public.trace /api/v1/pools",
            "public.frob /api/v1/pools",
        ],
    ),
];

/// Likewise, FAB's.
const FAB: &[Deviation] = &[
    rows(Basic, 200, &["bearer.scheme-Basic", "basic-fab-users.valid"]),
    rows(
        Basic,
        401,
        &[
            "basic.invalid-password",
            "basic.empty-username",
            "basic.empty-both",
            "basic.malformed-base64-length",
            "basic-fab-users.invalid-password",
            "basic-fab-users.empty-username",
            "basic-fab-users.malformed-base64-length",
            "basic-fab-users.not-base64-plain",
        ],
    ),
    rows(RepeatedAuthorization, 400, &["bearer.header-twice-valid-first", "bearer.header-twice-basic-first"]),
    rows(
        AuthenticationFirst,
        401,
        &[
            "bearer.401-method-not-allowed",
            "cors.api-v1.allowed",
            "cors.preflight.no-origin",
            "cors.preflight.no-request-method-with-headers",
            "public.get /api/v2/version/",
            "public.get /api/v2/openapi.json",
            "public.get /api/v1/",
            "public.get /api/v1",
            "public.get /api/v2",
            "public.get /api/v2/",
            "public.get /api/v2/nope",
            "public.get /api/v2/monitor",
            "public.head /api/v1/dags",
            "public.options /api/v1/dags",
            "public.trace /api/v1/dags",
            "public.head /api/v1/pools",
            "public.delete /api/v1/pools",
            "public.frob /api/v1/pools",
        ],
    ),
    rows(
        AmbiguousTarget,
        400,
        &[
            "limit.dags.raw-utf8-fullwidth",
            "path.double-slash-middle",
            "path.dot",
            "path.encoded-dotdot",
            "path.encoded-slash",
            "path.matrix-parameter",
            "path.nul",
            "path.backslash",
            "path.invalid-percent",
        ],
    ),
    rows(
        Clamped,
        200,
        &[
            "batch.dagRuns.7",
            "batch.dagRuns.1000",
            "batch.dagRuns.100000",
            "batch.dagRuns.string-7",
            "batch.dagRuns.float-7.0",
            "batch.dagRuns.query-limit",
            "batch.taskInstances.empty-object",
            "batch.taskInstances.1000",
            "batch.taskInstances.100000",
            "batch.taskInstances.string-7",
            "batch.taskInstances.float-7.0",
            "batch.taskInstances.1e1",
            "batch.taskInstances.huge",
            "batch.taskInstances.duplicate-key",
            "batch.taskInstances.offset",
            "batch.taskInstances.query-limit",
        ],
    ),
    rows(Vary, 400, &["public.frob /api/v2/version"]),
    rows(ControlCharacter, 401, &["token.json-nul-in-password"]),
    rows(Basic, 201, &["token.basic-header-no-body", "token-cli.basic-header-no-body"]),
    rows(LeadingSlashes, 201, &["token.double-slash"]),
    rows(LeadingSlashes, 200, &["path.double-slash-start"]),
    rows(
        HtmlPage,
        404,
        &[
            "token.method-GET",
            "token.method-HEAD",
            "token.method-OPTIONS",
            "token.method-PUT",
            "token.method-PATCH",
            "token.method-DELETE",
            "token-cli.method-HEAD",
            "token-cli.method-PUT",
            "token-cli.method-PATCH",
            "cors.token.no-origin",
            "cors.token.allowed",
            "cors.token.disallowed",
        ],
    ),
];

/// Without FAB's key.
const FAB_UNJUDGED: &[Deviation] = &[rows(UnjudgedCookie, 401, &["bearer.cookie-valid-basic-header"])];

#[test]
fn the_simple_auth_manager() {
    let airflow = airflow::simple();
    let gate = Airgate::before(
        &airflow.url,
        &format!(
            "[gate]\nairflow_cfg = \"{}\"\nother_routes = \"all\"\n[basic]\nsources = [\"file\"]\n\
             [lockout]\nattempts = 0\n",
            airflow.config().display()
        ),
    );
    let groups = ["token", "token-cli", "bearer", "cors", "limit", "path", "public", "basic", "batch"];
    compare(&gate, "the simple auth manager", "af3-simple.jsonl", &groups, SIMPLE);
}

#[test]
fn the_simple_auth_managers_token_endpoints_without_its_key() {
    let airflow = airflow::simple();
    let gate = Airgate::before(
        &airflow.url,
        "[gate]\nother_routes = \"all\"\n[lockout]\nattempts = 0\n[api]\n\
         access_control_allow_origins = [\"https://ui.example.com\"]\n",
    );
    compare(
        &gate,
        "the simple auth manager, its key unknown",
        "af3-simple.jsonl",
        &["token", "token-cli"],
        SIMPLE,
    );
}

/// All that was recorded with FAB, but for the user interface's session.
const FAB_GROUPS: &[&str] = &[
    "token",
    "token-cli",
    "bearer",
    "basic",
    "basic-fab-users",
    "cors",
    "limit",
    "path",
    "public",
    "batch",
    "fab-api",
    "session",
];

#[test]
fn fab_without_its_key() {
    let airflow = airflow::fab();
    let gate = Airgate::before(
        &airflow.url,
        "auth_manager = \"fab\"\n[gate]\nother_routes = \"all\"\n[lockout]\nattempts = 0\n[api]\n\
         maximum_page_limit = 5\nfallback_page_limit = 3\n\
         access_control_allow_origins = [\"https://ui.example.com\", \"https://grafana.example.com\"]\n\
         access_control_allow_methods = \"GET,POST,OPTIONS\"\n\
         access_control_allow_headers = \"authorization,content-type\"\n",
    );
    compare(&gate, "FAB, its key unknown", "af3-fab.jsonl", FAB_GROUPS, &[FAB, FAB_UNJUDGED].concat());
}

#[test]
fn fab_with_its_key() {
    let gate = fab_with("");
    compare(&gate, "FAB, with its key", "af3-fab.jsonl", FAB_GROUPS, FAB);
}

#[test]
fn fab_with_its_database() {
    let gate = fab_with("[basic]\nsources = \"database\"\n");
    compare(&gate, "FAB, with its key and its database", "af3-fab.jsonl", FAB_GROUPS, FAB);
}

/// airgate with FAB's own configuration.
fn fab_with(more: &str) -> Airgate {
    let airflow = airflow::fab();
    Airgate::before(
        &airflow.url,
        &format!(
            "auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\nother_routes = \"all\"\n\
             [lockout]\nattempts = 0\n[api]\nauth_backends = \"session, jwt, basic_auth\"\n{more}",
            airflow.config().display()
        ),
    )
}

/// Which answers are compared.
#[derive(Clone, Copy)]
struct Recorded<'a> {
    /// How airgate is set up, in words: a row of `docs/parity.md`.
    what: &'a str,
    file: &'a str,
    /// How Airflow was set up then.
    variant: &'a str,
    groups: &'a [&'a str],
    deviations: &'a [Deviation],
    /// What a 401 offers, but for `Basic`.
    challenges: &'a [&'a str],
}

/// Sends each row of the groups, and tells what is not as it was recorded.
#[track_caller]
fn compare(gate: &Airgate, what: &str, file: &str, groups: &[&str], deviations: &[Deviation]) {
    compare_all(gate, Recorded { what, file, variant: "default", groups, deviations, challenges: BEARER });
}

/// What a 401 of Airflow 3 offers.
const BEARER: &[&str] = &["Bearer realm=\"Airflow\""];

#[track_caller]
fn compare_all(gate: &Airgate, recorded: Recorded<'_>) {
    compare_prepared(gate, recorded, |_| {});
}

/// Likewise, with each row changed before it is asked.
#[track_caller]
fn compare_prepared(gate: &Airgate, recorded: Recorded<'_>, mut prepare: impl FnMut(&mut Row)) {
    let Recorded { what, file, variant, groups, deviations, .. } = recorded;
    let mut rows = Row::read(file, variant, groups);
    let (mut equal, mut not_replayable, mut wrong) = (0, 0, Vec::new());
    let mut on_purpose: BTreeMap<Reason, BTreeSet<String>> = BTreeMap::new();
    for row in &mut rows {
        prepare(row);
        if !row.is_replayable() {
            not_replayable += 1;
            continue;
        }
        match judge(row, gate, &recorded) {
            Ok(None) => equal += 1,
            Ok(Some(reason)) => assert!(on_purpose.entry(reason).or_default().insert(row.name().to_owned())),
            Err(why) => wrong.push(format!("{}: {why}", row.name())),
        }
    }
    let asked = |name: &str| rows.iter().any(|row| row.is_replayable() && row.name() == name);
    let of_these = |name: &&&str| groups.iter().any(|group| name.split('.').next() == Some(group));
    for name in deviations.iter().flat_map(|deviation| deviation.rows).filter(of_these) {
        assert!(asked(name), "{name} is no row");
    }
    let tally = Tally {
        equal,
        on_purpose: on_purpose.iter().map(|(reason, rows)| (*reason, rows.len())).collect(),
        wrong: wrong.len(),
        not_replayable,
    };
    // Past the harness, which keeps to itself what a test prints that passes.
    let line = format!("{what}: {file} {variant}, {}: {tally}\n", groups.join(" "));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(equal > 0 || !on_purpose.is_empty(), "nothing was asked");
    parity::hold(what, &format!("{} {variant}", file.trim_end_matches(".jsonl")), groups, &tally);
}

/// Counts rows of which none can be asked again.
#[track_caller]
fn count(what: &str, file: &str, variant: &str, groups: &[&str]) {
    let rows = Row::read(file, variant, groups);
    assert!(!rows.is_empty() && !rows.iter().any(Row::is_replayable), "{variant}");
    let tally = Tally { equal: 0, on_purpose: BTreeMap::new(), wrong: 0, not_replayable: rows.len() };
    parity::hold(what, &format!("{} {variant}", file.trim_end_matches(".jsonl")), groups, &tally);
}

/// Equal, deviating on purpose, or wrong.
fn judge(row: &Row, gate: &Airgate, recorded: &Recorded<'_>) -> Result<Option<Reason>, String> {
    // Airflow takes long to describe all of its API, and may take too long the first time.
    let answer = row.ask(gate.address()).or_else(|_| row.ask(gate.address()));
    let answer = answer.map_err(|error| format!("no answer: {error}"))?;
    let differences = row.differences(&answer);
    let named = recorded.deviations.iter().find(|deviation| deviation.rows.contains(&row.name()));
    match named {
        None if differences.is_empty() => Ok(None),
        None if differences == ["www-authenticate"] && is_challenged(row, &answer, recorded) => {
            Ok(Some(MissingChallenge))
        }
        None if is_refused_as_in_airflow_2(row, &answer, &differences, recorded) => Ok(Some(OwnHeaders)),
        Some(deviation) if differences.is_empty() => {
            Err(format!("is equal, but named as deviating for {:?}", deviation.reason))
        }
        Some(deviation)
            if deviation.status == answer.status && fits(deviation.reason, row, &answer, recorded) =>
        {
            Ok(Some(deviation.reason))
        }
        None | Some(_) => {
            let (status, headers) = (answer.status, &answer.headers);
            let text: String = answer.text().chars().take(300).collect();
            let airflow = row.shown();
            Err(format!("differs in {differences:?}: {status} {headers:?} {text}\n    Airflow: {airflow}"))
        }
    }
}

/// Whether Airflow's answer and ours are what the reason is about.
fn fits(reason: Reason, row: &Row, answer: &Answer, recorded: &Recorded<'_>) -> bool {
    match reason {
        MissingChallenge => is_challenged(row, answer, recorded),
        ServerError => row.status() == 500,
        Unending => row.status() == 201 && answer.status == 403,
        Outlived => row.status() == 201 && row.differences(answer) == ["body"],
        Ended => {
            let challenge = "Bearer realm=\"Airflow\", error=\"invalid_token\"";
            matches!(row.status(), 403 | 404)
                && answer.told() == (401, "{\"detail\":\"Token Expired\"}".to_owned())
                && answer.all("www-authenticate") == [challenge]
        }
        AmbiguousTarget | RepeatedAuthorization | Framework => answer.status == 400,
        // Airflow's page for browsers answers what no route does.
        LeadingSlashes => matches!((row.status(), answer.status), (405, 201) | (200, 200)),
        AuthenticationFirst => row.status() != 401 && is_challenged(row, answer, recorded),
        Basic if answer.status == 200 => row.status() == 401 && row.offers_a_password(),
        UnjudgedCookie => {
            row.status() == 200 && row.offers_a_password() && is_challenged(row, answer, recorded)
        }
        Basic => answer.status == 201 || row.status() == 401 && is_challenged(row, answer, recorded),
        ControlCharacter => row.status() < 300 && answer.status == 401,
        OwnHeaders => is_refused_as_in_airflow_2(row, answer, &row.differences(answer), recorded),
        PublicRole => matches!(row.status(), 200 | 403) && is_challenged(row, answer, recorded),
        ExperimentalError => row.status() == 401 && is_challenged(row, answer, recorded),
        Unlimited => {
            let body = answer.json();
            let mut lists = body.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_array());
            row.status() != 401 && lists.all(|list| list.len() <= 5)
        }
        Clamped => {
            let items = row.items(answer).is_some_and(|items| items <= 5);
            matches!(row.status(), 200 | 500) && items && answer.header("x-airgate-page-limit").is_some()
        }
        Origins | NoPolicy => {
            let beside = |name: &&str| match *name {
                "vary" => true,
                "www-authenticate" => is_challenged(row, answer, recorded),
                // A preflight is answered by what is allowed.
                "status" | "body" | "content-type" | "allow" => row.is_preflight(),
                name => name.starts_with("access-control-"),
            };
            let named = answer.header("access-control-allow-origin");
            row.differences(answer).iter().all(beside) && (named.is_none() || named == row.origin())
        }
        CrossSite => matches!(row.status(), 405 | 409) && answer.status == 403,
        Directory => row.status() == 500 && answer.status == 201,
        OwnKey => row.differences(answer) == ["body"],
        WholeChain => row.status() == 401 && answer.status == 200,
        // Told by the verdict alone (see `verdicts`), and of the experimental API (see `experimental`).
        ExactName | Translated | Rights => false,
        // Of tickets, which are made anew (see `kerberos`).
        OtherScheme | BadTicket | Proof => false,
        Denied => row.status() == 401 && answer.status == 403 && answer.header("www-authenticate").is_none(),
        HtmlPage => {
            row.status() == u64::from(answer.status)
                && answer.header("content-type") == Some("application/json")
        }
        Vary => {
            let beside = |name: &&str| matches!(*name, "vary" | "access-control-allow-credentials");
            row.differences(answer).iter().all(beside) && answer.all("vary") == ["Origin"]
        }
    }
}

/// Whether it is a refusal of the gate's own that differs from Airflow 2's in what it says beside.
fn is_refused_as_in_airflow_2(
    row: &Row,
    answer: &Answer,
    differences: &[&str],
    recorded: &Recorded<'_>,
) -> bool {
    let beside = |name: &&str| {
        matches!(*name, "www-authenticate" | "vary") || name.starts_with("access-control-allow-")
    };
    recorded.file == "af2.jsonl"
        && differences.iter().all(beside)
        && !answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"))
        && is_challenged(row, answer, recorded)
}

/// Whether the answer says how to log in, but opens no browser's pop-up.
fn is_challenged(row: &Row, answer: &Answer, recorded: &Recorded<'_>) -> bool {
    let basic = "Basic realm=\"Airflow\", charset=\"UTF-8\"";
    let mut challenges = answer.all("www-authenticate");
    let is_offered = challenges.pop_if(|challenge| *challenge == basic).is_some();
    matches!(answer.status, 401 | 403)
        && is_offered != row.is_of_a_browser()
        && challenges
            .iter()
            .map(|challenge| challenge.trim_end_matches(", error=\"invalid_token\""))
            .eq(recorded.challenges.iter().copied())
}
