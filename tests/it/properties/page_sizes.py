"""Reads page sizes as Airflow does: with the libraries that it does it with.

    page_sizes.py MODE < lines > readings

MODE
    starlette   the query of a list of Airflow 3: Starlette's parser, pydantic's NonNegativeInt
    connexion   the same of Airflow 2: Werkzeug's parser, connexion's choice and its `int`
    int         likewise, by Python alone, where Airflow 2 is not installed
    body3       the JSON body of a list of Airflow 3: json.loads as Starlette calls it, pydantic
    body2       the same of Airflow 2: json.loads as Flask calls it, the schema of connexion

A line is the hexadecimal form of a query or a body. What is written for it is `absent`, `refused`, or the number; for a
body also what else is in it.
"""

import json
import sys
from urllib.parse import parse_qsl


def starlette():
    from pydantic import NonNegativeInt, TypeAdapter, ValidationError
    from starlette.datastructures import QueryParams

    number = TypeAdapter(NonNegativeInt)

    def read(query: bytes) -> str:
        value = QueryParams(query).get("limit")
        if value is None:
            return "absent"
        try:
            return in_digits(number.validate_python(value))
        except ValidationError:
            return "refused"

    return read


def connexion():
    from connexion.decorators.uri_parsing import OpenAPIURIParser
    from connexion.decorators.validation import ParameterValidator, coerce_type
    from werkzeug.sansio.request import Request

    limit = {"in": "query", "name": "limit", "schema": {"type": "integer", "default": 100}}
    parser = OpenAPIURIParser([limit], {})

    def read(query: bytes) -> str:
        request = Request("GET", "http", None, "", "/", query, {}, None)
        try:
            found = parser.resolve_params(request.args.to_dict(flat=False), "query")
        except UnicodeDecodeError:
            return "refused"
        value = found.get("limit")
        if value is None:
            return "absent"
        if ParameterValidator.validate_parameter("query", value, limit):
            return "refused"
        return in_digits(coerce_type(limit, value, "query", "limit"))

    return read


def python_alone():
    def read(query: bytes) -> str:
        pairs = parse_qsl(query.decode(), keep_blank_values=True)
        values = [value for name, value in pairs if name == "limit"]
        if not values:
            return "absent"
        try:
            return in_digits(int(values[-1]))
        except ValueError:
            return "refused"

    return read


def body(read_page):
    def read(body: bytes) -> str:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return "refused"
        if not isinstance(document, dict):
            return "refused"
        others = {key: value for key, value in document.items() if key != "page_limit"}
        return f"{read_page(document)} {others!a}"

    return read


def body3():
    from pydantic import BaseModel, NonNegativeInt, ValidationError

    class Body(BaseModel):
        page_limit: NonNegativeInt = 100

    def read_page(document) -> str:
        try:
            return in_digits(Body.model_validate(document).page_limit)
        except ValidationError:
            return "refused"

    return body(read_page)


def body2():
    def read_page(document) -> str:
        page = document.get("page_limit", 100)
        # `type: integer, minimum: 1`, in JSON Schema's draft 4
        return in_digits(page) if type(page) is int and page >= 1 else "refused"

    return body(read_page)


def in_digits(number: int) -> str:
    return str(number) if abs(number) < 2**64 else str(2**64 if number > 0 else -(2**64))


MODES = {"starlette": starlette, "connexion": connexion, "int": python_alone, "body3": body3, "body2": body2}


def main():
    read = MODES[sys.argv[1]]()
    for line in sys.stdin:
        sys.stdout.write(read(bytes.fromhex(line)) + "\n")


main()
