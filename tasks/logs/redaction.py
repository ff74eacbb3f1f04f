"""Masking secret values in log lines before they are stored."""

from collections.abc import Iterable, Mapping

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
        self._named = list(named.items())

    def __call__(self, line: str) -> str:
        """The line with `[secret NAME]` in place of each value."""
        # One search for each value, and no pattern of all: with values made for it a pattern takes
        # a quarter of a minute for one line, in which no other thread of the runner gets a turn.
        present = [(part, name) for part, name in self._named if part in line]
        return _masked(line, present) if present else line


def _masked(line: str, present: Iterable[tuple[str, str]]) -> str:
    """What overlaps is masked together, under the name of what begins first, or is longest."""
    hits = sorted(
        (start, -len(part), name) for part, name in present for start in _places(part, line)
    )
    pieces: list[str] = []
    at = 0
    for start, negative_chars, name in hits:
        if start >= at:
            pieces += [line[at:start], f"[secret {name}]"]
        at = max(at, start - negative_chars)
    return "".join([*pieces, line[at:]])


def _places(part: str, line: str) -> Iterable[int]:
    start = line.find(part)
    while start >= 0:
        yield start
        start = line.find(part, start + len(part))
