//! Why there is no connection to Airflow, or no answer, in words of who runs it: Pingora's say what it was doing.

use pingora::{Error, ErrorType};

/// Most bytes of it. A certificate may bear any number of names.
const MAX: usize = 300;

/// The cause of an error of Pingora's connector, with the option to look at where one is likely to be wrong.
pub(super) fn reason(error: &Error) -> String {
    let mut told = match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => {
            "no connection within [upstream] connect_timeout".to_owned()
        }
        ErrorType::TLSHandshakeFailure => handshake(&error.to_string()),
        _ => error.root_cause().to_string(),
    };
    if told.len() > MAX {
        told.truncate(told.floor_char_boundary(MAX));
        told.push('…');
    }
    told
}

/// Pingora tells the cause as a text alone: `… tls connect error cause: CAUSE, SNI: NAME …`.
fn handshake(whole: &str) -> String {
    let cause = whole.split_once("tls connect error cause: ").map_or(whole, |(_, cause)| cause);
    let cause = cause.split_once(", SNI: ").map_or(cause, |(cause, _)| cause).trim();
    let advice = match cause.strip_prefix("invalid peer certificate: ") {
        Some(fault) if fault.starts_with("UnknownIssuer") => {
            " (self-signed, or issued by an authority that is not trusted: see [upstream] ca_file)"
        }
        Some(fault) if fault.starts_with("certificate not valid for name") => " (see [upstream] server_name)",
        Some(fault) if fault.contains("CaUsedAsEndEntity") => {
            " (it is that of an authority, CA:TRUE, and not one for a server)"
        }
        Some(fault) if fault.starts_with("certificate expired") => " (it has to be renewed)",
        Some(_) => "",
        None if cause.contains("corrupt message") => {
            " (no TLS is spoken there: should [upstream] url begin with http://?)"
        }
        None => "",
    };
    // What is there last may be cut off: a certificate has any number of names.
    format!("the TLS handshake failed{advice}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Pingora words it. `tests/it/tls.rs` has the real thing.
    fn failed(cause: &str) -> Box<Error> {
        let inner = Error::because(ErrorType::TLSHandshakeFailure, "tls connect error", cause);
        let context = format!("TLS connect() failed: {inner}, SNI: airflow");
        Error::because(ErrorType::TLSHandshakeFailure, context, "local address 127.0.0.1:40000")
    }

    #[test]
    fn handshakes() {
        for (name, cause, advice) in [
            ("self-signed", "invalid peer certificate: UnknownIssuer", "ca_file"),
            (
                "another name",
                "invalid peer certificate: certificate not valid for name \"a\"; certificate is only valid for \"b\"",
                "[upstream] server_name",
            ),
            (
                "expired",
                "invalid peer certificate: certificate expired: verification time 2 (UNIX), but certificate is not \
                 valid after 1 (1 seconds ago)",
                "renewed",
            ),
            ("an authority's", "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "CA:TRUE"),
            ("no TLS", "received corrupt message of type InvalidContentType", "http://"),
        ] {
            let told = reason(&failed(cause));
            let expected = format!("): {cause}");
            let rest = told.strip_suffix(&expected).unwrap_or_else(|| panic!("{name}: {told}"));
            assert!(
                rest.starts_with("the TLS handshake failed (") && rest.contains(advice),
                "{name}: {told}"
            );
        }
        assert_eq!(reason(&failed("tls handshake eof")), "the TLS handshake failed: tls handshake eof");
    }

    #[test]
    fn it_is_bounded() {
        let told = reason(&failed(&"é".repeat(1000)));
        assert!(told.len() <= MAX + '…'.len_utf8() && told.ends_with("é…"), "{told}");
    }

    #[test]
    fn others() {
        let refused = std::io::Error::from_raw_os_error(111);
        for (error, expected) in [
            (
                Error::because(ErrorType::ConnectRefused, "Fail to connect", refused),
                "Connection refused (os error 111)",
            ),
            (
                Error::explain(ErrorType::ConnectTimedout, "connecting to server"),
                "no connection within [upstream] connect_timeout",
            ),
        ] {
            assert_eq!(reason(&error), expected);
        }
    }
}
