//! Lengths of time, as Airflow 2 told them.

/// A length of time as Python's `timedelta` keeps it: only the days can be negative.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    days: i64,
    seconds: i64,
    micros: i64,
}

const DAY: i64 = 86_400;
/// More days a `timedelta` cannot have, nor fewer than as many below zero.
const MOST_DAYS: i64 = 999_999_999;

impl Span {
    /// Reads a duration in ISO 8601 as pydantic writes it: `PT1H30M`, `P1Y35DT0.5S`, `-PT1S`. A year has 365 days.
    pub(super) fn iso(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mut date, mut time) = match rest.strip_prefix('P')?.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (rest.strip_prefix('P')?, None),
        };
        if time.unwrap_or(date).is_empty() {
            return None;
        }
        let time = time.get_or_insert_default();
        let (mut seconds, mut micros) = (0_i64, 0);
        for (unit, length) in [('Y', 365 * DAY), ('W', 7 * DAY), ('D', DAY)] {
            seconds = seconds.checked_add(take(&mut date, unit)?.checked_mul(length)?)?;
        }
        for (unit, length) in [('H', 3600), ('M', 60)] {
            seconds = seconds.checked_add(take(time, unit)?.checked_mul(length)?)?;
        }
        if !time.is_empty() {
            let (whole, rest) = with_micros(time.strip_suffix('S')?)?;
            (seconds, micros) = (seconds.checked_add(whole)?, rest);
        }
        if !date.is_empty() {
            return None;
        }
        if negative {
            (seconds, micros) = (-seconds, -micros);
        }
        let seconds = seconds.checked_add(micros.div_euclid(1_000_000))?;
        Self::new(seconds.div_euclid(DAY), seconds.rem_euclid(DAY), micros.rem_euclid(1_000_000))
    }

    /// Reads what `str` makes of a `timedelta`: `1 day, 2:30:00`, `-1 day, 23:59:59.500000`.
    pub(super) fn python(text: &str) -> Option<Self> {
        let (days, time) = match text.split_once(" day") {
            Some((days, rest)) => (days, rest.strip_prefix('s').unwrap_or(rest).strip_prefix(", ")?),
            None => ("0", text),
        };
        let days = match days.strip_prefix('-') {
            Some(days) => -number(days)?,
            None => number(days)?,
        };
        let (hours, time) = time.split_once(':')?;
        let (minutes, seconds) = time.split_once(':')?;
        let (hours, minutes, (seconds, micros)) = (number(hours)?, number(minutes)?, with_micros(seconds)?);
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        Self::new(days, hours * 3600 + minutes * 60 + seconds, micros)
    }

    fn new(days: i64, seconds: i64, micros: i64) -> Option<Self> {
        (-MOST_DAYS..=MOST_DAYS).contains(&days).then_some(Self { days, seconds, micros })
    }

    /// As Airflow 2 told it.
    pub(super) fn json(&self) -> String {
        let Self { days, seconds, micros } = self;
        format!(
            "{{\"__type\":\"TimeDelta\",\"days\":{days},\"microseconds\":{micros},\"seconds\":{seconds}}}"
        )
    }
}

/// Takes the number before a unit off the front; 0 where there is no such unit.
fn take(text: &mut &str, unit: char) -> Option<i64> {
    let Some((before, rest)) = text.split_once(unit) else { return Some(0) };
    *text = rest;
    number(before)
}

fn with_micros(text: &str) -> Option<(i64, i64)> {
    let Some((whole, fraction)) = text.split_once('.') else { return Some((number(text)?, 0)) };
    // Python has no more than six digits.
    (fraction.len() <= 6).then_some(())?;
    let fraction = fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{fraction:0<6}"))?;
    Some((number(whole)?, number(&fraction)?))
}

/// Digits alone: no sign, no space.
fn number(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: (i64, i64, i64) = (MOST_DAYS, 86_399, 999_999);
    type Table = [(&'static str, Option<(i64, i64, i64)>)];

    fn check(read: fn(&str) -> Option<Span>, table: &Table) {
        for (text, expected) in table {
            let read = read(text).map(|Span { days, seconds, micros }| (days, seconds, micros));
            assert_eq!(read, *expected, "{text}");
        }
    }

    /// What can be read is what pydantic 2.14 writes; `PT5400S` and `P2W` it does not, but they say the same.
    #[test]
    fn durations_of_pydantic() {
        check(
            Span::iso,
            &[
                ("PT0S", Some((0, 0, 0))),
                ("PT0.000001S", Some((0, 0, 1))),
                ("PT0.1S", Some((0, 0, 100_000))),
                ("PT1H30M", Some((0, 5_400, 0))),
                ("PT5400S", Some((0, 5_400, 0))),
                ("P1DT2H30M", Some((1, 9_000, 0))),
                ("P14D", Some((14, 0, 0))),
                ("P2W", Some((14, 0, 0))),
                ("P1Y", Some((365, 0, 0))),
                ("P1Y35D", Some((400, 0, 0))),
                ("P2Y70DT1S", Some((800, 1, 0))),
                ("P2739726Y9DT23H59M59.999999S", Some(MAX)),
                ("-PT1S", Some((-1, 86_399, 0))),
                ("-PT0.000001S", Some((-1, 86_399, 999_999))),
                ("-PT23H59M59.999995S", Some((-1, 0, 5))),
                ("-P1Y35D", Some((-400, 0, 0))),
                ("-P2739726Y8DT23H59M59.999999S", Some((-MOST_DAYS, 0, 1))),
                ("-P2739726Y9D", Some((-MOST_DAYS, 0, 0))),
                ("P2739726Y10D", None),
                ("-P2739726Y9DT1S", None),
                ("P9223372036854775807D", None),
                ("PT9223372036854775807S", None),
                ("PT9223372036854775807H9223372036854775807S", None),
                ("-PT9223372036854775807.999999S", None),
                ("P99999999999999999999D", None),
                ("PT0.0000001S", None),
                ("P1M", None),
                ("P1D1Y", None),
                ("PT1D", None),
                ("P1H", None),
                ("P1DT", None),
                ("P1", None),
                ("PT1", None),
                ("P+1D", None),
                ("P-1D", None),
                ("P1.5D", None),
                ("PD", None),
                ("PTS", None),
                ("PT.S", None),
                ("PT", None),
                ("P", None),
                ("-", None),
                ("", None),
                ("400 days", None),
            ],
        );
    }

    #[test]
    fn timedeltas_as_text() {
        check(
            Span::python,
            &[
                ("0:00:00", Some((0, 0, 0))),
                ("0:00:00.000001", Some((0, 0, 1))),
                ("23:59:59", Some((0, 86_399, 0))),
                ("1 day, 2:30:00", Some((1, 9_000, 0))),
                ("400 days, 0:00:00", Some((400, 0, 0))),
                ("999999999 days, 23:59:59.999999", Some(MAX)),
                ("-1 day, 23:59:59.500000", Some((-1, 86_399, 500_000))),
                ("-400 days, 0:00:00", Some((-400, 0, 0))),
                ("-999999999 days, 0:00:00", Some((-MOST_DAYS, 0, 0))),
                ("1000000000 days, 0:00:00", None),
                ("9223372036854775808 days, 0:00:00", None),
                ("3000000000000000:00:00", None),
                ("9223372036854775807:9223372036854775807:9223372036854775807", None),
                ("24:00:00", None),
                ("0:60:00", None),
                ("0:00:60", None),
                ("0:-1:00", None),
                ("0:00", None),
                ("0:00:00:00", None),
                ("--1 day, 0:00:00", None),
                ("1 day 0:00:00", None),
                ("1 dayss, 0:00:00", None),
                ("every day, 0:00:00", None),
                ("0 0 * * *", None),
                ("", None),
            ],
        );
    }
}
