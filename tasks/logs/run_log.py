"""The log of one run on its way to Redis: a bounded buffer that nobody ever waits for."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.logs.stream import Batch, Block, Channel, block_of
from tasks import metrics

BUFFER_BYTES = 4 << 20
_BLOCK_BYTES = 256  # what an empty block costs: a flood of them must fill the buffer as well
_ENTRY_BLOCKS = 1024
_ENTRY_BYTES = 256 * 1024


@dataclass
class RunLog:
    """One run's lines between its reader and the shipper; any thread may write.

    Attributes:
        wake: called whenever there is something to ship.
        mask: applied to what is said with `write`, which may quote the program.
    """

    strategy_id: str
    run_id: str
    wake: Callable[["RunLog"], None] = field(repr=False)
    mask: Callable[[bytes], bytes] = field(default=bytes, repr=False)
    _pending: deque[Block] = field(default_factory=deque)
    _pending_bytes: int = 0
    _dropped: int = 0
    _last_number: int = 0
    _in_flight: Batch | None = None
    _is_sealed: bool = False
    _late: int = 0
    _is_closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, channel: Channel, text: str) -> None:
        """Add a line; the platform's own get through a full buffer."""
        block = block_of(time.time_ns() // 1_000_000, channel, text)
        self.add(replace(block, data=self.mask(block.data)))

    def add(self, block: Block) -> None:
        """Add lines; when the buffer is full they are counted instead, and a marker will say so."""
        with self._lock:
            if self._is_closed:
                return
            if self._is_sealed:
                self._late += block.count
                return
            is_full = self._pending_bytes + _cost_bytes(block) > BUFFER_BYTES
            if is_full and block.channel != Channel.SYSTEM:
                self._dropped += block.count
                return
            self._mark_dropped(block.ts_ms)
            self._append(block)
        self.wake(self)

    def seal(self) -> int:
        """Take no more lines but the last; the number that it will have.

        What comes nevertheless is counted, and the last line says so.
        """
        with self._lock:
            self._mark_dropped(time.time_ns() // 1_000_000)
            self._is_sealed = True
            return self._last_number + sum(block.count for block in self._pending) + 1

    def close(self, last_words: str) -> None:
        """Add the platform's last line; followers are told once it is stored."""
        with self._lock:
            if self._is_closed:
                return
            ts_ms = time.time_ns() // 1_000_000
            self._mark_dropped(ts_ms)
            if self._late:
                metrics.DROPPED_LINES.labels("late").inc(self._late)
                last_words += f"; {self._late} lines came after the end and were dropped"
            self._append(block_of(ts_ms, Channel.SYSTEM, last_words))
            self._is_closed = True
        self.wake(self)

    def forget(self) -> None:
        """Take nothing more, and drop what is not stored yet."""
        with self._lock:
            self._is_closed = True
            self._pending.clear()
            self._pending_bytes = 0
            self._in_flight = None

    def take(self) -> Batch | None:
        """The next batch, or the same one again as long as it was not confirmed.

        It must not grow meanwhile: under another id Redis would store its lines a second time.
        """
        with self._lock:
            if self._in_flight is None and self._pending:
                blocks = self._next_blocks()
                first = self._last_number + 1
                is_end = self._is_closed and not self._pending
                self._in_flight = Batch(first, blocks, is_end)
                self._last_number = self._in_flight.last
            return self._in_flight

    def confirm(self) -> None:
        """The batch is stored."""
        with self._lock:
            self._in_flight = None

    @property
    def has_pending(self) -> bool:
        """Whether lines wait that are in no batch yet."""
        return bool(self._pending)

    @property
    def is_done(self) -> bool:
        """Whether everything is stored and nothing more will come."""
        with self._lock:
            return self._is_closed and not self._pending and self._in_flight is None

    def _mark_dropped(self, ts_ms: int) -> None:
        if self._dropped:
            text = f"{self._dropped} lines were dropped here: they came faster than they are stored"
            metrics.DROPPED_LINES.labels("buffer").inc(self._dropped)
            self._dropped = 0
            self._append(block_of(ts_ms, Channel.SYSTEM, text))

    def _append(self, block: Block) -> None:
        self._pending.append(block)
        self._pending_bytes += _cost_bytes(block)

    def _next_blocks(self) -> tuple[Block, ...]:
        blocks: list[Block] = []
        size = 0
        while self._pending and len(blocks) < _ENTRY_BLOCKS and size < _ENTRY_BYTES:
            block = self._pending.popleft()
            self._pending_bytes -= _cost_bytes(block)
            size += len(block.data)
            blocks.append(block)
        return tuple(blocks)


def _cost_bytes(block: Block) -> int:
    return _BLOCK_BYTES + len(block.data)
