"""From options to the merge patch of a change in place, in which null removes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sequence_cli.errors import CliError
from sequence_cli.nearest import nearest
from sequence_cli.project.json_values import json_safe
from sequence_cli.project.variables import name_problem, variable_problems

_TABLES = (
    *("placement", "resources", "network", "restart", "stop"),
    *("hooks", "watchdog", "schedule", "deploy"),
)
_LISTS = ("allow", "on", "latency_target")  # one string will do
_ALL = "*"


@dataclass(frozen=True)
class Changes:
    """Options of one change; None or empty: not given. `settings` and `unset` may be dotted."""

    env: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    unset: tuple[str, ...] = ()
    unset_secrets: tuple[str, ...] = ()
    memory_mb: int | None = None
    cpu_millis: int | None = None
    timeout_secs: int | None = None
    latency_targets: tuple[str, ...] = ()
    restart: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def merge_patch(changes: Changes) -> dict[str, Any]:
    """The body of the request; empty when nothing is to change.

    Raises CliError for a name that no variable or setting can have, and for one that is to be set
    and removed at once.
    """
    patch: dict[str, dict[str, Any] | None] = {}
    for table, key, value in [*_settings(changes), *_variables(changes)]:
        within = patch.setdefault(table, {})
        if within is None or key in within or (key == _ALL and within):
            raise CliError(f"{table}.{key} is to be changed in two ways: decide on one")
        if key == _ALL:
            patch[table] = None
        else:
            within[key] = value
    return patch


def _variables(changes: Changes) -> list[tuple[str, str, Any]]:
    names = [name for name in changes.unset if "." not in name]
    problems = [
        *variable_problems(changes.env, "--env "),
        *variable_problems(changes.secrets, "--secret "),
        *(f"--unset {name}: {name_problem(name)}" for name in names if name_problem(name)),
    ]
    if problems:
        raise CliError(problems[0], problems[1:])
    return [
        *(("env", name, value) for name, value in changes.env.items()),
        *(("env", name, None) for name in names),
        *(("secrets", name, value) for name, value in changes.secrets.items()),
        *(("secrets", name, None) for name in changes.unset_secrets),
    ]


def _settings(changes: Changes) -> list[tuple[str, str, Any]]:
    given = {
        ("resources", "memory_mb"): changes.memory_mb,
        ("resources", "cpu_millis"): changes.cpu_millis,
        ("resources", "timeout_secs"): changes.timeout_secs,
        ("placement", "latency_target"): list(changes.latency_targets) or None,
        ("restart", "policy"): changes.restart,
    }
    return [
        *((*place, value) for place, value in given.items() if value is not None),
        *((*_place(name), _value(name, text)) for name, text in changes.settings.items()),
        *((*_place(name), None) for name in changes.unset if "." in name),
    ]


def _place(name: str) -> tuple[str, str]:
    table, _, key = name.partition(".")
    if table in _TABLES and key:
        return table, key
    close = nearest(table, _TABLES)
    hint = f"did you mean {close[0]}.{key or 'KEY'}?" if close else f"one of {', '.join(_TABLES)}"
    raise CliError(f"{name!r} is not TABLE.KEY of a setting: {hint}")


def _value(name: str, text: str) -> Any:
    """A number, a list or a truth value as JSON has it; everything else is text."""
    try:
        found = json_safe(json.loads(text), f"--set {name}")
    except (ValueError, RecursionError):
        found = text
    is_one = isinstance(found, str) and name.partition(".")[2] in _LISTS
    return [found] if is_one else found
