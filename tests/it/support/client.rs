//! An HTTP/1.1 client that sends exactly what it is told to, right or wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longest that any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request in the making.
#[derive(Clone)]
pub struct Ask {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with no transfer coding left.
    pub body: Vec<u8>,
}

pub fn ask(method: &str, target: impl AsRef<[u8]>) -> Ask {
    Ask { method: method.into(), target: target.as_ref().to_vec(), headers: Vec::new(), body: None }
}
pub fn get(target: impl AsRef<[u8]>) -> Ask {
    ask("GET", target)
}
pub fn head(target: impl AsRef<[u8]>) -> Ask {
    ask("HEAD", target)
}
pub fn post(target: impl AsRef<[u8]>) -> Ask {
    ask("POST", target)
}
pub fn put(target: impl AsRef<[u8]>) -> Ask {
    ask("PUT", target)
}
pub fn delete(target: impl AsRef<[u8]>) -> Ask {
    ask("DELETE", target)
}
pub fn options(target: impl AsRef<[u8]>) -> Ask {
    ask("OPTIONS", target)
}

impl Ask {
    /// Adds a header line.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// `Authorization: Basic`.
    pub fn basic(self, user: &str, password: &str) -> Self {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.with("Authorization", format!("Basic {encoded}"))
    }

    /// `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.with("Authorization", format!("Bearer {token}"))
    }

    /// A body; its length is declared.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// A JSON body.
    pub fn json(self, body: Value) -> Self {
        self.with("Content-Type", "application/json").body(body.to_string())
    }

    /// The request as HTTP/2 has it. `None` where that cannot be said in HTTP/2.
    pub fn as_http2(&self, host: SocketAddr) -> Option<(http::Request<()>, Vec<u8>)> {
        let named = |name: &str| self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        let host = match named("host") {
            Some((_, value)) => String::from_utf8(value.clone()).ok()?,
            None => host.to_string(),
        };
        let target = std::str::from_utf8(&self.target).ok().filter(|target| target.starts_with('/'))?;
        let uri: http::Uri = format!("https://{host}{target}").parse().ok()?;
        if uri.path_and_query().map(|given| given.as_str()) != Some(target) {
            return None;
        }
        let mut request = http::Request::builder().method(self.method.as_str()).uri(uri);
        for (name, value) in &self.headers {
            let for_one_hop = ["connection", "transfer-encoding", "upgrade", "keep-alive", "expect"];
            if for_one_hop.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
                return None;
            }
            if !name.eq_ignore_ascii_case("host") {
                request = request.header(name.as_str(), value.trim_ascii());
            }
        }
        let body = self.body.clone().unwrap_or_default();
        if self.body.is_some() && named("content-length").is_none() {
            request = request.header("content-length", body.len());
        }
        Some((request.body(()).ok()?, body))
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    /// The bytes of the request.
    pub fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut bytes = format!("{} ", self.method).into_bytes();
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let has = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            bytes.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if let Some(body) = &self.body
            && !has("content-length")
            && !has("transfer-encoding")
        {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Sends the request on a connection of its own, and reads the answer.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Answer {
        self.try_send(to).unwrap_or_else(|e| panic!("{} {:?}: {e}", self.method, self.target))
    }

    /// Likewise, where the answer takes long.
    #[track_caller]
    pub fn send_and_wait(&self, to: SocketAddr, patience: Duration) -> Answer {
        let mut connection = Connection::open(to).unwrap();
        connection.reader.get_ref().set_read_timeout(Some(patience)).unwrap();
        connection.write(&self.bytes(to)).unwrap();
        connection.read(&self.method).unwrap_or_else(|e| panic!("{} {:?}: {e}", self.method, self.target))
    }

    /// Likewise, where it may go wrong.
    pub fn try_send(&self, to: SocketAddr) -> std::io::Result<Answer> {
        if super::tls::is_spoken_at(to) {
            return super::tls::Client::default().send_as_asked(self, to);
        }
        let mut connection = Connection::open(to)?;
        connection.write(&self.bytes(to))?;
        connection.read(&self.method)
    }
}

/// A connection, for what a single request cannot show.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Closes it, or one half of it.
    pub fn close(&self, how: std::net::Shutdown) {
        let _ = self.reader.get_ref().shutdown(how);
    }

    /// Until the other end closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }

    /// What else comes, until the other end closes or a second has passed without a byte.
    pub fn rest_of_answers(&mut self) -> Vec<u8> {
        let _ = self.reader.get_ref().set_read_timeout(Some(Duration::from_secs(1)));
        self.rest()
    }

    /// Waits, and says whether the other end was silent all the while, and has not closed.
    pub fn wait(&mut self, time: Duration) -> bool {
        let stream = self.reader.get_ref();
        let _ = stream.set_read_timeout(Some(time));
        let silent = stream.peek(&mut [0]).is_err();
        let _ = stream.set_read_timeout(Some(PATIENCE));
        silent
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Reads as many bytes.
    pub fn exactly(&mut self, bytes: &mut [u8]) {
        self.reader.read_exact(bytes).unwrap();
    }

    /// Waits for at least one more byte.
    pub fn some(&mut self) {
        assert!(!self.reader.fill_buf().unwrap().is_empty());
    }

    /// Reads one answer to a request with this method.
    pub fn read(&mut self, method: &str) -> std::io::Result<Answer> {
        read_answer(&mut self.reader, method)
    }
}

/// Reads one answer to a request with this method.
pub fn read_answer(reader: &mut impl BufRead, method: &str) -> std::io::Result<Answer> {
    Reading(reader).answer(method)
}

struct Reading<'a, R>(&'a mut R);

impl<R: BufRead> Reading<'_, R> {
    fn answer(&mut self, method: &str) -> std::io::Result<Answer> {
        let broken = |text: &str| std::io::Error::other(text.to_owned());
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.trim().parse().ok())
            .ok_or_else(|| broken(&format!("not a status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let mut line = Vec::new();
            self.0.read_until(b'\n', &mut line)?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if status == 100 {
            return self.answer(method);
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if method != "HEAD" && status != 204 && status != 304 {
            answer.body = self.body(&answer)?;
        }
        Ok(answer)
    }

    fn body(&mut self, answer: &Answer) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut line = String::new();
                self.0.read_line(&mut line)?;
                let length = usize::from_str_radix(line.trim(), 16)
                    .map_err(|_| std::io::Error::other(format!("not a chunk: {line:?}")))?;
                let mut chunk = vec![0; length + 2];
                self.0.read_exact(&mut chunk)?;
                if length == 0 {
                    return Ok(body);
                }
                body.extend_from_slice(&chunk[..length]);
            }
        }
        match answer.header("content-length") {
            Some(length) => {
                body.resize(length.parse().map_err(std::io::Error::other)?, 0);
                self.0.read_exact(&mut body)?;
            }
            None => {
                self.0.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All headers of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// `detail` of an error.
    #[track_caller]
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_else(|| panic!("no detail: {}", self.text())).to_owned()
    }

    /// `access_token` of a log-in.
    #[track_caller]
    pub fn token(&self) -> String {
        self.json()["access_token"].as_str().unwrap_or_else(|| panic!("no token: {}", self.text())).to_owned()
    }

    /// Status and text, for one assertion.
    pub fn told(&self) -> (u16, String) {
        (self.status, self.text())
    }
}
