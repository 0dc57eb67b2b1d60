"""Makes the database that an Airflow of the tests, or of the demo, starts from.

    AIRFLOW_HOME=... prepare.py simple|fab|demo|af2 OUTPUT

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

# Airflow 2 has one user more, for Kerberos.
AIRFLOW_2_USERS = (*FAB_USERS, ("alice@AIRGATE.TEST", "alice-pw", "Viewer"))

DEMO_POOLS = (
    ("imports", 8, "Whatever reads from the shop"),
    ("warehouse", 4, "Heavy queries: not more than four at a time"),
    ("partner_api", 1, "The partner allows one call at a time"),
    ("training", 2, "Machines with a GPU"),
    ("reports", 16, "Small and many"),
)


def fixture_objects(api):
    """More of everything than the page limit, which is 5 in these configurations."""
    for i in range(1, 9):
        yield f"{api}/pools", {"name": f"fx_pool_0{i}", "slots": i, "description": "fixture"}
        yield f"{api}/variables", {"key": f"fx_var_0{i}", "value": f"v{i}"}
        yield f"{api}/dags/fx_dag_01/dagRuns", {
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
            text = FIXTURE_DAG.format(i=i)
            if kind == "af2":
                text = text.replace("airflow.providers.standard.operators", "airflow.operators").replace("airflow.sdk", "airflow")
            (dags / f"fx_dag_0{i}.py").write_text(text)


def command(*words):
    from airflow.cli.cli_parser import get_parser

    args = get_parser().parse_args(words)
    args.func(args)


def create_fab_users(users):
    for name, password, role in users:
        mail = f"{name.split('@')[0]}@airgate.test"
        who = ["-u", name, "-p", password, "-r", role, "-f", "F", "-l", "L", "-e", mail]
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


def post_to_airflow_2(objects, password):
    import base64

    from airflow.www.app import create_app

    client = create_app().test_client()
    basic = base64.b64encode(f"admin:{password}".encode()).decode()
    for path, body in objects:
        answer = client.post(path, json=body, headers={"Authorization": f"Basic {basic}"})
        assert answer.status_code == 200, (path, answer.status, answer.text)


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
    if kind == "af2":
        command("sync-perm")  # makes Viewer, User and Op; a new database has Admin and Public alone
    command("dags", "reserialize")
    if kind == "fab":
        create_fab_users(FAB_USERS)
    if kind == "af2":
        create_fab_users(AIRFLOW_2_USERS)
        post_to_airflow_2(fixture_objects("/api/v1"), "admin-pw")
        write(output)
        return
    log_server_start()
    if kind == "demo":
        post(demo_objects(), "admin")
    else:
        post(fixture_objects("/api/v2"), "admin-pw")
    write(output)


if __name__ == "__main__":
    main()
