"""Masking secret values in log lines before they are stored.

Looking for hundreds of strings must not cost a runner its speed. Each form of a secret has a probe,
a piece of it that other forms share; a block in which no probe is found, and that is nearly every
one, is only sieved, or searched by the interpreter's own string search (docs/decisions/0007).
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from app.logs.masking import MIN_CHARS
from tasks.logs.secret_forms import forms_of, parts_of
from tasks.logs.sieve import sieves

_PROBE_BYTES = 32
_MANY_PROBES = 600
_PLAIN = re.compile(rb"[0-9A-Za-z]+")

_Form = tuple[bytes, bytes]
_Span = tuple[int, int, bytes]


class Redactor:
    """Masks the values of these variables, given by name, wherever they stand in a line.

    Attributes:
        longest_bytes: length of the longest form of a value; 0 without any.
        is_costly: whether there is so much to look for that others should not have to wait for it.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        groups: dict[bytes, dict[bytes, bytes]] = {}
        for name, value in secrets.items():
            shown = b"[secret %b]" % name.encode()
            for part in parts_of(value):
                for probe, forms in _by_probe(forms_of(part)).items():
                    group = groups.setdefault(probe, {})
                    for form in forms:
                        group.setdefault(form, shown)
        self._sieved = [
            (sieve, [(probe, list(groups[probe].items())) for probe in probes])
            for sieve, probes in sieves(groups)
        ]
        sizes = (len(form) for group in groups.values() for form in group)
        self.longest_bytes = max(sizes, default=0)
        self.is_costly = len(groups) > _MANY_PROBES

    def __call__(self, data: bytes) -> bytes:
        """The lines with `[secret NAME]` in place of each value."""
        present = self._present(data)
        if not present:
            return data
        return b"\n".join([_masked(line, present) for line in data.split(b"\n")])

    def end_of_match_at(self, line: bytes, place: int) -> int:
        """The end of the values across `place`; `place` itself when there is none."""
        for start, end, _ in _spans(line, self._present(line)):
            if start < place < end:
                return end
        return place

    def _present(self, data: bytes) -> list[_Form]:
        # One search for each probe, and no pattern of all: with values made for it a pattern takes
        # a quarter of a minute for one line, in which no other thread of the runner gets a turn.
        return [
            (form, shown)
            for sieve, groups in self._sieved
            if sieve.passes(data)
            for probe, group in groups
            if probe in data
            for form, shown in group
            if form in data
        ]


def _masked(line: bytes, present: Iterable[_Form]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, shown in _spans(line, present):
        pieces += [line[at:start], shown]
        at = end
    return b"".join([*pieces, line[at:]]) if pieces else line


def _spans(line: bytes, present: Iterable[_Form]) -> list[_Span]:
    """Where values are; what overlaps is one, called after what begins first, or is longest."""
    hits = sorted(
        (start, -len(form), shown) for form, shown in present for start in _places(form, line)
    )
    spans: list[_Span] = []
    for start, negative_bytes, shown in hits:
        end = start - negative_bytes
        if spans and start < spans[-1][1]:
            begin, before, name = spans[-1]
            spans[-1] = (begin, max(before, end), name)
        else:
            spans.append((start, end, shown))
    return spans


def _places(form: bytes, line: bytes) -> Iterator[int]:
    start = line.find(form)
    while start >= 0:
        yield start
        start = line.find(form, start + len(form))


def _by_probe(forms: set[bytes]) -> dict[bytes, list[bytes]]:
    """The forms by a piece that each of them has."""
    found: dict[bytes, list[bytes]] = {}
    for form in sorted(forms, key=lambda form: len(_distinct_piece(form))):
        probe = next((probe for probe in found if probe in form), None) or _distinct_piece(form)
        found.setdefault(probe, []).append(form)
    return found


def _distinct_piece(form: bytes) -> bytes:
    """A run of letters and digits, which escaping leaves alone; the form itself if none is long."""
    longest = max(_PLAIN.findall(form), key=len, default=b"")
    piece: bytes = longest if len(longest) >= MIN_CHARS else form
    return piece[:_PROBE_BYTES]
