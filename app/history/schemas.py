"""Shapes of questions and answers about the past."""

from marshmallow import Schema, fields, validate

from app.api.schema import RequestSchema, Whole
from app.strategies.schemas import RunSchema

_MAX_PAGE = 200


class PageQuerySchema(RequestSchema):
    """`before` is the `next_before` of the page before; none is the newest page."""

    limit = Whole(load_default=50, validate=validate.Range(1, _MAX_PAGE))
    before = Whole(load_default=None, validate=validate.Range(1, 2**62))


class PastRunSchema(RunSchema):
    """A run with all that is known of its end.

    `evidence`: `cause` (who ended it), `kind`, `was_oom`, `too_many_locks`, `lived_s`,
    `last_error_line`, `explanation` (when it could not start), and the limits that it had:
    `memory_mb`, `cpu_millis`, `timeout_secs`. Null while it runs, and when its runner was lost.
    """

    runner_id = fields.String()
    artifact_sha256 = fields.String()
    evidence = fields.Dict(allow_none=True)


class RunPageSchema(Schema):
    """A page of runs, newest first; `next_before` is null on the last."""

    strategy_id = fields.String()
    runs = fields.List(fields.Nested(PastRunSchema))
    next_before = fields.Integer(allow_none=True)


class OneRunSchema(Schema):
    """`{"run": {...}}`."""

    run = fields.Nested(PastRunSchema)


class EventSchema(Schema):
    """One thing that happened; `actor` is `key:<id>`, `runner:<id>`, `scheduler` or `schedule`.

    An event that leaves the status as it was is a request: its runner carries it out.
    """

    event_id = fields.Integer()
    at = fields.Function(lambda event: int(event.at))
    ts_ms = fields.Function(lambda event: int(event.at * 1000))
    event = fields.String()
    from_status = fields.String()
    to_status = fields.String()
    reason = fields.String()
    actor = fields.String()
    run_id = fields.String(allow_none=True)
    epoch = fields.Integer()


class EventPageSchema(Schema):
    """A page of events, newest first; `next_before` is null on the last."""

    strategy_id = fields.String()
    events = fields.List(fields.Nested(EventSchema))
    next_before = fields.Integer(allow_none=True)
