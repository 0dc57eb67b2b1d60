//! `[limits]`.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Fault, Parsed, number};
use crate::config::settings::RequestRate;

/// Requests in a time.
pub fn request_rate(text: &str) -> Parsed<RequestRate> {
    let (requests, per) = text.split_once('/').ok_or(Fault::Expected)?;
    let per = match per.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(Fault::Expected),
    };
    let requests = NonZeroU32::new(number(1, 1_000_000)(requests)?).ok_or(Fault::Expected)?;
    Ok(RequestRate { requests, per: Duration::from_secs(per) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, expected) in [
            ("20/s", Some((20, 1))),
            ("600/m", Some((600, 60))),
            (" 5_000 / h", Some((5000, 3600))),
            ("0/s", None),
            ("20", None),
            ("20/d", None),
            ("/s", None),
            ("-1/s", None),
            ("1000001/s", None),
            ("", None),
        ] {
            let read = request_rate(text).ok().map(|rate| (rate.requests.get(), rate.per.as_secs()));
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
