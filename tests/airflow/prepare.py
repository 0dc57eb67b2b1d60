"""Makes the database that an Airflow of the tests, or of the demo, starts from.

    AIRFLOW_HOME=... prepare.py simple|fab|demo OUTPUT

Migrates, reads the DAGs, creates users, and posts the rest to Airflow's own API, all in this one process: each command
of Airflow spends ten seconds on its imports. The result is written to OUTPUT in one piece.
"""

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

HOME = Path(os.environ["AIRFLOW_HOME"])

# The DAGs of the recorded answers in tests/goldens. One file each, as it was then: the API tells the file's name.
FIXTURE_DAG = """\
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("fx_dag_0{i}", schedule=None, start_date=datetime(2024, 1, 1), tags=["fx"]):
    EmptyOperator(task_id="one") >> EmptyOperator(task_id="two")
"""

# In this order, so with the ids 1 to 7, which are the subjects of FAB's tokens.
FAB_USERS = (
    ("admin", "admin-pw", "Admin"),
    ("viewer", "viewer-pw", "Viewer"),
    ("user", "user-pw", "User"),
    ("inactive", "inactive-pw", "Viewer"),
    ("colon", "pa:ss:word", "Viewer"),
    ("uni", "pässwörd✓", "Viewer"),
    ("norole", "norole-pw", "Public"),
)

DEMO_POOLS = (
    ("imports", 8, "Whatever reads from the shop"),
    ("warehouse", 4, "Heavy queries: not more than four at a time"),
    ("partner_api", 1, "The partner allows one call at a time"),
    ("training", 2, "Machines with a GPU"),
    ("reports", 16, "Small and many"),
)


def fixture_objects():
    """More of everything than the page limit, which is 5 in these configurations."""
    for i in range(1, 9):
        yield "/api/v2/pools", {"name": f"fx_pool_0{i}", "slots": i, "description": "fixture"}
        yield "/api/v2/variables", {"key": f"fx_var_0{i}", "value": f"v{i}"}
        yield "/api/v2/dags/fx_dag_01/dagRuns", {
            "dag_run_id": f"fx_run_0{i}",
            "logical_date": f"2024-01-0{i}T00:00:00Z",
        }


def demo_objects():
    for name, slots, description in DEMO_POOLS:
        yield "/api/v2/pools", {"name": name, "slots": slots, "description": description}


def write_dags(kind):
    dags = HOME / "dags"
    shutil.rmtree(dags, ignore_errors=True)
    dags.mkdir()
    if kind == "demo":
        shutil.copy(Path(__file__).parent / "dags" / "demo.py", dags)
    else:
        for i in range(1, 9):
            (dags / f"fx_dag_0{i}.py").write_text(FIXTURE_DAG.format(i=i))


def command(*words):
    from airflow.cli.cli_parser import get_parser

    args = get_parser().parse_args(words)
    args.func(args)


def create_fab_users():
    for name, password, role in FAB_USERS:
        who = ["-u", name, "-p", password, "-r", role, "-f", "F", "-l", "L", "-e", f"{name}@airgate.test"]
        command("users", "create", *who)
    with closing(sqlite3.connect(HOME / "airflow.db")) as database:
        database.execute("update ab_user set active = 0 where username = 'inactive'")
        database.commit()


def log_server_start():
    """The recorded event logs have a server's start before all that was posted to it. Here there is no server yet."""
    from airflow.utils.cli_action_loggers import default_action_log

    default_action_log("api_server", "root", None, None, None, "localhost", "airflow api-server")


def post(objects, password):
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app()) as client:
        answer = client.post("/auth/token", json={"username": "admin", "password": password})
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        for path, body in objects:
            client.post(path, json=body).raise_for_status()


def write(output):
    """In one piece: Airflow leaves half of its database in a write-ahead log, and readers must never see half a copy."""
    unfinished = output.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(HOME / "airflow.db")) as source, closing(sqlite3.connect(unfinished)) as copy:
        source.backup(copy)
    unfinished.rename(output)


def main():
    kind, output = sys.argv[1], Path(sys.argv[2])
    for leftover in HOME.glob("airflow.db*"):
        leftover.unlink()
    write_dags(kind)
    command("db", "migrate")
    command("dags", "reserialize")
    if kind == "fab":
        create_fab_users()
    log_server_start()
    if kind == "demo":
        post(demo_objects(), "admin")
    else:
        post(fixture_objects(), "admin-pw")
    write(output)


main()
