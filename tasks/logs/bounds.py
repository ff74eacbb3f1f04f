"""How much of a run's log Redis holds at most, and when the archive should fetch some of it."""

from collections import deque
from dataclasses import dataclass, field

from app.logs.stream import Batch

_PARTS = 4


@dataclass(frozen=True)
class Bounds:
    """The most that Redis holds of one run; beyond it the oldest lines go, archived or not."""

    max_lines: int
    max_bytes: int


@dataclass
class StreamSize:
    """What the stream of one run holds, as far as its only writer knows."""

    bounds: Bounds
    _entries: deque[tuple[int, int]] = field(default_factory=deque)
    _held_bytes: int = 0
    _new_lines: int = 0
    _new_bytes: int = 0

    def add(self, batch: Batch) -> None:
        """Count a batch that goes out; one that is sent again counts once."""
        if self._entries and self._entries[-1][0] >= batch.last:
            return
        size = sum(len(block.data) for block in batch.blocks)
        self._entries.append((batch.last, size))
        self._held_bytes += size
        self._new_lines += batch.last - batch.first + 1
        self._new_bytes += size

    def oldest_kept(self, last: int) -> int:
        """The number of the first line to keep when line `last` is the newest."""
        oldest = max(0, last - self.bounds.max_lines)
        while self._held_bytes > self.bounds.max_bytes and len(self._entries) > 1:
            number, size = self._entries.popleft()
            self._held_bytes -= size
            oldest = max(oldest, number + 1)
        while self._entries and self._entries[0][0] < oldest:
            self._held_bytes -= self._entries.popleft()[1]
        return oldest

    def archive_is_due(self) -> bool:
        """Whether so much came since the last time that the archive should be told."""
        is_due = (
            self._new_lines * _PARTS >= self.bounds.max_lines
            or self._new_bytes * _PARTS >= self.bounds.max_bytes
        )
        if is_due:
            self._new_lines = self._new_bytes = 0
        return is_due
