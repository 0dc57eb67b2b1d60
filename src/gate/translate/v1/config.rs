//! Airflow's configuration, as JSON or as the text of a file.

use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::accept::{self, Form};
use crate::gate::translate::asked::{Asked, Content, Told};
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::text;
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get};
use crate::gate::translate::shape::{Shape, each, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/config"),
        new: get("/api/v2/config"),
        query: &[text("section")],
        body: Body::None,
        answer: Answer::One(&CONFIG),
        status: 200,
        texts: &[],
        work: Work::By(all),
    },
    Row {
        old: get("/api/v1/config/section/{section}/option/{option}"),
        new: get("/api/v2/config/section/{section}/option/{option}"),
        query: &[],
        body: Body::None,
        answer: Answer::One(&CONFIG),
        status: 200,
        texts: &[],
        work: Work::By(option),
    },
];

static CONFIG: Shape = Shape(&[each("sections", "sections", &SECTION)]);
static SECTION: Shape = Shape(&[same("name"), each("options", "options", &OPTION)]);
static OPTION: Shape = Shape(&[same("key"), same("value")]);

fn all(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let section = asked.query.get("section").unwrap_or_default();
        tell(asked, "section not found.", &format!("section={section} not found.")).await
    })
}

fn option(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let (section, option) = (asked.params.get("section"), asked.params.get("option"));
        tell(asked, "Config not found.", &format!("The option [{section}/{option}] is not found in config."))
            .await
    })
}

/// Where Airflow does not show its configuration, it says so.
const HIDDEN: &str = "chose not to expose the configuration";

/// Who may not see it, learns that first; then who wants it in neither form.
async fn tell(asked: &Asked, title: &str, detail: &str) -> Result<Told, Fault> {
    let form = accept::best(&asked.headers);
    let answered = asked.calls.any(asked.call()?).await?;
    let hidden = answered.status == StatusCode::FORBIDDEN && answered.text()?.contains(HIDDEN);
    let is_for_them = hidden || answered.status == StatusCode::NOT_FOUND || answered.status.is_success();
    match form {
        None if is_for_them => Ok(Told {
            status: StatusCode::NOT_ACCEPTABLE,
            content_type: Some(HeaderValue::from_static("text/html; charset=utf-8")),
            body: Content::Whole(bytes::Bytes::new()),
            lowered: false,
        }),
        _ if hidden => {
            let text = serde_json::from_slice::<Value>(&answered.body).ok();
            let detail = text.and_then(|body| body.get("detail")?.as_str().map(str::to_owned));
            Err(Fault::refused(StatusCode::FORBIDDEN, Some("Forbidden"), detail))
        }
        _ if answered.status == StatusCode::NOT_FOUND => {
            Err(Fault::refused(StatusCode::NOT_FOUND, Some(title), Some(detail.to_owned())))
        }
        _ if !answered.status.is_success() => Err(Fault::Airflow(answered.into())),
        Some(Form::Text) => {
            let config = serde_json::from_slice::<Config>(&answered.body)
                .map_err(|_| Fault::unreadable("a configuration is not what it should be"))?;
            Ok(Told::text("text/plain", Content::Whole(config.text().into())))
        }
        Some(Form::Json) | None => asked.told(answered).await,
    }
}

/// A configuration.
#[derive(Deserialize)]
struct Config {
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    name: String,
    options: Vec<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    key: String,
    value: Value,
}

impl Config {
    /// As the text of a file: a blank line between sections.
    fn text(&self) -> String {
        let sections: Vec<_> = self.sections.iter().map(Section::text).collect();
        format!("{}\n", sections.join("\n\n"))
    }
}

impl Section {
    fn text(&self) -> String {
        let mut text = format!("[{}]", self.name);
        for Setting { key, value } in &self.options {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("\n{key} = {value}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_the_text_of_a_file() {
        let json = r#"{"sections":[{"name":"a","options":[{"key":"b","value":"c"},{"key":"d","value":""}]},
            {"name":"e","options":[{"key":"f","value":["g","env var"]}]}]}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        assert_eq!(config.text(), "[a]\nb = c\nd = \n\n[e]\nf = [\"g\",\"env var\"]\n");
    }
}
