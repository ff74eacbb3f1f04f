"""Shapes of log requests and answers."""

from marshmallow import Schema, fields, validate

from app.api.schema import RequestSchema, Text, Whole

_STREAM = "(stdout|stderr|system)"
_STREAMS = {"pattern": f"^{_STREAM}(,{_STREAM})*$"}
_CURSOR = {"pattern": "^[0-9]{1,9}-[0-9]{1,18}$"}


class LogQuerySchema(RequestSchema):
    """Query of `GET .../logs`."""

    run_id = fields.String(load_default=None)
    after = fields.String(load_default=None, metadata=_CURSOR)
    before = fields.String(load_default=None, metadata=_CURSOR)
    limit = Whole(load_default=1000, validate=validate.Range(1, 10_000))
    order = fields.String(load_default=None, validate=validate.OneOf(("asc", "desc")))
    since = fields.String(load_default=None, metadata={"format": "log-time"})
    until = fields.String(load_default=None, metadata={"format": "log-time"})
    stream = fields.String(load_default=None, metadata=_STREAMS)
    grep = Text(load_default=None, validate=validate.Length(1, 1000))
    where = fields.List(
        fields.String(metadata={"format": "log-condition"}),
        load_default=list,
        validate=validate.Length(max=8),
    )
    follow = fields.Boolean(load_default=False)


class LogLineSchema(Schema):
    """One line; `id` is the cursor behind it, `ts_ms` Unix milliseconds."""

    id = fields.String()
    run_id = fields.String()
    ts_ms = fields.Integer()
    stream = fields.String()
    line = fields.String()


class LogPageSchema(Schema):
    """A page of lines; `next_before` is there when the query reads backwards or says how."""

    strategy_id = fields.String()
    run_id = fields.String(allow_none=True)
    logs = fields.List(fields.Nested(LogLineSchema))
    next_after = fields.String(allow_none=True)
    next_before = fields.String(allow_none=True)
