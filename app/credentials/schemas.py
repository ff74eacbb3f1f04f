"""Shapes of questions and answers about venue keys."""

import json
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from app.api.schema import RequestSchema, Text

_MOST_EXTRA_BYTES = 8_192


def _is_small(value: Any) -> None:
    if len(json.dumps(value)) > _MOST_EXTRA_BYTES:
        raise ValidationError(f"has to be at most {_MOST_EXTRA_BYTES} bytes of JSON")


class CredentialBodySchema(RequestSchema):
    """Body of `PUT` and `POST /v1/credentials/{venue}`, as the published client sends it."""

    api_key = Text(required=True, validate=validate.Length(1, 512))
    api_secret = Text(required=True, validate=validate.Length(1, 8_192))
    passphrase = Text(load_default=None, allow_none=True, validate=validate.Length(1, 512))
    extra_json = fields.Raw(
        load_default=None,
        allow_none=True,
        validate=_is_small,
        metadata={"type": ["object", "array", "string", "number", "boolean"]},
    )


class CredentialSchema(Schema):
    """A stored key without any of it. Times are Unix seconds.

    `key_tail` is how the venue's key id ends; `fingerprint` is the same for the same key.
    """

    venue = fields.String()
    is_sandbox = fields.Boolean()
    key_tail = fields.String()
    fingerprint = fields.String()
    created_at = fields.Function(lambda row: int(row.created_at))
    updated_at = fields.Function(lambda row: int(row.updated_at))


class OneCredentialSchema(Schema):
    """`{"credential": {...}}`."""

    credential = fields.Nested(CredentialSchema)


class CredentialListSchema(Schema):
    """`{"credentials": [...], "venues": [...]}`: those stored, and the venues that take one."""

    credentials = fields.List(fields.Nested(CredentialSchema))
    venues = fields.List(fields.String())


class RemovedSchema(Schema):
    """What a removal answers."""

    venue = fields.String()
    removed = fields.Boolean()
