use super::*;

/// What a URL says, in one line: where, who, with what, how protected.
fn told(text: &str) -> Result<String, InvalidUrl> {
    let ReadUrl { url, ignored } = DatabaseUrl::parse(text)?;
    let mut told = match &url {
        DatabaseUrl::Postgres(server) | DatabaseUrl::MySql(server) => {
            let place = match &server.place {
                Place::Tcp(host, port) => format!("{host}:{port}"),
                Place::Socket(path, port) => format!("{} {port}", path.display()),
            };
            let password = server.password.as_ref().map(Secret::expose);
            let Tls { mode, ca, client } = &server.tls;
            let mut told =
                format!("{} {place} {:?} {password:?} {:?}", url.dialect(), server.user, server.database);
            if *mode != TlsMode::Preferred {
                told += &format!(" {mode:?}");
            }
            told += &ca.as_ref().map_or(String::new(), |ca| format!(" ca={}", ca.display()));
            told +=
                &client.as_ref().map_or(String::new(), |(a, b)| format!(" {}+{}", a.display(), b.display()));
            told += &server.connect_timeout.map_or(String::new(), |time| format!(" {time:?}"));
            server.parameters.iter().fold(told, |told, (key, value)| format!("{told} {key}:{value}"))
        }
        DatabaseUrl::Sqlite(path) => format!("sqlite {}", path.display()),
    };
    if !ignored.is_empty() {
        told += &format!(" ignored {}", ignored.join(","));
    }
    Ok(told)
}

#[test]
fn urls_are_read_as_sqlalchemy_reads_them() {
    let some = |text: &str| format!("Some({text:?})");
    let whole = format!("postgresql h:5432 {} {} {}", some("u"), some("p"), some("d"));
    let my = format!("mysql h:3306 {} {} {}", some("u"), some("p"), some("d"));
    for (name, url, expected) in [
        ("PostgreSQL", "postgresql://u:p@h/d", whole.as_str()),
        ("psycopg2", "postgresql+psycopg2://u:p@h/d", &whole),
        ("psycopg", "postgresql+psycopg://u:p@h:5432/d", &whole),
        ("asyncpg", "postgresql+asyncpg://u:p@h/d", &whole),
        ("of old", "postgres://u:p@h/d", &whole),
        ("of old, with a driver", "postgres+psycopg2://u:p@h/d", &whole),
        ("white space around", " postgresql://u:p@h/d\n", &whole),
        ("MySQL", "mysql://u:p@h/d", &my),
        ("mysqlclient", "mysql+mysqldb://u:p@h/d?charset=utf8mb4", &my),
        ("PyMySQL", "mysql+pymysql://u:p@h/d", &my),
        ("Connector", "mysql+mysqlconnector://u:p@h/d", &my),
        ("aiomysql", "mysql+aiomysql://u:p@h/d", &my),
        ("MariaDB", "mariadb+mariadbconnector://u:p@h/d", &my),
        (
            "percent-encoded",
            "postgresql://u%40x:p%40s%3As%2F%C3%A9%25@h/d%2F1",
            r#"postgresql h:5432 Some("u@x") Some("p@s:s/é%") Some("d/1")"#,
        ),
        ("no escape", "postgresql://u:100%@h/d", r#"postgresql h:5432 Some("u") Some("100%") Some("d")"#),
        (
            "+ is a plus before ?",
            "postgresql://u:a+b@h/d",
            r#"postgresql h:5432 Some("u") Some("a+b") Some("d")"#,
        ),
        (
            "? and / in the password",
            "postgresql://u:a?b/c@h/d",
            r#"postgresql h:5432 Some("u") Some("a?b/c") Some("d")"#,
        ),
        ("no password", "postgresql://u@h/d", r#"postgresql h:5432 Some("u") None Some("d")"#),
        ("an empty one", "postgresql://u:@h/d", r#"postgresql h:5432 Some("u") None Some("d")"#),
        ("nobody", "postgresql://h/d", r#"postgresql h:5432 None None Some("d")"#),
        ("no database", "postgresql://u:p@h", r#"postgresql h:5432 Some("u") Some("p") None"#),
        ("IPv6", "postgresql://u:p@[::1]:5433/d", r#"postgresql ::1:5433 Some("u") Some("p") Some("d")"#),
        ("no host", "postgresql:///d", r#"postgresql /var/run/postgresql 5432 None None Some("d")"#),
        (
            "a socket",
            "postgresql://u:p@/d?host=/run/pg&port=6",
            r#"postgresql /run/pg 6 Some("u") Some("p") Some("d")"#,
        ),
        (
            "an encoded socket",
            "postgresql://u:p@/d?host=%2Frun%2Fpg",
            r#"postgresql /run/pg 5432 Some("u") Some("p") Some("d")"#,
        ),
        (
            "the host after ?",
            "postgresql://u:p@/d?host=h:6",
            r#"postgresql h:6 Some("u") Some("p") Some("d")"#,
        ),
        ("the user after ?", "postgresql://h/d?user=u&password=p", &whole),
        (
            "a MySQL socket",
            "mysql://u:p@h/d?unix_socket=/m.sock",
            r#"mysql /m.sock 0 Some("u") Some("p") Some("d")"#,
        ),
        ("no TLS", "postgresql://u:p@h/d?sslmode=disable", &format!("{whole} Off")),
        ("TLS", "postgresql://u:p@h/d?sslmode=require", &format!("{whole} Required")),
        (
            "TLS, verified by libpq",
            "postgresql://u:p@h/d?sslmode=require&sslrootcert=/c",
            &format!("{whole} Verified ca=/c"),
        ),
        (
            "by the authority",
            "postgresql://u:p@h/d?sslmode=verify-ca&sslrootcert=/c",
            &format!("{whole} Verified ca=/c"),
        ),
        (
            "by the system's",
            "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=system",
            &format!("{whole} Verified"),
        ),
        ("the system's alone", "postgresql://u:p@h/d?sslrootcert=system", &format!("{whole} Verified")),
        ("a client's certificate", "postgresql://u:p@h/d?sslcert=/c&sslkey=/k", &format!("{whole} /c+/k")),
        ("asyncpg's TLS", "postgresql+asyncpg://u:p@h/d?ssl=verify-full", &format!("{whole} Verified")),
        ("MySQL's", "mysql://u:p@h/d?ssl_mode=VERIFY_IDENTITY&ssl_ca=/c", &format!("{my} Verified ca=/c")),
        ("PyMySQL's", "mysql+pymysql://u:p@h/d?ssl_ca=/c", &format!("{my} Verified ca=/c")),
        ("Connector's", "mysql+mysqlconnector://u:p@h/d?ssl_disabled=true", &format!("{my} Off")),
        (
            "parameters",
            "postgresql://u:p@h/d?options=-csearch_path%3Da%20-c+x%3Dy",
            &format!("{whole} search_path:a x:y"),
        ),
        ("time", "postgresql://u:p@h/d?connect_timeout=2", &format!("{whole} 2s")),
        ("not demanded", "postgresql://u:p@h/d?gssencmode=prefer&channel_binding=disable", &whole),
        (
            "no effect",
            "postgresql://u:p@h/d?keepalives=1&b%20c=x",
            &format!("{whole} ignored a key,keepalives"),
        ),
        ("blank", "postgresql://u:p@h/d?sslmode=&&x", &whole),
        ("SQLite", "sqlite:////a/b%20c.db", "sqlite /a/b c.db"),
        ("aiosqlite", "sqlite+aiosqlite:////a.db?timeout=5", "sqlite /a.db ignored timeout"),
    ] {
        assert_eq!(told(url).as_deref(), Ok(expected), "{name}: {url}");
    }
}

#[test]
fn what_is_refused_is_named() {
    let long = format!("postgresql://u:p@h/{}", "d".repeat(DatabaseUrl::MAX));
    for (name, url, expected) in [
        ("nothing", "", "not a URL"),
        ("no scheme", "://u:p4ss@h/d", "not a URL"),
        ("no word", "postgre sql://u:p4ss@h/d", "not a URL"),
        ("another database", "mssql+pyodbc://u:p4ss@h/d", r#"the database "mssql" is not supported"#),
        ("upper case", "PostgreSQL://u:p4ss@h/d", r#"the database "PostgreSQL" is not supported"#),
        ("another driver", "postgresql+odd://u:p4ss@h/d", r#"the driver "odd" of postgresql is not known"#),
        ("two drivers", "mysql+pymysql+x://u:p4ss@h/d", r#"the driver "pymysql+x" of mysql"#),
        ("@ in the password", "postgresql://u:a@p4ss@h/d", "%40"),
        ("no @", "postgresql://u:p4ss", "the port is not a number"),
        ("port 0", "postgresql://u:p4ss@h:0/d", "the port is not a number"),
        ("a large port", "postgresql://u:p4ss@h:65536/d", "the port is not a number"),
        ("a sign", "postgresql://u:p4ss@h:+5/d", "the port is not a number"),
        ("two hosts", "postgresql://u:p4ss@h1,h2/d", "more than one host"),
        (
            "two hosts after ?",
            "postgresql://u:p4ss@/d?host=h1:1&host=h2:2",
            "host in the URL is not supported: it is there twice",
        ),
        ("a host with white space", "postgresql://u:p4ss@h h/d", "the host is not well written"),
        ("no ]", "postgresql://u:p4ss@[::1/d", "the host has no ]"),
        ("no IPv6", "postgresql://u:p4ss@[p4ss]/d", "no IPv6 address"),
        ("after ]", "postgresql://u:p4ss@[::1]x/d", "only a port may follow"),
        ("not UTF-8", "postgresql://u:p4ss%FF@h/d", "not UTF-8"),
        ("NUL", "postgresql://u:p4ss%00@h/d", "control character"),
        ("a new line", "postgresql://u:p4ss@h/d\nx", "control character"),
        ("too long", &long, "too long"),
        (
            "a mode that is none",
            "postgresql://u:p4ss@h/d?sslmode=on",
            "sslmode in the URL must be disable, allow",
        ),
        ("half a certificate", "postgresql://u:p4ss@h/d?sslcert=/c", "together"),
        ("a list of revoked", "postgresql://u:p4ss@h/d?sslcrl=/c", "sslcrl in the URL is not supported"),
        ("unknown, about TLS", "postgresql://u:p4ss@h/d?ssl_min_protocol_version=3", "is not known here"),
        ("a demand", "postgresql://u:p4ss@h/d?channel_binding=require", "channel_binding in the URL"),
        ("a service", "postgresql://u:p4ss@h/d?service=x", "service in the URL"),
        ("options", "postgresql://u:p4ss@h/d?options=p4ss", "options in the URL must be"),
        ("a file of options", "mysql://u:p4ss@h/d?read_default_file=/c", "read_default_file in the URL"),
        ("a folder of authorities", "mysql://u:p4ss@h/d?ssl_capath=/c", "ssl_capath in the URL"),
        ("three slashes", "sqlite:///a.db", "must be absolute"),
        ("two slashes", "sqlite://a.db", "four slashes"),
        ("in memory", "sqlite://", "in memory"),
        ("in memory, by name", "sqlite:///:memory:", "in memory"),
        ("a URI", "sqlite:////a.db?uri=true", "uri in the URL"),
    ] {
        let refused = DatabaseUrl::parse(url).map(|read| format!("{:?}", read.url)).unwrap_err().to_string();
        assert!(refused.contains(expected), "{name}: {refused}");
        assert!(!refused.contains("p4ss"), "{name}: {refused}");
    }
}

#[test]
fn the_password_does_not_print() {
    for url in ["postgresql://u:p4ss@h/d?password=p4ss", "mysql://u:p4ss@[::1]/d"] {
        let read = DatabaseUrl::parse(url).unwrap();
        let printed = format!("{read:?} {}", read.url);
        assert!(!printed.contains("p4ss"), "{printed}");
    }
    let url = |text: &str| DatabaseUrl::parse(text).unwrap().url;
    assert_eq!(url("mysql+pymysql://u:p@[::1]/d").to_string(), "mysql://[::1]:3306/d");
    assert_eq!(url("sqlite:////a.db").to_string(), "sqlite:////a.db");
    assert_ne!(url("mysql://u:p@h/d"), url("mysql://u:q@h/d"), "another password is another database");
}

#[test]
fn schemas() {
    let with = |text: &str, schema| DatabaseUrl::parse(text).unwrap().url.with_schema(schema);
    let parameters = |url| match url {
        Ok(DatabaseUrl::Postgres(server)) => server.parameters,
        other => panic!("{other:?}"),
    };
    assert_eq!(parameters(with("postgresql://h/d", Some("air"))), [("search_path".into(), "air".into())]);
    assert_eq!(parameters(with("postgresql://h/d", None)), []);
    assert!(
        matches!(with("mysql://h/d", Some("air")), Ok(DatabaseUrl::MySql(s)) if s.database.as_deref() == Some("air"))
    );
    assert!(with("sqlite:////a", Some("air")).is_err());
    assert!(with("postgresql://h/d", Some("a b")).is_err());
}
