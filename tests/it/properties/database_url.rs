//! `[database] sql_alchemy_conn`. Input: the text.

use airgate::ports::database::{DatabaseUrl, Place, ReadUrl, Server};

/// A password prints nowhere, neither in what was read nor in why it was not; what was read is read the
/// same again, whatever the driver; and nothing but an absolute path is a file.
pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let secret = in_the_password(text);
    let read = match DatabaseUrl::parse(text) {
        Ok(read) => read,
        Err(refused) => {
            let said = refused.to_string();
            assert!(said.len() < 400 && !(secret && said.contains("s3cret")), "{said}");
            return;
        }
    };
    let ReadUrl { url, ignored } = &read;
    assert!(!(secret && format!("{ignored:?}").contains("s3cret")));
    match url {
        DatabaseUrl::Postgres(server) | DatabaseUrl::MySql(server) => server_holds(url, server),
        DatabaseUrl::Sqlite(path) => assert!(path.is_absolute()),
    }
    let (scheme, rest) = text.trim().split_once("://").unwrap();
    let dialect = scheme.split('+').next().unwrap();
    let again = DatabaseUrl::parse(&format!("{dialect}://{rest}"));
    assert_eq!(again.as_ref(), Ok(&read), "the driver says nothing about the database");
}

/// Whether `s3cret` stands in the password and nowhere else.
fn in_the_password(text: &str) -> bool {
    let login = text.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(login, _)| login);
    let password = login.and_then(|login| login.split_once(':')).map(|(_, password)| password);
    text.matches("s3cret").count() == 1 && password.is_some_and(|password| password.contains("s3cret"))
}

fn server_holds(url: &DatabaseUrl, server: &Server) {
    if let Place::Tcp(host, port) = &server.place {
        assert!(!host.is_empty() && !host.contains(['@', ',', '/', ' ']) && *port > 0);
    }
    let Some(password) = &server.password else { return };
    assert!(!password.is_empty());
    // Of a long one no part of the print is equal by chance, unless it stands elsewhere too.
    let rest = Server { password: None, ..server.clone() };
    let bare = format!("{rest:?}");
    if password.expose().len() >= 8 && !bare.contains(password.expose()) {
        assert!(!format!("{url:?} {url}").contains(password.expose()));
    }
}
