"""From what flask-smorest knows of the routes to a complete specification.

`python -m app.openapi` prints it; a test holds `docs/openapi.json` to it.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flask import Flask

from app.api.auth import REQUIRES_KEY
from app.openapi.examples import ANSWERS, BODIES
from app.openapi.requests import complete_bodies, plain_parameter
from app.parts import PARTS
from app.version import PLATFORM_VERSION

Json = dict[str, Any]

_ERRORS = {
    "400": ("BAD_REQUEST", "The body or a parameter cannot be read.", "the body is not valid JSON"),
    "401": ("UNAUTHORIZED", "No key, or not a valid one.", "the API key is not known here"),
    "403": ("FORBIDDEN", "The key's scopes, or a quota, do not allow it.", "this needs deploy"),
    "404": ("NOT_FOUND", "Nothing there that this key may see.", "there is no strategy 'x'"),
    "409": ("CONFLICT", "The present state does not allow it.", "this key was rotated already"),
    "413": ("PAYLOAD_TOO_LARGE", "More bytes than the limit.", "the request has too many bytes"),
    "422": ("VALIDATION_ERROR", "Fields of the body are wrong.", "name: is missing"),
    "429": ("RATE_LIMITED", "Too many requests with this key.", "wait, and send fewer at once"),
    "503": ("SERVICE_UNAVAILABLE", "A part of the platform is away.", "try again"),
    "default": ("INTERNAL_ERROR", "A fault of the platform.", "something went wrong on our side"),
}
_CONFLICTING = ("update_strategy", "rotate_key", "put_credential", "create_credential")
# All that these take has a value without the caller.
_MAY_BE_EMPTY = ("update_strategy", "create_key", "rotate_key", "engage_kill_switch")
_SECONDS = {"type": "integer", "description": "Unix seconds."}
_SECONDS_OR_NULL = {"type": ["integer", "null"], "description": "Unix seconds, or null."}
_NUMBER_OR_NULL = {"type": ["integer", "null"]}
_TYPES: Json = {
    "created_at": _SECONDS,
    "updated_at": _SECONDS,
    "started_at": _SECONDS,
    "at": _SECONDS,
    "last_heartbeat_at": _SECONDS,
    "ts_ms": {"type": "integer", "description": "Unix milliseconds."},
    "ended_at": _SECONDS_OR_NULL,
    "next_restart_at": _SECONDS_OR_NULL,
    "next_run_at": _SECONDS_OR_NULL,
    "last_used_at": _SECONDS_OR_NULL,
    "expires_at": _SECONDS_OR_NULL,
    "cpu_millis": _NUMBER_OR_NULL,
    "memory_mb": _NUMBER_OR_NULL,
}
"""Fields that are computed: their types are not in the schemas."""


def specification(app: Flask) -> Json:
    """The specification of this app, as JSON that `docs/openapi.json` holds."""
    spec: Json = app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict()
    spec = json.loads(json.dumps(spec))
    spec["info"] = {
        "title": "Hosted strategies",
        "version": PLATFORM_VERSION,
        "description": "Upload a Python program; it runs sealed off, is restarted, and shows its "
        "log. See docs/api.md.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    spec["servers"] = [{"url": "/", "description": "This platform."}]
    spec["components"] = _components(spec["components"])
    complete_bodies(spec)
    views = _views(app)
    bodies, answers = dict(BODIES), dict(ANSWERS)
    for part in app.extensions[PARTS]:
        bodies |= part.bodies
        answers |= part.answers
    for path, method, operation in _operations(spec):
        name, view = views[path, method]
        known = _Known(name, path, hasattr(view, REQUIRES_KEY), bodies.get(name), answers.get(name))
        _complete(operation, known)
    return spec


def text_of(spec: Json) -> str:
    """As it stands in the file."""
    return json.dumps(spec, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _components(found: Json) -> Json:
    schemas = {
        k: v for k, v in found["schemas"].items() if k not in ("Error", "PaginationMetadata")
    }
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if field.pop("readOnly", False):
                field.update(_TYPES[name])
    schemas["Error"] = _ERROR_SCHEMA
    key = {"type": "http", "scheme": "bearer", "bearerFormat": "seq_live_... or seq_test_..."}
    return {
        "schemas": schemas,
        "securitySchemes": {"apiKey": key},
        "headers": _HEADERS,
        "responses": {status: _error(status) for status in _ERRORS},
    }


def _error(status: str) -> Json:
    code, description, message = _ERRORS[status]
    headers = ["X-Request-Id", *(["Retry-After"] if status in ("429", "503") else [])]
    body = {"code": code, "message": message, "request_id": "4f1c9d1e", "details": []}
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Error"},
                "example": {"error": body},
            }
        },
    }


def _views(app: Flask) -> dict[tuple[str, str], tuple[str, Any]]:
    """Name and function of each view, by path and method as a specification writes them."""
    return {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower()): (
            rule.endpoint.rpartition(".")[2],
            app.view_functions[rule.endpoint],
        )
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def _operations(spec: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in spec["paths"].items():
        common = item.pop("parameters", [])
        for method, operation in item.items():
            operation["parameters"] = [*operation.get("parameters", []), *common]
            yield path, method, operation


class _Known(NamedTuple):
    """What the app says of one operation, and its examples."""

    name: str
    path: str
    needs_key: bool
    body: Any
    answer: Any


def _complete(operation: Json, known: _Known) -> None:
    name, needs_key = known.name, known.needs_key
    operation["operationId"] = name
    operation["security"] = [{"apiKey": []}] if needs_key else []
    parameters = [plain_parameter(p) for p in operation["parameters"] if p["in"] != "path"]
    parts = [part[1:-1] for part in known.path.split("/") if part.startswith("{")]
    operation["parameters"] = [*map(_path_parameter, parts), *parameters]
    if name == "create_strategy":
        operation["parameters"].append(_IDEMPOTENCY)
    if known.body is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = known.body
        operation["requestBody"]["required"] = name not in _MAY_BE_EMPTY
    good = {k: v for k, v in operation["responses"].items() if k.startswith(("1", "2"))}
    good = good or {"200": copy.deepcopy(_STATUS)}
    for response in good.values():
        _add_example(response, known.answer, _LIMITED if needs_key else _LIMITED[:1])
    bad = ["default", "503"]
    bad += ["401", "403", "429"] if needs_key else []
    bad += ["404"] if parts else []
    bad += ["400", "413", "422"] if known.body is not None else []
    bad += ["400"] if parameters else []
    bad += ["409"] if name in _CONFLICTING else []
    refused = {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(set(bad))}
    operation["responses"] = good | refused
    if name == "ready":
        operation["responses"]["503"] = {**_STATUS, "description": "What is not there."}
    if name == "read_logs":
        for form in ("text/event-stream", "application/x-ndjson", "text/plain"):
            good["200"]["content"][form] = {"schema": {"type": "string"}}


def _add_example(response: Json, example: Mapping[str, Any] | None, headers: Sequence[str]) -> None:
    if example is not None:
        response["content"]["application/json"]["example"] = example
    response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _path_parameter(name: str) -> Json:
    what = f"The id of the {name.removesuffix('_id')}." if name.endswith("_id") else f"The {name}."
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": what,
        "schema": {"type": "string"},
    }


def _header(kind: str, description: str) -> Json:
    return {"description": description, "schema": {"type": kind}}


_LIMITED = ("X-Request-Id", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_HEADERS = {
    "X-Request-Id": _header("string", "The request's own id, or the one that it brought."),
    "Retry-After": _header("integer", "Seconds after which trying again makes sense."),
    "RateLimit-Limit": _header("integer", "Requests that may come at once."),
    "RateLimit-Remaining": _header("integer", "Requests that are left."),
    "RateLimit-Reset": _header("integer", "Seconds until all of them are there again."),
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same create with the same key within a day changes nothing, whatever was "
    "done meanwhile. Without one, the same as the last create of that name is a repetition for a "
    "minute.",
    "schema": {"type": "string", "maxLength": 255},
}
_TEXT = {"type": "string"}
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id", "details"],
            "properties": {
                "code": _TEXT,
                "message": {"type": "string", "description": "What to do next."},
                "request_id": _TEXT,
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "message"],
                        "properties": {"field": _TEXT, "message": _TEXT},
                    },
                },
            },
        }
    },
}
_STATUS: Json = {
    "description": "All is well.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": _TEXT,
                    "checks": {"type": "object", "additionalProperties": _TEXT},
                },
            },
            "example": {"status": "ok"},
        }
    },
}
