//! Request targets and their routes. Input: the target, and the `Host` on a second line.

use std::sync::LazyLock;

use airgate::gate::route::{Access, BasePath, OtherRoutes, Passage, Route, RouteKind, RouteSettings, Routes};
use airgate::gate::target::Target;
use http::Method;

static ROUTES: LazyLock<Vec<(Option<BasePath>, Routes)>> = LazyLock::new(|| {
    let with = |base_path: Option<BasePath>| {
        let settings = RouteSettings {
            base_path: base_path.clone(),
            other_routes: OtherRoutes::Ui,
            experimental: true,
            ..RouteSettings::default()
        };
        (base_path, Routes::new(settings))
    };
    vec![with(None), with(BasePath::of("https://gate/airflow").unwrap())]
});

/// What is accepted is forwarded as what it was decided as: the forwarded target is read as the same
/// path, is not rewritten again, and has the same route; and no spelling of a path of an API, of a
/// token endpoint or of `/execution` counts as anything else.
pub fn holds(input: &[u8]) {
    let mut lines = input.splitn(2, |&b| b == b'\n');
    let (raw, host) = (lines.next().unwrap_or_default(), lines.next());
    let Ok(target) = Target::parse(raw, host) else { return };
    let decoded = target.decoded();
    assert!(decoded.starts_with('/') && !target.path().starts_with("//"), "{target:?}");
    assert!(!decoded.split('/').any(|segment| matches!(segment, "." | "..")), "{target:?}");
    assert!(!decoded.contains(|c: char| c == '\\' || c.is_control()), "{target:?}");
    assert!(decoded.starts_with(&target.path()[..target.plain_length()]), "{target:?}");
    assert_eq!(percent_decoded(target.path()), decoded.as_bytes());
    if raw.starts_with(b"/") {
        let path = raw.split(|&b| b == b'?').next().unwrap_or_default();
        let path = String::from_utf8_lossy(path);
        assert_eq!(percent_decoded(&format!("/{}", path.trim_start_matches('/'))), decoded.as_bytes());
    }

    let Ok(uri) = target.uri(target.query()) else {
        assert!(target.path().len() + target.query().map_or(0, str::len) >= 65_000, "{target:?}");
        return;
    };
    let forwarded = uri.to_string();
    assert!(!target.is_verbatim() || forwarded.as_bytes() == raw, "{forwarded}");
    let again = Target::parse(forwarded.as_bytes(), None).unwrap();
    assert_eq!((again.path(), again.decoded(), again.query()), (target.path(), decoded, target.query()));
    assert!(again.is_verbatim(), "{again:?}");

    for (base, routes) in &*ROUTES {
        for method in [Method::GET, Method::POST] {
            let Ok(route) = routes.find(&target, &method) else { continue };
            let after = routes.find(&again, &method).unwrap();
            assert!(is_as_strict(&route, &after), "{route:?}, and what is forwarded is {after:?}");
            if let RouteKind::Other(passage) = route.kind {
                for path in readings(decoded, base.as_ref()) {
                    assert!(!is_api(&path), "{path} is {route:?}");
                    assert!(!is_below(&path, "/execution") || passage == Passage::Denied, "{path}");
                }
            }
        }
    }
}

/// Whether a request is treated no more kindly than the one that is forwarded for it would be.
fn is_as_strict(came: &Route, forwarded: &Route) -> bool {
    match (came.kind, forwarded.kind) {
        (RouteKind::Api(came_as), RouteKind::Api(sent_as)) => {
            let strict = came_as.access == Access::Authenticated || sent_as.access == Access::Open;
            let rest = |operation: airgate::gate::route::Operation| {
                (operation.api, operation.effect, operation.paging)
            };
            strict && rest(came_as) == rest(sent_as) && came.template == forwarded.template
        }
        // A document that is open to everybody, needlessly encoded.
        (RouteKind::Other(_), RouteKind::Api(_)) => forwarded.template == "/openapi.json",
        (_, _) => came == forwarded,
    }
}

/// The paths that servers may make of a decoded one: with and without empty segments, with and
/// without the base path.
fn readings(decoded: &str, base: Option<&BasePath>) -> Vec<String> {
    let segments = decoded.split('/').filter(|segment| !segment.is_empty());
    let squeezed: String = segments.flat_map(|segment| ["/", segment]).collect();
    [decoded, &squeezed]
        .into_iter()
        .flat_map(|path| [Some(path), base.and_then(|base| path.strip_prefix(base.as_str()))])
        .flatten()
        .map(str::to_owned)
        .collect()
}

fn is_api(path: &str) -> bool {
    ["/api/v1", "/api/v2", "/api/experimental", "/auth/fab/v1"].iter().any(|api| is_below(path, api))
        || matches!(path, "/auth/token" | "/auth/token/cli")
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}
