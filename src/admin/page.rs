//! The status page: one document, made anew for each look at it.
//!
//! It needs no other file, and the policy in its headers allows none: style and script are named by their hashes,
//! so what somebody smuggles into a text here is neither. Every text is escaped all the same.

mod details;
mod guard;
mod text;

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::{Configuration, Readiness};
use crate::auth::Health;
use crate::metrics::recent::{Reading, Refusal};
use crate::metrics::{RouteTotals, health_label};
use crate::telemetry::redact;
pub use details::{Details, Material, Setting, Visible};
pub(super) use guard::{POLICY, host_is_ours};
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
        let (class, word) = if readiness.is_ready() { ("good", "Ready") } else { ("bad", "Not ready") };
        let _ = write!(out, "<section id=state data-live><h2 class={class}>{word}</h2>");
        let mut reasons = Vec::new();
        if readiness.stopping {
            reasons.push("It is on its way out.");
        }
        if !readiness.listening {
            reasons.push("It does not listen.");
        }
        if !readiness.upstreams.iter().any(|upstream| upstream.healthy) {
            reasons.push("No address of the upstream answers.");
        }
        for reason in reasons {
            let _ = write!(out, "<p>{reason}");
        }
        match readiness.configuration {
            Configuration::Current => {}
            Configuration::ReloadFailed => out.push_str(
                "<p class=fair>The last reload failed, so what was in force before still is. The log says why.",
            ),
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
        let line = |rates: &[f64]| {
            let step = WIDTH / (rates.len() - 1) as f64;
            let height = |rate: f64| if most > 0.0 { HEIGHT - rate / most * HEIGHT } else { HEIGHT };
            let points: Vec<String> = rates
                .iter()
                .enumerate()
                .map(|(i, rate)| format!("{:.1},{:.1}", i as f64 * step, height(*rate)))
                .collect();
            points.join(" ")
        };
        let whole = line(&all);
        let minutes = self.readings.first().map_or(0, |first| self.since(first.at).as_secs().div_ceil(60));
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none role=img \
             aria-label=\"requests a second in the last {minutes} minutes, at most {most:.1}\">\
             <line class=ground x1=0 y1={HEIGHT} x2={WIDTH} y2={HEIGHT} />\
             <polygon class=area points=\"0,{HEIGHT} {whole} {WIDTH},{HEIGHT}\" />\
             <polyline class=all points=\"{whole}\" /><polyline class=errors points=\"{}\" /></svg>\
             <p class=soft>Requests a second in the last {minutes} min, at most {}; answered 5xx in red.",
            line(&errors),
            Short(most)
        );
    }

    fn backends(&self, out: &mut String) {
        out.push_str(
            "<section id=backends data-live><h2>Upstream and backends</h2><div class=wide><table>\
             <tr><th>Name<th>State<th>Cause",
        );
        for upstream in self.readiness.upstreams.iter().take(ROWS) {
            let (class, word) = if upstream.healthy { ("good", "up") } else { ("bad", "down") };
            let name = redact::url(&upstream.name);
            let _ = write!(out, "<tr><td>Airflow <code>{}</code><td class={class}>{word}<td>", Text(&name));
        }
        for (name, health) in self.readiness.backends.iter().take(ROWS) {
            let (class, cause) = match health {
                Health::Up => ("good", ""),
                Health::Degraded(cause) => ("fair", &**cause),
                Health::Down(cause) => ("bad", &**cause),
            };
            let word = health_label(health);
            let _ = write!(out, "<tr><td>{}<td class={class}>{word}<td>{}", Text(name), Text(cause));
        }
        out.push_str("</table></div></section>");
    }

    fn routes(&self, out: &mut String) {
        out.push_str(
            "<section id=routes data-live><h2>Busiest routes <span class=soft>since the start</span></h2>",
        );
        if self.routes.is_empty() {
            out.push_str("<p class=soft>No request so far.</section>");
            return;
        }
        out.push_str(
            "<div class=wide><table><tr><th>Route<th class=number>Requests<th class=number>4xx\
             <th class=number>5xx<th class=\"number spare\">Airflow p50<th class=\"number spare\">p99",
        );
        for route in self.routes.iter().take(ROUTES) {
            let _ = write!(
                out,
                "<tr><td><code>{}</code><td class=number>{}<td class=number>{}<td class=number>{}\
                 <td class=\"number spare\">{}<td class=\"number spare\">{}",
                Text(&route.route),
                route.requests,
                route.client_errors,
                route.server_errors,
                time(&route.upstream, 0.5),
                time(&route.upstream, 0.99)
            );
        }
        out.push_str("</table></div></section>");
    }

    fn refusals(&self, out: &mut String) {
        out.push_str("<section id=refusals data-live><h2>Recent refusals</h2>");
        if self.refusals.is_empty() {
            out.push_str("<p class=soft>None so far.</section>");
            return;
        }
        out.push_str(
            "<div class=wide><table><tr><th>When<th>Reason<th class=number>Status<th>Route<th class=spare>From\
             <th class=spare>X-Request-ID",
        );
        for refusal in self.refusals.iter().take(ROWS) {
            let status = refusal.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            let peer = refusal.peer.map_or_else(|| "a Unix socket".to_owned(), |peer| peer.to_string());
            let _ = write!(
                out,
                "<tr><td class=when>{} ago<td class=when><code>{}</code><td class=number>{status}<td><code>{}</code><td class=spare>{peer}\
                 <td class=spare><code>{}</code>",
                Span(self.since(refusal.at)),
                Text(refusal.reason),
                Text(if refusal.route.is_empty() { "none" } else { refusal.route }),
                Text(&refusal.id)
            );
        }
        out.push_str("</table></div></section>");
    }

    fn materials(&self, out: &mut String) {
        out.push_str("<section id=materials data-live><h2>Certificates, keys and files</h2>");
        if self.details.materials.is_empty() {
            out.push_str("<p class=soft>None.</section>");
            return;
        }
        out.push_str("<div class=wide><table><tr><th>What<th>Name<th>Age<th>Ends");
        for material in self.details.materials.iter().take(ROWS) {
            let age = material.since.map(|since| Span(self.since(since)).to_string());
            let _ = write!(
                out,
                "<tr><td>{}<td><code>{}</code><td class=when>{}",
                Text(material.kind),
                Text(&redact::url(&material.name)),
                age.as_deref().unwrap_or("never read")
            );
            match material.until.map(|until| until.duration_since(self.now)) {
                None => out.push_str("<td>"),
                Some(Ok(left)) => {
                    let class = if left < SOON { "fair" } else { "soft" };
                    let _ = write!(out, "<td class=\"when {class}\">in {}", Span(left));
                }
                Some(Err(over)) => {
                    let _ = write!(out, "<td class=\"when bad\">{} ago", Span(over.duration()));
                }
            }
        }
        out.push_str("</table></div></section>");
    }

    fn settings(&self, out: &mut String) {
        out.push_str("<section id=settings data-live><h2>Configuration in force <span class=soft>without secrets</span></h2>");
        if self.details.settings.is_empty() {
            out.push_str("<p class=soft>All options have their defaults.</section>");
            return;
        }
        out.push_str("<div class=wide><table><tr><th>Option<th>Value<th class=spare>From");
        for setting in &self.details.settings {
            let _ = write!(
                out,
                "<tr><td><code>{} {}</code><td><code>{}</code><td class=\"spare soft\">{}",
                Text(&setting.section),
                Text(&setting.key),
                Text(&setting.value),
                Text(&setting.at)
            );
        }
        out.push_str("</table></div><p class=soft>Every other option has its default.</section>");
    }

    fn since(&self, time: SystemTime) -> Duration {
        self.now.duration_since(time).unwrap_or_default()
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
