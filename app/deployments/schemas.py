"""Shapes of questions and answers about versions."""

from marshmallow import Schema, fields, validate

from app.api.schema import Count, RequestSchema


class RollbackSchema(RequestSchema):
    """Body of `POST .../rollback`: the number of the version that is to come back."""

    version = Count(required=True, validate=validate.Range(1, 2**31 - 1))


class VersionSchema(Schema):
    """One version, without its sealed values.

    `origin` is `create`, `update`, `rollback` or `auto_rollback`; `source_version` the one that a
    rollback brought back; `actor` is `key:<id>` or `runner:<id>`.
    """

    version = fields.Integer()
    origin = fields.String()
    source_version = fields.Integer(allow_none=True)
    actor = fields.String()
    created_at = fields.Function(lambda row: int(row.created_at))
    runtime = fields.String()
    entrypoint = fields.String()
    artifact_sha256 = fields.String()
    size_bytes = fields.Integer()
    env = fields.Dict()
    manifest = fields.Dict()
    placement = fields.Dict()
    resources = fields.Dict()
    risk = fields.Dict()
    network = fields.Dict()
    restart = fields.Dict()
    stop = fields.Dict()
    hooks = fields.Dict()
    watchdog = fields.Dict()
    schedule = fields.Dict()
    deploy = fields.Dict()


class VersionPageSchema(Schema):
    """A page of versions, newest first; `next_before` is null on the last."""

    strategy_id = fields.String()
    versions = fields.List(fields.Nested(VersionSchema))
    next_before = fields.Integer(allow_none=True)
