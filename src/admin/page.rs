//! The status page: one document, made anew for each look at it.
//!
//! It needs no other file, and the policy in its headers allows none: style and script are named by their hashes,
//! so what somebody smuggles into a text here is neither. Every text is escaped all the same.

mod details;
mod guard;
mod table;
mod text;

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::{Configuration, Readiness, Upstream};
use crate::auth::Health;
use crate::metrics::recent::{Reading, Refusal};
use crate::metrics::{RouteTotals, health_label};
use crate::telemetry::redact;
pub use details::{Details, Material, Next, Setting, Visible};
pub(super) use guard::{POLICY, host_is_ours};
use table::{Cell, Column, Set, table};
use text::{Short, Span, Text, time};

/// Everything that is on it.
pub(super) struct Page<'a> {
    pub now: SystemTime,
    pub readiness: &'a Readiness,
    pub details: &'a Details,
    pub in_flight: i64,
    pub readings: &'a [Reading],
    pub refusals: &'a [Refusal],
    pub routes: &'a [RouteTotals],
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Most rows of a table.
const ROWS: usize = 100;
/// Busiest routes that are shown.
const ROUTES: usize = 15;
/// Over how long rates and times are shown.
const WINDOW: Duration = Duration::from_secs(60);

impl Page<'_> {
    /// The document.
    pub(super) fn html(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        let _ = write!(
            out,
            "<!doctype html><html lang=en><meta charset=utf-8><title>airgate</title>\
             <meta name=viewport content=\"width=device-width, initial-scale=1\"><link rel=icon href=\"data:,\">\
             <style>{STYLE}</style><header><h1>airgate</h1><span class=soft>{}</span>\
             <span id=note class=bad role=status></span></header><main>",
            env!("CARGO_PKG_VERSION")
        );
        self.state(&mut out);
        self.traffic(&mut out);
        self.backends(&mut out);
        self.routes(&mut out);
        self.refusals(&mut out);
        self.materials(&mut out);
        self.settings(&mut out);
        let _ = write!(out, "</main><script>{SCRIPT}</script></html>");
        out
    }

    fn state(&self, out: &mut String) {
        let readiness = self.readiness;
        let mut faults = self.faults();
        faults.sort_by_key(|fault| fault.class != "bad");
        let (class, word) = match (readiness.is_ready(), faults.first()) {
            (false, _) => ("bad", "Not ready"),
            (true, None) => ("good", "Ready"),
            (true, Some(worst)) => (worst.class, "Ready, with faults"),
        };
        let _ = write!(out, "<section id=state data-live><h2 class={class}>{word}</h2>");
        let mut reasons = Vec::new();
        if readiness.stopping {
            reasons.push("It is on its way out.");
        }
        if !readiness.listening {
            reasons.push("It does not listen.");
        }
        if !readiness.upstreams.iter().any(Upstream::is_healthy) {
            reasons.push("No address of the upstream answers.");
        }
        for reason in reasons {
            let _ = write!(out, "<p>{reason}");
        }
        for Fault { class, text } in &faults {
            let _ = write!(out, "<p class={class}>{text}");
        }
        let waiting = self.details.settings.iter().filter(|setting| setting.waiting.is_some());
        let waiting: Vec<_> =
            waiting.map(|s| format!("<code>{} {}</code>", Text(&s.section), Text(&s.key))).collect();
        if !waiting.is_empty() {
            let waiting = waiting.join(", ");
            let _ = write!(out, "<p class=fair>Changed, and waiting for an upgrade or a restart: {waiting}.");
        }
        let ago = |time: Option<SystemTime>| match time {
            Some(time) => format!("{} ago", Span(self.since(time))),
            None => "unknown".to_owned(),
        };
        let _ = write!(
            out,
            "<p class=soft>Started {}, configuration loaded {}. {}.</section>",
            ago(self.details.started),
            ago(self.details.loaded),
            match self.details.airflow {
                Some(major) => format!("Behind it is Airflow {major}"),
                None => "Which Airflow is behind it is not known yet".to_owned(),
            }
        );
    }

    /// What is not as it should be, though requests are served.
    fn faults(&self) -> Vec<Fault> {
        let readiness = self.readiness;
        let upstreams = readiness.upstreams.iter().take(ROWS).map(|upstream| {
            (format!("Airflow <code>{}</code>", Text(&redact::url(&upstream.name))), &upstream.health)
        });
        let backends = readiness.backends.iter().take(ROWS);
        let backends = backends.map(|(name, health)| (format!("<code>{}</code>", Text(name)), health));
        let mut faults: Vec<_> = upstreams
            .chain(backends)
            .filter_map(|(name, health)| {
                let class = class_of(health);
                let text = match health {
                    Health::Up => return None,
                    Health::Degraded(cause) | Health::Down(cause) => {
                        format!("{name} is {}: {}", health_label(health), Text(cause))
                    }
                };
                Some(Fault { class, text })
            })
            .collect();
        match readiness.configuration {
            Configuration::Current => {}
            Configuration::ReloadFailed => faults.push(Fault {
                class: "fair",
                text: "The last reload failed, so what was in force before still is. The log says why."
                    .to_owned(),
            }),
        }
        faults
    }

    fn traffic(&self, out: &mut String) {
        out.push_str(
            "<section id=traffic data-live><h2>Traffic <span class=soft>in the last minute</span></h2><dl>",
        );
        let last = self.readings.last();
        let window = last.and_then(|last| {
            let from = last.at.checked_sub(WINDOW)?;
            let first = self.readings.iter().find(|reading| reading.at >= from)?;
            (first.at < last.at).then_some((first, last))
        });
        let mut fact = |name: &str, value: String| {
            let _ = write!(out, "<div><dt>{name}<dd>{value}</div>");
        };
        if let Some((first, last)) = window {
            let rate = |count: fn(&Reading) -> u64| rate(first, last, count);
            fact("requests a second", Short(rate(|r| r.requests)).to_string());
            fact("answered 4xx", format!("{}/s", Short(rate(|r| r.client_errors))));
            fact("answered 5xx", format!("{}/s", Short(rate(|r| r.server_errors))));
            fact("refused here", format!("{}/s", Short(rate(|r| r.refused))));
            fact("in airgate, p50", time(&last.own.since(&first.own), 0.5));
            fact("in airgate, p99", time(&last.own.since(&first.own), 0.99));
            fact("in Airflow, p50", time(&last.upstream.since(&first.upstream), 0.5));
            fact("in Airflow, p99", time(&last.upstream.since(&first.upstream), 0.99));
        } else {
            fact("requests a second", "not known yet".to_owned());
        }
        fact("in flight", self.in_flight.max(0).to_string());
        out.push_str("</dl>");
        self.chart(out);
        out.push_str("</section>");
    }

    /// Requests and errors a second, over all readings.
    fn chart(&self, out: &mut String) {
        const WIDTH: f64 = 900.0;
        const HEIGHT: f64 = 100.0;
        let pairs: Vec<_> = self.readings.windows(2).collect();
        let rates = |count: fn(&Reading) -> u64| -> Vec<f64> {
            pairs
                .iter()
                .map(|pair| match pair {
                    [first, last] => rate(first, last, count),
                    _ => 0.0,
                })
                .collect()
        };
        let (all, errors) = (rates(|r| r.requests), rates(|r| r.server_errors));
        if all.len() < 2 {
            return;
        }
        let most = all.iter().copied().fold(0.0, f64::max);
        #[expect(clippy::cast_precision_loss, reason = "at most 180")]
        let points = |rates: &[f64]| -> Vec<String> {
            let step = WIDTH / (rates.len() - 1) as f64;
            let height = |rate: f64| if most > 0.0 { HEIGHT - rate / most * HEIGHT } else { HEIGHT };
            let point = |(i, rate): (usize, &f64)| format!("{:.1},{:.1}", i as f64 * step, height(*rate));
            rates.iter().enumerate().map(point).collect()
        };
        let whole = points(&all).join(" ");
        // Drawn where there are some, and not along the ground.
        let red: String = points(&errors)
            .windows(2)
            .zip(errors.windows(2))
            .filter(|(_, rates)| rates.iter().any(|rate| *rate > 0.0))
            .map(|(ends, _)| format!("M{}", ends.join("L")))
            .collect();
        let (red, legend) = match red.as_str() {
            "" => (String::new(), ""),
            path => (format!("<path class=errors d=\"{path}\" />"), "; answered 5xx in red"),
        };
        let minutes = self.readings.first().map_or(0, |first| self.since(first.at).as_secs().div_ceil(60));
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none role=img \
             aria-label=\"requests a second in the last {minutes} minutes, at most {most:.1}\">\
             <line class=ground x1=0 y1={HEIGHT} x2={WIDTH} y2={HEIGHT} />\
             <polygon class=area points=\"0,{HEIGHT} {whole} {WIDTH},{HEIGHT}\" />\
             <polyline class=all points=\"{whole}\" />{red}</svg>\
             <p class=soft>Requests a second in the last {minutes} min, at most {}{legend}.",
            Short(most)
        );
    }

    fn backends(&self, out: &mut String) {
        out.push_str("<section id=backends data-live><h2>Upstream and backends</h2>");
        let row = |name: Cell, health: &Health| {
            let cause = match health {
                Health::Up => "",
                Health::Degraded(cause) | Health::Down(cause) => cause,
            };
            [name, Cell::shown(health_label(health)).class(class_of(health)), Cell::shown(cause)]
        };
        let upstreams = self.readiness.upstreams.iter().take(ROWS).map(|upstream| {
            let name = Cell::code(redact::url(&upstream.name)).after("Airflow");
            row(name, &upstream.health)
        });
        let backends = self.readiness.backends.iter().take(ROWS);
        let backends = backends.map(|(name, health)| row(Cell::shown(name), health));
        let columns = [Column("Name", Set::Text), Column("State", Set::Text), Column("Cause", Set::Text)];
        table(out, &columns, upstreams.chain(backends));
        out.push_str("</section>");
    }

    fn routes(&self, out: &mut String) {
        out.push_str(
            "<section id=routes data-live><h2>Busiest routes <span class=soft>since the start</span></h2>",
        );
        if self.routes.is_empty() {
            out.push_str("<p class=soft>No request so far.</section>");
            return;
        }
        let columns = [
            Column("Route", Set::Text),
            Column("Requests", Set::Number),
            Column("4xx", Set::Number),
            Column("5xx", Set::Number),
            Column("Airflow p50", Set::Number),
            Column("Airflow p99", Set::Number),
        ];
        let rows = self.routes.iter().take(ROUTES).map(|route| {
            [
                Cell::code(&route.route),
                Cell::shown(route.requests),
                Cell::shown(route.client_errors),
                Cell::shown(route.server_errors),
                Cell::shown(time(&route.upstream, 0.5)),
                Cell::shown(time(&route.upstream, 0.99)),
            ]
        });
        table(out, &columns, rows);
        out.push_str("</section>");
    }

    fn refusals(&self, out: &mut String) {
        out.push_str("<section id=refusals data-live><h2>Recent refusals</h2>");
        if self.refusals.is_empty() {
            out.push_str("<p class=soft>None so far.</section>");
            return;
        }
        let columns = [
            Column("When", Set::Line),
            Column("Reason", Set::Text),
            Column("Status", Set::Number),
            Column("Route", Set::Text),
            Column("From", Set::Text),
            Column("X-Request-ID", Set::Text),
        ];
        let rows = self.refusals.iter().take(ROWS).map(|refusal| {
            [
                Cell::shown(format_args!("{} ago", Span(self.since(refusal.at)))),
                match &refusal.cause {
                    None => Cell::code(refusal.reason),
                    Some(cause) => Cell::code(refusal.reason).over(&Cell::shown(cause).class("soft")),
                },
                Cell::shown(refusal.status.map_or_else(|| "none".to_owned(), |status| status.to_string())),
                Cell::code(if refusal.route.is_empty() { "none" } else { refusal.route }),
                Cell::shown(refusal.peer.map_or_else(|| "a Unix socket".to_owned(), |peer| peer.to_string())),
                Cell::code(&refusal.id),
            ]
        });
        table(out, &columns, rows);
        out.push_str("</section>");
    }

    fn materials(&self, out: &mut String) {
        out.push_str("<section id=materials data-live><h2>Certificates, keys and files</h2>");
        if self.details.materials.is_empty() {
            out.push_str("<p class=soft>None.</section>");
            return;
        }
        let columns = [
            Column("What", Set::Text),
            Column("Name", Set::Text),
            Column("Age", Set::Line),
            Column("Ends", Set::Line),
        ];
        let rows = self.details.materials.iter().take(ROWS).map(|material| {
            let age = material.since.map(|since| Span(self.since(since)).to_string());
            let ends = match material.until.map(|until| until.duration_since(self.now)) {
                None => Cell::none(),
                Some(Ok(left)) => {
                    let class = if left < SOON { "fair" } else { "soft" };
                    Cell::shown(format_args!("in {}", Span(left))).class(class)
                }
                Some(Err(over)) => Cell::shown(format_args!("{} ago", Span(over.duration()))).class("bad"),
            };
            [
                Cell::shown(material.kind),
                Cell::code(redact::url(&material.name)),
                Cell::shown(age.as_deref().unwrap_or("never read")),
                ends,
            ]
        });
        table(out, &columns, rows);
        out.push_str("</section>");
    }

    fn settings(&self, out: &mut String) {
        out.push_str("<section id=settings data-live><h2>Configuration in force <span class=soft>without secrets</span></h2>");
        if self.details.settings.is_empty() {
            out.push_str("<p class=soft>All options have their defaults.</section>");
            return;
        }
        let columns = [Column("Option", Set::Text), Column("Value", Set::Text), Column("From", Set::Text)];
        let rows = self.details.settings.iter().map(|setting| {
            let [value, at] = match &setting.waiting {
                None => [Cell::code(&setting.value), Cell::shown(&setting.at)],
                Some(next) => [
                    Cell::code(&setting.value).over(&Cell::code(&next.value).after("waits:").class("fair")),
                    Cell::shown(&setting.at).over(&Cell::shown(&next.at)),
                ],
            };
            [Cell::code(format_args!("{} {}", setting.section, setting.key)), value, at.class("soft")]
        });
        table(out, &columns, rows);
        out.push_str("<p class=soft>Every other option has its default.</section>");
    }

    fn since(&self, time: SystemTime) -> Duration {
        self.now.duration_since(time).unwrap_or_default()
    }
}

/// What is not as it should be.
struct Fault {
    class: &'static str,
    /// In HTML.
    text: String,
}

fn class_of(health: &Health) -> &'static str {
    match health {
        Health::Up => "good",
        Health::Degraded(_) => "fair",
        Health::Down(_) => "bad",
    }
}

/// What ends within this time is marked.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn rate(first: &Reading, last: &Reading, count: fn(&Reading) -> u64) -> f64 {
    let seconds = last.at.duration_since(first.at).unwrap_or_default().as_secs_f64();
    if seconds > 0.0 { count(last).saturating_sub(count(first)) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests;
