//! `[database]`.

use super::{BLANK, Opt, old};

options! {
    DATABASE_SQL_ALCHEMY_CONN {
        section: "database", key: "sql_alchemy_conn", secret: true, airflow: true, aliases: &[old("core", "sql_alchemy_conn")],
        allowed: "a URL such as \"postgresql+psycopg2://user:password@host/airflow\"",
        example: "{ file = \"/run/secrets/sql_alchemy_conn\" }",
        help: "Airflow's metadata database, as Airflow writes it: PostgreSQL, MySQL, MariaDB or SQLite, with any driver. It is only read: users for the source `database`, ids for tokens of the fab auth manager, and revoked tokens. \"\" uses none"
    }
    DATABASE_SQL_ALCHEMY_SCHEMA {
        section: "database", key: "sql_alchemy_schema", airflow: true, aliases: &[old("core", "sql_alchemy_schema")],
        allowed: "a schema's name", example: "airflow",
        help: "The schema that has Airflow's tables. Default: the database's own"
    }
}
