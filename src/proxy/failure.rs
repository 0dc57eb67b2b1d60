//! Pingora's errors → the gate's problems.

use pingora::{Error, ErrorSource, ErrorType};

use crate::gate::reply::Problem;

/// What the client is told of an error; `None` if there is no client any more.
pub fn problem(error: &Error) -> Option<Problem> {
    let slow = matches!(
        error.etype(),
        ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
    );
    match error.esource() {
        ErrorSource::Upstream if slow => Some(Problem::UpstreamSlow),
        ErrorSource::Upstream => Some(Problem::UpstreamDown),
        ErrorSource::Downstream if slow => Some(Problem::SlowBody),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => None,
            ErrorType::InvalidHTTPHeader => Some(Problem::Head),
            _ => Some(Problem::BrokenBody),
        },
        ErrorSource::Internal | ErrorSource::Unset => Some(Problem::Internal),
    }
}

/// The cause, for the log: never sent.
pub fn cause(error: &Error) -> String {
    error.to_string()
}
