//! `[gate]`.

use super::{BLANK, Opt};

options! {
    GATE_AIRFLOW_CFG {
        section: "gate", key: "airflow_cfg", allowed: "a path", example: "/opt/airflow/airflow.cfg",
        help: "The airflow.cfg that is read too (the options that have an Airflow name in the manual, [core], [api], [api_auth], [database] and [kerberos] among them), below everything written here. Default: $AIRFLOW_CONFIG or $AIRFLOW_HOME/airflow.cfg, if there is one. \"\" reads none"
    }
    GATE_OTHER_ROUTES {
        section: "gate", key: "other_routes", allowed: "deny, ui or all", default: "deny",
        help: "What is neither API nor token: deny (404), ui (forwarded, but not /execution), all (forwarded, /execution included)"
    }
}
