"""What an OpenAPI file of Airflow says of each operation, a line each: query keys, fields of the body, fields of the answer.

    fields.py FILE.yaml[@PREFIX]...             (needs PyYAML, which Airflow brings)

`3.0.6.jsonl` is made from apache-airflow-core 3.0.6, airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml, and,
of the FAB that goes with it, apache-airflow-providers-fab 2.4.1, airflow/providers/fab/auth_manager/openapi/v1-flask-api.yaml,
whose paths begin with /auth/fab/v1; `3.3.2.jsonl` from those of 3.3.2 and its FAB. A field in an object in a list is `dag_runs[].conf`.
"""

import json
import sys

import yaml


class Spec:
    def __init__(self, path):
        with open(path) as file:
            self.spec = yaml.safe_load(file)

    def look_up(self, schema):
        while "$ref" in schema:
            value = self.spec
            for part in schema["$ref"].removeprefix("#/").split("/"):
                value = value[part]
            schema = value
        return schema

    def fields(self, schema, at="", seen=()):
        reference = schema.get("$ref")
        if reference in seen:
            return
        seen = (*seen, reference) if reference else seen
        schema = self.look_up(schema)
        for kind in ("anyOf", "allOf", "oneOf"):
            for part in schema.get(kind, ()):
                yield from self.fields(part, at, seen)
        if "items" in schema:
            yield from self.fields(schema["items"], f"{at}[]", seen)
        for name, property in schema.get("properties", {}).items():
            inner = f"{at}.{name}" if at else name
            yield inner
            yield from self.fields(property, inner, seen)

    def operations(self):
        for path, methods in self.spec["paths"].items():
            for method, operation in methods.items():
                if method not in ("get", "post", "put", "patch", "delete"):
                    continue
                parameters = [self.look_up(p) for p in (*methods.get("parameters", ()), *operation.get("parameters", ()))]
                yield {
                    "method": method.upper(),
                    "path": path,
                    "query": sorted(p["name"] for p in parameters if p["in"] == "query"),
                    "body": self.names(operation.get("requestBody", {})),
                    "answer": sorted({n for code, a in operation["responses"].items() if code[0] == "2" for n in self.names(a)}),
                }

    def names(self, holder):
        schema = self.look_up(holder).get("content", {}).get("application/json", {}).get("schema", {})
        return sorted(set(self.fields(schema)))


for argument in sys.argv[1:]:
    path, _, prefix = argument.partition("@")
    for operation in Spec(path).operations():
        print(json.dumps({**operation, "path": prefix + operation["path"]}))
