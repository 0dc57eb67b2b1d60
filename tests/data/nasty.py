"""Writes nasty.json: what Airflow's own parser reads from nasty.cfg.

    AIRFLOW_HOME=$(mktemp -d) python tests/data/nasty.py

Run with the Python of an Airflow 3.3. Only the parser is asked (ConfigParser's part of
AirflowConfigParser), before environment variables are expanded.
"""

import configparser
import json
import pathlib

from airflow.configuration import AirflowConfigParser

HERE = pathlib.Path(__file__).parent
parser = AirflowConfigParser()
parser.read(HERE / "nasty.cfg")
rows = []
for section in [*parser.sections(), "DEFAULT", "absent"]:
    keys = list(parser._sections.get(section, {})) + ["shared", "absent", "not a key"]
    for key in dict.fromkeys(keys):
        value = None
        if configparser.ConfigParser.has_option(parser, section, key) and section != "DEFAULT":
            value = configparser.ConfigParser.get(parser, section, key)
        rows.append({"section": section, "key": key, "value": value})
text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
(HERE / "nasty.json").write_text(f"[\n{text}\n]\n")
