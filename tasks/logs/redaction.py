"""Masking secret values in log lines before they are stored.

Looking for hundreds of strings must not cost a runner its speed. Each form of a secret has a probe,
a piece of it that other forms share; a block in which no probe is found, and that is nearly every
one, is only searched by the interpreter's own string search (docs/decisions/0005).
"""

import re
from collections.abc import Mapping
from typing import Any

from app.logs.masking import MIN_CHARS
from tasks.logs.secret_forms import forms_of

_PROBE_BYTES = 32
_PLAIN = re.compile(rb"[0-9A-Za-z]+")


class Redactor:
    """Masks the values of these variables, given by name, wherever they stand in a line.

    Attributes:
        longest_bytes: length of the longest form of a value; 0 without any.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._names: dict[bytes, bytes] = {}
        probes: set[bytes] = set()
        for name, value in secrets.items():
            forms = forms_of(value)
            probes |= _probes(forms)
            for form in forms:
                self._names.setdefault(form, b"[secret %b]" % name.encode())
        self._probes = tuple(sorted(probes, key=len, reverse=True))
        self._pattern = re.compile(_as_tree(self._names)) if self._names else None
        self.longest_bytes = max(map(len, self._names), default=0)

    def __call__(self, data: bytes) -> bytes:
        """The lines with `[secret NAME]` in place of each value."""
        found = [probe for probe in self._probes if probe in data]
        if not found:
            return data
        return b"\n".join(
            [
                self._mask(line) if any(probe in line for probe in found) else line
                for line in data.split(b"\n")
            ]
        )

    def end_of_match_at(self, line: bytes, place: int) -> int:
        """The end of the value across `place`; `place` itself when there is none."""
        if self._pattern is None or not any(probe in line for probe in self._probes):
            return place
        for match in self._pattern.finditer(line):
            if match.start() >= place:
                break
            if match.end() > place:
                return match.end()
        return place

    def _mask(self, line: bytes) -> bytes:
        assert self._pattern is not None  # noqa: S101 - for the type checker
        return self._pattern.sub(lambda match: self._names[match[0]], line)


def _probes(forms: set[bytes]) -> set[bytes]:
    """Pieces of which each form has at least one."""
    chosen: list[bytes] = []
    for piece in sorted((_distinct_piece(form) for form in forms), key=len):
        if not any(other in piece for other in chosen):
            chosen.append(piece)
    return set(chosen)


def _distinct_piece(form: bytes) -> bytes:
    """A run of letters and digits, which escaping leaves alone; the form itself if none is long."""
    longest = max(_PLAIN.findall(form), key=len, default=b"")
    piece: bytes = longest if len(longest) >= MIN_CHARS else form
    return piece[:_PROBE_BYTES]


def _as_tree(forms: Mapping[bytes, bytes]) -> bytes:
    """A pattern for the longest of these at each place, that branches where they differ.

    One alternative for each would be tried in turn at every byte.
    """
    tree: dict[int, Any] = {}
    for form in forms:
        node = tree
        for byte in form:
            node = node.setdefault(byte, {})
        node[-1] = {}
    return _pattern_of(tree)


def _pattern_of(tree: dict[int, Any]) -> bytes:
    """The tree's pattern, without recursion along branches that do not fork: forms are long."""
    branches = []
    for byte, below in tree.items():
        if byte < 0:
            continue
        run, node = bytes([byte]), below
        while len(node) == 1 and -1 not in node:
            [(following, node)] = node.items()
            run += bytes([following])
        branches.append(re.escape(run) + (_pattern_of(node) if node.keys() - {-1} else b""))
    ends_here = -1 in tree
    body = b"(?:" + b"|".join(branches) + b")"
    return body + b"?" if ends_here else body
