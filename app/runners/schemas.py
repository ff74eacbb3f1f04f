"""Shapes of answers about runners."""

from marshmallow import Schema, fields


class RunnerSchema(Schema):
    """One runner. `cpu_millis` and `memory_mb` are what it may give out, null for no limit."""

    runner_id = fields.String()
    name = fields.String()
    host = fields.String()
    version = fields.String()
    queues = fields.List(fields.String())
    is_live = fields.Boolean()
    is_stopping = fields.Boolean()
    running = fields.Integer()
    max_strategies = fields.Integer()
    cpu_millis = fields.Function(lambda row: row["cpu_millis"] or None)
    memory_mb = fields.Function(lambda row: row["memory_mb"] or None)
    used_cpu_millis = fields.Integer()
    used_memory_mb = fields.Integer()
    started_at = fields.Function(lambda row: int(row["started_at"]))
    last_heartbeat_at = fields.Function(lambda row: int(row["last_heartbeat_at"]))


class RunnerListSchema(Schema):
    """`{"runners": [...]}`."""

    runners = fields.List(fields.Nested(RunnerSchema))
