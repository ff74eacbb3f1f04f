"""What requests may be, where the schemas of the code say it in another way than OpenAPI does."""

import copy
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_PREFIX = "#/components/schemas/"
_VARIABLES = {"format": "variable-name", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
_UPDATE, _CREATE = "Update", "Create"


def complete_bodies(spec: Json) -> None:
    """Say of the bodies that unknown keys are refused, and what a change in place may hold."""
    schemas: Json = spec["components"]["schemas"]
    _take_one_target_as_text(schemas["Placement"])
    for name in (_CREATE, _UPDATE):
        for variables in ("env", "secrets"):
            schemas[name]["properties"][variables]["propertyNames"] = dict(_VARIABLES)
    _describe_changes(schemas)
    for name in set(_bodies(spec)):
        schemas[name].setdefault("additionalProperties", False)


def plain_parameter(parameter: Json) -> Json:
    """A query's parameter: it is there or not, but never null."""
    schema = parameter["schema"]
    if isinstance(schema.get("type"), list):
        (schema["type"],) = (kind for kind in schema["type"] if kind != "null")
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    if schema.get("default", "") in (None, ""):
        schema.pop("default", None)
    return parameter


def _take_one_target_as_text(placement: Json) -> None:
    several = placement["properties"]["latency_target"]
    placement["properties"]["latency_target"] = {
        "anyOf": [several, copy.deepcopy(several["items"])]
    }


def _describe_changes(schemas: Json) -> None:
    """Each table of a PATCH has the keys of the table that it changes, and null for any of them."""
    for name, field in list(schemas[_UPDATE]["properties"].items()):
        if name in ("env", "secrets"):
            continue
        change = copy.deepcopy(schemas[name.capitalize()])
        change.pop("required", None)
        change["additionalProperties"] = False
        change["properties"] = {key: _or_null(inner) for key, inner in change["properties"].items()}
        schemas[f"{name.capitalize()}Change"] = change
        reference = {"$ref": f"{_PREFIX}{name.capitalize()}Change"}
        field.clear()
        field["anyOf"] = [reference, {"type": "null"}]


def _or_null(field: Json) -> Json:
    plain = {key: value for key, value in field.items() if key != "default"}
    return {"anyOf": [plain, {"type": "null"}]}


def _bodies(spec: Json) -> Iterator[str]:
    """Names of all schemas that a request's body is made of."""
    for item in spec["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and "requestBody" in operation:
                yield from _named(spec, operation["requestBody"])


def _named(spec: Json, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref", "")
        if reference.startswith(_PREFIX):
            name = reference.removeprefix(_PREFIX)
            yield name
            yield from _named(spec, spec["components"]["schemas"][name])
        for inner in value.values():
            yield from _named(spec, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(spec, inner)
