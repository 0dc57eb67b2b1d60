"""What the official Helm chart makes of values.

The chart itself is not here. What is modelled of it is what decides whether a sidecar fits: that lists in values are
replaced and tables merged, that ports have a name and a number and no target port, which volumes a pod has, which
probes and security contexts its containers have, that the texts are templates, and which templates there are for names.
"""

import json
import pathlib
import re

import yaml

CHART = {
    "ports": {"apiServer": 8080, "airflowUI": 8080},
    "jwtSecretName": None,
}
# What the chart makes of `waitForMigrations.securityContexts`, which is empty: Airflow's own container has no say in it.
WAIT_FOR_MIGRATIONS = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
# The Secrets that it makes or is given, by their templates below, and the key in each.
SECRETS = {("airflow-jwt-secret", "jwt-secret"), ("airflow-metadata", "connection")}
TEMPLATES = {
    'include "jwt_secret" .': lambda values: values["jwtSecretName"] or "airflow-jwt-secret",
    'include "airflow_metadata_secret" .': lambda values: "airflow-metadata",
    ".Values.ports.apiServer": lambda values: str(values["ports"]["apiServer"]),
    ".Values.ports.airflowUI": lambda values: str(values["ports"]["airflowUI"]),
}
# Older charts fill in nothing in webserver.extraContainers.
COMPONENTS = {
    "apiServer": {"name": "api-server", "port": "apiServer", "templates": True, "probe": "/api/v2/monitor/health"},
    "webserver": {"name": "webserver", "port": "airflowUI", "templates": False, "probe": "/health"},
}


def merged(lower, upper):
    """As Helm merges values: tables key by key, anything else is replaced."""
    if not (isinstance(lower, dict) and isinstance(upper, dict)):
        return upper
    return {key: merged(lower.get(key), upper.get(key, lower.get(key))) if key in upper else lower[key]
            for key in {**lower, **upper}}


def filled_in(value, values):
    if isinstance(value, dict):
        return {key: filled_in(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item, values) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\{\{-? *(.*?) *-?\}\}", lambda found: TEMPLATES[found[1]](values), value)


def labels_of(component):
    """What pods of the chart have."""
    return {"tier": "airflow", "component": component, "release": "airflow"}


def render(files):
    values = CHART
    for file in files:
        values = merged(values, yaml.safe_load(pathlib.Path(file).read_text()))
    [key] = [key for key in COMPONENTS if key in values]
    component, own = COMPONENTS[key], values[key]
    unknown = set(own) - {
        "containerLifecycleHooks", "env", "extraContainers", "extraVolumes", "securityContexts", "service",
    } | set(values) - {*CHART, key}
    assert not unknown, f"not modelled: {unknown}"
    port = values["ports"][component["port"]]
    labels = labels_of(component["name"])
    probe = {"httpGet": {"path": component["probe"], "port": port}}
    security = own["securityContexts"]["container"]
    image = "apache/airflow:3"
    extra = own["extraContainers"]
    assert component["templates"] or "{{" not in json.dumps(extra), "older charts fill in no template in extraContainers"
    if component["templates"]:
        extra = filled_in(extra, values)
    airflow = {
        "name": component["name"],
        "image": image,
        "securityContext": security,
        "lifecycle": filled_in(own["containerLifecycleHooks"], values),
        "ports": [{"name": component["name"], "containerPort": port}],
        "startupProbe": probe,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "env": own.get("env", []),
        "volumeMounts": [{"name": "config", "mountPath": "/opt/airflow/airflow.cfg", "subPath": "airflow.cfg"}],
    }
    init = {"name": "wait-for-airflow-migrations", "image": image, "securityContext": WAIT_FOR_MIGRATIONS}
    pod = {
        "securityContext": own["securityContexts"]["pod"],
        "initContainers": [init],
        "containers": [airflow, *extra],
        "volumes": [{"name": "config", "configMap": {"name": "airflow-config"}}, *own["extraVolumes"]],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"airflow-{component['name']}"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    ports = [{"name": port["name"], "port": int(filled_in(str(port["port"]), values))}
             for port in own["service"]["ports"]]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"airflow-{component['name']}"},
        "spec": {"selector": labels, "ports": ports},
    }
    return {"deployment": deployment, "service": service}
