//! What is in `deploy/`: it is valid, it fits together, and it does what it says.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::airgate::Setup;
use crate::support::database::{Database, Kind};
use crate::support::token::{self, Issuer, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Ask, Upstream, airflow, ask, get, post, prometheus, redis, tls};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let name = program.as_ref().to_string_lossy().into_owned();
    let ran = Command::new(program).args(arguments).current_dir(root()).output();
    let output = ran.unwrap_or_else(|error| panic!("{name}: {error}: scripts/setup.sh test"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{name} {arguments:?}\n{out}{err}");
    format!("{out}{err}")
}

#[track_caller]
fn manifests(arguments: &[&str]) -> String {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let python = PYTHON.get_or_init(|| run("tests/deploy/python.sh", &[]).lines().last().unwrap().into());
    run(python, &[&["tests/deploy/manifests.py"], arguments].concat())
}

#[test]
fn manifests_are_valid_restricted_and_fit_together() {
    manifests(&["check"]);
}

/// What breaks a manifest in one way is found, by its file and its fault: tests/deploy/mutations.py has the ways.
#[test]
fn a_manifest_that_is_wrong_is_found() {
    manifests(&["self-test"]);
}

/// kustomize takes the folder, and the overlay of docs/edge.md, with what that changes.
#[test]
fn kustomize_takes_the_folder_and_the_overlay_of_the_manual() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("skipped: no kubectl here");
        return;
    }
    let plain = run("kubectl", &["kustomize", "deploy/kubernetes"]);
    assert!(plain.contains("image: airgate:0.1.0") && plain.contains("namespace: airflow"), "{plain}");
    assert!(plain.contains("app.kubernetes.io/part-of: airgate"), "{plain}");

    let manual = std::fs::read_to_string(root().join("docs/edge.md")).unwrap();
    let blocks = manual.split("```yaml\n").skip(1);
    let mut blocks = blocks.filter_map(|block| block.split("```").next());
    let overlay = blocks.find(|block| block.starts_with("# kustomization.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::os::unix::fs::symlink(root(), folder.path().join("airgate")).unwrap();
    std::fs::write(own.join("kustomization.yaml"), overlay).unwrap();
    let patch =
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: airgate\ndata:\n  airgate.toml: our own\n";
    std::fs::write(own.join("airgate.yaml"), patch).unwrap();
    let ours = run("kubectl", &["kustomize", own.to_str().unwrap()]);
    for changed in ["image: registry.example.com/airgate:0.1.0", "airgate.toml: our own", "kind: PodMonitor"]
    {
        assert!(ours.contains(changed) && !plain.contains(changed), "{changed}: {ours}");
    }
}

#[test]
fn the_unit_is_valid_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(root().join("deploy/systemd/airgate.service")).unwrap();
    // systemd looks whether the program is there, and at the manual, which is not installed here.
    let here: String = unit
        .lines()
        .filter(|line| !line.starts_with("Documentation="))
        .map(|line| format!("{}\n", line.replace("/usr/bin/airgate", env!("CARGO_BIN_EXE_airgate"))))
        .collect();
    // A command beside ExecStart= sees no credentials that a drop-in loads (systemd's issues 27275 and 35227), so what
    // it made of the configuration would be something else.
    let commands: Vec<_> = unit.lines().filter(|line| line.starts_with("Exec")).collect();
    let [start, reload] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(*start, "ExecStart=/usr/bin/airgate run --conf /etc/airgate/airgate.toml");
    assert_eq!(*reload, "ExecReload=/bin/kill -HUP $MAINPID");
    let path = folder.path().join("airgate.service");
    std::fs::write(&path, here).unwrap();
    let path = path.to_str().unwrap();
    let said = run("systemd-analyze", &["verify", path]);
    let ours: Vec<_> = said.lines().filter(|line| line.contains("airgate.service")).collect();
    assert!(ours.is_empty(), "{said}");
    // 10 is no protection at all, and what is below 2.5 systemd calls safe.
    run("systemd-analyze", &["security", "--offline=true", "--threshold=20", path]);
}

#[test]
fn alerts_are_right_and_each_is_tested() {
    let rules = "deploy/prometheus/alerts.yml";
    run("promtool", &["check", "rules", rules]);
    run("promtool", &["test", "rules", "deploy/prometheus/alerts_test.yml"]);
    let names = |file: &str, start: &str| -> Vec<String> {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        text.lines().filter_map(|line| line.strip_prefix(start)).map(str::to_owned).collect()
    };
    assert_eq!(
        names("deploy/prometheus/alerts_test.yml", "  - name: "),
        names(rules, "      - alert: "),
        "one test for each"
    );
}

/// What the ConfigMap has passes `check`, with the Secrets where the Deployment puts them.
#[test]
fn the_configuration_of_the_edge_is_right() {
    let config = manifest("deploy/kubernetes/configmap.yaml");
    let config = config["data"]["airgate.toml"].as_str().unwrap().replace("/etc/airgate-secrets/", "");
    let setup = Airgate::with(config)
        .file("jwt-secret", SECRET)
        .file("connection", "postgresql://u:p@airflow-postgresql.airflow:5432/postgres?sslmode=disable");
    let (code, said) = setup.check();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

/// A manifest as it is in the file.
fn manifest(file: &str) -> Value {
    serde_json::from_str(&manifests(&["show", file])).unwrap()
}

/// The values of each sidecar.
const SIDECARS: [&[&str]; 3] = [
    &["airflow-sidecar.yaml"],
    &["airflow-sidecar.yaml", "airflow-sidecar-public-port.yaml"],
    &["airflow2-sidecar.yaml"],
];

/// What the chart makes of our values.
fn rendered(files: &[&str]) -> Value {
    let files: Vec<_> = files.iter().map(|file| format!("deploy/helm/{file}")).collect();
    let arguments: Vec<_> = ["render"].into_iter().chain(files.iter().map(|file| &**file)).collect();
    serde_json::from_str(&manifests(&arguments)).unwrap()
}

fn container<'a>(deployment: &'a Value, name: &str) -> &'a Value {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    containers.iter().find(|container| container["name"] == name).unwrap()
}

/// The gate of a pod, in front of a real Airflow, with the environment that the values give it.
fn sidecar(files: &[&str], airflow: &airflow::Airflow, connection: &str) -> Setup {
    let rendered = rendered(files);
    let secret = std::fs::read_to_string(airflow.config()).unwrap();
    let secret =
        secret.lines().find_map(|line| line.strip_prefix("jwt_secret = ")).unwrap_or_default().to_owned();
    let mut setup = Airgate::with("");
    for variable in container(&rendered["deployment"], "airgate")["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let value = match (name, variable["value"].as_str()) {
            ("AIRGATE__UPSTREAM__URL", Some(_)) => airflow.url.clone(),
            ("AIRGATE__GATE__AIRFLOW_CFG", Some("/opt/airflow/airflow.cfg")) => {
                airflow.config().display().to_string()
            }
            (_, Some(value)) => value.to_owned(),
            ("AIRFLOW__API_AUTH__JWT_SECRET", None) => secret.clone(),
            ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", None) => connection.to_owned(),
            (name, None) => panic!("{name} has no value"),
        };
        setup = setup.env(name, &value);
    }
    setup
}

/// What the probes of each manifest ask for, a gate that is ready answers with 200.
#[test]
fn probes_ask_for_pages_that_there_are() {
    let upstream = Upstream::start();
    let gate = Airgate::before(&upstream.url(), "");
    gate.until("ready", Airgate::is_ready);
    let edge = ("edge".to_owned(), manifest("deploy/kubernetes/deployment.yaml"));
    let sidecars = SIDECARS.map(|files| (files.join(" + "), rendered(files)["deployment"].clone()));
    for (name, deployment) in [edge].into_iter().chain(sidecars) {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let path = container(&deployment, "airgate")[probe]["httpGet"]["path"].as_str().unwrap();
            let answer = gate.admin(path);
            assert_eq!(answer.status, 200, "{name}: {probe}: {path}: {}", answer.text());
        }
    }
}

#[test]
fn a_sidecar_of_airflow_3() {
    let airflow = airflow::fab();
    let database = Database::copy_of(&airflow.home.join("airflow.db"));
    let gate = sidecar(SIDECARS[0], airflow, &database.url).start();
    gate.until("ready", Airgate::is_ready);
    let ok = gate.send(get("/api/v2/pools").basic("admin", "admin-pw"));
    assert_eq!(ok.status, 200, "{}", ok.text());
    let token = gate.send(post("/auth/token").json(json!({"username": "admin", "password": "admin-pw"})));
    assert_eq!(gate.send(get("/api/v2/pools").bearer(&token.token())).status, 200);
    // The rest stays with Airflow's own port.
    assert_eq!(gate.send(get("/execution/health")).status, 404);

    // Below the path of Airflow's own [api] base_url, too.
    let log_in = || post("/airflow/auth/token").json(json!({"username": "admin", "password": "admin-pw"}));
    assert_eq!(gate.send(log_in()).status, 404, "without one");
    let upstream = below_a_path(airflow);
    let below = sidecar(SIDECARS[0], airflow, &database.url)
        .env("AIRFLOW__API__BASE_URL", "https://example.com/airflow")
        .env("AIRGATE__UPSTREAM__URL", &upstream.url())
        .start();
    below.until("ready", Airgate::is_ready);
    let created = below.send(log_in());
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(below.send(get("/airflow/api/v2/pools").bearer(&created.token())).status, 200);
}

/// An Airflow whose `[api] base_url` has the path `/airflow`: below it is what there is without it.
fn below_a_path(airflow: &'static airflow::Airflow) -> Upstream {
    Upstream::answering(|seen| {
        let target = seen.target.strip_prefix("/airflow").unwrap_or(&seen.target);
        let mut passed_on = ask(&seen.method, target).body(&seen.body);
        for name in ["authorization", "content-type"] {
            if let Some(value) = seen.header(name) {
                passed_on = passed_on.with(name, value);
            }
        }
        let got = passed_on.send(airflow.address());
        answer(got.status, &[], &got.text())
    })
}

#[test]
fn a_sidecar_that_takes_over_the_public_port() {
    let airflow = airflow::fab();
    let database = Database::copy_of(&airflow.home.join("airflow.db"));
    let gate = sidecar(SIDECARS[1], airflow, &database.url).start();
    gate.until("ready", Airgate::is_ready);
    assert_eq!(gate.send(get("/api/v2/pools").basic("admin", "admin-pw")).status, 200);
    // Workers, browsers, and the probes of Airflow's container.
    assert_eq!(gate.send(get("/execution/health")).status, 200);
    assert_eq!(gate.send(get("/api/v2/monitor/health")).status, 200);
    let page = gate.send(get("/"));
    assert!(page.text().contains("<html"), "{} {}", page.status, page.text());
}

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn a_sidecar_of_airflow_2() {
    let airflow = airflow::airflow_2();
    let gate = sidecar(SIDECARS[2], airflow, "").start();
    gate.until("ready", Airgate::is_ready);
    assert_eq!(gate.send(get("/api/v1/pools").basic("admin", "admin-pw")).status, 200);
}

/// Airflow's container waits until the gate has gone, and no longer.
#[test]
fn airflow_leaves_after_the_gate() {
    for files in SIDECARS {
        leaves_after_the_gate(&rendered(files)["deployment"]["spec"]["template"]["spec"]["containers"][0]);
    }
}

#[track_caller]
fn leaves_after_the_gate(airflow: &Value) {
    let command = &airflow["lifecycle"]["preStop"]["exec"]["command"];
    let wait_for = |port: u16| {
        let words = command.as_array().unwrap().iter();
        let words: Vec<String> =
            words.map(|word| word.as_str().unwrap().replace("9091", &port.to_string())).collect();
        Command::new(&words[0]).args(&words[1..]).spawn().unwrap()
    };
    // Somebody in the gate's place, who notices each look: as long as there is one, it looks again.
    let place = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut waiting = wait_for(place.local_addr().unwrap().port());
    for _ in 0..2 {
        place.accept().unwrap();
    }
    assert!(waiting.try_wait().unwrap().is_none(), "somebody is there, and nobody waits");
    drop(place);
    assert!(waiting.wait().unwrap().success());

    let upstream = Upstream::start();
    let mut gate = Airgate::before(&upstream.url(), "");
    let mut waiting = wait_for(gate.admin_address().port());
    gate.signal("TERM");
    gate.wait();
    let gone = Instant::now();
    assert!(waiting.wait().unwrap().success());
    assert!(gone.elapsed() < Duration::from_secs(10), "{:?}", gone.elapsed());
}

/// An airgate about which every panel of the dashboard has something to say, since all of it has happened.
fn eventful() -> (Airgate, Upstream, Database) {
    let upstream = Upstream::answering(|seen| match &*seen.target {
        "/auth/token" if String::from_utf8_lossy(&seen.body).contains("right") => {
            answer(201, &[], &json!({"access_token": token::good("admin")}).to_string())
        }
        "/auth/token" => answer(401, &[], "{}"),
        _ => answer(200, &[], "{}"),
    });
    let database = Database::fresh(Kind::Sqlite);
    let redis = redis::shared();
    let issuer = Issuer::new("one");
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[core]\nsimple_auth_manager_users = \"admin:admin\"\n[basic]\nsources = \"upstream\"\n\
         [api_auth]\njwt_secret = \"{SECRET}\"\n[database]\nsql_alchemy_conn = \"{}\"\n[redis]\nurl = \"{}\"\n\
         [lockout]\nattempts = 3\n[server.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n[[jwt.issuers]]\nissuer = \"https://idp\"\naudience = \"airgate\"\n\
         jwks_url = \"keys.json\"\nalgorithms = \"EdDSA\"\nusername_prefix = \"\"\n",
        upstream.url(),
        database.url,
        redis.url(),
        tls::file("airflow.pem").display(),
        tls::file("airflow.key").display(),
    );
    let gate = Airgate::with(config).file("keys.json", Issuer::set(&[&issuer])).start();
    (gate, upstream, database)
}

fn bustle(gate: &Airgate, round: usize) {
    let send = |ask: Ask| tls::Client::default().send(&ask, gate.address()).unwrap();
    let password =
        |password: &str| post("/auth/token").json(json!({"username": "admin", "password": password}));
    send(password("right"));
    send(get("/api/v2/dags?limit=1000").bearer(&token::good("admin")));
    send(get("/api/v2/pools").basic("admin", "right"));
    send(get("/api/v2/pools"));
    send(get("/nowhere"));
    if round < 5 {
        send(get("/api/v2/pools").basic("eve", "wrong"));
    }
}

#[test]
fn each_panel_shows_something() {
    let (gate, _upstream, _database) = eventful();
    let scraped = prometheus::shared().scrape(&gate);
    let instance = &scraped.instance;
    bustle(&gate, 0);
    // A rate needs two looks, with something between them.
    scraped.until(&format!("airgate_requests_total{{instance=\"{instance}\"}}"));
    for round in 1..20 {
        bustle(&gate, round);
    }
    gate.signal("HUP");
    gate.logs("configuration reloaded");
    let board = std::fs::read_to_string(root().join("deploy/grafana/airgate.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    let of = |panel: &Value| -> Vec<String> {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
    };
    let panels = board["panels"].as_array().unwrap();
    let queries: Vec<String> = panels.iter().flat_map(of).collect();
    assert!(queries.len() > 30, "{}", queries.len());
    for query in queries {
        let query = query
            .replace("$__rate_interval", "1m")
            .replace("\"$job\"", "\"airgate\"")
            .replace("\"$instance\"", &format!("\"{instance}\""));
        assert!(!query.contains('$'), "{query}");
        scraped.until(&query);
    }
    // What alerts ask for is there, and none of them fires.
    let rules = prometheus::shared().rules();
    let rules: Vec<&Value> = rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 10);
    for rule in rules {
        assert_eq!(rule["lastError"], Value::Null, "{rule}");
    }
}

/// Every series that a panel or an alert names is one that the program has.
#[test]
fn panels_and_alerts_name_series_that_there_are() {
    let manual = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    for file in ["deploy/grafana/airgate.json", "deploy/prometheus/alerts.yml"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("airgate_") || word.starts_with("process_")) {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(manual.contains(&format!("`{name}`")), "{file}: {word}");
        }
    }
}
