"""Cutting a stream of bytes into lines, whatever the bytes and however they arrive."""

from collections.abc import Iterator

MAX_LINE_BYTES = 64 * 1024
CONTINUED = " [continued on the next line]"


class LineFramer:
    """One stream's framing; a line that is longer than 64 KiB comes in parts that say so.

    The memory it holds is bounded by one line, whatever the stream sends.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that are complete now that `data` has arrived, without their ends."""
        *complete, tail = data.split(b"\n")
        for piece in complete:
            yield from self._grow(piece)
            yield _text(self._rest)
            self._rest.clear()
        yield from self._grow(tail)

    def close(self) -> Iterator[str]:
        """The last line, when it has no end."""
        if self._rest:
            yield _text(self._rest)
            self._rest.clear()

    def _grow(self, piece: bytes) -> Iterator[str]:
        """Add to the present line, giving away what makes it too long."""
        self._rest += piece
        while len(self._rest) > MAX_LINE_BYTES:
            yield _text(self._rest[:MAX_LINE_BYTES]) + CONTINUED
            del self._rest[:MAX_LINE_BYTES]


def _text(line: bytes | bytearray) -> str:
    return bytes(line).removesuffix(b"\r").decode("utf-8", errors="replace")
