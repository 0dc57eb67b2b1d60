use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::*;

fn goldens(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn policy(origins: &str, methods: &str, headers: &str) -> Option<Policy> {
    let split = |text: &str| -> Vec<String> {
        text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let origins = split(origins).iter().map(|origin| Origin::parse(origin).unwrap()).collect();
    Policy::new(origins, &split(methods), &split(headers)).unwrap()
}

/// The policy of a recorded variant: what its start set, or else what all of them have.
fn recorded_policy(environment: &Value) -> Option<Policy> {
    let option = |name: &str, or: &'static str| {
        let set = environment[format!("AIRFLOW__API__ACCESS_CONTROL_ALLOW_{name}")].as_str();
        set.unwrap_or(or).to_owned()
    };
    policy(
        &option("ORIGINS", "https://ui.example.com,https://grafana.example.com"),
        &option("METHODS", "GET,POST,OPTIONS"),
        &option("HEADERS", "authorization,content-type"),
    )
}

fn request_headers(row: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in row["request"]["headers"].as_array().unwrap() {
        let name: HeaderName = header[0].as_str().unwrap().parse().unwrap();
        headers.append(name, header[1].as_str().unwrap().parse().unwrap());
    }
    headers
}

/// The headers of a recorded answer that CORS is about, with `Content-Type` for a preflight's.
fn recorded_headers(row: &Value, preflight: bool) -> HashMap<String, Vec<String>> {
    let headers = row["response"]["headers"].as_object().unwrap().iter();
    let ours = |name: &str| {
        name == "vary" || name.starts_with("access-control-") || (preflight && name == "content-type")
    };
    headers
        .filter(|(name, _)| ours(name))
        .map(|(name, values)| {
            let values = values.as_array().unwrap().iter();
            (name.clone(), values.map(|value| value.as_str().unwrap().to_owned()).collect())
        })
        .collect()
}

fn by_name(headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in headers {
        found.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    found
}

#[test]
fn recorded_answers() {
    let mut preflights = 0;
    let mut others = 0;
    let mut deviations = 0;
    for file in ["af3-simple.jsonl", "af3-fab.jsonl"] {
        let rows = goldens(file);
        let policies: HashMap<&str, Option<Policy>> = rows
            .iter()
            .filter(|row| row["name"] == "startup")
            // Airflow refuses to start with it, and so do we: see `Origin::parse`.
            .filter(|row| row["variant"] != "cors-origin-star")
            .map(|row| (row["variant"].as_str().unwrap(), recorded_policy(&row["environment"])))
            .collect();
        for row in &rows {
            let (variant, name) = (row["variant"].as_str().unwrap(), row["name"].as_str().unwrap());
            if !name.starts_with("cors.") {
                continue;
            }
            let name = format!("{file} {variant} {name}");
            let Some(policy) = &policies[variant] else {
                // Ours says nothing then. Neither does Airflow, unless methods or headers are set.
                assert!(matches!(variant, "cors-unset" | "cors-methods-only"), "{name}");
                deviations += 1;
                continue;
            };
            // Airflow reads two origins with a space between them as one, which nobody has.
            let unread = variant == "cors-origins-space-separated";
            let headers = request_headers(row);
            let allowed = headers.get(ORIGIN).is_some_and(|origin| policy.allows(origin.as_bytes()));
            let method: Method = row["request"]["method"].as_str().unwrap().parse().unwrap();
            if is_preflight(&method, &headers) {
                let preflight = policy.preflight(&headers);
                let mut found =
                    by_name(preflight.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
                let mut expected_body = row["response"]["body"].as_str().unwrap().to_owned();
                if unread && allowed {
                    deviations += 1;
                    assert!(found.remove("access-control-allow-origin").is_some(), "{name}");
                    let rest = expected_body.strip_prefix("Disallowed CORS origin").unwrap();
                    expected_body = match rest.strip_prefix(", ") {
                        Some(rest) => format!("Disallowed CORS {rest}"),
                        None => "OK".to_owned(),
                    };
                }
                let expected_status = if expected_body == "OK" { 200 } else { 400 };
                if !(unread && allowed) {
                    assert_eq!(row["response"]["status"], expected_status, "{name}");
                }
                assert_eq!(preflight.status.as_u16(), expected_status, "{name}");
                assert_eq!(preflight.body, expected_body, "{name}");
                assert_eq!(found, recorded_headers(row, true), "{name}");
                preflights += 1;
            } else {
                // What an Airflow without a policy of its own says, to which we add.
                let expected = recorded_headers(row, false);
                let own = expected["vary"][0].strip_suffix(", Origin").unwrap();
                let own = HeaderValue::from_str(own).unwrap();
                let mut reply = policy.on_reply(headers.get(ORIGIN));
                if unread && allowed {
                    deviations += 1;
                    assert!(reply.allow_origin.take().is_some(), "{name}");
                }
                let merged = (VARY, vary([&own]).unwrap());
                assert_eq!(by_name(reply.into_headers().chain([merged])), expected, "{name}");
                others += 1;
            }
        }
    }
    assert!(preflights > 60 && others > 100 && deviations > 80, "{preflights} {others} {deviations}");
}

#[test]
fn preflight_headers_come_in_airflows_order() {
    let policy = policy("https://ui.example.com", "GET", "authorization").unwrap();
    let mut request = HeaderMap::new();
    request.insert(ORIGIN, HeaderValue::from_static("https://ui.example.com"));
    request.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
    let preflight = policy.preflight(&request);
    let names: Vec<&str> = preflight.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(
        names,
        [
            "vary",
            "access-control-allow-methods",
            "access-control-max-age",
            "access-control-allow-headers",
            "access-control-allow-credentials",
            "access-control-allow-origin",
            "content-type",
        ]
    );
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let origin = || vec![Origin::parse("https://ui.example.com").unwrap()];
    let new = |methods: &[&str], headers: &[&str]| Policy::new(origin(), methods, headers).map(|_| ());
    assert_eq!(new(&["GET POST"], &[]), Err(InvalidPolicy::Method("GET POST".into())));
    assert_eq!(new(&[""], &[]), Err(InvalidPolicy::Method("".into())));
    assert_eq!(new(&[], &["x\r\ny"]), Err(InvalidPolicy::Header("x\r\ny".into())));
    assert_eq!(new(&[], &["X-Bücher"]), Err(InvalidPolicy::Header("X-Bücher".into())));
    assert_eq!(new(&["*"], &["*"]), Ok(()));
    assert!(Policy::new::<&str>(vec![], &["GET"], &[]).unwrap().is_none(), "no origins");
}

#[test]
fn vary_says_origin_once() {
    for (name, existing, expected) in [
        ("none", &[][..], Some("Origin")),
        ("empty", &[""], Some("Origin")),
        ("another", &["Accept-Encoding"], Some("Accept-Encoding, Origin")),
        ("two lines", &["Cookie", "Accept-Encoding"], Some("Cookie, Accept-Encoding, Origin")),
        ("an empty line", &["", "Cookie"], Some("Cookie, Origin")),
        ("there already", &["Accept-Encoding, Origin"], None),
        ("there already, in another case", &["ORIGIN"], None),
        ("there already, in another line", &["Cookie", "accept , origin"], None),
        ("everything", &["*"], None),
        ("everything, in a list", &["Cookie, *"], None),
        ("a longer name", &["X-Origin, Original"], Some("X-Origin, Original, Origin")),
    ] {
        let existing: Vec<HeaderValue> =
            existing.iter().map(|value| HeaderValue::from_static(value)).collect();
        let merged = vary(&existing);
        assert_eq!(merged.as_ref().map(|value| value.to_str().unwrap()), expected, "{name}");
    }
}
