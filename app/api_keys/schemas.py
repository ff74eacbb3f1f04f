"""Shapes of questions and answers about keys."""

from marshmallow import Schema, fields, validate

from app.api.schema import Flag, Number, RequestSchema, Text
from app.clients.service import Scope

_MAX_GRACE_S = 31_536_000


class NewKeySchema(RequestSchema):
    """Body of `POST /v1/api_keys`; without `sandbox` the key is of the caller's own mode."""

    label = Text(load_default="", validate=validate.Length(max=100))
    sandbox = Flag(load_default=None)
    scopes = fields.List(
        Text(validate=validate.OneOf([str(scope) for scope in Scope])),
        load_default=lambda: [Scope.READ, Scope.DEPLOY],
        validate=validate.Length(1, len(Scope)),
    )


class RotateSchema(RequestSchema):
    """Body of a rotation, which may be empty."""

    grace_secs = Number(load_default=None, validate=validate.Range(0, _MAX_GRACE_S))


class KeySchema(Schema):
    """A key without itself: `prefix` is how it begins. Times are Unix seconds or null."""

    key_id = fields.String()
    label = fields.String()
    prefix = fields.String()
    is_sandbox = fields.Boolean()
    scopes = fields.List(fields.String())
    created_at = fields.Function(lambda row: int(row.created_at))
    last_used_at = fields.Function(lambda row: _seconds(row.last_used_at))
    expires_at = fields.Function(lambda row: _seconds(row.expires_at))


class KeyWithRawSchema(KeySchema):
    """The same with `key`, the key itself: for this one time."""

    key = fields.String()


class NewKeyAnswerSchema(Schema):
    """`{"api_key": {...}}`, the key itself in it."""

    api_key = fields.Nested(KeyWithRawSchema)


class KeyListSchema(Schema):
    """`{"api_keys": [...]}`, newest first."""

    api_keys = fields.List(fields.Nested(KeySchema))


class RevokedSchema(Schema):
    """What a revocation answers."""

    key_id = fields.String()
    revoked = fields.Boolean()


def _seconds(time_s: float | None) -> int | None:
    return None if time_s is None else int(time_s)
