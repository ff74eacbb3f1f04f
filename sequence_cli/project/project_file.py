"""``Sequence.toml``: the keys it may have, and their types."""

import enum
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sequence_cli.documents import read_toml
from sequence_cli.errors import CliError
from sequence_cli.nearest import nearest
from sequence_cli.project.variables import variable_problems

FILE_NAME = "Sequence.toml"

EXAMPLE = """\
[strategy]
name = "my-strategy"
runtime = "python"

[hosted]
entrypoint = "main.py\""""


class Kind(enum.Enum):
    """What a key's value may be; the text is what an error message says."""

    STRING = "a string"
    INTEGER = "an integer"
    NUMBER = "a number"
    STRING_OR_LIST = "a string or a list of strings"
    VARIABLES = "a table of strings"
    FREE_TABLE = "a table"


Table = Mapping[str, "Kind | Table"]

# Every key that Sequence.toml may have. Ranges and known values are the server's to judge.
KNOWN_KEYS: Table = {
    "strategy": {"name": Kind.STRING, "runtime": Kind.STRING},
    "hosted": {
        "entrypoint": Kind.STRING,
        "placement": {"latency_target": Kind.STRING_OR_LIST, "mode": Kind.STRING},
        "resources": {
            "cpu_millis": Kind.INTEGER,
            "memory_mb": Kind.INTEGER,
            "timeout_secs": Kind.INTEGER,
        },
        "network": {"mode": Kind.STRING, "allow": Kind.STRING_OR_LIST},
        "restart": {
            "policy": Kind.STRING,
            "max_restarts": Kind.INTEGER,
            "backoff_initial_secs": Kind.NUMBER,
            "backoff_max_secs": Kind.NUMBER,
            "reset_after_secs": Kind.NUMBER,
            "crash_loop_count": Kind.INTEGER,
            "crash_loop_run_secs": Kind.NUMBER,
            "on": Kind.STRING_OR_LIST,
        },
        "stop": {"grace_secs": Kind.NUMBER},
        "hooks": {"on_stop": Kind.STRING, "on_crash": Kind.STRING, "timeout_secs": Kind.NUMBER},
        "watchdog": {"silence_secs": Kind.NUMBER},
        "schedule": {"cron": Kind.STRING, "timezone": Kind.STRING, "overlap": Kind.STRING},
        "deploy": {"auto_rollback_secs": Kind.NUMBER},
        "env": Kind.VARIABLES,
        "secrets": Kind.VARIABLES,
    },
    "risk": Kind.FREE_TABLE,
}


def load_project_file(directory: Path) -> dict[str, Any]:
    """The parsed and checked ``Sequence.toml`` of ``directory``.

    Raises CliError when it is missing (with one to start from), when it is no TOML, and for
    unknown keys and wrong types, all of them in one error.
    """
    path = directory / FILE_NAME
    if not path.exists():
        raise CliError(
            f"{directory} has no {FILE_NAME}: create one, for example", EXAMPLE.split("\n")
        )
    document = read_toml(path)
    problems = list(_problems(document, KNOWN_KEYS, ""))
    if len(problems) == 1:
        raise CliError(f"{path}: {problems[0]}")
    if problems:
        raise CliError(f"{path} has {len(problems)} problems:", problems)
    return document


def _problems(table: Mapping[str, Any], known: Table, prefix: str) -> Iterator[str]:
    for key, value in table.items():
        dotted = prefix + key
        expected = known.get(key)
        if expected is None:
            yield f"unknown key {dotted}: {_suggestion(key, known, prefix)}"
        elif not isinstance(expected, Kind):
            if isinstance(value, dict):
                yield from _problems(value, expected, f"{dotted}.")
            else:
                yield f"{dotted} must be a table ([{dotted}]), not {_type_name(value)}"
        elif not _fits(value, expected):
            yield f"{dotted} must be {expected.value}, not {_type_name(value)}"
        elif expected is Kind.VARIABLES:
            yield from variable_problems(value, f"{dotted}.")


def _suggestion(key: str, known: Table, prefix: str) -> str:
    """First a sibling, then the same or a similar name anywhere in the file."""
    siblings = nearest(key, known, limit=1)
    if siblings:
        return f"did you mean {prefix}{siblings[0]}?"
    by_leaf: dict[str, str] = {}
    for dotted in _dotted_keys(KNOWN_KEYS, ""):
        by_leaf.setdefault(dotted.rpartition(".")[2], dotted)
    elsewhere = nearest(key, by_leaf, limit=1)
    if elsewhere:
        return f"did you mean {by_leaf[elsewhere[0]]}?"
    return f"known here: {', '.join(prefix + name for name in known)}"


def _dotted_keys(table: Table, prefix: str) -> Iterator[str]:
    for key, expected in table.items():
        yield prefix + key
        if not isinstance(expected, Kind):
            yield from _dotted_keys(expected, f"{prefix}{key}.")


def _fits(value: Any, kind: Kind) -> bool:
    if kind is Kind.STRING:
        return isinstance(value, str)
    if kind is Kind.INTEGER:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is Kind.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is Kind.STRING_OR_LIST:
        items = value if isinstance(value, list) else [value]
        return all(isinstance(item, str) for item in items)
    return isinstance(value, dict)


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "an integer", float: "a float", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")
