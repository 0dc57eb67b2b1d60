//! Numbers, times and foreign texts as the page writes them.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::metrics::recent::Times;
use crate::telemetry::redact;

/// A time below which this share of all is.
pub fn time(times: &Times, share: f64) -> String {
    match times.quantile(share) {
        None => "none".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{} ms", Short(seconds * 1000.0)),
        Some(seconds) => format!("{} s", Short(seconds)),
    }
}

/// A number with as many digits as one can use.
pub struct Short(pub f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number if number >= 100.0 || number == 0.0 => write!(f, "{number:.0}"),
            number if number >= 10.0 => write!(f, "{number:.1}"),
            number => write!(f, "{number:.2}"),
        }
    }
}

/// A time span in its largest unit.
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

/// A text where text may stand, in an element or an attribute with double quotes.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in redact::text(self.0, 1024).chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
