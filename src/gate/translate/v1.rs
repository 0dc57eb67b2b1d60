//! `/api/v1`, the stable API of Airflow 2.

mod pools;

use super::row::Row;

/// All its operations.
pub const ROWS: &[&[Row]] = &[pools::ROWS];
