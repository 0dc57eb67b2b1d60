"""The kinds of other projects in deploy/, which Kubernetes' own schemas do not have: Kustomize's and the Prometheus
operator's. Only what their documentation has and deploy/ may use: anything else is refused, a misspelt key too."""

import jsonschema

TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}
TEXTS, MAP = {"type": "array", "items": TEXT}, {"type": "object", "additionalProperties": TEXT}


def table(required=(), **keys):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": keys}


def tables(required=(), **keys):
    return {"type": "array", "minItems": 1, "items": table(required, **keys)}


def kind(version, **keys):
    return table(["apiVersion", "kind"], apiVersion={"const": version}, kind=TEXT, metadata=METADATA, **keys)


METADATA = table(["name"], name=TEXT, namespace=TEXT, labels=MAP, annotations=MAP)
SELECTOR = table(
    matchLabels=MAP,
    matchExpressions=tables(
        ["key", "operator"], key=TEXT, operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]}, values=TEXTS
    ),
)
KUSTOMIZE = {
    "namespace": TEXT,
    "labels": tables(["pairs"], pairs=MAP, includeSelectors=FLAG, includeTemplates=FLAG),
    "resources": TEXTS,
    "components": TEXTS,
    "images": tables(["name"], name=TEXT, newName=TEXT, newTag=TEXT, digest=TEXT),
    "patches": tables(path=TEXT, patch=TEXT),
}
KINDS = {
    "Kustomization": kind("kustomize.config.k8s.io/v1beta1", **KUSTOMIZE),
    "Component": kind("kustomize.config.k8s.io/v1alpha1", **KUSTOMIZE),
    "PodMonitor": kind(
        "monitoring.coreos.com/v1",
        spec=table(
            ["selector", "podMetricsEndpoints"],
            selector=SELECTOR,
            namespaceSelector=table(any=FLAG, matchNames=TEXTS),
            jobLabel=TEXT,
            podMetricsEndpoints=tables(
                ["port"], port=TEXT, path=TEXT, scheme={"enum": ["http", "https"]}, interval=DURATION,
                scrapeTimeout=DURATION, honorLabels=FLAG,
            ),
        ),
    ),
}


def faults(manifest):
    """What is wrong with a manifest of one of these kinds."""
    errors = jsonschema.Draft202012Validator(KINDS[manifest["kind"]]).iter_errors(manifest)
    return [f"{error.json_path}: {error.message}" for error in errors]
