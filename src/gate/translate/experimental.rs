//! `/api/experimental`, of Airflow 1.10 and 2.

mod dags;
mod pools;
mod runs;
mod server;
mod tasks;
mod words;

use super::row::Row;

/// All its operations.
pub const ROWS: &[&[Row]] = &[server::ROWS, pools::ROWS, dags::ROWS, runs::ROWS, tasks::ROWS];
