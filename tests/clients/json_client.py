"""Airflow 2's own client of the experimental API, on airgate in front of Airflow 3: URL USER PASSWORD DAG OTHER_DAG.

DAG is triggered, OTHER_DAG deleted. Prints what came of each call, one line of JSON each.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")

import httpx
from airflow.api.client.json_client import Client

url, user, password, dag, other = sys.argv[1:]
session = httpx.Client(auth=(user, password))
client = Client(url, auth=None, session=session)


def say(name, call):
    try:
        said = call()
    except OSError as error:
        said = {"error": str(error)}
    print(json.dumps([name, said], sort_keys=True))


def get(path):
    answer = session.get(f"{url}/api/experimental/{path}")
    try:
        return answer.json()
    except ValueError:
        return answer.text


date = "2031-05-01T00:00:00+00:00"
trigger = {"run_id": "json_client", "conf": {"n": 1}, "execution_date": date}
say("trigger", lambda: client.trigger_dag(dag, **trigger))
say("trigger again", lambda: client.trigger_dag(dag, **trigger))
say("trigger nothing", lambda: client.trigger_dag("no_such_dag", conf={}))
say("trigger now", lambda: client.trigger_dag(dag, run_id="json_client_now"))
say("state", lambda: get(f"dags/{dag}/dag_runs/2031-05-01T00:00:00"))
say("runs", lambda: [run["run_id"] for run in get(f"dags/{dag}/dag_runs")])
say("latest", lambda: [run["dag_id"] for run in get("latest_runs")["items"] if run["dag_id"] == dag])
say("code", lambda: "EmptyOperator" in get(f"dags/{dag}/code"))
say("task", lambda: get(f"dags/{dag}/tasks/one")["task_id"])
say("instance", lambda: get(f"dags/{dag}/dag_runs/2031-05-01T00:00:00/tasks/one")["run_id"])
say("pause", lambda: get(f"dags/{dag}/paused/false"))
say("paused", lambda: get(f"dags/{dag}/paused"))
say("pause again", lambda: get(f"dags/{dag}/paused/true"))
say("create_pool", lambda: client.create_pool("json_client", 3, "made", False))
say("create_pool again", lambda: client.create_pool("json_client", 4, "changed", False))
say("get_pool", lambda: client.get_pool("json_client"))
say("get_pools", lambda: [pool for pool in client.get_pools() if pool[0] == "default_pool"])
say("delete_pool", lambda: client.delete_pool("json_client"))
say("get_pool of none", lambda: client.get_pool("json_client"))
say("delete_dag", lambda: client.delete_dag(other))
say("delete_dag again", lambda: client.delete_dag(other))
say("lineage", lambda: client.get_lineage(dag, "2031-05-01T00:00:00"))
