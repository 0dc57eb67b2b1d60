//! `[database]`.

use super::parse;
use super::reader::{Reader, Resolved};
use crate::config::layer::Source;
use crate::config::options as o;
use crate::config::settings::Database;
use crate::secret::Secret;

impl Reader<'_> {
    /// The metadata database. Airflow's own configuration may name one that is not read here: as long as
    /// nothing needs it that is no fault, and the checks say what does.
    pub(super) fn database(&mut self) -> Resolved<Option<Database>> {
        let option = &o::DATABASE_SQL_ALCHEMY_CONN;
        let source = self.entry(option).map(|entry| entry.source);
        let url = self.optional(option, parse::any)?;
        let schema = self.optional(&o::DATABASE_SQL_ALCHEMY_SCHEMA, parse::text)?;
        let Some(url) = url else { return Ok(None) };
        match (source, parse::other_database(&url.value)) {
            (Some(Source::Airflow), Some(other)) => {
                let message = format!("{}: {other} is not read here, and not used", option.title());
                self.findings.warn(&url.at, message);
                Ok(None)
            }
            (Some(Source::Airflow | Source::Own) | None, _) => {
                Ok(Some(Database { url: url.map(Secret::new), schema }))
            }
        }
    }
}
