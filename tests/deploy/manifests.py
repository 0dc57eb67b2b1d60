"""Checks the manifests in deploy/, and builds from values of the Helm chart what the chart makes of them.

    manifests.py check               every manifest against Kubernetes' schemas, Pod Security and its own references
    manifests.py render FILE...      the Deployment and Service that the chart makes of these values, as JSON
    manifests.py config              airgate.toml of the ConfigMap

The chart itself is not here. What is modelled of it is what decides whether a sidecar fits: that lists in values are
replaced and tables merged, that ports have a name and a number and no target port, which volumes a pod has, which
probes Airflow's container has, that the texts are templates, and which templates there are for names.
"""

import json
import pathlib
import re
import sys

import kubernetes_validate
import yaml

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
# No schema: other projects' kinds.
FOREIGN = {"Kustomization", "Component", "PodMonitor"}
VERSIONS = ["1.30", kubernetes_validate.latest_version()]

failures = []


def complain(where, what):
    failures.append(f"{where}: {what}")


# --- the chart ------------------------------------------------------------------------------------------------------

CHART = {
    "ports": {"apiServer": 8080, "airflowUI": 8080},
    "jwtSecretName": None,
}
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


def render(files):
    values = CHART
    for file in files:
        values = merged(values, yaml.safe_load(pathlib.Path(file).read_text()))
    [key] = [key for key in COMPONENTS if key in values]
    component, own = COMPONENTS[key], values[key]
    unknown = set(own) - {
        "containerLifecycleHooks", "env", "extraContainers", "extraVolumes", "securityContexts", "service",
    }
    assert not unknown, f"not modelled: {unknown}"
    port = values["ports"][component["port"]]
    labels = {"tier": "airflow", "component": component["name"], "release": "airflow"}
    probe = {"httpGet": {"path": component["probe"], "port": port}}
    security = own["securityContexts"]["container"]
    image = "apache/airflow:3"
    extra = own["extraContainers"]
    if component["templates"]:
        extra = filled_in(extra, values)
    elif "{{" in json.dumps(extra):
        complain(files, "a template in extraContainers, which older charts do not fill in")
    airflow = {
        "name": component["name"],
        "image": image,
        "securityContext": security,
        "lifecycle": filled_in(own["containerLifecycleHooks"], values),
        "ports": [{"name": component["name"], "containerPort": port}],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "env": own.get("env", []),
        "volumeMounts": [{"name": "config", "mountPath": "/opt/airflow/airflow.cfg", "subPath": "airflow.cfg"}],
    }
    init = {"name": "wait-for-airflow-migrations", "image": image, "securityContext": security}
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


# --- checks ---------------------------------------------------------------------------------------------------------


def valid(where, manifest):
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            complain(where, f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}")


def restricted(where, pod):
    """Pod Security Standards, level restricted."""
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        complain(where, "uses a namespace of the host")
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
                         "projected", "secret"}:
            complain(where, f"volume {volume['name']}: {kinds}")
    for container in pod.get("initContainers", []) + pod["containers"]:
        at = f"{where}: container {container['name']}"
        context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
        if context.get("runAsNonRoot") is not True:
            complain(at, "runAsNonRoot is not true")
        if context.get("runAsUser") == 0:
            complain(at, "runs as root")
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            complain(at, "no seccomp profile")
        if context.get("allowPrivilegeEscalation") is not False:
            complain(at, "allowPrivilegeEscalation is not false")
        capabilities = context.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            complain(at, "keeps capabilities")
        if not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
            complain(at, "adds capabilities")
        if context.get("privileged") or "hostPort" in json.dumps(container.get("ports", [])):
            complain(at, "is privileged, or has a port of the host")
        if container["name"] == "airgate":
            if context.get("readOnlyRootFilesystem") is not True:
                complain(at, "can write to its root")
            resources = container.get("resources", {})
            if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
                complain(at, "no requests, or no limit of memory")


def consistent(where, pod):
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    names, numbers = [], []
    for container in pod["containers"]:
        at = f"{where}: container {container['name']}"
        ports = {port["name"] for port in container.get("ports", [])}
        names += [port["name"] for port in container.get("ports", [])]
        numbers += [port["containerPort"] for port in container.get("ports", [])]
        mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                complain(at, f"mounts {mount['name']}, which is no volume")
        for one in mounts:
            for other in mounts:
                if other.startswith(one + "/"):
                    complain(at, f"mounts {other} within {one}, which is read-only")
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = container.get(name, {}).get("httpGet", {}).get("port")
            if isinstance(port, str) and port not in ports:
                complain(at, f"{name} asks port {port}, which is not there")
    for kind, all_of_them in (("name", names), ("number", numbers)):
        twice = {one for one in all_of_them if all_of_them.count(one) > 1}
        if twice:
            complain(where, f"one {kind} of a port twice: {twice}")


def check_kubernetes():
    folder = DEPLOY / "kubernetes"
    manifests = {}
    for file in sorted(folder.rglob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            where = f"{file.relative_to(DEPLOY)}: {manifest['kind']}"
            if manifest["kind"] not in FOREIGN:
                valid(where, manifest)
            name = manifest.get("metadata", {}).get("name")
            manifests[manifest["kind"], name] = manifest
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    named = set(kustomization["resources"])
    there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
    if named != there:
        complain("kustomization.yaml", f"names {named ^ there} and the folder differs")
    deployment = manifests["Deployment", "airgate"]
    pod = deployment["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    restricted("kubernetes/deployment.yaml", pod)
    consistent("kubernetes/deployment.yaml", pod)
    selectors = {
        "Service": manifests["Service", "airgate"]["spec"]["selector"],
        "PodDisruptionBudget": manifests["PodDisruptionBudget", "airgate"]["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": manifests["NetworkPolicy", "airgate"]["spec"]["podSelector"]["matchLabels"],
        "Deployment": deployment["spec"]["selector"]["matchLabels"],
    }
    for kind, selector in selectors.items():
        if not selector.items() <= labels.items():
            complain(kind, f"selects {selector}, and the pods have {labels}")
    ports = {port["name"]: port["containerPort"] for container in pod["containers"] for port in container["ports"]}
    for port in manifests["Service", "airgate"]["spec"]["ports"]:
        if port["targetPort"] not in ports:
            complain("Service", f"there is no port {port['targetPort']}")
    open_ports = {port["port"] for rule in manifests["NetworkPolicy", "airgate"]["spec"]["ingress"] for port in rule["ports"]}
    if open_ports != set(ports.values()):
        complain("NetworkPolicy", f"{open_ports} are open, and the pods have {ports}")
    scale = manifests["HorizontalPodAutoscaler", "airgate"]["spec"]
    if (scale["scaleTargetRef"]["name"], "replicas" in deployment["spec"]) != ("airgate", False):
        complain("HorizontalPodAutoscaler", "scales something else, or against the Deployment's own number")
    budget = manifests["PodDisruptionBudget", "airgate"]["spec"]["minAvailable"]
    if budget >= scale["minReplicas"]:
        complain("PodDisruptionBudget", "no pod may ever go")
    if pod["serviceAccountName"] != manifests["ServiceAccount", "airgate"]["metadata"]["name"]:
        complain("Deployment", "its service account is not there")
    for monitor, pods in (("airgate", set(ports)), ("airgate-sidecar", {"airgate-admin"})):
        for endpoint in manifests["PodMonitor", monitor]["spec"]["podMetricsEndpoints"]:
            if endpoint["port"] not in pods:
                complain("PodMonitor", f"there is no port {endpoint['port']}")


def check_helm():
    helm = DEPLOY / "helm"
    for files in (
        ["airflow-sidecar.yaml"],
        ["airflow-sidecar.yaml", "airflow-sidecar-public-port.yaml"],
        ["airflow2-sidecar.yaml"],
    ):
        where = "helm/" + " + ".join(files)
        rendered = render([helm / file for file in files])
        deployment, service = rendered["deployment"], rendered["service"]
        pod = deployment["spec"]["template"]["spec"]
        valid(where, deployment)
        valid(where, service)
        restricted(where, pod)
        consistent(where, pod)
        gate = next(container for container in pod["containers"] if container["name"] == "airgate")
        airflow = pod["containers"][0]
        env = {variable["name"]: variable.get("value") for variable in gate["env"]}
        listens = {8080} if "AIRFLOW__API__PORT" not in {variable["name"] for variable in airflow["env"]} else set()
        listens |= {int(env["AIRGATE__SERVER__LISTEN"].rsplit(":", 1)[1])}
        public = {port["port"] for port in service["spec"]["ports"]}
        if public != listens:
            complain(where, f"the Service has {public}, and the pod listens on {listens}")


def main():
    match sys.argv[1:]:
        case ["check"]:
            check_kubernetes()
            check_helm()
        case ["render", *files]:
            print(json.dumps(render(files)))
        case ["config"]:
            config = yaml.safe_load((DEPLOY / "kubernetes/configmap.yaml").read_text())
            print(config["data"]["airgate.toml"], end="")
        case _:
            sys.exit(__doc__)
    if failures:
        sys.exit("\n".join(failures))


main()
