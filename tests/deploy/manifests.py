"""Checks the manifests in deploy/, and builds from values of the Helm chart what the chart makes of them.

    manifests.py check               every manifest against its schema, Pod Security, its own references, and what the
                                     gate's configuration says of ports, files and times
    manifests.py self-test           whether `check` finds what mutations.py breaks, each by itself
    manifests.py render FILE...      the Deployment and Service that the chart makes of these values, as JSON
    manifests.py show FILE           a manifest of one document, as JSON
"""

import functools
import json
import pathlib
import re
import shutil
import sys
import tempfile
import tomllib
import urllib.parse

import kubernetes_validate
import yaml

import chart
import foreign
import mutations

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
# What the gate answers with 200 (tests/it/deploy.rs asks a real one).
PROBES = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
# What docs/operations.md adds up.
MEMORY = "512Mi"
SIDECARS = [
    ["airflow-sidecar.yaml"],
    ["airflow-sidecar.yaml", "airflow-sidecar-public-port.yaml"],
    ["airflow2-sidecar.yaml"],
]

failures = []


def complain(where, what):
    failures.append(f"{where}: {what}")


def valid(where, manifest):
    for fault in faults(json.dumps(manifest)):
        complain(where, fault)


@functools.cache
def faults(manifest):
    manifest = json.loads(manifest)
    if manifest["kind"] in foreign.KINDS:
        return foreign.faults(manifest)
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}")
    return found


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
            elif resources["limits"]["memory"] != MEMORY:
                complain(at, f"{resources['limits']['memory']} of memory, and docs/operations.md says {MEMORY}")


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


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def ports_of(container):
    return {port["name"]: port["containerPort"] for port in container.get("ports", [])}


def selects(selector, labels):
    """Whether a LabelSelector takes these labels."""
    def holds(rule):
        match rule["operator"]:
            case "In":
                return labels.get(rule["key"]) in rule["values"]
            case "NotIn":
                return labels.get(rule["key"]) not in rule["values"]
            case "Exists":
                return rule["key"] in labels
            case "DoesNotExist":
                return rule["key"] not in labels
    by_name = selector.get("matchLabels", {})
    rules = selector.get("matchExpressions", [])
    return bool(by_name or rules) and by_name.items() <= labels.items() and all(map(holds, rules))


def probed(where, gate, admin):
    """Each probe asks the admin port for a page that it has."""
    for name, path in PROBES.items():
        probe = gate.get(name, {}).get("httpGet")
        if probe is None:
            complain(where, f"there is no {name}")
            continue
        if probe["path"] != path:
            complain(where, f"{name} asks for {probe['path']}, not {path}")
        port = ports_of(gate).get(probe["port"], probe["port"])
        if port != admin:
            complain(where, f"{name} asks port {port}, and the admin port is {admin}")


def ends_in_time(where, pod, drain_delay, grace_period):
    """The gate has left by itself before it is killed."""
    wanted, given = seconds(drain_delay) + seconds(grace_period), pod.get("terminationGracePeriodSeconds", 30)
    if wanted >= given:
        complain(where, f"drain_delay and grace_period are {wanted} s, terminationGracePeriodSeconds is {given} s")
    return wanted, given


def files_of(where, pod, container, manifests):
    """The paths of files that a container sees, of Secrets and ConfigMaps."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    files = set()
    for mount in container["volumeMounts"]:
        volume = volumes.get(mount["name"], {})
        if "configMap" in volume:
            config = manifests.get(("ConfigMap", volume["configMap"]["name"]))
            if config is None:
                complain(where, f"there is no ConfigMap {volume['configMap']['name']}")
                continue
            files |= {f"{mount['mountPath']}/{name}" for name in config["data"]}
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                if (source["secret"]["name"], item["key"]) not in chart.SECRETS:
                    complain(where, f"the chart has no Secret {source['secret']['name']} with key {item['key']}")
                files.add(f"{mount['mountPath']}/{item['path']}")
    return files


def named_files(value):
    """Each `{ file = ... }` of a configuration."""
    if isinstance(value, list):
        return [file for item in value for file in named_files(item)]
    if not isinstance(value, dict):
        return []
    own = [value["file"]] if set(value) == {"file"} else []
    return own + [file for item in value.values() for file in named_files(item)]


def check_kustomization(file):
    kustomization = yaml.safe_load(file.read_text())
    where = f"{file.parent.name}/{file.name}"
    named = set(kustomization.get("resources", []))
    there = {other.name for other in file.parent.glob("*.yaml")} - {file.name}
    if named != there:
        complain(where, f"names {named ^ there} and the folder differs")
    return kustomization


def check_policies(policies, labels, config, ports, serving, admin):
    where = "kubernetes/networkpolicy.yaml"
    upstream = urllib.parse.urlsplit(config["upstream"]["url"])
    component = "webserver" if str(config["upstream"].get("airflow", "3")) == "2" else "api-server"
    if upstream.hostname != f"airflow-{component}":
        complain("kubernetes/configmap.yaml", f"the upstream {upstream.hostname} is not the chart's Service")
    behind, own = policies["airflow-api-server-behind-airgate"], policies["airgate"]
    airflow = {"tier": "airflow", "component": component}
    if behind["podSelector"] != {"matchLabels": airflow}:
        complain(where, f"selects {behind['podSelector']}, and Airflow's pods have {airflow}")
    rules = [(sorted(map(json.dumps, rule.get("from", []))), rule.get("ports")) for rule in behind["ingress"]]
    let_in = sorted(json.dumps({"podSelector": {"matchLabels": one}}) for one in (labels, {"tier": "airflow"}))
    if rules != [(let_in, [{"port": upstream.port}])]:
        complain(where, f"lets {rules} reach Airflow, and not the gate and Airflow's own pods on {upstream.port} alone")
    for name, policy in policies.items():
        if policy["policyTypes"] != ["Ingress"]:
            complain(where, f"{name} is for {policy['policyTypes']}")
    open_to_all, open_to_some = set(), set()
    for rule in own["ingress"]:
        (open_to_some if rule.get("from") else open_to_all).update(port["port"] for port in rule["ports"])
    if (open_to_all, open_to_some) != (serving, {admin}):
        complain(where, f"{open_to_all} are open to all and {open_to_some} to some, and the pods have {ports}")


def check_kubernetes(folder):
    manifests = {}
    for file in sorted(folder.rglob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            valid(f"{file.relative_to(folder.parent)}: {manifest['kind']}", manifest)
            manifests[manifest["kind"], manifest.get("metadata", {}).get("name")] = manifest
    kustomization = check_kustomization(folder / "kustomization.yaml")
    check_kustomization(folder / "components/podmonitor/kustomization.yaml")
    deployment = manifests["Deployment", "airgate"]
    pod = deployment["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    where = "kubernetes/deployment.yaml"
    restricted(where, pod)
    consistent(where, pod)
    [gate] = pod["containers"]
    if [image["name"] for image in kustomization["images"]] != [gate["image"]]:
        complain("kubernetes/kustomization.yaml", f"names another image than {gate['image']}")
    spread = pod["topologySpreadConstraints"]
    selectors = {
        "service.yaml": {"matchLabels": manifests["Service", "airgate"]["spec"]["selector"]},
        "pdb.yaml": manifests["PodDisruptionBudget", "airgate"]["spec"]["selector"],
        "networkpolicy.yaml": manifests["NetworkPolicy", "airgate"]["spec"]["podSelector"],
        "deployment.yaml": deployment["spec"]["selector"],
        "deployment.yaml: topologySpreadConstraints": spread[0]["labelSelector"],
    }
    for file, selector in selectors.items():
        if not selects(selector, labels):
            complain(f"kubernetes/{file}", f"selects {selector}, and the pods have {labels}")

    config = tomllib.loads(manifests["ConfigMap", "airgate"]["data"]["airgate.toml"])
    server, ports = config["server"], ports_of(gate)
    serving, admin = set(map(port_of, server["listen"])), port_of(config["admin"]["listen"])
    if serving | {admin} != set(ports.values()):
        complain("kubernetes/configmap.yaml", f"listens on {serving} and {admin}, and the pods have {ports}")
    probed(where, gate, admin)
    ends_in_time(where, pod, server["drain_delay"], server["grace_period"])
    files = files_of(where, pod, gate, manifests)
    for file in [gate["args"][gate["args"].index("--conf") + 1], *named_files(config)]:
        if file not in files:
            complain(where, f"{file} is named, and not mounted: {sorted(files)}")
    targets = {ports.get(port["targetPort"], port["targetPort"]) for port in manifests["Service", "airgate"]["spec"]["ports"]}
    if targets != serving:
        complain("kubernetes/service.yaml", f"leads to {targets}, and the gate listens on {serving}")
    policies = {name: manifest["spec"] for (kind, name), manifest in manifests.items() if kind == "NetworkPolicy"}
    check_policies(policies, deployment["spec"]["selector"]["matchLabels"], config, ports, serving, admin)

    scale = manifests["HorizontalPodAutoscaler", "airgate"]["spec"]
    if (scale["scaleTargetRef"]["name"], "replicas" in deployment["spec"]) != ("airgate", False):
        complain("kubernetes/hpa.yaml", "scales something else, or against the Deployment's own number")
    if manifests["PodDisruptionBudget", "airgate"]["spec"]["minAvailable"] >= scale["minReplicas"]:
        complain("kubernetes/pdb.yaml", "no pod may ever go")
    if pod["serviceAccountName"] != manifests["ServiceAccount", "airgate"]["metadata"]["name"]:
        complain(where, "its service account is not there")
    monitored(manifests["PodMonitor", "airgate"], labels, ports, admin)
    return manifests["PodMonitor", "airgate-sidecar"]


def monitored(monitor, labels, ports, admin):
    where = f"kubernetes/components/podmonitor/podmonitor.yaml: {monitor['metadata']['name']}"
    if not selects(monitor["spec"]["selector"], labels):
        complain(where, f"selects {monitor['spec']['selector']}, and the pods have {labels}")
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        if ports.get(endpoint["port"]) != admin or endpoint.get("path", "/metrics") != "/metrics":
            complain(where, f"asks {endpoint['port']} for {endpoint.get('path')}, and the admin port is {admin} of {ports}")


def check_helm(folder, monitor):
    for files in SIDECARS:
        where = "helm/" + " + ".join(files)
        try:
            rendered = chart.render([folder / file for file in files])
        except (AssertionError, KeyError, ValueError) as error:
            complain(where, f"the chart makes nothing of it: {error!r}")
            continue
        deployment, service = rendered["deployment"], rendered["service"]
        pod = deployment["spec"]["template"]["spec"]
        valid(where, deployment)
        valid(where, service)
        restricted(where, pod)
        consistent(where, pod)
        airflow, gate = pod["containers"]
        env = {variable["name"]: variable.get("value") for variable in gate["env"]}
        own_env = {variable["name"]: variable.get("value") for variable in airflow["env"]}
        own_port = int(own_env.get("AIRFLOW__API__PORT", 8080))
        serving, admin = port_of(env["AIRGATE__SERVER__LISTEN"]), port_of(env["AIRGATE__ADMIN__LISTEN"])
        # Airflow's port is one of the pod only as long as it does not listen on 127.0.0.1.
        listens = {serving} if "AIRFLOW__API__HOST" in own_env else {serving, own_port}
        public = {port["port"] for port in service["spec"]["ports"]}
        declared = {*ports_of(airflow).values(), *ports_of(gate).values()}
        if public != listens or not listens | {admin} <= declared:
            complain(where, f"the Service has {public}, the pod {declared}, and listens on {listens} and {admin}")
        if env["AIRGATE__UPSTREAM__URL"] != f"http://127.0.0.1:{own_port}":
            complain(where, f"asks {env['AIRGATE__UPSTREAM__URL']}, and Airflow listens on {own_port}")
        if env["AIRGATE__GATE__AIRFLOW_CFG"] not in {mount["mountPath"] for mount in gate["volumeMounts"]}:
            complain(where, f"{env['AIRGATE__GATE__AIRFLOW_CFG']} is not mounted")
        for variable in gate["env"]:
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            if secret and (secret["name"], secret["key"]) not in chart.SECRETS:
                complain(where, f"{variable['name']}: the chart has no such Secret and key: {secret}")
        probed(where, gate, admin)
        monitored(monitor, deployment["spec"]["template"]["metadata"]["labels"], ports_of(gate), admin)
        wanted, given = ends_in_time(where, pod, env["AIRGATE__SERVER__DRAIN_DELAY"], env["AIRGATE__SERVER__GRACE_PERIOD"])
        waits = airflow["lifecycle"]["preStop"]["exec"]["command"][-1]
        found = re.search(r"\{1\.\.(\d+)\}; do \(: </dev/tcp/127\.0\.0\.1/(\d+)\) .*; sleep ([\d.]+)", waits)
        if not found or int(found[2]) != admin:
            complain(where, f"preStop does not wait for the admin port {admin}: {waits}")
        elif not wanted <= int(found[1]) * float(found[3]) < given:
            complain(where, f"preStop waits for {int(found[1]) * float(found[3])} s: not from {wanted} s to {given} s")


def check(deploy):
    """What is wrong with a folder like deploy/."""
    failures.clear()
    try:
        check_helm(deploy / "helm", check_kubernetes(deploy / "kubernetes"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        complain(deploy.name, f"something is not there, or not as it should be: {error!r}")
    return list(failures)


def self_test():
    """Breaks a copy of deploy/ in each way of mutations.py, and says which of them `check` does not find."""
    missed = check(DEPLOY)
    for name, changes, expected in mutations.MUTATIONS:
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "deploy")
            for part in ("kubernetes", "helm"):
                shutil.copytree(DEPLOY / part, copy / part)
            for file, before, after in changes:
                text = (copy / file).read_text()
                if before not in text:
                    missed.append(f"{name}: {file} has no {before!r}")
                (copy / file).write_text(text.replace(before, after))
            found = check(copy)
            if not any(all(word in failure for word in expected) for failure in found):
                missed.append(f"{name}: none of these has {expected}: {found}")
    return missed


def main():
    found = []
    match sys.argv[1:]:
        case ["check"]:
            found = check(DEPLOY)
        case ["self-test"]:
            found = self_test()
        case ["render", *files]:
            print(json.dumps(chart.render(files)))
        case ["show", file]:
            print(json.dumps(yaml.safe_load(pathlib.Path(file).read_text())))
        case _:
            sys.exit(__doc__)
    if found:
        sys.exit("\n".join(found))


main()
