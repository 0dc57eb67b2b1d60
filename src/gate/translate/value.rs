//! Single values, as Airflow 2 wrote them.

/// A date: `+00:00` rather than `Z`, which Python cannot read before 3.11. Anything else stays as it is.
pub fn push_date(json: &str, out: &mut String) {
    match json.strip_suffix("Z\"") {
        Some(date) => {
            out.push_str(date);
            out.push_str("+00:00\"");
        }
        None => out.push_str(json),
    }
}

/// A date, likewise.
pub fn date(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 5);
    push_date(json, &mut out);
    out
}

/// A text as JSON.
pub fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A bound of what is looked for, a number. Airflow 3 takes 0 for none: in its place the number next to it, which finds the
/// same.
pub fn bound(name: &str, number: &str) -> String {
    match number.parse() {
        Ok(0.0) if name.ends_with("_gte") => "-1e-300".into(),
        Ok(0.0) => "1e-300".into(),
        Ok(_) | Err(_) => number.to_owned(),
    }
}

/// An integer, as Python reads it: white space around, a sign, digits with single underscores between.
pub fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let parts = || digits.split('_');
    if !parts().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    text.strip_prefix('+').unwrap_or(text).replace('_', "").parse().ok()
}

/// A date and time with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Microseconds since 1970 in UTC.
    pub micros: i64,
    /// Minutes that the zone is ahead of UTC.
    pub offset: i32,
}

impl Date {
    /// Reads one as RFC 3339 has it, with a zone. Digits beyond microseconds are cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, offset) = Self::parse_local(text)?;
        Some(Self { micros: date - i64::from(offset?) * 60_000_000, offset: offset? })
    }

    /// Reads one, with a zone or without: the local time as microseconds since 1970, and the zone.
    pub fn parse_local(text: &str) -> Option<(i64, Option<i32>)> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            digits
                .iter()
                .all(u8::is_ascii_digit)
                .then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
        };
        let at = |index: usize, byte: u8| bytes.get(index) == Some(&byte);
        if !(at(4, b'-') && at(7, b'-') && (at(10, b'T') || at(10, b't')) && at(13, b':') && at(16, b':')) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if year == 0 || !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut rest = bytes.get(19..)?;
        let mut fraction = 0;
        if let [b'.', digits @ ..] = rest {
            let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if count == 0 {
                return None;
            }
            let six = digits.iter().take(count).chain(std::iter::repeat(&b'0')).take(6);
            fraction = six.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
            rest = &digits[count..];
        }
        let offset = match rest {
            [] => None,
            b"Z" | b"z" => Some(0),
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                if ![h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                let (hours, minutes) = (
                    i32::from(h1 - b'0') * 10 + i32::from(h2 - b'0'),
                    i32::from(m1 - b'0') * 10 + i32::from(m2 - b'0'),
                );
                if hours > 23 || minutes > 59 {
                    return None;
                }
                Some(if *sign == b'-' { -(hours * 60 + minutes) } else { hours * 60 + minutes })
            }
            _ => return None,
        };
        let seconds = (days_before(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
        Some((seconds * 1_000_000 + fraction, offset))
    }

    /// A time of the system's clock, in UTC.
    pub fn at(now: std::time::SystemTime) -> Self {
        let since = now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { micros: i64::try_from(since.as_micros()).unwrap_or(i64::MAX), offset: 0 }
    }

    /// The same without its fraction of a second.
    pub fn whole_seconds(self) -> Self {
        Self { micros: self.micros.div_euclid(1_000_000) * 1_000_000, ..self }
    }

    /// As Python's `isoformat` writes it, in its own zone.
    pub fn iso(&self) -> String {
        let local = self.micros.saturating_add(i64::from(self.offset) * 60_000_000);
        let (seconds, fraction) = (local.div_euclid(1_000_000), local.rem_euclid(1_000_000));
        let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(day);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
        let (sign, ahead) = if self.offset < 0 { ('-', -self.offset) } else { ('+', self.offset) };
        let zone = format!("{sign}{:02}:{:02}", ahead / 60, ahead % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
    }

    /// The same moment in UTC.
    pub fn utc(self) -> Self {
        Self { offset: 0, ..self }
    }
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a date of the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back_as_they_were() {
        for (text, utc) in [
            ("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
            ("2024-02-29T23:59:59.000001+02:00", "2024-02-29T21:59:59.000001+00:00"),
            ("1969-12-31T23:59:59.500000-05:30", "1970-01-01T05:29:59.500000+00:00"),
            ("0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00+00:00"),
            ("9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59.999999+00:00"),
        ] {
            let date = Date::parse(text).unwrap();
            assert_eq!((date.iso().as_str(), date.utc().iso().as_str()), (text, utc));
        }
        assert_eq!(
            Date::parse("2024-01-01T00:00:00.1234567Z").unwrap().iso(),
            "2024-01-01T00:00:00.123456+00:00"
        );
        assert_eq!(Date::parse("1970-01-01T00:00:00Z").unwrap().micros, 0);
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "nope",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-01-01 00:00:00Z",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+0000",
            "2024-01-01T00:00:00 00:00",
            "２024-01-01T00:00:00Z",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00Zz",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn integers() {
        for (text, expected) in [
            ("7", Some(7)),
            (" +7 ", Some(7)),
            ("-1_000", Some(-1000)),
            ("", None),
            ("_1", None),
            ("1__0", None),
            ("1.0", None),
            ("+-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }
}
