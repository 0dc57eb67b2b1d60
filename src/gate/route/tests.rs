mod airflow;

use super::*;
use crate::gate::target::tests::{Dice, awkward, unquote};

fn routes(base_url: &str, other_routes: OtherRoutes, experimental: bool) -> Routes {
    let base_path = BasePath::of(base_url).unwrap();
    Routes::new(RouteSettings { base_path, other_routes, experimental, ..RouteSettings::default() })
}

fn find(routes: &Routes, method: &str, raw: &str) -> Result<Route, InvalidTarget> {
    let target = Target::parse(raw.as_bytes(), Some(b"127.0.0.1:18080"))?;
    routes.find(&target, &Method::from_bytes(method.as_bytes()).unwrap())
}

/// A route in a few words, so that tables stay readable.
fn words(route: Result<Route, InvalidTarget>) -> String {
    let Route { kind, template } = match route {
        Ok(route) => route,
        Err(reason) => return format!("400 {reason:?}"),
    };
    let kind = match kind {
        RouteKind::Api(Operation { api, access, effect, paging }) => {
            format!("{api:?} {access:?} {effect:?} {paging:?}")
        }
        RouteKind::Token(endpoint) => format!("Token {endpoint:?}"),
        RouteKind::Experimental(effect) => format!("Experimental {effect:?}"),
        RouteKind::Other(passage) => format!("{passage:?}"),
    };
    format!("{kind} {template}")
}

fn check(routes: &Routes, rows: &[(&str, &str, &str, &str)]) {
    for (name, method, raw, expected) in rows {
        assert_eq!(words(find(routes, method, raw)), *expected, "{name}: {method} {raw}");
    }
}

#[test]
fn kinds_of_routes() {
    let routes = routes("", OtherRoutes::Deny, false);
    check(
        &routes,
        &[
            ("list", "GET", "/api/v2/pools", "Public Authenticated Reads Limit /api/v2/pools"),
            ("create", "POST", "/api/v2/pools", "Public Authenticated Changes None /api/v2/pools"),
            ("one", "GET", "/api/v2/pools/x", "Public Authenticated Reads None /api/v2/pools/{pool_name}"),
            (
                "a name that spans segments, as in golden cors.404-route",
                "GET",
                "/api/v2/pools/x/y/z",
                "Public Authenticated Reads None /api/v2/pools/{pool_name}",
            ),
            (
                "an empty name, as in golden path.trailing-slash",
                "GET",
                "/api/v2/pools/",
                "Public Authenticated Reads None /api/v2/pools/{pool_name}",
            ),
            (
                "a list by POST only reads",
                "POST",
                "/api/v2/dags/~/dagRuns/list",
                "Public Authenticated Reads PageLimit /api/v2/dags/{dag_id}/dagRuns/list",
            ),
            (
                "the same path by GET is a run",
                "GET",
                "/api/v2/dags/~/dagRuns/list",
                "Public Authenticated Reads None /api/v2/dags/{dag_id}/dagRuns/{dag_run_id}",
            ),
            (
                "a list, its slash encoded",
                "POST",
                "/api/v2/dags/x/dagRuns%2Flist",
                "Public Authenticated Reads PageLimit /api/v2/dags/{dag_id}/dagRuns/list",
            ),
            (
                "a DAG's id with a slash is two segments, as in Airflow",
                "GET",
                "/api/v2/dags/x%2FdagRuns",
                "Public Authenticated Reads Limit /api/v2/dags/{dag_id}/dagRuns",
            ),
            (
                "a dry run only reads",
                "PATCH",
                "/api/v2/dags/d/dagRuns/r/taskInstances/t/dry_run",
                "Public Authenticated Reads None /api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dry_run",
            ),
            (
                "a key that is called dry_run does not",
                "PATCH",
                "/api/v2/dags/d/dagRuns/r/taskInstances/t/state-store/dry_run",
                "Public Authenticated Changes None /api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/state-store/{key}",
            ),
            (
                "a bulk change by filter",
                "PATCH",
                "/api/v2/dags",
                "Public Authenticated Changes Limit /api/v2/dags",
            ),
            (
                "the earlier of two templates",
                "GET",
                "/api/v2/connections/enqueue-test",
                "Public Authenticated Reads None /api/v2/connections/enqueue-test",
            ),
            (
                "the one that has the method",
                "DELETE",
                "/api/v2/connections/enqueue-test",
                "Public Authenticated Changes None /api/v2/connections/{connection_id}",
            ),
            ("HEAD reads", "HEAD", "/api/v2/pools", "Public Authenticated Reads None /api/v2/pools"),
            ("OPTIONS reads", "OPTIONS", "/api/v2/pools", "Public Authenticated Reads None /api/v2/pools"),
            (
                "a method that no template has",
                "PUT",
                "/api/v2/pools",
                "Public Authenticated Changes None /api/v2/pools",
            ),
            (
                "a method of one's own",
                "FROB",
                "/api/v2/pools",
                "Public Authenticated Changes None /api/v2/pools",
            ),
            ("needless encoding", "GET", "/api/v2/%70ools", "Public Authenticated Reads Limit /api/v2/pools"),
            ("unknown", "GET", "/api/v2/nope", "Public Authenticated Reads None /api/v2/{unknown}"),
            (
                "unknown list",
                "POST",
                "/api/v2/x/list",
                "Public Authenticated Changes PageLimit /api/v2/{unknown}",
            ),
            ("upper case", "GET", "/api/v2/POOLS", "Public Authenticated Reads None /api/v2/{unknown}"),
            (
                "a space at the end",
                "GET",
                "/api/v2/pools%20",
                "Public Authenticated Reads None /api/v2/{unknown}",
            ),
            (
                "a question mark",
                "GET",
                "/api/v2/pools%3Fx",
                "Public Authenticated Reads None /api/v2/{unknown}",
            ),
            (
                "an empty parameter",
                "GET",
                "/api/v2/dags/",
                "Public Authenticated Reads None /api/v2/{unknown}",
            ),
            ("prefix alone", "GET", "/api/v2", "Public Authenticated Reads None /api/v2/{unknown}"),
            ("prefix and slash", "GET", "/api/v2/", "Public Authenticated Reads None /api/v2/{unknown}"),
            ("FAB", "GET", "/auth/fab/v1/users", "Fab Authenticated Reads Limit /auth/fab/v1/users"),
            (
                "FAB, one",
                "PATCH",
                "/auth/fab/v1/users/x",
                "Fab Authenticated Changes None /auth/fab/v1/users/{username}",
            ),
            (
                "FAB, unknown",
                "GET",
                "/auth/fab/v1/x/y",
                "Fab Authenticated Reads None /auth/fab/v1/{unknown}",
            ),
            ("Airflow 2", "GET", "/api/v1/dags", "Stable Authenticated Reads Limit /api/v1/dags"),
            (
                "Airflow 2, list",
                "POST",
                "/api/v1/dags/~/dagRuns/list",
                "Stable Authenticated Reads PageLimit /api/v1/dags/~/dagRuns/list",
            ),
            (
                "Airflow 2, unknown",
                "GET",
                "/api/v1/nope",
                "Stable Authenticated Reads None /api/v1/{unknown}",
            ),
            (
                "Airflow 2, a literal before a parameter",
                "GET",
                "/api/v1/datasets/events",
                "Stable Authenticated Reads Limit /api/v1/datasets/events",
            ),
            ("token", "POST", "/auth/token", "Token Token /auth/token"),
            (
                "token, as Airflow's documentation writes it",
                "POST",
                "//auth/token",
                "Token Token /auth/token",
            ),
            ("token for the command line", "POST", "/auth/token/cli", "Token Cli /auth/token/cli"),
            ("token by GET", "GET", "/auth/token", "Token Token /auth/token"),
            ("token and slash", "POST", "/auth/token/", "Denied /{path}"),
            ("no token", "POST", "/auth/tokens", "Denied /{path}"),
            ("no token for the command line", "POST", "/auth/token/clip", "Denied /{path}"),
            ("token in upper case", "POST", "/auth/Token", "Denied /{path}"),
            ("no API", "GET", "/api/v2x/pools", "Denied /{path}"),
            ("no API either", "GET", "/api", "Denied /{path}"),
            ("API in upper case", "GET", "/API/V2/pools", "Denied /{path}"),
            ("another API", "GET", "/api/v3/pools", "Denied /{path}"),
            ("FAB's other paths", "GET", "/auth/fab", "Denied /{path}"),
            ("a base path that is not configured", "GET", "/airflow/api/v2/pools", "Denied /{path}"),
            ("experimental API, off", "GET", "/api/experimental/test", "Off /{path}"),
            ("UI", "GET", "/", "Denied /{path}"),
        ],
    );
}

#[test]
fn airflow_2_has_no_token_endpoints() {
    let settings = RouteSettings { release: Release::Airflow2, ..RouteSettings::default() };
    check(
        &Routes::new(settings),
        &[
            ("token", "POST", "/auth/token", "Denied /{path}"),
            ("token for the command line", "POST", "/auth/token/cli", "Denied /{path}"),
            ("token, encoded", "POST", "/auth/%74oken", "Denied /{path}"),
            ("FAB", "GET", "/auth/fab/v1/users", "Fab Authenticated Reads Limit /auth/fab/v1/users"),
            ("its API", "GET", "/api/v1/pools", "Stable Authenticated Reads Limit /api/v1/pools"),
            ("its API, encoded", "GET", "/api/v1%2Fpools", "400 EncodedPrefix"),
            ("the other API", "GET", "/api/v2/pools", "Public Authenticated Reads Limit /api/v2/pools"),
        ],
    );
}

#[test]
fn open_only_as_written() {
    let routes = routes("", OtherRoutes::Deny, false);
    check(
        &routes,
        &[
            ("version", "GET", "/api/v2/version", "Public Open Reads None /api/v2/version"),
            (
                "a query changes nothing",
                "GET",
                "/api/v2/version?x=%2F",
                "Public Open Reads None /api/v2/version",
            ),
            (
                "by a method that Airflow refuses",
                "POST",
                "/api/v2/version",
                "Public Open Changes None /api/v2/version",
            ),
            ("health", "GET", "/api/v2/monitor/health", "Public Open Reads None /api/v2/monitor/health"),
            ("log-in", "GET", "/api/v2/auth/login?next=/", "Public Open Reads None /api/v2/auth/login"),
            ("log-out", "GET", "/api/v2/auth/logout", "Public Open Reads None /api/v2/auth/logout"),
            ("document", "GET", "/openapi.json", "Public Open Reads None /openapi.json"),
            ("Airflow 2, health", "GET", "/api/v1/health", "Stable Open Reads None /api/v1/health"),
            ("Airflow 2, version", "GET", "/api/v1/version", "Stable Open Reads None /api/v1/version"),
            ("Airflow 2, JSON", "GET", "/api/v1/openapi.json", "Stable Open Reads None /api/v1/openapi.json"),
            ("Airflow 2, YAML", "GET", "/api/v1/openapi.yaml", "Stable Open Reads None /api/v1/openapi.yaml"),
            ("a slash", "GET", "/api/v2/version/", "Public Authenticated Reads None /api/v2/{unknown}"),
            (
                "a segment more",
                "GET",
                "/api/v2/version/x",
                "Public Authenticated Reads None /api/v2/{unknown}",
            ),
            ("encoded", "GET", "/api/v2/versio%6E", "Public Authenticated Reads None /api/v2/version"),
            ("slash encoded", "GET", "/api/v2/monitor%2Fhealth", {
                "Public Authenticated Reads None /api/v2/monitor/health"
            }),
            ("document, encoded", "GET", "/openapi%2Ejson", "Denied /{path}"),
            ("document and slash", "GET", "/openapi.json/", "Denied /{path}"),
            (
                "document of the API",
                "GET",
                "/api/v2/openapi.json",
                "Public Authenticated Reads None /api/v2/{unknown}",
            ),
        ],
    );
}

#[test]
fn prefixes_and_tokens_only_as_written() {
    for base_url in ["", "/airflow"] {
        for other_routes in [OtherRoutes::Deny, OtherRoutes::Ui, OtherRoutes::All] {
            let routes = routes(base_url, other_routes, true);
            for raw in [
                "/%61pi/v2/pools",
                "/api%2Fv2/pools",
                "/api/v2%2Fpools",
                "/api/v%32/pools",
                "/api/v%32",
                "/%2Fapi/v2/pools",
                "/api/%2Fv2/pools",
                "/api%2F%2Fv2/pools",
                "/api/v2%2F",
                "/api/v1%2Fpools",
                "/auth%2Ffab/v1/users",
                "/auth/fab/v1%2Fusers",
                "/api/experimental%2Ftest",
                "/auth%2Ftoken",
                "/auth/toke%6E",
                "/auth/%2Ftoken",
                "/auth/token%2Fcli",
                "/auth/token/%63li",
            ] {
                assert_eq!(find(&routes, "GET", raw), Err(InvalidTarget::EncodedPrefix), "{base_url} {raw}");
                if !base_url.is_empty() {
                    let raw = format!("/airflow{raw}");
                    assert_eq!(find(&routes, "GET", &raw), Err(InvalidTarget::EncodedPrefix), "{raw}");
                }
            }
        }
    }
    let routes = routes("/airflow", OtherRoutes::All, false);
    for raw in
        ["/%61irflow/api/v2/pools", "/airflow%2Fapi/v2/pools", "/airflow/%2Fauth/token", "/%2Fairflow/api/v2"]
    {
        assert_eq!(find(&routes, "GET", raw), Err(InvalidTarget::EncodedPrefix), "{raw}");
    }
}

#[test]
fn with_a_base_path_both_ways_are_one_route() {
    let both = routes("https://host.example/airflow", OtherRoutes::Ui, true);
    check(
        &both,
        &[
            ("API", "GET", "/airflow/api/v2/pools", "Public Authenticated Reads Limit /api/v2/pools"),
            ("API without", "GET", "/api/v2/pools", "Public Authenticated Reads Limit /api/v2/pools"),
            ("slashes at the start", "GET", "//airflow/api/v2/pools", {
                "Public Authenticated Reads Limit /api/v2/pools"
            }),
            ("open", "GET", "/airflow/api/v2/version", "Public Open Reads None /api/v2/version"),
            ("encoded name", "GET", "/airflow/api/v2/variables/a%2Fb", {
                "Public Authenticated Reads None /api/v2/variables/{variable_key}"
            }),
            ("token", "POST", "/airflow/auth/token", "Token Token /auth/token"),
            ("token without", "POST", "/auth/token", "Token Token /auth/token"),
            ("document", "GET", "/airflow/openapi.json", "Public Open Reads None /openapi.json"),
            ("execution", "GET", "/airflow/execution/health", "Denied /execution/{path}"),
            ("execution without", "GET", "/execution/health", "Denied /execution/{path}"),
            ("UI", "GET", "/airflow/dags", "Allowed /{path}"),
            ("base path alone", "GET", "/airflow", "Allowed /{path}"),
            ("another path that begins so", "GET", "/airflows/api/v2/pools", "Allowed /{path}"),
            ("taken off once only", "GET", "/airflow/airflow/api/v2/pools", "Allowed /{path}"),
            ("upper case", "GET", "/Airflow/api/v2/pools", "Allowed /{path}"),
        ],
    );
}

#[test]
fn the_experimental_api_where_enabled() {
    let routes = routes("", OtherRoutes::Deny, true);
    let unknown = "Experimental Reads /api/experimental/{unknown}";
    check(
        &routes,
        &[
            ("test", "GET", "/api/experimental/test", "Experimental Reads /api/experimental/test"),
            ("prefix alone", "GET", "/api/experimental", unknown),
            (
                "runs a DAG",
                "POST",
                "/api/experimental/dags/d/dag_runs",
                "Experimental Changes /api/experimental/dags/{dag_id}/dag_runs",
            ),
            (
                "pauses by GET",
                "GET",
                "/api/experimental/dags/d/paused/true",
                "Experimental Changes /api/experimental/dags/{dag_id}/paused/{paused}",
            ),
            (
                "pauses by GET, encoded",
                "GET",
                "/api/experimental/dags/d%2Fpause%64/true",
                "Experimental Changes /api/experimental/dags/{dag_id}/paused/{paused}",
            ),
            (
                "pauses by GET, with more behind",
                "GET",
                "/api/experimental/dags/d/paused/true/x",
                "Experimental Changes /api/experimental/{unknown}",
            ),
            (
                "reads whether it is paused",
                "GET",
                "/api/experimental/dags/d/paused",
                "Experimental Reads /api/experimental/dags/{dag_id}/paused",
            ),
            (
                "a DAG called paused",
                "GET",
                "/api/experimental/dags/paused/dag_runs",
                "Experimental Reads /api/experimental/dags/{dag_id}/dag_runs",
            ),
            ("a pool called so", "GET", "/api/experimental/pools/d/paused/x", unknown),
        ],
    );
}

#[test]
fn the_user_interfaces_api_by_every_spelling() {
    for (other_routes, expected) in [
        (OtherRoutes::Deny, Passage::Denied),
        (OtherRoutes::Ui, Passage::Paged(Paging::LimitAndRuns)),
        (OtherRoutes::All, Passage::Paged(Paging::LimitAndRuns)),
    ] {
        let routes = routes("/airflow", other_routes, false);
        for raw in [
            "/ui/dags",
            "/%75i/dags",
            "/ui%2Fdags",
            "/%2Fui/dags",
            "/airflow/ui/dags",
            "/airflow/%2Fui%2Fdags",
        ] {
            let route = find(&routes, "GET", raw).unwrap();
            assert_eq!(route.kind, RouteKind::Other(expected), "{other_routes:?} {raw}");
        }
    }
    let ui = routes("/airflow", OtherRoutes::Ui, false);
    for (raw, paging) in [
        ("/ui", Paging::None),
        ("/ui/", Paging::None),
        ("/ui/config", Paging::None),
        ("/ui/dags/a", Paging::None),
        ("/ui/backfills", Paging::Limit),
        ("/ui/grid/runs/a", Paging::Limit),
        ("/airflow/ui/grid/structure/%61", Paging::Limit),
        ("/ui/dags/a%2FdagRuns/b/deadlines", Paging::Limit),
    ] {
        let route = find(&ui, "GET", raw).unwrap();
        assert_eq!(route.kind, RouteKind::Other(Passage::Paged(paging)), "{raw}");
    }
}

#[test]
fn execution_by_no_spelling_but_with_all() {
    let spellings = [
        "/execution",
        "/execution/",
        "/execution/task-instances/x/run",
        "//execution/health",
        "/%65xecution/health",
        "/execution%2Fhealth",
        "/%2Fexecution/health",
        "/%2F%2fexecution%2F%2Fhealth",
        "/airflow/execution/health",
        "/airflow%2Fexecution",
        "/%61irflow/%2Fexecution",
        "http://127.0.0.1:18080/execution/health",
    ];
    for (other_routes, expected) in [
        (OtherRoutes::Deny, Passage::Denied),
        (OtherRoutes::Ui, Passage::Denied),
        (OtherRoutes::All, Passage::Allowed),
    ] {
        let routes = routes("/airflow", other_routes, false);
        for raw in spellings {
            let route = find(&routes, "GET", raw).unwrap();
            assert_eq!(route.kind, RouteKind::Other(expected), "{other_routes:?} {raw}");
            assert_eq!(route.template, "/execution/{path}", "{raw}");
        }
    }
    let ui = routes("", OtherRoutes::Ui, false);
    for raw in ["/executions", "/Execution/x", "/x%2Fexecution"] {
        assert_eq!(words(find(&ui, "GET", raw)), "Allowed /{path}", "{raw}");
    }
    assert_eq!(words(find(&ui, "GET", "/ui/execution")), "Paged(None) /{path}");
}

#[test]
fn base_paths() {
    use InvalidBasePath::{NotUrl, Path};
    for (name, base_url, expected) in [
        ("not set", "", Ok(None)),
        ("a host", "http://localhost:8080", Ok(None)),
        ("a host and slash", "http://localhost:8080/", Ok(None)),
        ("slash", "/", Ok(None)),
        ("a path", "https://host/airflow", Ok(Some("/airflow"))),
        ("a path and slash", "https://host/airflow/", Ok(Some("/airflow"))),
        ("two segments", "https://host/team/airflow", Ok(Some("/team/airflow"))),
        ("a path alone", "/airflow", Ok(Some("/airflow"))),
        ("white space around", " https://host/airflow\n", Ok(Some("/airflow"))),
        ("a host alone", "host.example", Err(NotUrl)),
        ("no URL", "https://host with spaces/", Err(NotUrl)),
        ("encoded", "https://host/air%20flow", Err(Path)),
        ("empty segment", "https://host/a//b", Err(Path)),
        ("slashes at the start", "https://host//b", Err(Path)),
        ("dots", "https://host/a/../b", Err(Path)),
        ("semicolon", "https://host/a;b", Err(Path)),
    ] {
        let base = BasePath::of(base_url);
        let seen = base.as_ref().map(|base| base.as_ref().map(BasePath::as_str));
        assert_eq!(seen.map_err(Clone::clone), expected, "{name}");
    }
}

#[test]
fn what_is_forwarded_is_the_route_that_was_decided_on() {
    let mut dice = Dice::new(4);
    let routes = routes("/airflow", OtherRoutes::Ui, true);
    let mut decided = 0;
    for _ in 0..30_000 {
        let raw = awkward(&mut dice);
        let Ok(target) = Target::parse(raw.as_bytes(), None) else { continue };
        let Ok(route) = routes.find(&target, &Method::POST) else { continue };
        decided += 1;

        // The upstream's view: decoded once, empty segments kept or dropped.
        let upstream = unquote(target.path());
        let squeezed: String =
            upstream.split('/').filter(|segment| !segment.is_empty()).flat_map(|s| ["/", s]).collect();
        for view in [upstream.as_str(), &squeezed] {
            let inner = view.strip_prefix("/airflow").unwrap_or(view);
            let is_below = |prefix: &str| [view, inner].iter().any(|path| below(path, prefix).is_some());
            if is_below("/execution") && matches!(route.kind, RouteKind::Other(_)) {
                assert_eq!(route.kind, RouteKind::Other(Passage::Denied), "{raw}");
            }
            if ["/api/v2", "/api/v1", "/auth/fab/v1", "/api/experimental"].into_iter().any(is_below) {
                assert!(
                    matches!(route.kind, RouteKind::Api(_) | RouteKind::Experimental(_)),
                    "{raw}: {route:?}"
                );
            }
            if [view, inner].iter().any(|path| matches!(*path, "/auth/token" | "/auth/token/cli")) {
                assert!(
                    matches!(route.kind, RouteKind::Token(_) | RouteKind::Other(Passage::Allowed))
                        && !(view == upstream && matches!(route.kind, RouteKind::Other(_))),
                    "{raw}: {route:?}"
                );
            }
        }

        // Parsed again, the forwarded target is the same route. Only what is open had to be written
        // without encoding to be open.
        let forwarded = target.uri(target.query()).unwrap().to_string();
        let again = find(&routes, "POST", &forwarded).unwrap();
        let same = match (route.kind, again.kind) {
            (RouteKind::Api(was), RouteKind::Api(is)) => Operation { access: is.access, ..was } == is,
            (RouteKind::Other(_), RouteKind::Api(is)) => {
                is.access == Access::Open && again.template == DOCUMENT
            }
            (was, is) => was == is,
        };
        assert!(same, "{raw}: {route:?}, then {again:?}");
    }
    assert!(decided > 2_000, "the generator must make targets that are accepted: {decided}");
}
