"""The specification: current in the documentation, complete, and its examples true."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.api.auth import REQUIRES_KEY
from app.api_keys.schemas import NewKeySchema, RotateSchema
from app.credentials.schemas import CredentialBodySchema
from app.deployments.schemas import RollbackSchema
from app.factory import create_app
from app.openapi.examples import BODIES
from app.openapi.specification import specification, text_of
from app.settings import Role, load
from app.strategies.schemas import CreateSchema
from app.strategies.update_schemas import UpdateSchema
from market.web import market_part
from market.web.quotes_schemas import QuotesBatchSchema
from market.web.trading_schemas import (
    AmendSchema,
    KillSwitchSchema,
    SandboxSettingsSchema,
    SubmitSchema,
)

ROOT = Path(__file__).resolve().parents[2]
KEY = base64.b64encode(bytes(32)).decode()
PART = market_part()
SCHEMAS = {
    "create_strategy": CreateSchema,
    "update_strategy": UpdateSchema,
    "roll_back": RollbackSchema,
    "create_key": NewKeySchema,
    "rotate_key": RotateSchema,
    "put_credential": CredentialBodySchema,
    "create_credential": CredentialBodySchema,
    "quotes_batch": QuotesBatchSchema,
    "submit_graph": SubmitSchema,
    "preview_order": SubmitSchema,
    "amend_order": AmendSchema,
    "engage_kill_switch": KillSwitchSchema,
    "change_sandbox_settings": SandboxSettingsSchema,
}
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(
        load(Role.WEB, {"CREDENTIAL_PUBLIC_KEY": KEY, "API_KEY_HASH_KEY": KEY}), [PART]
    )


@pytest.fixture(scope="module")
def spec(app: Flask) -> dict[str, Any]:
    return specification(app)


def operations(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in spec["paths"].values():
        yield from item.values()


def resolve(spec: dict[str, Any], value: Any) -> Any:
    while isinstance(value, dict) and "$ref" in value:
        found = spec
        for key in value["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        value = found
    return value


def references(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from references(inner)


def problems(spec: dict[str, Any], schema: Any, value: Any, path: str) -> Iterator[str]:
    """Where a value is not what the schema says, as far as types and names of fields go."""
    schema = resolve(spec, schema)
    if "anyOf" in schema or "oneOf" in schema:
        options = schema.get("anyOf") or schema["oneOf"]
        if all(list(problems(spec, one, value, path)) for one in options):
            yield f"{path} is none of its kinds"
        return
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(isinstance(value, TYPES[kind]) for kind in kinds):
        yield f"{path} is not {kinds}"
    fields = schema.get("properties", {})
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in fields:
            yield from problems(spec, fields[name], inner, f"{path}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{path}.{name} is not in the schema"
    for inner in value if isinstance(value, list) else ():
        yield from problems(spec, schema.get("items", {}), inner, f"{path}[]")


def test_the_file_in_the_documentation_is_current(spec: dict[str, Any]) -> None:
    # Written anew by `make openapi`.
    assert (ROOT / "docs/openapi.json").read_text() == text_of(spec)


def test_every_reference_leads_somewhere(spec: dict[str, Any]) -> None:
    found = list(references(spec))
    assert found
    for reference in found:
        assert resolve(spec, reference)


def test_every_operation_is_described_to_the_end(app: Flask, spec: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(spec)]
    assert len(set(names)) == len(names)
    views = {name.rpartition(".")[2]: view for name, view in app.view_functions.items()}
    for operation in operations(spec):
        name = operation["operationId"]
        needs_key = hasattr(views[name], REQUIRES_KEY)
        assert bool(operation["security"]) == needs_key, name
        assert operation["summary"], name
        assert ("401" in operation["responses"]) == needs_key, name
        assert all(one.get("schema") for one in operation["parameters"]), name
        for status, reference in operation["responses"].items():
            response = resolve(spec, reference)
            assert response["description"], (name, status)
            assert "example" in response["content"]["application/json"], (name, status)
        if "requestBody" in operation:
            assert "example" in operation["requestBody"]["content"]["application/json"], name


def test_every_field_of_an_answer_has_a_type(spec: dict[str, Any]) -> None:
    for schema_name, schema in spec["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            assert {"type", "$ref", "anyOf", "oneOf", "allOf"} & set(field), (schema_name, name)


def test_examples_of_answers_are_what_the_schemas_say(spec: dict[str, Any]) -> None:
    for operation in operations(spec):
        for status, reference in operation["responses"].items():
            content = resolve(spec, reference)["content"]["application/json"]
            where = f"{operation['operationId']} {status}"
            assert list(problems(spec, content["schema"], content["example"], where)) == []


def test_examples_of_bodies_are_taken() -> None:
    bodies = {**BODIES, **PART.bodies}
    assert set(bodies) == set(SCHEMAS)
    for name, body in bodies.items():
        assert SCHEMAS[name]().validate(body) == {}, name


def test_it_is_served_with_a_page_that_needs_no_other_host(app: Flask, spec: Any) -> None:
    client = app.test_client()
    served = client.get("/v1/openapi.json")
    assert json.loads(served.text) == spec
    page = client.get("/v1/docs")
    assert page.mimetype == "text/html"
    assert re.findall(r"(?:src|href|url|import|fetch)\W{1,3}([^\"')]+)", page.text) == [
        "openapi.json",
        "openapi.json",
    ]
    assert "//" not in page.text.replace("// Text only", "")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
