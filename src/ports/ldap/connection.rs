//! A connection to a server: one request at a time.

use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ber::{Header, Malformed, SEQUENCE};
use super::message::{self, Answer, Message};
use super::{Entry, Found, LdapConnection, LdapError, Outcome, Search, Security, Url};
use crate::secret::Secret;

/// A stream, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is ready for a bind.
pub(super) struct Connected {
    stream: Box<dyn Stream>,
    /// Of the last request.
    id: u32,
    patience: Duration,
}

impl Connected {
    /// The longest message that is read. Entries come with one attribute, so theirs are short.
    const MAX_MESSAGE: usize = 256 * 1024;
    /// Messages that are read for one request at most.
    const MAX_MESSAGES: usize = 64;
    /// Longest time to say good-bye.
    const PARTING: Duration = Duration::from_secs(1);

    /// Connects, TLS included. Each operation may later take as long as `patience`.
    pub async fn open(url: &Url, patience: Duration) -> Result<Self, LdapError> {
        let stream = TcpStream::connect((url.host.as_str(), url.port))
            .await
            .map_err(|error| LdapError::Connect(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| LdapError::Connect(error.to_string()))?;
        let mut connected = Self { stream: Box::new(stream), id: 0, patience };
        let tls = match &url.security {
            Security::Plain => return Ok(connected),
            Security::StartTls(tls) => {
                connected.start_tls().await?;
                tls
            }
            Security::Tls(tls) => tls,
        };
        connected.stream = Box::new(tls.connect(&url.host, connected.stream).await?);
        Ok(connected)
    }

    /// Asks for TLS. No byte beyond the answer is read before TLS begins, so none that came in the
    /// clear can count as protected.
    async fn start_tls(&mut self) -> Result<(), LdapError> {
        let id = self.next();
        self.send(&message::start_tls(id)).await?;
        match self.receive(id).await? {
            Answer::Extended(Outcome { code: 0, .. }) => Ok(()),
            Answer::Extended(Outcome { code, text, .. }) => {
                Err(LdapError::Tls(format!("StartTLS was answered with {code} {text}")))
            }
            Answer::Bind(_)
            | Answer::Found(_)
            | Answer::Elsewhere
            | Answer::SearchDone(_)
            | Answer::Intermediate => Err(LdapError::Protocol("no answer to StartTLS")),
        }
    }

    fn next(&mut self) -> u32 {
        self.id += 1;
        self.id
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), LdapError> {
        self.stream.write_all(bytes).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)
    }

    /// The next message, which must answer the request with this id.
    async fn receive(&mut self, id: u32) -> Result<Answer, LdapError> {
        let message = Message::parse(&self.read().await?).map_err(|Malformed| MALFORMED)?;
        match message.id {
            // Not asked for: the server tells that it hangs up (RFC 4511, section 4.4.1).
            0 => Err(LdapError::Broken(match message.answer {
                Answer::Extended(Outcome { code, text, .. }) => format!("the server ends it: {code} {text}"),
                Answer::Bind(_)
                | Answer::Found(_)
                | Answer::Elsewhere
                | Answer::SearchDone(_)
                | Answer::Intermediate => "a message that answers nothing".to_owned(),
            })),
            answered if answered == id => Ok(message.answer),
            _ => Err(LdapError::Protocol("the answer to another request")),
        }
    }

    /// The bytes of one message.
    async fn read(&mut self) -> Result<Vec<u8>, LdapError> {
        let mut message = vec![0; 2];
        self.stream.read_exact(&mut message).await.map_err(broken)?;
        let header = loop {
            match Header::parse(&message).map_err(|Malformed| MALFORMED)? {
                Some(header) => break header,
                None => message.push(self.stream.read_u8().await.map_err(broken)?),
            }
        };
        if header.tag != SEQUENCE {
            return Err(MALFORMED);
        }
        if header.length > Self::MAX_MESSAGE {
            return Err(LdapError::Protocol("the message is too long"));
        }
        message.resize(header.size + header.length, 0);
        let content = message.get_mut(header.size..).unwrap_or_default();
        self.stream.read_exact(content).await.map_err(broken)?;
        Ok(message)
    }

    async fn bound(&mut self, name: &str, password: &Secret) -> Result<Outcome, LdapError> {
        let id = self.next();
        self.send(&message::bind(id, name, password)).await?;
        match self.receive(id).await? {
            Answer::Bind(outcome) => Ok(outcome),
            Answer::Extended(_)
            | Answer::Found(_)
            | Answer::Elsewhere
            | Answer::SearchDone(_)
            | Answer::Intermediate => Err(LdapError::Protocol("no answer to a bind")),
        }
    }

    async fn found(&mut self, search: &Search<'_>) -> Result<Found, LdapError> {
        let id = self.next();
        self.send(&message::search(id, search)).await?;
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..Self::MAX_MESSAGES {
            match self.receive(id).await? {
                // A server that does not keep to the limit: what matters is that there are several.
                Answer::Found(entry) if entries.len() < Search::MOST as usize => entries.push(entry),
                Answer::Found(_) | Answer::Elsewhere | Answer::Intermediate => {}
                Answer::SearchDone(outcome) => return Ok(Found { entries, outcome }),
                Answer::Bind(_) | Answer::Extended(_) => {
                    return Err(LdapError::Protocol("no answer to a search"));
                }
            }
        }
        Err(LdapError::Protocol("a search without end"))
    }
}

#[async_trait]
impl LdapConnection for Connected {
    async fn bind(&mut self, name: &str, password: &Secret) -> Result<Outcome, LdapError> {
        timeout(self.patience, self.bound(name, password)).await.map_err(|_| LdapError::Timeout)?
    }

    async fn search(&mut self, search: &Search<'_>) -> Result<Found, LdapError> {
        timeout(self.patience, self.found(search)).await.map_err(|_| LdapError::Timeout)?
    }

    async fn unbind(&mut self) {
        let id = self.next();
        let parting = async {
            self.send(&message::unbind(id)).await?;
            self.stream.shutdown().await.map_err(broken)
        };
        // Whoever does not hear it sees the connection end.
        drop(timeout(Self::PARTING, parting).await);
    }
}

const MALFORMED: LdapError = LdapError::Protocol("not an LDAP message");

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: std::io::Error) -> LdapError {
    LdapError::Broken(error.to_string())
}
