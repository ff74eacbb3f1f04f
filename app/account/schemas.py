"""Shape of what a client is told about itself."""

from marshmallow import Schema, fields


class QuotaSchema(Schema):
    """How much of one thing: `limit` is null where there is none."""

    limit = fields.Integer(allow_none=True)
    used = fields.Integer()


class LimitsSchema(Schema):
    """What holds for each strategy or request; 0 of `log_kept_days` is as long as the run."""

    artifact_max_bytes = fields.Integer()
    env_max_bytes = fields.Integer()
    secrets_max_bytes = fields.Integer()
    versions_kept = fields.Integer()
    log_runs_kept = fields.Integer()
    log_kept_days = fields.Float()
    log_archive_max_bytes = fields.Integer()
    requests_per_second = fields.Float(allow_none=True)


class RetentionQuotaSchema(Schema):
    """How much of the logs of one strategy is kept, and the most that any strategy has now."""

    limit = fields.Float(allow_none=True)
    used = fields.Float()


class AccountSchema(Schema):
    """One client.

    `quotas` by name: strategies, running, cpu_millis, memory_mb, artifact_bytes, env_bytes,
    secret_bytes. `log_retention` by name: runs, days, archive_bytes; what is older or more goes.
    """

    client = fields.String()
    is_sandbox = fields.Boolean()
    scopes = fields.List(fields.String())
    quotas = fields.Dict(keys=fields.String(), values=fields.Nested(QuotaSchema))
    log_retention = fields.Dict(keys=fields.String(), values=fields.Nested(RetentionQuotaSchema))
    limits = fields.Nested(LimitsSchema)


class OneAccountSchema(Schema):
    """`{"account": {...}}`."""

    account = fields.Nested(AccountSchema)
