"""What `manifests.py check` must find: each row breaks a copy of deploy/ in one way, and says which words one of the
failures must have, the file among them."""

POLICY = "kubernetes/networkpolicy.yaml"
DEPLOYMENT = "kubernetes/deployment.yaml"
CONFIG = "kubernetes/configmap.yaml"
SERVICE = "kubernetes/service.yaml"
KUSTOMIZATION = "kubernetes/kustomization.yaml"
MONITOR = "kubernetes/components/podmonitor/podmonitor.yaml"
SIDECAR = "helm/airflow-sidecar.yaml"
PUBLIC = "helm/airflow-sidecar-public-port.yaml"
AIRFLOW_2 = "helm/airflow2-sidecar.yaml"

THE_GATE = """        - podSelector:
            matchLabels:
              app.kubernetes.io/name: airgate
        - podSelector:
            matchLabels:
              tier: airflow
"""
ONLY_AIRFLOW = """        - podSelector:
            matchLabels:
              tier: airflow
"""
ANYBODY = THE_GATE + "        - namespaceSelector: {}\n"
READY = "path: /readyz\n"

# name, changes (file, before, after), words of the failure
MUTATIONS = [
    ("the gate is not let in", [(POLICY, THE_GATE, ONLY_AIRFLOW)], [POLICY, "reach Airflow"]),
    ("anybody is let in", [(POLICY, THE_GATE, ANYBODY)], [POLICY, "reach Airflow"]),
    ("another component is closed", [(POLICY, "component: api-server", "component: scheduler")], [POLICY, "scheduler"]),
    ("another port of Airflow is open", [(POLICY, "port: 8080", "port: 8793")], [POLICY, "8793"]),
    ("the policy is for what leaves", [(POLICY, "policyTypes: [Ingress]", "policyTypes: [Egress]")], [POLICY, "Egress"]),
    ("the admin port is open to all", [(POLICY, "port: 8081", "port: 9091")], [POLICY, "9091"]),
    ("a secret under another name", [(DEPLOYMENT, "path: jwt-secret", "path: jwt")], [DEPLOYMENT, "jwt-secret is named"]),
    ("a secret's other key", [(DEPLOYMENT, "key: connection", "key: dsn")], [DEPLOYMENT, "key dsn"]),
    ("secrets elsewhere", [(DEPLOYMENT, "/etc/airgate-secrets", "/etc/other")], [DEPLOYMENT, "not mounted"]),
    ("configuration elsewhere", [(DEPLOYMENT, "mountPath: /etc/airgate\n", "mountPath: /etc/gate\n")],
     [DEPLOYMENT, "airgate.toml is named"]),
    ("edge: a page that is not there", [(DEPLOYMENT, READY, "path: /nothing\n")], [DEPLOYMENT, "/nothing"]),
    ("edge: probes of the serving port", [(DEPLOYMENT, "port: admin", "port: http")], [DEPLOYMENT, "Probe asks port 8081"]),
    ("edge: no time to end", [(DEPLOYMENT, "Seconds: 60", "Seconds: 20")], [DEPLOYMENT, "terminationGracePeriodSeconds is 20"]),
    ("edge: exactly no time to end", [(DEPLOYMENT, "Seconds: 60", "Seconds: 50")], [DEPLOYMENT, "is 50 s"]),
    ("edge: less memory", [(DEPLOYMENT, "memory: 512Mi", "memory: 256Mi")], [DEPLOYMENT, "256Mi of memory"]),
    ("edge: listens elsewhere", [(CONFIG, "0.0.0.0:8081", "0.0.0.0:9999")], [CONFIG, "9999"]),
    ("edge: admin elsewhere", [(CONFIG, "0.0.0.0:9091", "0.0.0.0:9999")], [CONFIG, "9999"]),
    ("edge: another upstream", [(CONFIG, "airflow-api-server", "airflow-webserver")], [CONFIG, "airflow-webserver"]),
    ("the Service leads elsewhere", [(SERVICE, "targetPort: http", "targetPort: 8080")], [SERVICE, "8080"]),
    ("the Service leads to the admin port", [(SERVICE, "targetPort: http", "targetPort: admin")], [SERVICE, "9091"]),
    ("the Service selects nothing", [(SERVICE, "name: airgate\n  ports", "name: gate\n  ports")], [SERVICE, "selects"]),
    ("a misspelt key of a PodMonitor", [(MONITOR, "interval", "intervall")], ["podmonitor.yaml", "intervall"]),
    ("edge: a PodMonitor of others", [(MONITOR, "[airgate]", "[other]")], ["podmonitor.yaml: airgate", "other"]),
    ("sidecar: a PodMonitor of others", [(MONITOR, "api-server", "other")], ["podmonitor.yaml: airgate-sidecar", "other"]),
    ("a PodMonitor of the serving port", [(MONITOR, "port: admin", "port: http")], ["podmonitor.yaml", "asks http"]),
    ("a misspelt key of a Kustomization", [(KUSTOMIZATION, "labels:", "lables:")], ["kustomization.yaml", "lables"]),
    ("a Kustomization without a manifest", [(KUSTOMIZATION, "  - pdb.yaml\n", "")], ["kustomization.yaml", "pdb.yaml"]),
    ("a misspelt value", [(SIDECAR, "extraVolumes:", "extraVolume:")], [SIDECAR, "extraVolume"]),
    ("a Secret that the chart has not", [(SIDECAR, "key: jwt-secret", "key: secret")], [SIDECAR, "no such Secret"]),
]
for sidecar in (SIDECAR, PUBLIC, AIRFLOW_2):
    file = sidecar.removeprefix("helm/")
    MUTATIONS += [
        (f"{file}: a page that is not there", [(sidecar, READY, "path: /nothing\n")], [file, "/nothing"]),
        (f"{file}: probes of the serving port", [(sidecar, "port: airgate-admin", "port: 8081")], [file, "asks port 8081"]),
        (f"{file}: no time to end", [(sidecar, "value: 20s", "value: 90s")], [file, "are 95 s"]),
        (f"{file}: admin elsewhere", [(sidecar, "0.0.0.0:9091", "0.0.0.0:9999")], [file, "9999"]),
        (f"{file}: another configuration", [(sidecar, "value: /opt/airflow/", "value: /etc/")], [file, "not mounted"]),
        (f"{file}: another upstream", [(sidecar, "http://127.0.0.1:", "http://127.0.0.1:1")], [file, "Airflow listens on"]),
    ]
for sidecar in (SIDECAR, AIRFLOW_2):
    file = sidecar.removeprefix("helm/")
    MUTATIONS += [
        (f"{file}: waits for another port", [(sidecar, "127.0.0.1/9091", "127.0.0.1/9999")], [file, "preStop does not wait"]),
        (f"{file}: waits too short", [(sidecar, "{1..50}", "{1..10}")], [file, "preStop waits for 5.0 s"]),
    ]
