//! Provider packages and plugins.

use crate::gate::translate::asked::Asked;
use crate::gate::translate::fault::Fault;
use crate::gate::translate::query::{LIMIT, OFFSET, OTHERS};
use crate::gate::translate::row::{Answer, Body, Row, Work, Working, get};
use crate::gate::translate::shape::{Object, Shape, always, same};

/// The operations.
pub const ROWS: &[Row] = &[
    Row {
        old: get("/api/v1/providers"),
        new: get("/api/v2/providers"),
        query: &[OTHERS],
        body: Body::None,
        answer: Answer::Own,
        status: 200,
        texts: &[],
        work: Work::By(all),
    },
    Row {
        old: get("/api/v1/plugins"),
        new: get("/api/v2/plugins"),
        query: &[LIMIT, OFFSET],
        body: Body::None,
        answer: Answer::Page("plugins", "plugins", &PLUGIN),
        status: 200,
        texts: &[],
        work: Work::Table,
    },
];

static PROVIDER: Shape = Shape(&[same("package_name"), same("description"), same("version")]);

/// Airflow 3's plugins bring no hooks, executors and dependencies of tasks any more.
static PLUGIN: Shape = Shape(&[
    same("name"),
    always("hooks", "[]"),
    always("executors", "[]"),
    same("macros"),
    same("flask_blueprints"),
    same("appbuilder_views"),
    same("appbuilder_menu_items"),
    same("global_operator_extra_links"),
    same("operator_extra_links"),
    same("source"),
    always("ti_deps", "[]"),
    same("listeners"),
    same("timetables"),
]);

/// Most pages that a list without pages is made of.
const MAX_PAGES: u32 = 30;

/// Airflow 2 tells all of them at once.
fn all(asked: &Asked) -> Working<'_> {
    Box::pin(async move {
        let list = pages(asked, "providers", |provider, out| PROVIDER.write(provider, out)).await?;
        let total = list.len();
        Ok(asked.json(format!("{{\"providers\":[{}],\"total_entries\":{total}}}", list.join(","))))
    })
}

/// The entries of a page as they are written, and how many there are on all pages.
fn page(text: &str, key: &str, write: fn(&str, &mut String) -> Option<()>) -> Option<(Vec<String>, usize)> {
    let page = Object::read(text)?;
    let mut written = Vec::new();
    for entry in page.list(key)? {
        let mut out = String::new();
        write(entry.get(), &mut out)?;
        written.push(out);
    }
    Some((written, page.raw("total_entries")?.parse().ok()?))
}

/// All entries of a list of Airflow 3's, page by page, as `write` writes each.
///
/// # Errors
/// There are too many.
pub async fn pages(
    asked: &Asked,
    key: &'static str,
    write: fn(&str, &mut String) -> Option<()>,
) -> Result<Vec<String>, Fault> {
    let odd = || Fault::unreadable("a list is not what it should be");
    let limit = asked.calls.limit().maximum();
    let mut list: Vec<String> = Vec::new();
    for _ in 0..MAX_PAGES {
        let mut call = asked.call()?;
        call.query.retain(|(name, _)| name != "limit" && name != "offset");
        let call = call.with("limit", limit.to_string()).with("offset", list.len().to_string());
        let read = move |text: &str| page(text, key, write).ok_or_else(odd);
        let (entries, total) = asked.calls.read(asked.calls.good(call).await?, read).await?;
        let is_last = entries.is_empty();
        list.extend(entries);
        if is_last || list.len() >= total {
            return Ok(list);
        }
    }
    Err(Fault::bad_request(format!(
        "Airflow 3 tells this list in more than {MAX_PAGES} pages of {limit}: raise maximum_page_limit"
    )))
}
