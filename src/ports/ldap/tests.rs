//! Against servers that do what no directory should.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::tls::ClientCertificate;
use super::*;

const SUCCESS: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
const FOUND: &[u8] = b"\x30\x15\x02\x01\x01\x64\x10\x04\x01a\x30\x0b\x30\x09\x04\x03uid\x31\x02\x04\x00";
const DONE: &[u8] = b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00";
const TLS_REFUSED: &[u8] = b"\x30\x0e\x02\x01\x01\x78\x09\x0a\x01\x35\x04\x00\x04\x02no";

/// What a server does once it has been asked something.
enum Does {
    Say(Vec<u8>),
    /// Again and again.
    Repeat(&'static [u8]),
    HangUp,
    Wait,
}

/// A server for one connection.
async fn server(does: Does) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        let _ = stream.read(&mut asked).await.unwrap();
        match does {
            Does::Say(bytes) => stream.write_all(&bytes).await.unwrap(),
            Does::Repeat(bytes) => while stream.write_all(bytes).await.is_ok() {},
            Does::HangUp => return,
            Does::Wait => {}
        }
        // Open until the other end is not.
        while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {}
    });
    Url { security: Security::Plain, host: "127.0.0.1".into(), port }
}

async fn connect(url: Url) -> Result<Box<dyn LdapConnection>, LdapError> {
    let timeouts = Timeouts { connect: Duration::from_secs(5), read: Duration::from_millis(200) };
    Server::new(url, timeouts).connect().await
}

/// Any certificate will do: nobody is trusted here.
fn authority() -> &'static [u8] {
    include_bytes!("../../../tests/jwt/certificate.pem")
}

fn tls() -> Arc<Tls> {
    Arc::new(Tls::new(Some(authority()), None).unwrap())
}

async fn bind(does: Does) -> Result<Outcome, LdapError> {
    let mut connection = connect(server(does).await).await.unwrap();
    connection.bind("cn=a", &Secret::new("b")).await
}

async fn search(does: Does) -> Result<Found, LdapError> {
    let mut connection = connect(server(does).await).await.unwrap();
    let filter = Filter::any();
    let search = Search {
        base: "",
        scope: Scope::Base,
        filter: &filter,
        attribute: "uid",
        time: Duration::from_secs(1),
    };
    connection.search(&search).await
}

#[tokio::test]
async fn answers_to_a_bind() {
    let protocol = LdapError::Protocol;
    let say = |bytes: &[u8]| Does::Say(bytes.to_vec());
    let with = |at: usize, byte: u8| {
        let mut bytes = SUCCESS.to_vec();
        bytes[at] = byte;
        Does::Say(bytes)
    };
    let disconnection = b"\x30\x0e\x02\x01\x00\x78\x09\x0a\x01\x34\x04\x00\x04\x02by";
    for (name, does, expected) in [
        ("success", say(SUCCESS), Ok(0)),
        (
            "in pieces of long lengths",
            say(b"\x30\x84\0\0\0\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),
            Ok(0),
        ),
        ("wrong password", with(9, 49), Ok(49)),
        ("to another request", with(4, 7), Err(protocol("the answer to another request"))),
        ("of a search", say(DONE), Err(protocol("no answer to a bind"))),
        ("a request", with(5, 0x60), Err(protocol("not an LDAP message"))),
        ("no LDAP", say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Err(protocol("not an LDAP message"))),
        ("without an end", say(b"\x30\x80\x02\x01\x01"), Err(protocol("not an LDAP message"))),
        ("of four gigabytes", say(b"\x30\x84\xff\xff\xff\xff"), Err(protocol("the message is too long"))),
        ("good-bye", say(disconnection), Err(LdapError::Broken("the server ends it: 52 by".into()))),
        ("silence", Does::Wait, Err(LdapError::Timeout)),
        ("half of it", say(&SUCCESS[..5]), Err(LdapError::Timeout)),
        ("hung up", Does::HangUp, Err(LdapError::Broken("early eof".into()))),
    ] {
        let answer = bind(does).await.map(|outcome| outcome.code);
        match (&answer, &expected) {
            // The system says how it hung up.
            (Err(LdapError::Broken(_)), Err(LdapError::Broken(why))) if why == "early eof" => {}
            _ => assert_eq!(answer, expected, "{name}"),
        }
    }
}

#[tokio::test]
async fn answers_to_a_search() {
    let found = search(Does::Say([FOUND, DONE].concat())).await.unwrap();
    assert_eq!((found.entries.len(), found.outcome.code), (1, 0));
    assert_eq!(&*found.entries[0].name, "a");
    let many = search(Does::Say([&FOUND.repeat(9), DONE].concat())).await.unwrap();
    assert_eq!(many.entries.len(), 2, "more than were asked for");
    assert_eq!(search(Does::Repeat(FOUND)).await, Err(LdapError::Protocol("a search without end")));
    assert_eq!(search(Does::Say(SUCCESS.to_vec())).await, Err(LdapError::Protocol("no answer to a search")));
    assert_eq!(search(Does::Say(FOUND.to_vec())).await, Err(LdapError::Timeout));
}

/// Without TLS nothing is said that must not be read on the way.
#[tokio::test]
async fn tls_or_nothing() {
    for (name, security, does, expected) in [
        (
            "StartTLS is refused",
            Security::StartTls(tls()),
            Does::Say(TLS_REFUSED.to_vec()),
            "StartTLS was answered with 53 no",
        ),
        (
            "StartTLS is answered with a bind",
            Security::StartTls(tls()),
            Does::Say(SUCCESS.to_vec()),
            "no answer to StartTLS",
        ),
        ("no TLS", Security::Tls(tls()), Does::Say(SUCCESS.to_vec()), "no TLS"),
        ("hung up", Security::Tls(tls()), Does::HangUp, "no TLS"),
    ] {
        let url = Url { security, ..server(does).await };
        let error = connect(url).await.err().unwrap().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = Url { security: Security::Plain, host: "127.0.0.1".into(), port };
    assert!(matches!(connect(url).await.err(), Some(LdapError::Connect(_))));
}

#[test]
fn urls_are_written_as_they_are_read() {
    for (security, host, port, expected) in [
        (Security::Plain, "ldap.example.com", 389, "ldap://ldap.example.com:389"),
        (Security::StartTls(tls()), "ldap.example.com", 389, "ldap://ldap.example.com:389"),
        (Security::Tls(tls()), "::1", 636, "ldaps://[::1]:636"),
    ] {
        assert_eq!(Url { security, host: host.into(), port }.to_string(), expected);
    }
}

#[test]
fn files_that_hold_no_certificate_are_refused() {
    let key = include_bytes!("../../../tests/jwt/rsa.pem");
    let other_key = include_bytes!("../../../tests/jwt/ed25519.pem");
    let certificate = authority();
    let client = |chain, key| Some(ClientCertificate { chain, key });
    for (name, ca, client, expected) in [
        ("nothing", &b""[..], None, "holds no certificate"),
        ("a key", key, None, "holds no certificate"),
        ("half a certificate", &certificate[..certificate.len() / 2], None, "cannot be read as PEM"),
        ("no client certificate", certificate, client(&b""[..], &key[..]), "holds no certificate"),
        ("no key", certificate, client(certificate, &b""[..]), "cannot be read as PEM"),
        ("another key", certificate, client(certificate, &other_key[..]), "cannot be used"),
    ] {
        let error = Tls::new(Some(ca), client).err().unwrap().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}
