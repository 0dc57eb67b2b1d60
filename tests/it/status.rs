//! The status page, as somebody sees it, and what it does not show.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::client::Ask;
use crate::support::token::{self, Issuer, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Closed, Upstream, ask, get, post, tls};

const OPTIONS: &str =
    "[core]\nsimple_auth_manager_users = \"admin:admin\"\n[basic]\nsources = \"upstream\"\n";

fn gate(upstream: &str, admin: &str) -> Airgate {
    let config = format!("{OPTIONS}[api_auth]\njwt_secret = \"{SECRET}\"\n[admin]\n{admin}\n");
    Airgate::before(upstream, &config)
}

fn page(gate: &Airgate, host: &str) -> (u16, String) {
    let got = get("/").with("Host", host).send(gate.admin_address());
    (got.status, got.text())
}

#[test]
fn who_sees_it() {
    let upstream = Upstream::start();
    for (name, admin, host, status, told) in [
        ("by default, here", "", "localhost", 200, "Recent refusals"),
        ("by address", "", "127.0.0.1:9091", 200, "Recent refusals"),
        ("by a name that was made to point here", "", "evil.example.com", 421, "[admin] hosts"),
        (
            "by a name that is allowed",
            "hosts = \"Gate.example.com\"",
            "gate.example.com",
            200,
            "Recent refusals",
        ),
        ("for all, by that other name", "page = \"all\"", "evil.example.com", 421, "[admin] hosts"),
        ("for all", "page = \"all\"", "10.0.0.7", 200, "Recent refusals"),
        ("for nobody", "page = \"off\"", "localhost", 404, "Not Found"),
    ] {
        let (found, text) = page(&gate(&upstream.url(), admin), host);
        assert_eq!(found, status, "{name}: {text}");
        assert!(text.contains(told), "{name}: {text}");
    }
}

/// Certificates with what is left of them, keys and key sets with their age.
#[test]
fn certificates_and_keys_have_an_age() {
    let upstream = Upstream::start();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_private_key_path = \"rsa.pem\"\n\
         [server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n[[jwt.issuers]]\nissuer = \"https://idp\"\n\
         audience = \"airgate\"\njwks_url = \"keys.json\"\nalgorithms = \"EdDSA\"\nusername_prefix = \"\"\n",
        upstream.url()
    );
    let gate = Airgate::with(config)
        .file("rsa.pem", include_bytes!("../jwt/rsa.pem"))
        .file("tls.crt", tls::read("airflow.pem"))
        .file("tls.key", tls::read("airflow.key"))
        .file("keys.json", Issuer::set(&[&Issuer::new("one")]))
        .start();
    gate.until("the key set is read", |gate| {
        gate.admin("/metrics").text().contains("airgate_jwks_age_seconds{")
    });
    let (_, text) = page(&gate, "localhost");
    let row = |kind: &str, name: &str| {
        let named = format!("<td data-of=\"What\">{kind}<td");
        let rows = text.split("<tr>").filter(|row| row.starts_with(&named));
        let row = rows.filter(|row| row.contains(name)).last();
        row.unwrap_or_else(|| panic!("{kind} {name}\n{text}"))
            .split("<td")
            .skip(3)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let is_age = |cell: &str| {
        let age = cell.strip_prefix(" data-of=\"Age\" class=\"when\">").unwrap_or_default();
        age.starts_with(|c: char| c.is_ascii_digit()) && age.contains(' ')
    };
    let certificate = row("certificate", "tls.crt");
    assert!(is_age(&certificate[0]), "{certificate:?}");
    assert!(
        certificate[1].starts_with(" data-of=\"Ends\" class=\"when soft\">in ")
            && certificate[1].ends_with(" days"),
        "{certificate:?}"
    );
    for (kind, name) in [("file", "tls.key"), ("file", "rsa.pem"), ("key set", "keys.json")] {
        let age = &row(kind, name)[0];
        assert!(is_age(age), "{name}: {age}");
    }
}

/// What a reload cannot change is shown as it is in force, and what waits beside it.
#[test]
fn what_waits_for_a_restart_is_marked() {
    let upstream = Upstream::start();
    let gate = gate(&upstream.url(), "hosts = \"old.example.com\"");
    let config = std::fs::read_to_string(gate.config()).unwrap();
    let changed = config.replace("old.example.com", "new.example.com");
    std::fs::write(gate.config(), format!("{changed}[server]\ngrace_period = \"7s\"\n")).unwrap();
    gate.signal("HUP");
    gate.logs("configuration reloaded");
    let (_, text) = page(&gate, "localhost");
    let row = |option: &str| {
        let rows =
            text.split("<tr>").filter(|row| row.contains(&format!("<td data-of=\"Option\"><code>{option}<")));
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), 1, "{option}\n{text}");
        rows[0].to_owned()
    };
    let waits = row("[server] grace_period");
    assert!(waits.contains("<code>20s</code><div class=fair>waits: <code>7s</code></div>"), "{waits}");
    assert!(waits.contains("built-in default") && waits.contains("airgate.toml:"), "{waits}");
    let state = text.split("<section").nth(1).unwrap();
    assert!(
        state.contains("waiting for an upgrade or a restart: <code>[server] grace_period</code>."),
        "{state}"
    );
    let new = row("[admin] hosts");
    assert!(new.contains("new.example.com") && !new.contains("waits"), "{new}");

    // Written back, nothing waits any more.
    std::fs::write(gate.config(), config).unwrap();
    gate.signal("HUP");
    gate.until("nothing waits", |gate| !page(gate, "localhost").1.contains("waiting for an upgrade"));
}

/// Who asks from elsewhere is not on this machine, even if the port is open to all.
#[test]
fn from_elsewhere() {
    let Some(elsewhere) = another_address() else {
        eprintln!("skipped: this machine has no other address than loopback");
        return;
    };
    let upstream = Upstream::start();
    let gate = Airgate::with(format!("[upstream]\nurl = \"{}\"\n", upstream.url()))
        .arg("--set")
        .arg("admin.listen=0.0.0.0:0")
        .start();
    let port = gate.admin_address().port();
    let there = std::net::SocketAddr::new(elsewhere, port);
    let refused = get("/").with("Host", "localhost").send(there);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("[admin] page"), "{}", refused.text());
    assert_eq!(get("/healthz").send(there).status, 200);
}

/// An address of this machine's that is not loopback. Nothing is sent to find it out.
fn another_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn its_headers_allow_nothing_else() {
    let upstream = Upstream::start();
    let gate = gate(&upstream.url(), "");
    let got = get("/").with("Host", "localhost").send(gate.admin_address());
    let policy = got.header("content-security-policy").unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(got.header("x-frame-options"), Some("DENY"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let text = got.text();
    assert!(!text.contains("http-equiv") && !text.contains(" style=") && !text.contains("onclick"), "{text}");
}

/// In a browser: it is all there, it renews itself, the browser finds nothing to complain of, and nothing is wider
/// than the screen.
#[test]
fn in_a_browser() {
    let upstream = Upstream::answering(|seen| match &*seen.target {
        "/auth/token" if String::from_utf8_lossy(&seen.body).contains("right") => {
            answer(201, &[], &json!({"access_token": token::good("admin")}).to_string())
        }
        "/auth/token" => answer(401, &[], "{}"),
        _ => answer(200, &[], "{}"),
    });
    let down = Closed::port();
    let gate = gate(&format!("{}\", \"{}", upstream.url(), down.url()).replace("\", \"", ","), "");
    for _ in 0..20 {
        gate.send(get("/api/v2/dags").bearer(&token::good("admin")));
    }
    gate.send(get("/api/v2/pools").basic("admin", "wrong"));
    gate.send(get("/api/v2/pools").with("X-Request-ID", "the-last-one"));
    gate.counts("airgate_rejections_total{reason=\"no_credential\"}", 1.0);

    let mut browser = Browser::start();
    browser.look_as(1200, 800, "light");
    browser.open(&format!("http://localhost:{}/", gate.admin_address().port()));
    browser.run("window.complaints = []; addEventListener('securitypolicyviolation', e => complaints.push(e.violatedDirective))");
    let text = browser.run("document.body.innerText");
    let text = text.as_str().unwrap();
    for part in [
        "Ready",
        "/api/v2/dags",
        "no_credential",
        "wrong_password",
        "the-last-one",
        "basic_auth",
        "simple_auth_manager_users",
        "admin:admin",
        "jwt_secret",
        "set, and not shown",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains(SECRET), "{text}");
    // One address is down: the first card says so. Nothing was answered 5xx: no red line.
    let head = browser.run("document.querySelector('#state h2').outerHTML");
    assert_eq!(head, "<h2 class=\"bad\">Ready, with faults</h2>");
    assert!(text.contains(&format!("Airflow {} is down: ", &down.url()[7..])), "{text}");
    assert_eq!(browser.run("document.querySelectorAll('svg .errors').length"), 0);

    // Something new, without a new look at it.
    gate.send(post("/auth/token").json(json!({"username": "admin", "password": "right"})));
    gate.send(ask("GET", "/nowhere").with("X-Request-ID", "newer"));
    let renewed = browser.run(
        "new Promise(done => { const look = () => document.body.innerText.includes('no_route') \
         ? done(true) : setTimeout(look, 50); look() })",
    );
    assert_eq!(renewed, true);
    // How long it takes, as numbers of this machine.
    for name in ["in airgate, p50", "in airgate, p99", "in Airflow, p50", "in Airflow, p99"] {
        let shown = browser.run(&format!(
            "new Promise(done => {{ const look = () => {{ \
             const fact = [...document.querySelectorAll('#traffic dl div')].find(div => div.innerText.includes('{name}')); \
             const value = fact?.querySelector('dd').innerText ?? ''; \
             /[0-9] m?s$/.test(value) ? done(value) : setTimeout(look, 50) }}; look() }})"
        ));
        let shown = shown.as_str().unwrap();
        let milliseconds: f64 =
            shown.strip_suffix(" ms").unwrap_or_else(|| panic!("{name}: {shown}")).parse().unwrap();
        assert!(milliseconds > 0.0, "{name}: {shown}");
    }
    assert_eq!(browser.run("complaints"), json!([]));

    for (name, width, scheme) in [
        ("wide-light", 1200, "light"),
        ("wide-dark", 1200, "dark"),
        ("phone-light", 360, "light"),
        ("phone-dark", 360, "dark"),
    ] {
        browser.look_as(width, 800, scheme);
        let over = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(over, 0, "{name}: the page is wider than the screen");
        let hidden = browser.run(
            "[...document.querySelectorAll('tbody td')].filter(td => td.textContent !== '')
                 .filter(td => { const at = td.getBoundingClientRect();
                                 return at.width === 0 || at.left < 0 || at.right > innerWidth })
                 .map(td => td.closest('section').id + ': ' + td.textContent)",
        );
        assert_eq!(hidden, json!([]), "{name}: cells that one cannot read");
        let back = browser.run("getComputedStyle(document.body).backgroundColor");
        assert_eq!(back == "rgb(20, 23, 27)", scheme == "dark", "{name}: {back}");
        if let Ok(folder) = std::env::var("AIRGATE_TEST_PICTURES") {
            std::fs::write(format!("{folder}/status-{name}.png"), browser.picture()).unwrap();
        }
    }
    assert_eq!(browser.run("complaints"), json!([]));
}

/// A port for operators is scanned, too: that fills no log.
#[test]
fn what_is_no_request_is_no_error() {
    let upstream = Upstream::start();
    let gate = gate(&upstream.url(), "");
    for _ in 0..3 {
        let mut connection = crate::support::Connection::open(gate.admin_address()).unwrap();
        connection.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").unwrap();
        connection.rest();
    }
    gate.signal("HUP");
    gate.logs("configuration reloaded");
    assert!(!gate.log().contains("\"ERROR\""), "{}", gate.log());
}

/// A few numbers by which a test gets about anywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn word(&mut self) -> String {
        (0..1 + self.below(12)).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap())).collect()
    }
}

/// Any request at all, on one of a few routes or none.
fn any_request(random: &mut Random) -> Ask {
    const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"];
    let method = match random.below(20) {
        0 => random.word().to_uppercase(),
        n => METHODS[usize::try_from(n % 8).unwrap()].to_owned(),
    };
    let (one, two) = (random.word(), random.word());
    let target = match random.below(8) {
        0 => format!("/api/v2/dags/{one}"),
        1 => format!("/api/v2/dags/{one}/dagRuns/{two}/taskInstances?limit={}", random.below(1000)),
        2 => format!("/{one}/{two}"),
        3 => format!("/api/v2/{one}"),
        4 => "/auth/token".to_owned(),
        5 => format!("/api/v2/pools?{one}={two}"),
        6 => format!("/api/v2%2f{one}"),
        _ => format!("/api/v2/connections/{one}"),
    };
    let request = ask(&method, target).with(&format!("X-{one}"), &two).with("X-Request-ID", &two);
    match random.below(5) {
        0 => request.bearer(&token::good(&one)),
        1 => request.bearer(&one),
        2 => request.with("Authorization", format!("{one} {two}")),
        3 => request.with("Origin", format!("https://{one}.example")),
        _ => request,
    }
}

/// All series there are, by their names and labels.
fn series(gate: &Airgate) -> BTreeSet<String> {
    let text = gate.admin("/metrics").text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series.to_owned())).collect()
}

fn number_of_series_after(requests: usize) {
    let upstream = Upstream::start();
    let gate = gate(&upstream.url(), "");
    let mut random = Random(0x5eed_cafe_f00d);
    // What one route, method and kind of credential can lead to comes up soon.
    let send = |random: &mut Random, count: usize| {
        let mut connection = None;
        for _ in 0..count {
            let request = any_request(random);
            let bytes = request.bytes(gate.address());
            let open = || crate::support::Connection::open(gate.address()).unwrap();
            let mut at = connection.take().unwrap_or_else(open);
            if at.write(&bytes).is_err() {
                continue;
            }
            let method = String::from_utf8_lossy(&bytes).split(' ').next().unwrap().to_owned();
            if at.read(&method).is_ok_and(|got| got.header("connection") != Some("close")) {
                connection = Some(at);
            }
        }
    };
    send(&mut random, requests / 2);
    let before = series(&gate);
    send(&mut random, requests / 2);
    let after = series(&gate);
    // Rare combinations of a known route, method and status may still come up; names that clients made up may not.
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.len() * 20 <= before.len(), "{} and {} more: {new:?}", before.len(), new.len());
    assert!(after.len() < 1500, "{}", after.len());
}

#[test]
fn clients_make_no_series() {
    number_of_series_after(2_000);
}

#[test]
#[ignore = "takes minutes: make test-all"]
fn a_hundred_thousand_requests_make_no_series() {
    number_of_series_after(100_000);
}
