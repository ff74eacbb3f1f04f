"""Masking secret values in log lines before they are stored."""

import re
from collections.abc import Mapping

MIN_CHARS = 6
"""Shorter values are not masked: they would black out ordinary words."""


class Redactor:
    """Masks the values of these variables, given by name, wherever they stand in a line.

    A value of several lines, such as a PEM key, is masked line by line, as it arrives.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        named = {
            part: name
            for name, value in secrets.items()
            for part in (value, value.strip(), *map(str.strip, value.splitlines()))
            if len(part) >= MIN_CHARS
        }
        # The longest first: one value may be the beginning of another.
        values = sorted(named, key=len, reverse=True)
        self._names = named
        self._pattern = re.compile("|".join(map(re.escape, values))) if values else None

    def __call__(self, line: str) -> str:
        """The line with `[secret NAME]` in place of each value."""
        if self._pattern is None:
            return line
        return self._pattern.sub(lambda match: f"[secret {self._names[match[0]]}]", line)
