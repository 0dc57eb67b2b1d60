//! Our own words where Pingora refuses a head before there is a request.

use std::net::IpAddr;

use http::StatusCode;

use crate::gate::reply::{Problem, Reply};
use crate::request::RequestId;

/// An answer that takes the place of Pingora's bare one: JSON with an id like every other, and a line
/// in the log that has the same id.
pub(super) struct Unreadable {
    bytes: Vec<u8>,
    written: usize,
}

impl Unreadable {
    /// What to send for what Pingora is about to send. `None` for what is no answer of HTTP/1, such as
    /// a frame of HTTP/2.
    pub(super) fn in_place_of(answer: &[u8], peer: Option<IpAddr>) -> Option<Self> {
        let status = StatusCode::from_bytes(answer.strip_prefix(b"HTTP/1.")?.get(2..5)?).ok()?;
        let reply = match status {
            // CONNECT: there are no tunnels here.
            StatusCode::METHOD_NOT_ALLOWED => Reply::detail(status, "Method Not Allowed"),
            _ => Reply::problem(&Problem::Head),
        };
        Some(Self::new(&reply, peer, date(answer)))
    }

    /// What to send for a head that has no end.
    pub(super) fn too_large(peer: Option<IpAddr>) -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(&Reply::detail(status, "The request's head is too large"), peer, None)
    }

    fn new(reply: &Reply, peer: Option<IpAddr>, date: Option<&[u8]>) -> Self {
        let id = RequestId::random();
        let peer = peer.map(tracing::field::display);
        tracing::info!(id = id.as_str(), peer, status = reply.status.as_u16(), "refused what is no request");
        let mut bytes = format!("HTTP/1.1 {}\r\n", reply.status).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        for (name, value) in &reply.headers {
            line(name.as_str(), value.as_bytes());
        }
        line("content-length", reply.body.len().to_string().as_bytes());
        line("x-request-id", id.as_str().as_bytes());
        if let Some(date) = date {
            line("date", date);
        }
        line("connection", b"close");
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&reply.body);
        Self { bytes, written: 0 }
    }

    /// What is still to be sent.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// So much more of it was sent.
    pub(super) fn advance(&mut self, sent: usize) {
        self.written += sent;
    }
}

/// The `Date` that Pingora has put there.
fn date(answer: &[u8]) -> Option<&[u8]> {
    let mut lines = answer.split(|&b| b == b'\n');
    let line = lines.find(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"date:")))?;
    line.get(5..).map(<[u8]>::trim_ascii)
}
