"""What one run writes: from the bytes of its two pipes to blocks of masked lines in its log."""

import time
from collections.abc import Callable

from app.logs.stream import Block, Channel
from tasks.logs.framing import LineFramer, Piece
from tasks.logs.limits import FloodGate, Rate
from tasks.logs.redaction import Redactor
from tasks.logs.run_log import RunLog

_LAST_LINE_BYTES = 500


class Capture:
    """One run's output; it is fed by one thread and never waits.

    Attributes:
        last_error_line: the last line on stderr with anything in it, masked.
        is_costly: whether its masking takes long enough to want a reader of its own.
        on_output: called by the reading thread whenever there was output, of whatever kind.
    """

    def __init__(self, run_log: RunLog, redactor: Redactor, rate: Rate) -> None:
        self.last_error_line = ""
        self.on_output: Callable[[], None] | None = None
        self._run_log = run_log
        run_log.mask = redactor
        self._redactor = redactor
        self.is_costly = redactor.is_costly
        self._gate = FloodGate(rate)
        self._framers = {
            Channel.STDOUT: LineFramer(redactor),
            Channel.STDERR: LineFramer(redactor),
        }

    @property
    def marker_due_at(self) -> float:
        """When `tick` has something to say, by the monotonic clock; infinite for never."""
        return self._gate.marker_due_at

    def feed(self, channel: Channel, data: bytes) -> None:
        """Take what was read just now; without data the pipe is at its end."""
        now, ts_ms = time.monotonic(), time.time_ns() // 1_000_000
        self.tick(now)
        if data and self.on_output is not None:
            self.on_output()
        framer = self._framers[channel]
        for piece in framer.feed(data) if data else framer.close():
            self._take(channel, piece, now, ts_ms)

    def tick(self, now: float) -> None:
        """Say what was dropped, once its second is over."""
        if now >= self._gate.marker_due_at:
            self._run_log.write(Channel.SYSTEM, self._gate.marker())

    def close(self) -> None:
        """Nothing more will come: lines that have no end, and what was dropped last."""
        for channel in self._framers:
            self.feed(channel, b"")
        if self._gate.marker_due_at < float("inf"):
            self._run_log.write(Channel.SYSTEM, self._gate.marker())

    def _take(self, channel: Channel, piece: Piece, now: float, ts_ms: int) -> None:
        if not self._gate.admits(piece.count, len(piece.data), now):
            return
        data = piece.data if piece.is_masked else self._redactor(piece.data)
        if channel == Channel.STDERR:
            self._remember_error(data)
        self._run_log.add(Block(ts_ms, channel, piece.count, data))

    def _remember_error(self, data: bytes) -> None:
        last = data.rstrip().rpartition(b"\n")[2].strip()
        if last:
            self.last_error_line = last.decode("utf-8", "replace")[:_LAST_LINE_BYTES]
