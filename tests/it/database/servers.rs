//! Servers that go and come, and how they are reached.

use super::*;
use crate::support::database::{Server, shared};

/// What is known goes on to work; what must be asked is 503, and says when to come back.
#[test]
fn a_server_is_stopped_and_comes_back() {
    let upstream = airflow();
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let server = Server::own(kind, "outage");
        let database = Database::on(&server);
        let config = settings(
            &database.url,
            "[basic]\nsources = \"database, file\"\nusers_file = \"users.toml\"\ncache_ttl = \"1h\"\n",
        );
        let gate = Airgate::with(format!("[upstream]\nurl = \"{}\"\n{config}", upstream.url()))
            .file("users.toml", format!("[users]\n\"1\" = \"{HASH}\"\nviewer = \"{HASH}\"\n"))
            .start();
        let status = |user: &str, password: &str| gate.send(pools().basic(user, password)).status;
        let (revoked, exp) = claims("1", "0000000000000000000000000000000a", 600);
        let (good, _) = claims("1", "0000000000000000000000000000000b", 600);
        database.revoke("0000000000000000000000000000000a", exp);
        gate.until("the list is read", |gate| gate.metric("airgate_revoked_tokens") == 1.0);
        assert_eq!(status("admin", PASSWORD), 200, "{kind:?}");

        server.stop();
        gate.logs("no answer from the metadata database");
        let answer = gate.send(pools().basic("norole", PASSWORD));
        assert_eq!(answer.status, 503, "{kind:?}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("5"), "{kind:?}");
        let answer = gate.send(pools().basic("viewer", "robot-pw"));
        assert_eq!(answer.status, 503, "{kind:?}: the file knows the password, and nobody the id");
        assert_eq!(answer.header("retry-after"), Some("5"), "{kind:?}");
        assert_eq!(gate.send(post("/auth/token").basic("viewer", "robot-pw")).status, 503, "{kind:?}");
        assert_eq!(status("admin", PASSWORD), 200, "{kind:?}: from the cache");
        assert_eq!(gate.send(pools().bearer(&revoked)).status, 403, "{kind:?}: the last known list");
        assert_eq!(gate.send(pools().bearer(&good)).status, 200, "{kind:?}");
        let ready = gate.admin("/readyz");
        assert_eq!(ready.status, 200, "{kind:?}: one outage must not take all replicas away");
        assert!(ready.text().contains(r#""name":"database","state":"down""#), "{kind:?}: {}", ready.text());
        assert_eq!(gate.metric("airgate_backend_health{backend=\"database\",state=\"down\"}"), 1.0);
        assert_eq!(gate.log().matches("no answer from the metadata database").count(), 1, "{kind:?}");

        server.start_again();
        gate.logs("the metadata database answers again");
        assert_eq!(status("norole", PASSWORD), 200, "{kind:?}");
        assert_eq!(status("viewer", "robot-pw"), 200, "{kind:?}");
        database.run("UPDATE ab_user SET active = FALSE WHERE id = 1");
        gate.until("what changed meanwhile is seen", |_| status("admin", PASSWORD) == 401);
    }
}

#[test]
fn it_starts_while_there_is_no_database() {
    let upstream = airflow();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (name, url) in [
        ("PostgreSQL", format!("postgresql://a:s3cret@127.0.0.1:{port}/airflow")),
        ("MySQL", format!("mysql+pymysql://a:s3cret@127.0.0.1:{port}/airflow")),
        ("SQLite", "sqlite:////nowhere/airflow.db".to_owned()),
        ("a socket", "postgresql+asyncpg://a:s3cret@/airflow?host=/nowhere".to_owned()),
    ] {
        let gate = gate(&upstream, &url, DATABASE);
        gate.logs("no answer from the metadata database");
        assert_eq!(gate.send(pools().basic("admin", PASSWORD)).status, 503, "{name}");
        let (good, _) = claims("1", "0000000000000000000000000000000b", 600);
        assert_eq!(gate.send(pools().bearer(&good)).status, 200, "{name}");
        assert!(gate.is_ready(), "{name}");
        assert!(!gate.everything().contains("s3cret"), "{name}: {}", gate.everything());
    }
}

#[test]
fn connections_are_protected_as_the_url_says() {
    let upstream = airflow();
    let (postgres, mariadb) = (shared(Kind::Postgres), shared(Kind::MariaDb));
    let named = |url: &str| url.replace("@127.0.0.1:", "@localhost:");
    let plain = |url: &str| url.split('?').next().unwrap().to_owned();
    let pg = plain(&Database::fresh(Kind::Postgres).url);
    let my = plain(&Database::fresh(Kind::MariaDb).url);
    let asyncpg = pg.replace("+psycopg2", "+asyncpg");
    let pymysql = my.replace("+mysqldb", "+pymysql");
    let socket = |url: &str| {
        let (login, rest) = url.split_once('@').unwrap();
        format!("{login}@/{}", rest.split_once('/').unwrap().1)
    };
    let pg_port = pg.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    for (name, url, works) in [
        ("never", format!("{pg}?sslmode=disable"), true),
        ("always", format!("{pg}?sslmode=require"), true),
        (
            "verified",
            format!("{}?sslmode=verify-full&sslrootcert={}", named(&pg), postgres.path("ca.crt")),
            true,
        ),
        (
            "another authority",
            format!("{}?sslmode=verify-full&sslrootcert={}", named(&pg), postgres.path("other-ca.crt")),
            false,
        ),
        ("another name", format!("{pg}?sslmode=verify-full&sslrootcert={}", postgres.path("ca.crt")), false),
        ("no authority known", format!("{}?sslmode=verify-full", named(&pg)), false),
        ("asyncpg", format!("{asyncpg}?ssl=require"), true),
        ("a socket", format!("{}?host={}&port={pg_port}", socket(&pg), postgres.home().display()), true),
        ("a wrong password", pg.replace("p%40ss", "other"), false),
        ("no such database", format!("{pg}x"), false),
        ("MariaDB, never", format!("{my}?ssl_mode=DISABLED"), true),
        ("MariaDB, always", format!("{my}?ssl_mode=REQUIRED"), true),
        ("MariaDB, verified", format!("{}?ssl_ca={}", named(&pymysql), mariadb.path("ca.crt")), true),
        (
            "MariaDB, another authority",
            format!("{}?ssl_ca={}", named(&my), mariadb.path("other-ca.crt")),
            false,
        ),
        ("MariaDB, a socket", format!("{}?unix_socket={}", socket(&my), mariadb.path("mysql.sock")), true),
        ("MariaDB, a wrong password", my.replace("p%40ss", "other"), false),
    ] {
        let gate = gate(&upstream, &url, DATABASE);
        let status = gate.send(pools().basic("admin", PASSWORD)).status;
        assert_eq!(status, if works { 200 } else { 503 }, "{name}\n{}", gate.log());
        assert!(!gate.everything().contains("p@ss"), "{name}: {}", gate.everything());
    }
}

#[test]
fn a_schema_is_looked_into() {
    let upstream = airflow();
    let database = Database::fresh(Kind::Postgres);
    database.run(
        "CREATE SCHEMA air; ALTER TABLE ab_user SET SCHEMA air; ALTER TABLE revoked_token SET SCHEMA air",
    );
    let config =
        settings(&database.url, DATABASE).replace("[lockout]", "sql_alchemy_schema = \"air\"\n[lockout]");
    let gate = Airgate::before(&upstream.url(), &config);
    assert_eq!(gate.send(pools().basic("admin", PASSWORD)).status, 200, "{}", gate.log());
    let option = format!("{}&options=-csearch_path%3Dair", database.url);
    let gate = super::gate(&upstream, &option, DATABASE);
    assert_eq!(gate.send(pools().basic("admin", PASSWORD)).status, 200, "{}", gate.log());
}

#[test]
fn what_is_missing_or_wrong_is_said_at_the_start() {
    let fab = format!("[core]\nauth_manager = \"fab\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n");
    let with = |url: &str| format!("{fab}[database]\nsql_alchemy_conn = \"{url}\"\n{DATABASE}");
    for (name, config, said) in [
        ("no database", format!("{fab}{DATABASE}"), "database needs [database] sql_alchemy_conn"),
        (
            "no database for names of others",
            format!("{fab}[basic]\nsources = \"file\"\nusers_file = \"users.toml\"\n"),
            "file needs a token signed here, which with the fab auth manager needs the ids in Airflow's database",
        ),
        (
            "no key",
            format!(
                "[core]\nauth_manager = \"fab\"\n[database]\nsql_alchemy_conn = \"sqlite:////a.db\"\n{DATABASE}"
            ),
            "database needs a signing key",
        ),
        (
            "no users and roles with the simple auth manager",
            with("sqlite:////a.db").replace("\"fab\"", "\"simple\""),
            "database needs [core] simple_auth_manager_users",
        ),
        ("another database", with("oracle://a:s3cret@h/x"), "the database \"oracle\" is not supported"),
        ("an unknown driver", with("mysql+odd://a:s3cret@h/x"), "the driver \"odd\" of mysql is not known"),
        ("no URL", with("s3cret"), "not a URL such as"),
        ("a password with @", with("postgresql://a:b@s3cret@h/x"), "must be written %40"),
        ("two hosts", with("postgresql://a:s3cret@h1,h2/x"), "more than one host"),
        ("a demand", with("postgresql://a:s3cret@h/x?sslcrl=/c"), "sslcrl in the URL is not supported"),
        ("an unknown demand", with("mysql://a:s3cret@h/x?ssl_odd=1"), "ssl_odd in the URL is not supported"),
        ("a relative path", with("sqlite:///airflow.db"), "must be absolute"),
        ("in memory", with("sqlite://"), "in memory"),
    ] {
        let (code, out) =
            Airgate::with(config).file("users.toml", format!("[users]\nrobot = \"{HASH}\"\n")).check();
        assert_eq!(code, Some(1), "{name}: {out}");
        assert!(out.contains(said), "{name}: {out}");
        assert!(!out.contains("s3cret"), "{name}: {out}");
    }
}

/// Airflow 2 runs on databases that are not read here: as long as nothing needs it that is no fault.
#[test]
fn what_airflow_has_configured_is_taken_over() {
    let database = Database::fresh(Kind::Sqlite);
    let upstream = airflow();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"airflow.cfg\"\n{DATABASE}",
        upstream.url()
    );
    let fab = format!(
        "[core]\nauth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager\n[api_auth]\njwt_secret = {SECRET}\n"
    );
    for (name, cfg) in [
        ("in its place", format!("{fab}[database]\nsql_alchemy_conn = {}\n", database.url)),
        ("by a command", format!("{fab}[database]\nsql_alchemy_conn_cmd = echo {}\n", database.url)),
        (
            "in its old place",
            fab.replace("[api_auth]", &format!("sql_alchemy_conn = {}\n[api_auth]", database.url)),
        ),
    ] {
        let gate = Airgate::with(config.as_str()).file("airflow.cfg", cfg).start();
        assert_eq!(gate.send(pools().basic("admin", PASSWORD)).status, 200, "{name}: {}", gate.log());
    }
    let gate = Airgate::with(config.as_str())
        .file("airflow.cfg", &fab)
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", &database.url)
        .start();
    assert_eq!(gate.send(pools().basic("admin", PASSWORD)).status, 200, "in a variable");

    let other = format!("{fab}[database]\nsql_alchemy_conn = mssql+pyodbc://a:s3cret@h/x\n");
    let (code, out) = Airgate::with(config.replace(DATABASE, "")).file("airflow.cfg", &other).check();
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("mssql is not read here, and not used") && !out.contains("s3cret"), "{out}");
    let (code, out) = Airgate::with(config.as_str()).file("airflow.cfg", &other).check();
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("database needs [database] sql_alchemy_conn"), "{out}");
}
