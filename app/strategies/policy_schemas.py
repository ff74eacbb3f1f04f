"""Shapes of the tables below `[hosted]` that say how a strategy is to be treated.

Clients send each as a field of the create body; one that is absent there is taken from
`manifest.hosted`, so that a client which only knows the manifest has all of them as well.
"""

import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from cronsim import CronSim, CronSimError
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.schema import Count, Number, RequestSchema, Text
from app.strategies.egress import MODES, entry_problem

_DAY_S = 86_400
_MAX_ALLOWED = 256
MAX_GRACE_S = 300


def _seconds(low: float, high: float) -> Number:
    return Number(validate=validate.Range(low, high))


def _count(low: int, high: int) -> Count:
    return Count(validate=validate.Range(low, high))


def _allowed(entry: str) -> None:
    if problem := entry_problem(entry):
        raise ValidationError(problem)


class NetworkSchema(RequestSchema):
    """What of the network a strategy may reach; without a mode, what its runner has."""

    mode = Text(validate=validate.OneOf(MODES))
    allow = fields.List(
        Text(validate=[validate.Length(1, 300), _allowed], metadata={"format": "network-entry"}),
        validate=validate.Length(max=_MAX_ALLOWED),
    )

    @validates_schema
    def _a_list_needs_its_mode(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("allow") and data.get("mode") != "allow":
            raise ValidationError("an allow list needs mode = 'allow'", "allow")


class RestartSchema(RequestSchema):
    """When a strategy comes back by itself; absent keys have the platform's defaults."""

    policy = Text(validate=validate.OneOf(("on-failure", "always", "never")))
    max_restarts = _count(0, 1_000_000)
    backoff_initial_secs = _seconds(0.1, _DAY_S)
    backoff_max_secs = _seconds(0.1, _DAY_S)
    reset_after_secs = _seconds(1, 366 * _DAY_S)
    crash_loop_count = _count(2, 1_000)
    crash_loop_run_secs = _seconds(1, _DAY_S)
    on = fields.List(Text(validate=validate.OneOf(("oom", "timeout", "exit", "signal"))))

    @validates_schema
    def _backoff_grows(self, data: dict[str, Any], **_: Any) -> None:
        initial_s, max_s = data.get("backoff_initial_secs", 1), data.get("backoff_max_secs", 60)
        if initial_s > max_s:
            message = f"backoff_initial_secs ({initial_s:g}) is above backoff_max_secs ({max_s:g})"
            raise ValidationError(message, "backoff_initial_secs")


class StopSchema(RequestSchema):
    """How a strategy is stopped: seconds between SIGTERM and SIGKILL."""

    grace_secs = _seconds(0, MAX_GRACE_S)


def _python_file(value: str) -> None:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or path.suffix != ".py":
        raise ValidationError(f"{value!r} is not the path of a .py file inside the artifact")


def _hook() -> Text:
    return Text(
        validate=[validate.Length(1, 255), _python_file], metadata={"format": "python-file"}
    )


class HooksSchema(RequestSchema):
    """Files of the artifact that run after the strategy is gone; `timeout_secs` for each."""

    on_stop = _hook()
    on_crash = _hook()
    timeout_secs = _seconds(1, MAX_GRACE_S)


class WatchdogSchema(RequestSchema):
    """After how many seconds without a line a strategy counts as stalled; 0 is never."""

    silence_secs = _seconds(0, 366 * _DAY_S)


def _cron(value: str) -> None:
    try:
        next(CronSim(value, datetime.now(UTC)))
    except CronSimError as error:
        raise ValidationError(
            f"{value!r} is not a cron expression ({error}): five fields, minute hour day month "
            "weekday, such as '*/5 * * * *'"
        ) from None
    except StopIteration:
        raise ValidationError(f"{value!r} is a time that never comes") from None


@cache
def _time_zones() -> frozenset[str]:
    """Found once: it is a walk through hundreds of files."""
    return frozenset(zoneinfo.available_timezones())


def _time_zone(value: str) -> None:
    if value not in _time_zones():
        raise ValidationError(f"{value!r} is not a time zone such as 'Europe/London' or 'UTC'")


class ScheduleSchema(RequestSchema):
    """When a strategy is started by the clock; `overlap` says what to do if it still runs."""

    cron = Text(
        required=True, validate=[validate.Length(1, 200), _cron], metadata={"format": "cron"}
    )
    timezone = Text(validate=_time_zone, metadata={"format": "time-zone"})
    overlap = Text(validate=validate.OneOf(("skip", "replace")))


class DeploySchema(RequestSchema):
    """For how long after its first start a new version may crash-loop back into the one before it;
    0 is never."""

    auto_rollback_secs = _seconds(0, 366 * _DAY_S)


POLICIES: dict[str, Callable[[], Schema]] = {
    "network": NetworkSchema,
    "restart": RestartSchema,
    "stop": StopSchema,
    "hooks": HooksSchema,
    "watchdog": WatchdogSchema,
    "schedule": ScheduleSchema,
    "deploy": DeploySchema,
}
"""The tables by name: field of the create body, column of the row, and `[hosted.NAME]`."""


def with_manifest_policies(body: dict[str, Any]) -> dict[str, Any]:
    """The body, with the tables that only its manifest has; null is none."""
    manifest = body.get("manifest")
    hosted = manifest.get("hosted") if isinstance(manifest, dict) else None
    if not isinstance(hosted, dict):
        return body
    tables = {name: hosted[name] for name in POLICIES if hosted.get(name) is not None}
    absent = {name: table for name, table in tables.items() if body.get(name) is None}
    return {**body, **absent}
