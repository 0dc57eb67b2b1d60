"""Every operation of Airflow 2's official client, once or more; prints what it got, as JSON.

    airflow_2.py HOST             (http://127.0.0.1:8081/api/v1; admin/admin-pw)

The data is that of tests/airflow/prepare_v1.py. What it makes it removes again, but for runs of fx_w_client.
"""

import json
import sys
import warnings
from datetime import date, datetime, timezone

warnings.simplefilter("ignore")

from airflow_client import client as airflow
from airflow_client.client.api import (
    config_api, connection_api, dag_api, dag_run_api, dag_stats_api, dag_warning_api, dataset_api, event_log_api,
    import_error_api, monitoring_api, permission_api, plugin_api, pool_api, provider_api, role_api, task_instance_api,
    user_api, variable_api, x_com_api,
)
from airflow_client.client.model.action import Action
from airflow_client.client.model.action_resource import ActionResource
from airflow_client.client.model.clear_dag_run import ClearDagRun
from airflow_client.client.model.clear_task_instances import ClearTaskInstances
from airflow_client.client.model.connection import Connection
from airflow_client.client.model.create_dataset_event import CreateDatasetEvent
from airflow_client.client.model.dag import DAG
from airflow_client.client.model.dag_run import DAGRun
from airflow_client.client.model.list_dag_runs_form import ListDagRunsForm
from airflow_client.client.model.list_task_instance_form import ListTaskInstanceForm
from airflow_client.client.model.pool import Pool
from airflow_client.client.model.resource import Resource
from airflow_client.client.model.role import Role
from airflow_client.client.model.set_dag_run_note import SetDagRunNote
from airflow_client.client.model.set_task_instance_note import SetTaskInstanceNote
from airflow_client.client.model.task_state import TaskState
from airflow_client.client.model.update_dag_run_state import UpdateDagRunState
from airflow_client.client.model.update_task_instance import UpdateTaskInstance
from airflow_client.client.model.update_task_instances_state import UpdateTaskInstancesState
from airflow_client.client.model.update_task_state import UpdateTaskState
from airflow_client.client.model.user import User
from airflow_client.client.model.user_collection_item_roles import UserCollectionItemRoles
from airflow_client.client.model.variable import Variable

RESULTS = {}


def plain(value):
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value.to_dict() if hasattr(value, "to_dict") else str(value)


def call(name, function, *args, **kwargs):
    """One operation. A failure is a result, too: its status, or what the client would not take."""
    try:
        got = function(*args, **kwargs)
        RESULTS[name] = json.loads(json.dumps(got.to_dict() if hasattr(got, "to_dict") else got, default=plain))
        return got
    except airflow.ApiException as error:
        body = json.loads(error.body) if error.body and error.body.strip()[:1] in ("{", b"{") else str(error.body)[:200]
        RESULTS[name] = {"error": error.status, "body": body}
    except Exception as error:  # noqa: BLE001: an answer that the client cannot read
        RESULTS[name] = {"unreadable": type(error).__name__, "why": str(error)[:300]}
    return None


def day(number):
    return datetime(2024, 6, number, tzinfo=timezone.utc)


def dags(api):
    dags, tasks = dag_api.DAGApi(api), dag_api.DAGApi(api)
    call("get_dags", dags.get_dags, limit=2, offset=1, order_by="-dag_id", tags=["shape", "data"], only_active=True)
    call("get_dags by pattern", dags.get_dags, dag_id_pattern="fx_w_pattern", fields=["dag_id", "is_paused"])
    dag = call("get_dag", dags.get_dag, "fx_work")
    call("get_dag with cron", dags.get_dag, "fx_cron")
    call("get_dag with delta", dags.get_dag, "fx_delta")
    call("get_dag, unknown", dags.get_dag, "nope")
    call("get_dag_details", dags.get_dag_details, "fx_work")
    call("get_dag_details with datasets", dags.get_dag_details, "fx_both")
    call("get_tasks", tasks.get_tasks, "fx_work", order_by="-task_id")
    call("get_task", tasks.get_task, "fx_work", "say")
    call("get_dag_source", dags.get_dag_source, dag.file_token if dag else "none")
    call("reparse_dag_file", dags.reparse_dag_file, dag.file_token if dag else "none")
    call("patch_dag", dags.patch_dag, "fx_w_client", DAG(is_paused=False), update_mask=["is_paused"])
    call("patch_dags", dags.patch_dags, "fx_w_client", DAG(is_paused=True), update_mask=["is_paused"], tags=["w_client"])
    call("get_dag_stats", dag_stats_api.DagStatsApi(api).get_dag_stats, "fx_work,fx_fail,fx_target")
    call("get_dag_warnings", dag_warning_api.DagWarningApi(api).get_dag_warnings, warning_type="non-existent pool")
    call("get_dag to delete", dags.get_dag, "fx_once")
    call("delete_dag", dags.delete_dag, "fx_once")
    call("delete_dag again", dags.delete_dag, "fx_once")


def runs(api):
    runs, instances, dags = dag_run_api.DAGRunApi(api), task_instance_api.TaskInstanceApi(api), dag_api.DAGApi(api)
    conf = {"n": 1, "list": [1, 2.5, None]}
    call("post_dag_run", runs.post_dag_run, "fx_w_client", DAGRun(dag_run_id="c_1", logical_date=day(1), conf=conf, note="one"))
    call("post_dag_run again", runs.post_dag_run, "fx_w_client", DAGRun(dag_run_id="c_1", logical_date=day(2)))
    call("post_dag_run by execution date", runs.post_dag_run, "fx_w_client", DAGRun(dag_run_id="c_2", execution_date=day(2)))
    call("post_dag_run without a date", runs.post_dag_run, "fx_w_client", DAGRun(dag_run_id="c_3"))
    call("get_dag_run", runs.get_dag_run, "fx_w_client", "c_1")
    call("get_dag_runs", runs.get_dag_runs, "fx_w_client", execution_date_gte=day(1), execution_date_lte=day(3), order_by="-execution_date")
    call("get_dag_runs by state", runs.get_dag_runs, "fx_w_client", state=["failed", "success"])
    call("get_dag_runs_batch", runs.get_dag_runs_batch, ListDagRunsForm(dag_ids=["fx_work", "fx_fail"], order_by="dag_id", page_limit=2))
    call("set_dag_run_note", runs.set_dag_run_note, "fx_w_client", "c_1", SetDagRunNote(note="two"))
    call("get_task_instances", instances.get_task_instances, "fx_w_client", "c_1", limit=5)
    note = SetTaskInstanceNote(note="a note")
    call("set_task_instance_note", instances.set_task_instance_note, "fx_w_client", "c_1", "one", note)
    call("set_mapped_task_instance_note", instances.set_mapped_task_instance_note, "fx_work", "fx_work_1", "double", 1, note)
    success = UpdateTaskInstance(dry_run=False, new_state=UpdateTaskState("success"))
    call("patch_task_instance, dry", instances.patch_task_instance, "fx_w_client", "c_1", "one", UpdateTaskInstance(dry_run=True, new_state=UpdateTaskState("success")))
    call("patch_task_instance", instances.patch_task_instance, "fx_w_client", "c_1", "one", success)
    call(
        "patch_mapped_task_instance, dry", instances.patch_mapped_task_instance, "fx_work", "fx_work_1", "double", 1,
        update_task_instance=UpdateTaskInstance(dry_run=True, new_state=UpdateTaskState("failed")),
    )
    state = UpdateTaskInstancesState(
        dry_run=False, task_id="two", dag_run_id="c_1", include_upstream=False, include_downstream=False, include_future=False,
        include_past=False, new_state=UpdateTaskState("failed"),
    )
    call("post_set_task_instances_state", dags.post_set_task_instances_state, "fx_w_client", state)
    call("get_task_instances with states", instances.get_task_instances, "fx_w_client", "c_1", state=["success", "failed"])
    clear = ClearTaskInstances(dry_run=True, dag_run_id="c_1", only_failed=True, reset_dag_runs=False)
    call("post_clear_task_instances, dry", dags.post_clear_task_instances, "fx_w_client", clear)
    clear = ClearTaskInstances(dry_run=False, dag_run_id="c_1", only_failed=True, reset_dag_runs=False)
    call("post_clear_task_instances", dags.post_clear_task_instances, "fx_w_client", clear)
    call("update_dag_run_state", runs.update_dag_run_state, "fx_w_client", "c_1", UpdateDagRunState(state="failed"))
    call("clear_dag_run, dry", runs.clear_dag_run, "fx_w_client", "c_1", ClearDagRun(dry_run=True))
    call("clear_dag_run", runs.clear_dag_run, "fx_w_client", "c_1", ClearDagRun(dry_run=False))
    call("get_upstream_dataset_events", runs.get_upstream_dataset_events, "fx_consumer", "dataset_triggered__2024-02-04T00:00:00+00:00")
    call("delete_dag_run", runs.delete_dag_run, "fx_w_client", "c_2")
    call("get_dag_run, deleted", runs.get_dag_run, "fx_w_client", "c_2")


def task_instances(api):
    instances, xcoms = task_instance_api.TaskInstanceApi(api), x_com_api.XComApi(api)
    work = ("fx_work", "fx_work_1")
    call("get_task_instance", instances.get_task_instance, *work, "say")
    call("get_mapped_task_instance", instances.get_mapped_task_instance, *work, "double", 1)
    call("get_mapped_task_instances", instances.get_mapped_task_instances, *work, "double", limit=2, order_by="-map_index")
    call("get_task_instances_batch", instances.get_task_instances_batch, ListTaskInstanceForm(dag_ids=["fx_fail"], state=[TaskState("failed")]))
    call("get_task_instance_dependencies", instances.get_task_instance_dependencies, "fx_target", "fx_triggered", "one")
    call("get_mapped_task_instance_dependencies", instances.get_mapped_task_instance_dependencies, *work, "double", 0)
    call("get_task_instance_tries", instances.get_task_instance_tries, *work, "flaky")
    call("get_task_instance_try_details", instances.get_task_instance_try_details, *work, "flaky", 1)
    call("get_mapped_task_instance_tries", instances.get_mapped_task_instance_tries, *work, "double", 0)
    call("get_mapped_task_instance_try_details", instances.get_mapped_task_instance_try_details, *work, "double", 0, 1)
    call("get_extra_links", instances.get_extra_links, *work, "trig")
    call("get_log", instances.get_log, *work, "say", 1, full_content=True)
    call("get_log of a mapped task", instances.get_log, *work, "double", 1, map_index=2)
    call("get_xcom_entries", xcoms.get_xcom_entries, *work, "make")
    call("get_xcom_entry", xcoms.get_xcom_entry, *work, "make", "return_value")


def crud(api):
    pools, variables, connections = pool_api.PoolApi(api), variable_api.VariableApi(api), connection_api.ConnectionApi(api)
    call("post_pool", pools.post_pool, Pool(name="client_pool", slots=3, description="made"))
    call("post_pool again", pools.post_pool, Pool(name="client_pool", slots=3))
    call("get_pool", pools.get_pool, "client_pool")
    call("get_pools", pools.get_pools, limit=2, order_by="-name")
    call("patch_pool", pools.patch_pool, "client_pool", Pool(name="client_pool", slots=7), update_mask=["slots"])
    call("delete_pool", pools.delete_pool, "client_pool")
    call("get_pool, deleted", pools.get_pool, "client_pool")
    call("post_variables", variables.post_variables, Variable(key="client_var", value="one", description="made"))
    call("post_variables again", variables.post_variables, Variable(key="client_var", value="two"))
    call("get_variable", variables.get_variable, "client_var")
    call("get_variables", variables.get_variables, limit=2, order_by="-key")
    call("patch_variable", variables.patch_variable, "client_var", Variable(key="client_var", value="three", description="new"), update_mask=["description"])
    call("delete_variable", variables.delete_variable, "client_var")
    call("get_variable, deleted", variables.get_variable, "client_var")
    made = Connection(connection_id="client_conn", conn_type="http", host="example.com", login="me", port=8080, schema="s", extra='{"a": 1}')
    call("post_connection", connections.post_connection, made)
    call("post_connection again", connections.post_connection, Connection(connection_id="client_conn", conn_type="http"))
    call("get_connection", connections.get_connection, "client_conn")
    call("get_connections", connections.get_connections, limit=2, order_by="connection_id")
    changed = Connection(connection_id="client_conn", conn_type="http", host="example.org", login="you")
    call("patch_connection", connections.patch_connection, "client_conn", changed, update_mask=["host", "login"])
    call("test_connection", connections.test_connection, Connection(connection_id="x", conn_type="fs"))
    call("delete_connection", connections.delete_connection, "client_conn")
    call("get_connection, deleted", connections.get_connection, "client_conn")


def datasets(api):
    datasets = dataset_api.DatasetApi(api)
    one, two = "s3://fx/one", "s3://fx/two words"
    call("get_datasets", datasets.get_datasets, uri_pattern="two", order_by="-uri")
    call("get_dataset", datasets.get_dataset, one)
    call("get_dataset, unknown", datasets.get_dataset, "s3://fx/nope")
    call("get_dataset_events", datasets.get_dataset_events, source_dag_id="fx_producer")
    call("create_dataset_event", datasets.create_dataset_event, CreateDatasetEvent(dataset_uri=two, extra={"k": "v"}))
    call("get_dag_dataset_queued_events", datasets.get_dag_dataset_queued_events, "fx_both")
    call("get_dag_dataset_queued_event", datasets.get_dag_dataset_queued_event, "fx_both", one)
    call("get_dataset_queued_events", datasets.get_dataset_queued_events, two)
    call("delete_dag_dataset_queued_event", datasets.delete_dag_dataset_queued_event, "fx_both", one)
    call("delete_dataset_queued_events", datasets.delete_dataset_queued_events, two)
    call("create_dataset_event again", datasets.create_dataset_event, CreateDatasetEvent(dataset_uri=two))
    call("delete_dag_dataset_queued_events", datasets.delete_dag_dataset_queued_events, "fx_both")
    call("get_dag_dataset_queued_events, none", datasets.get_dag_dataset_queued_events, "fx_both")


def rest(api):
    logs, errors = event_log_api.EventLogApi(api), import_error_api.ImportErrorApi(api)
    monitoring, config = monitoring_api.MonitoringApi(api), config_api.ConfigApi(api)
    found = call("get_event_logs", logs.get_event_logs, dag_id="fx_fail", run_id="fx_fail_1", included_events="running,failed", order_by="when")
    call("get_event_log", logs.get_event_log, found.event_logs[0].event_log_id if found and found.event_logs else 0)
    call("get_import_errors", errors.get_import_errors, limit=1)
    call("get_import_error", errors.get_import_error, 1)
    call("get_health", monitoring.get_health)
    call("get_version", monitoring.get_version)
    call("get_providers", provider_api.ProviderApi(api).get_providers)
    call("get_plugins", plugin_api.PluginApi(api).get_plugins)
    call("get_config", config.get_config)
    call("get_value", config.get_value, "core", "dags_folder")


def fab(api):
    roles, users = role_api.RoleApi(api), user_api.UserApi(api)
    actions = [ActionResource(action=Action(name="can_read"), resource=Resource(name="DAGs"))]
    call("post_role", roles.post_role, Role(name="client_role", actions=actions))
    call("get_role", roles.get_role, "client_role")
    call("get_roles", roles.get_roles, limit=2, order_by="name")
    call("patch_role", roles.patch_role, "client_role", Role(name="client_role_2", actions=actions), update_mask=["name"])
    call("delete_role", roles.delete_role, "client_role_2")
    call("get_permissions", permission_api.PermissionApi(api).get_permissions, limit=2)
    viewer = [UserCollectionItemRoles(name="Viewer")]
    user = dict(username="client_user", email="client@airgate.test", first_name="C", last_name="U")
    call("post_user", users.post_user, User(**user, password="client-pw", roles=viewer))
    call("post_user again", users.post_user, User(**user, password="client-pw"))
    call("get_user", users.get_user, "client_user")
    call("get_users", users.get_users, limit=2, order_by="id")
    call("patch_user", users.patch_user, "client_user", User(**{**user, "last_name": "V"}), update_mask=["last_name"])
    call("delete_user", users.delete_user, "client_user")
    call("get_user, deleted", users.get_user, "client_user")


configuration = airflow.Configuration(host=sys.argv[1], username="admin", password="admin-pw")
with airflow.ApiClient(configuration) as api:
    for part in (dags, runs, task_instances, crud, datasets, rest, fab):
        part(api)
print(json.dumps(RESULTS, indent=1, sort_keys=True))
