//! Clients that people use, unchanged: Airflow's own client for Python, and curl.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Airgate, airflow, get, post};

/// With the host and a token as arguments it says what it got, as JSON.
const SCRIPT: &str = r#"
import json
import sys

import airflow_client.client
from airflow_client.client.api import dag_api, dag_run_api, pool_api
from airflow_client.client.exceptions import ApiException
from airflow_client.client.models.pool_body import PoolBody
from airflow_client.client.models.trigger_dag_run_post_body import TriggerDAGRunPostBody

host, token, pool = sys.argv[1:]


def status(call, *args):
    try:
        call(*args)
    except ApiException as error:
        return error.status
    return 200


def client(token):
    return airflow_client.client.ApiClient(airflow_client.client.Configuration(host=host, access_token=token))


with client(token) as api, client("not.a.token") as stranger:
    dags, pools, runs = dag_api.DAGApi(api), pool_api.PoolApi(api), dag_run_api.DagRunApi(api)
    made = pools.post_pool(PoolBody(name=pool, slots=3))
    found = pools.get_pool(pool)
    pools.delete_pool(pool)
    print(json.dumps({
        "dags": [dag.dag_id for dag in dags.get_dags(limit=1000, order_by=["dag_id"]).dags],
        "second page": [dag.dag_id for dag in dags.get_dags(limit=2, offset=2, order_by=["dag_id"]).dags],
        "runs": len(runs.get_dag_runs("fx_dag_01", limit=1000).dag_runs),
        "pool": [made.name, found.slots],
        "pool, removed": status(pools.get_pool, pool),
        "no such dag": status(runs.trigger_dag_run, "no-such-dag", TriggerDAGRunPostBody()),
        "stranger": status(dag_api.DAGApi(stranger).get_dags),
    }))
"#;

#[test]
fn airflows_client_for_python() {
    let airflow = airflow::simple();
    let with_key = format!("[gate]\nairflow_cfg = \"{}\"\n", airflow.config().display());
    for (name, config) in [("with-key", with_key.as_str()), ("without-key", "")] {
        let pool = &format!("python-{name}-{}", std::process::id());
        let gate = Airgate::before(&airflow.url, config);
        let admin = json!({"username": "admin", "password": "admin-pw"});
        let token = gate.send(post("/auth/token").json(admin)).token();
        let mut python = Command::new(airflow::python());
        python.args(["-c", SCRIPT, &gate.url(), &token, pool]).env_clear();
        let output = python.output().unwrap();
        assert!(output.status.success(), "{pool}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            serde_json::from_slice::<Value>(&output.stdout).unwrap(),
            json!({
                "dags": ["fx_dag_01", "fx_dag_02", "fx_dag_03", "fx_dag_04", "fx_dag_05"],
                "second page": ["fx_dag_03", "fx_dag_04"],
                "runs": 5,
                "pool": [pool, 3],
                "pool, removed": 404,
                "no such dag": 404,
                "stranger": 403,
            }),
            "{pool}"
        );
    }
}

#[test]
fn curl_with_name_and_password() {
    let airflow = airflow::simple();
    let with_key =
        format!("[gate]\nairflow_cfg = \"{}\"\n[basic]\nsources = [\"file\"]\n", airflow.config().display());
    for (name, config) in [("with Airflow's key", with_key.as_str()), ("without it", "")] {
        let gate = Airgate::before(&airflow.url, config);
        for (user, status) in [("viewer:viewer-pw", "200"), ("uni:pässwörd✓", "200"), ("viewer:wrong", "401")]
        {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}"])
                .args(["--user", user, &format!("{}/api/v2/pools", gate.url())]);
            let output = curl.output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), status, "{name}: {user}");
        }
    }
    assert_eq!(get("/api/v2/pools").basic("viewer", "viewer-pw").send(airflow.address()).status, 401);
}
