//! `/api/v1`, the stable API of Airflow 2.

mod accept;
mod config;
mod connections;
mod dag_stats;
mod dag_warnings;
mod dags;
mod datasets;
mod event_logs;
mod fab;
mod import_errors;
mod instances;
mod lists;
mod logs;
mod mask;
mod monitoring;
mod pools;
mod providers;
mod runs;
pub mod shapes;
mod tokens;
mod variables;
mod xcom;

use super::row::Row;

/// All its operations.
pub const ROWS: &[&[Row]] = &[
    dags::ROWS,
    tokens::ROWS,
    runs::ROWS,
    instances::ROWS,
    logs::ROWS,
    xcom::ROWS,
    connections::ROWS,
    pools::ROWS,
    variables::ROWS,
    datasets::ROWS,
    event_logs::ROWS,
    import_errors::ROWS,
    dag_stats::ROWS,
    dag_warnings::ROWS,
    providers::ROWS,
    config::ROWS,
    monitoring::ROWS,
    fab::ROWS,
];
