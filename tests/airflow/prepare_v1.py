"""Makes the database and the logs that the instance `v1` starts from: the data behind tests/goldens/af2-v1.jsonl, in Airflow 3.

    AIRFLOW_HOME=... prepare_v1.py OUTPUT

As `prepare.py fab`, and then what only a DAG processor, a scheduler and real tasks leave behind: runs that succeeded and
failed, tries, logs, XComs, an asset event with the run that it triggered and the ones that it waits for, an import error,
a DAG warning, a DAG whose file is gone. The tasks talk to an API server that runs in this process.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

sys.dont_write_bytecode = True  # nothing beside this file
import prepare

sys.dont_write_bytecode = False
HOME = prepare.HOME
DAGS = Path(__file__).parent / "v1"
ADMIN = {"username": "admin", "password": "admin-pw"}
PATIENCE = 300  # seconds, for each step; a few are usual, but a compiler may have the cores

# Run, while they are not paused, by the scheduler.
RUNNING = ("fx_work", "fx_fail", "fx_producer", "fx_consumer")
RUNS = {
    "fx_work": {
        "dag_run_id": "fx_work_1",
        "logical_date": "2024-02-01T00:00:00Z",
        "conf": {"n": 7, "big": 12345678901234567890, "f": 1.50, "d": "2024-01-01T00:00:00Z"},
    },
    "fx_fail": {"dag_run_id": "fx_fail_1", "logical_date": "2024-02-02T00:00:00Z"},
    "fx_producer": {"dag_run_id": "fx_producer_1", "logical_date": "2024-02-03T00:00:00Z"},
}
GONE = "fx_v1_gone.py"
ASSET_RUN = ("dataset_triggered__2024-02-04T00:00:00+00:00", "2024-02-04 00:00:00.000000")


def add_dags():
    """To those that every instance has."""
    for i in range(1, 9):
        os.utime(HOME / "dags" / f"fx_dag_0{i}.py", (1600000000 + i,) * 2)
    for file in DAGS.glob("*.py"):
        shutil.copy(file, HOME / "dags")


def airflow(*words, **environment):
    """Another process: these have loops and signal handlers of their own."""
    return subprocess.Popen([sys.executable, "-m", "airflow", *words], env={**os.environ, **environment})


@contextmanager
def api_server():
    """Airflow's API on a port of its own, for the tasks, too; and its address."""
    import uvicorn
    from airflow.api_fastapi.app import create_app

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(), log_level="warning"))
        server.install_signal_handlers = lambda: None
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Client:
    def __init__(self, url):
        import httpx

        self.http = httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)
        token = until(lambda: self.log_in(), "the API server answers")
        self.http.headers["Authorization"] = f"Bearer {token}"

    def log_in(self):
        try:
            answer = self.http.post("/auth/token", json=ADMIN)
        except OSError:
            return None
        answer.raise_for_status()
        return answer.json()["access_token"]

    def call(self, method, path, **what):
        answer = self.http.request(method, f"/api/v2{path}", **what)
        if answer.is_error:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def states(self):
        """Of the one run that each of these has, or will have."""
        runs = {dag: self.call("GET", f"/dags/{dag}/dagRuns")["dag_runs"] for dag in RUNNING}
        return {dag: run["state"] for dag, of_dag in runs.items() for run in of_dag}

    def pause(self, paused):
        for dag in RUNNING:
            self.call("PATCH", f"/dags/{dag}", json={"is_paused": paused})


def until(ready, what):
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        value = ready()
        if value:
            print(f"{what}: after {time.monotonic() - began:.1f} s", flush=True)
            return value
        time.sleep(0.5)
    sys.exit(f"not after {PATIENCE} s: {what}")


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)


def process_dags():
    """All files once, by the processor itself: it alone records warnings."""
    processor = airflow("dag-processor", "--num-runs", "1")
    if processor.wait(PATIENCE) != 0:
        sys.exit("the DAG processor failed")


def run(client, url):
    """What takes a scheduler and tasks."""
    # made at the first request, which a busy machine may not do in the five seconds that a task has patience
    until(lambda: client.http.get("/execution/health").is_success, "the tasks' API answers")
    client.pause(False)
    for dag, body in RUNS.items():
        client.call("POST", f"/dags/{dag}/dagRuns", json=body)
    scheduler = airflow(
        "scheduler",
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{url}/execution/",
        AIRFLOW__CORE__PARALLELISM="1",  # SQLite: else they wait for each other, or fail
        AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT="120",
        AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.2",
    )
    wanted = {"fx_work": "success", "fx_fail": "failed", "fx_producer": "success", "fx_consumer": "success"}
    ended = ("success", "failed")
    has_ended = lambda states: len(states) == len(wanted) and all(state in ended for state in states.values())
    try:
        until(lambda: scheduler.poll() is not None or has_ended(client.states()), "the runs have ended")
        if client.states() != wanted:
            sys.exit(f"not the states that were wanted: {client.states()}")
        client.pause(True)
    finally:
        stop(scheduler)


def mend(database, stale, logical_date):
    """What no scheduler does on demand: a file that is gone, and a run of an asset with a known id and date.

    What marks a DAG as stale, and the column of a run's date, are called otherwise in Airflow 2."""
    (HOME / "dags" / GONE).unlink()
    database.execute(f"update dag set {stale} where dag_id = 'fx_gone'")
    run_id, date = ASSET_RUN
    (old,) = database.execute("select run_id from dag_run where dag_id = 'fx_consumer'").fetchone()
    database.execute("pragma foreign_keys = off")
    tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
    for table in tables:
        columns = {row[1] for row in database.execute(f"pragma table_info({table})")}
        if {"run_id", "dag_id"} <= columns:
            database.execute(f"update {table} set run_id = ? where run_id = ? and dag_id = 'fx_consumer'", (run_id, old))
    database.execute(
        f"update dag_run set {logical_date} = ?, data_interval_start = ?, data_interval_end = ? where run_id = ?",
        (date, date, date, run_id),
    )
    logs = HOME / "logs" / "dag_id=fx_consumer"
    if (logs / f"run_id={old}").exists():
        (logs / f"run_id={old}").rename(logs / f"run_id={run_id}")


def warn(database):
    """Airflow 2 warned of a pool that is not there. Airflow 3 has the kind of warning, and its API answers it; nothing says it."""
    database.execute(
        "insert into dag_warning values ('fx_nopool', 'non-existent pool',"
        " 'Dag ''fx_nopool'' references non-existent pools: [''fx_no_such_pool'']', '2026-01-01 00:00:00.000000')"
    )


def begin(kind):
    """An empty database, no logs, and the DAGs."""
    for leftover in HOME.glob("airflow.db*"):
        leftover.unlink()
    shutil.rmtree(HOME / "logs", ignore_errors=True)
    prepare.write_dags(kind)
    add_dags()
    prepare.command("db", "migrate")


def end(*changes):
    """What is changed in the database itself; and all of it goes where the first argument says."""
    with closing(sqlite3.connect(HOME / "airflow.db")) as database:
        for change in changes:
            change(database)
        database.commit()
    prepare.write(Path(sys.argv[1]))


def main():
    begin("fab")
    prepare.create_fab_users(prepare.FAB_USERS)
    prepare.log_server_start()
    with api_server() as url:
        client = Client(url)
        objects = list(prepare.fixture_objects("/api/v2"))
        for is_run in (False, True):
            if is_run:
                process_dags()
            for path, body in objects:
                if path.endswith("/dagRuns") == is_run:
                    client.call("POST", path.removeprefix("/api/v2"), json=body)
        run(client, url)
    end(lambda database: mend(database, "is_stale = 1", "logical_date"), warn)


if __name__ == "__main__":
    main()
