//! Preflights that are refused. What is answered is Airflow's own (see `goldens`); whoever runs airgate sees why.

use crate::support::{Airgate, airflow, get, options};

#[test]
fn a_refused_preflight_leaves_a_trace() {
    let gate = Airgate::before(
        &airflow::simple().url,
        "[api]\naccess_control_allow_origins = \"https://ui.example.com\"\n\
         access_control_allow_methods = \"GET\"\naccess_control_allow_headers = \"authorization\"\n",
    );
    let preflight = |path: &str, origin: &str, method: &str| {
        let ask = options(path).with("Origin", origin).with("Access-Control-Request-Method", method);
        gate.send(ask)
    };
    let here = "https://ui.example.com";
    for (path, origin, method, refused) in [
        ("/api/v2/pools", here, "GET", None),
        ("/api/v2/dags", here, "DELETE", Some("Disallowed CORS method")),
        ("/api/v2/assets", "https://evil.example", "GET", Some("Disallowed CORS origin")),
        ("/api/v1/pools", "https://evil.example", "PUT", Some("Disallowed CORS origin, method")),
        ("/auth/token", here, "POST", Some("Disallowed CORS method")),
    ] {
        let answer = preflight(path, origin, method);
        assert_eq!(answer.text(), refused.unwrap_or("OK"), "{path}");
        assert_eq!(answer.status, if refused.is_some() { 400 } else { 200 }, "{path}");
        let line = gate.access(&format!("\"path\":\"{path}\""));
        let told = (line["refused"].as_str(), line["cause"].as_str());
        assert_eq!(told, (refused.map(|_| "cors"), refused), "{line}");
    }
    gate.counts("airgate_rejections_total{reason=\"cors\"}", 4.0);
    let page = get("/").with("Host", "localhost").send(gate.admin_address()).text();
    assert!(page.contains(">cors<"), "{page}");
}
