"""Telling quickly that none of many strings is in a block of lines.

A string of 15 bytes has, wherever it stands, eight bytes at a place that eight divides; one of 31
has them at a place that 24 divides. So it is enough to look at every such word of the block, once
for all strings, and the interpreter does that by itself: no step of it is Python's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_WORD_BYTES = 8
_STRIDES = (3, 1, 0)
_FEWEST = 4


@dataclass(frozen=True)
class Sieve:
    """Holds back blocks that have none of its strings; a few others pass as well.

    Attributes:
        stride: in words, from one that is looked at to the next; 0 lets every block pass.
        words: what strings may have at such places, as numbers.
    """

    stride: int
    words: frozenset[int]

    def passes(self, data: bytes) -> bool:
        """False if none of the strings is in it."""
        if not self.stride:
            return True
        whole = memoryview(data)[: len(data) // _WORD_BYTES * _WORD_BYTES]
        return not self.words.isdisjoint(whole.cast("Q")[:: self.stride])


def sieves(strings: Iterable[bytes]) -> list[tuple[Sieve, list[bytes]]]:
    """Each string with others of about its length behind one sieve, which may be open."""
    by_stride: dict[int, list[bytes]] = {stride: [] for stride in _STRIDES}
    for string in strings:
        by_stride[next(s for s in _STRIDES if len(string) >= _least_bytes(s))].append(string)
    for stride in _STRIDES[:-1]:
        if len(by_stride[stride]) < _FEWEST:
            # To search for them one by one is as quick.
            by_stride[0] += by_stride.pop(stride)
    return [(_sieve(stride, found), found) for stride, found in by_stride.items() if found]


def _least_bytes(stride: int) -> int:
    return stride * _WORD_BYTES + _WORD_BYTES - 1 if stride else 0


def _sieve(stride: int, strings: list[bytes]) -> Sieve:
    places = range(stride * _WORD_BYTES)
    pieces = {string[at : at + _WORD_BYTES] for string in strings for at in places}
    return Sieve(stride, frozenset(memoryview(piece).cast("Q")[0] for piece in pieces))
