"""Makes the database and the logs that the instance `af2-v1` starts from: the data behind tests/goldens/af2-v1.jsonl, in the
Airflow 2 that it was recorded from.

    AIRFLOW_HOME=... prepare_v1_af2.py OUTPUT

What `prepare_v1.py` makes in Airflow 3.
"""

import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing beside this file
import prepare
import prepare_v1

sys.dont_write_bytecode = False
prepare_v1.PATIENCE = 900  # tasks run one after the other, each with ten seconds of imports


class Client:
    """Airflow's API, in this process."""

    def __init__(self):
        import base64

        from airflow.www.app import create_app

        self.app = create_app().test_client()
        basic = base64.b64encode(b"admin:admin-pw").decode()
        self.headers = {"Authorization": f"Basic {basic}"}

    def call(self, method, path, body=None):
        answer = self.app.open(f"/api/v1{path}", method=method, json=body, headers=self.headers)
        if answer.status_code != 200:
            sys.exit(f"{method} {path}: {answer.status} {answer.text}")
        return answer.json

    def states(self):
        runs = {dag: self.call("GET", f"/dags/{dag}/dagRuns")["dag_runs"] for dag in prepare_v1.RUNNING}
        return {dag: run["state"] for dag, of_dag in runs.items() for run in of_dag}

    def count(self, path):
        return self.call("GET", path)["total_entries"]

    def pause(self, paused):
        for dag in prepare_v1.RUNNING:
            self.call("PATCH", f"/dags/{dag}", {"is_paused": paused})


def run(client):
    """What takes a scheduler and tasks. It reads the files, too, and records what is wrong with them."""
    client.pause(False)
    for dag, body in prepare_v1.RUNS.items():
        client.call("POST", f"/dags/{dag}/dagRuns", body)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    scheduler = prepare_v1.airflow("scheduler", PATH=path, AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.2")
    wanted = {"fx_work": "success", "fx_fail": "failed", "fx_producer": "success", "fx_consumer": "success"}
    ended = lambda states: len(states) == len(wanted) and all(state in ("success", "failed") for state in states.values())
    try:
        prepare_v1.until(lambda: scheduler.poll() is not None or ended(client.states()), "the runs have ended")
        if client.states() != wanted:
            sys.exit(f"not the states that were wanted: {client.states()}")
        found = lambda: client.count("/dagWarnings") and client.count("/importErrors")
        prepare_v1.until(found, "a warning and an import error are recorded")
        client.pause(True)
    finally:
        prepare_v1.stop(scheduler)


def main():
    prepare_v1.begin("af2")
    prepare.command("sync-perm")
    prepare.create_fab_users(prepare.AIRFLOW_2_USERS)
    prepare.command("dags", "reserialize")
    client = Client()
    for path, body in prepare.fixture_objects(""):
        client.call("POST", path, body)
    run(client)
    prepare_v1.end(lambda database: prepare_v1.mend(database, "is_active = 0", "execution_date"))


main()
