"""Names and values of the environment variables a project may set."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

RESERVED_PREFIX = "SEQUENCE_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variable_problems(variables: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """What is wrong with names and values, each led by ``prefix`` and the name.

    Never shows a value: it may be a secret.
    """
    for name, value in variables.items():
        problem = name_problem(name)
        if problem:
            yield f"{prefix}{name}: {problem}"
        elif isinstance(value, bool | int | float):
            yield f"{prefix}{name} must be a string: put its value in quotes"
        elif not isinstance(value, str):
            yield f"{prefix}{name} must be a string; structured data belongs in the manifest"
        elif "\0" in value:
            yield f"{prefix}{name} contains a NUL character, which no environment can hold"


def name_problem(name: str) -> str:
    """Why ``name`` cannot be a variable of a strategy; empty when it can."""
    if not _NAME.fullmatch(name):
        return "a variable's name has letters, digits and underscores, and no digit in front"
    if name.startswith(RESERVED_PREFIX):
        return f"names that start with {RESERVED_PREFIX} are set by the platform: choose another"
    return ""
