//! `/api/experimental`, of Airflow 1.10 and 2.

mod pools;
mod server;

use super::row::Row;

/// All its operations.
pub const ROWS: &[&[Row]] = &[server::ROWS, pools::ROWS];
