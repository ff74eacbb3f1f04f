"""Values of TOML and Python as values of JSON."""

import datetime
import math
from typing import Any

from sequence_cli.errors import CliError


def json_safe(value: Any, source: str, path: str = "") -> Any:
    """A copy of ``value`` that JSON can hold: dates and times become ISO 8601 strings.

    Raises CliError for nan and infinities, naming ``source`` and the dotted key.
    """
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        return {key: json_safe(item, source, prefix + key) for key, item in value.items()}
    if isinstance(value, list):
        return [json_safe(item, source, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise CliError(f"{source}: {path} is {value}, which JSON cannot hold: use a finite number")
    return value
