"""Shapes of strategy requests and answers."""

import math
import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate, validates_schema
from webargs.fields import DelimitedList

from app.api.schema import Count, Flag, PlainSchema, RequestSchema, Text, Whole, clean_text
from app.strategies.policy_schemas import (
    DeploySchema,
    HooksSchema,
    NetworkSchema,
    RestartSchema,
    ScheduleSchema,
    StopSchema,
    WatchdogSchema,
    with_manifest_policies,
)
from app.strategies.states import Status

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = "SEQUENCE_"
MAX_VARIABLES_BYTES = 65_536
_MAX_NAME_CHARS = 100
_MAX_JSON_DEPTH = 100
_MAX_PAGE = 200
_MAX_TIMEOUT_S = 366 * 86_400


def _plain_name(value: str) -> None:
    if not 0 < len(value) <= _MAX_NAME_CHARS or value != value.strip() or not value.isprintable():
        raise ValidationError(
            f"a name is 1 to {_MAX_NAME_CHARS} printable characters without blanks at its ends"
        )


def _only_python(value: str) -> None:
    if value != "python":
        raise ValidationError(f"runtime must be 'python', not {value!r}")


def hold_variables(value: dict[str, str]) -> None:
    """Raise ValidationError for what cannot be in the environment of a strategy."""
    for name in value:
        if not _ENV_NAME.fullmatch(name):
            raise ValidationError(f"{name!r} is not a name for an environment variable")
        if name.startswith(_RESERVED):
            raise ValidationError(f"{name} is reserved: names that start with SEQUENCE_ are ours")
    size = sum(len(name) + len(text.encode()) for name, text in value.items())
    if size > MAX_VARIABLES_BYTES:
        raise ValidationError(f"{size} bytes in all; at most {MAX_VARIABLES_BYTES} are allowed")


def _clean_json(value: Any, depth: int = 0) -> None:
    """Raise ValidationError for what a database cannot hold, or a reader not follow.

    PostgreSQL's JSONB takes neither NUL nor lone surrogates; Python's encoder has a depth of its
    own, which hangs on who calls it.
    """
    if depth > _MAX_JSON_DEPTH:
        raise ValidationError(f"is nested too deeply: at most {_MAX_JSON_DEPTH} levels")
    if isinstance(value, str):
        clean_text(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _clean_json(key)
            _clean_json(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _clean_json(inner, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValidationError("NaN and infinite numbers are not JSON")


class PlacementSchema(RequestSchema):
    """Where a strategy wants to run: targets in order of preference."""

    mode = Text(validate=validate.Length(max=32))
    latency_target = fields.List(
        Text(metadata={"format": "latency-target"}), validate=validate.Length(max=16)
    )

    @pre_load
    def _one_is_a_list(self, data: Any, **_: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("latency_target"), str):
            return {**data, "latency_target": [data["latency_target"]]}
        return data


class ResourcesSchema(RequestSchema):
    """What a strategy may use; `timeout_secs` 0 is no time-out."""

    cpu_millis = Count(load_default=250, validate=validate.Range(10, 64_000))
    memory_mb = Count(load_default=512, validate=validate.Range(32, 262_144))
    timeout_secs = Count(load_default=0, validate=validate.Range(0, _MAX_TIMEOUT_S))


class CreateSchema(RequestSchema):
    """Body of `POST /v1/strategies`."""

    name = Text(
        required=True,
        validate=_plain_name,
        metadata={"format": "strategy-name", "minLength": 1, "maxLength": _MAX_NAME_CHARS},
    )
    runtime = Text(required=True, validate=_only_python, metadata={"enum": ["python"]})
    entrypoint = Text(
        required=True, validate=validate.Length(1, 255), metadata={"format": "artifact-path"}
    )
    artifact_base64 = fields.String(required=True, metadata={"format": "strategy-artifact"})
    start_immediately = Flag(load_default=False, allow_none=True)
    manifest = fields.Dict(
        keys=fields.String(), load_default=dict, allow_none=True, validate=_clean_json
    )
    placement = fields.Nested(PlacementSchema, load_default=dict, allow_none=True)
    resources = fields.Nested(
        ResourcesSchema, load_default=lambda: ResourcesSchema().load({}), allow_none=True
    )
    risk = fields.Dict(
        keys=fields.String(), load_default=dict, allow_none=True, validate=_clean_json
    )
    network = fields.Nested(NetworkSchema, load_default=dict, allow_none=True)
    restart = fields.Nested(RestartSchema, load_default=dict, allow_none=True)
    stop = fields.Nested(StopSchema, load_default=dict, allow_none=True)
    hooks = fields.Nested(HooksSchema, load_default=dict, allow_none=True)
    watchdog = fields.Nested(WatchdogSchema, load_default=dict, allow_none=True)
    schedule = fields.Nested(ScheduleSchema, load_default=dict, allow_none=True)
    deploy = fields.Nested(DeploySchema, load_default=dict, allow_none=True)
    env = fields.Dict(
        keys=Text(), values=Text(), load_default=dict, allow_none=True, validate=hold_variables
    )
    secrets = fields.Dict(
        keys=Text(), values=Text(), load_default=dict, allow_none=True, validate=hold_variables
    )
    sequence_api_key = fields.String(
        load_default=None, allow_none=True, metadata={"format": "api-key"}
    )

    @pre_load
    def _null_is_absent(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, dict):
            return data
        optional = set(data) - {"name", "runtime", "entrypoint", "artifact_base64"}
        given = {k: v for k, v in data.items() if not (k in optional and v is None)}
        return with_manifest_policies(given)


class StrategySchema(PlainSchema):
    """A strategy as its owner sees it; secrets and the injected key are never part of it."""

    strategy_id = fields.String()
    name = fields.String()
    version = fields.Integer()
    runtime = fields.String()
    entrypoint = fields.String()
    artifact_sha256 = fields.String()
    size_bytes = fields.Integer()
    desired_state = fields.String()
    status = fields.String()
    status_reason = fields.String()
    is_sandbox = fields.Boolean()
    latency_target = fields.String()
    run_id = fields.String(allow_none=True)
    restart_count = fields.Integer()
    exit_code = fields.Integer(allow_none=True)
    next_restart_at = fields.Function(
        lambda row: None if row.next_restart_at is None else int(row.next_restart_at) + 1
    )
    next_run_at = fields.Function(
        lambda row: None if row.next_run_at is None else int(row.next_run_at)
    )
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
    created_at = fields.Function(lambda row: int(row.created_at))
    updated_at = fields.Function(lambda row: int(row.updated_at))


class RunSchema(PlainSchema):
    """One run. `usage`: memory_bytes, memory_peak_bytes, cpu_s, throttled_s, oom_kills, pids."""

    run_id = fields.String()
    epoch = fields.Integer()
    version = fields.Integer(allow_none=True)
    started_at = fields.Function(lambda run: int(run.started_at))
    ended_at = fields.Function(lambda run: None if run.ended_at is None else int(run.ended_at))
    reason = fields.String(allow_none=True)
    exit_code = fields.Integer(allow_none=True)
    usage = fields.Dict(allow_none=True)
    isolation = fields.Dict(allow_none=True)


class WaitingSchema(Schema):
    """What a queued strategy waits for: `no_runner`, `no_capacity` or, in a moment, `announced`."""

    reason = fields.String()
    since = fields.Integer()
    detail = fields.String()


class StrategyAndRunSchema(StrategySchema):
    """A strategy with its current or last run; `usage` is live while it runs."""

    waiting = fields.Nested(WaitingSchema, allow_none=True)
    run = fields.Nested(RunSchema, allow_none=True)


class OneStrategySchema(Schema):
    """`{"strategy": {...}}`."""

    strategy = fields.Nested(StrategySchema)


class CreatedSchema(OneStrategySchema):
    """The same, with what its owner should know, if there is anything."""

    warnings = fields.List(fields.String())


class InspectedStrategySchema(Schema):
    """`{"strategy": {...}}`, with its run."""

    strategy = fields.Nested(StrategyAndRunSchema)


class ListQuerySchema(RequestSchema):
    """Which strategies a list shows; with `limit` it comes in pages."""

    statuses = DelimitedList(
        Text(validate=validate.OneOf([str(status) for status in Status])),
        data_key="status",
        validate=validate.Length(1),
        load_default=(),
    )
    name_prefix = Text(load_default="", validate=validate.Length(max=_MAX_NAME_CHARS))
    latency_target = Text(load_default=None, validate=validate.Length(max=40))
    limit = Whole(load_default=None, validate=validate.Range(1, _MAX_PAGE))
    cursor = Text(load_default=None, metadata={"format": "list-cursor"})

    @validates_schema
    def _pages_have_a_size(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("cursor") is not None and data.get("limit") is None:
            raise ValidationError("a cursor needs a limit beside it", "cursor")


class StrategyListSchema(Schema):
    """`{"strategies": [...]}`; with a `limit` also `next_cursor`, null on the last page."""

    strategies = fields.List(fields.Nested(StrategySchema))
    next_cursor = fields.String(allow_none=True)


class DeletedSchema(Schema):
    """What a delete answers."""

    strategy_id = fields.String()
    deleted = fields.Boolean()
