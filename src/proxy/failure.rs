//! Pingora's errors → the gate's problems, and what these leave of a connection.

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

/// Whether a problem leaves it in doubt where the next request on the connection begins.
pub fn leaves_doubt(problem: &Problem) -> bool {
    match problem {
        Problem::Framing | Problem::Head | Problem::SlowBody | Problem::BrokenBody | Problem::Internal => {
            true
        }
        Problem::Target(_)
        | Problem::Credentials(_)
        | Problem::TooManyHeaders
        | Problem::NoRoute
        | Problem::ExperimentalOff
        | Problem::Refused(_)
        | Problem::CrossSite(_)
        | Problem::UnknownToAirflow
        | Problem::TooManyRequests(_)
        | Problem::LargeBody
        | Problem::NoRoom(_)
        | Problem::UpstreamDown
        | Problem::UpstreamSlow
        | Problem::UpstreamOdd(_) => false,
    }
}
