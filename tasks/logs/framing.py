"""Cutting a stream of bytes into lines, whatever the bytes and however they arrive.

Lines stay together in the blocks in which they were read: what is done is done once for hundreds of
them. Secrets are masked before a line that is too long is cut, so that none survives in two halves.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.logs.redaction import Redactor

MAX_LINE_BYTES = 64 * 1024
CONTINUED = b" [continued on the next line]"
_UTF8_TAIL = range(0x80, 0xC0)


@dataclass(frozen=True)
class Piece:
    """Whole lines.

    Attributes:
        data: `count` lines, each with a newline at its end and no carriage return before it.
        is_masked: whether secrets were masked already, as in the parts of a cut line.
    """

    data: bytes
    count: int
    is_masked: bool = False


class LineFramer:
    """One stream's framing; a line that is longer than 64 KiB comes in parts that say so.

    The memory it holds is bounded by one line and one secret, whatever the stream sends.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = bytearray()
        self._is_continued = False
        # A secret that begins just before a cut must be seen whole, and so must "\r\n".
        self._most_bytes = MAX_LINE_BYTES + redactor.longest_bytes + 2

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The lines that are complete now that `data` has arrived."""
        for start in range(0, len(data), MAX_LINE_BYTES):
            yield from self._feed(data[start : start + MAX_LINE_BYTES])

    def close(self) -> Iterator[Piece]:
        """The last line, when it has no end."""
        if self._rest or self._is_continued:
            yield from self._end_line(b"\n")

    def _feed(self, data: bytes) -> Iterator[Piece]:
        start = 0
        end = data.rfind(b"\n") + 1
        if end and (self._rest or self._is_continued):
            start = data.index(b"\n") + 1
            if len(self._rest) + start <= MAX_LINE_BYTES:
                # The usual case: the line that was begun goes with those that follow.
                yield _piece(bytes(self._rest) + data[:end])
                self._begin_line()
                start = end
            else:
                yield from self._end_line(data[:start])
        if start < end:
            yield _piece(data[start:end])
        self._rest += data[end:]
        while len(self._rest) > self._most_bytes:
            yield self._cut()

    def _end_line(self, tail: bytes) -> Iterator[Piece]:
        """The present line, which `tail` ends, in as many parts as it takes."""
        self._rest += tail[:-1]
        if self._rest.endswith(b"\r"):
            del self._rest[-1:]
        while len(self._rest) > MAX_LINE_BYTES:
            yield self._cut()
        yield Piece(bytes(self._rest) + b"\n", 1)
        self._begin_line()

    def _begin_line(self) -> None:
        self._rest.clear()
        self._is_continued = False

    def _cut(self) -> Piece:
        """The first part of the present line, masked; it ends neither in a secret nor a letter."""
        line = bytes(self._rest[: self._most_bytes])
        end = self._redactor.end_of_match_at(line, _end_of_letter(line))
        del self._rest[:end]
        self._is_continued = True
        return Piece(self._redactor(line[:end]) + CONTINUED + b"\n", 1, is_masked=True)


def _piece(data: bytes) -> Piece:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    return Piece(data, data.count(b"\n"))


def _end_of_letter(line: bytes) -> int:
    """Where to cut: after 64 KiB, or up to three bytes earlier between two UTF-8 characters."""
    for end in range(MAX_LINE_BYTES, MAX_LINE_BYTES - 4, -1):
        if line[end] not in _UTF8_TAIL:
            return end
    return MAX_LINE_BYTES
