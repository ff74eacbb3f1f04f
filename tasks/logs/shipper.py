"""Ships the lines of all runs of a runner to Redis, from one thread.

A run's own thread only appends to a bounded buffer and never waits. While a pipeline is under way
new lines gather, so batches grow with the load; an idle line goes out at once. An append whose
answer was lost is sent again: its entry's id makes sure that it is stored once.
"""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.logs.stream import Channel, Line, add_notice, encode, entry_id, logs_key

log = logging.getLogger(__name__)

_BUFFER_BYTES = 4 << 20
_LINE_BYTES = 128  # what an empty line costs: a flood of them must fill the buffer as well
_ENTRY_LINES = 512
_ENTRY_BYTES = 256 * 1024
_AWAY_PAUSE_S = 0.5


@dataclass(frozen=True)
class Shipment:
    """One entry on its way."""

    lines: tuple[Line, ...]
    is_end: bool
    is_first: bool


@dataclass
class RunLog:
    """The log of one run on its way; `write` may be called from any thread."""

    shipper: "LogShipper" = field(repr=False)
    strategy_id: str
    run_id: str
    _pending: deque[Line] = field(default_factory=deque)
    _pending_bytes: int = 0
    _dropped: int = 0
    _last_number: int = 0
    _in_flight: Shipment | None = None
    _stored: deque[tuple[int, int]] = field(default_factory=deque)
    _stored_bytes: int = 0
    _is_closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, channel: Channel, text: str) -> None:
        """Add a line; when the buffer is full it is counted instead, and a marker will say so."""
        with self._lock:
            if self._is_closed:
                return
            is_full = self._pending_bytes + _cost_bytes(text) > _BUFFER_BYTES
            if is_full and channel != Channel.SYSTEM:
                self._dropped += 1
                return
            self._mark_dropped()
            self._append(channel, text)
        self.shipper.wake(self)

    def close(self, last_words: str) -> None:
        """Add the platform's last line; followers are told once it is stored."""
        with self._lock:
            if self._is_closed:
                return
            self._mark_dropped()
            self._append(Channel.SYSTEM, last_words)
            self._is_closed = True
        self.shipper.wake(self)

    def discard(self) -> None:
        """Forget what was not stored yet: the strategy is gone and its log with it.

        Nothing of it reaches Redis any more once this returns.
        """
        with self._lock:
            self._is_closed = True
            self._pending.clear()
            self._in_flight = None
        self.shipper.wait_for_pipeline()
        self.shipper.wake(self)

    def _mark_dropped(self) -> None:
        if self._dropped:
            text = f"{self._dropped} lines were dropped here: they came faster than they are stored"
            self._dropped = 0
            self._append(Channel.SYSTEM, text)

    def _append(self, channel: Channel, text: str) -> None:
        self._last_number += 1
        self._pending.append(Line(self._last_number, time.time_ns() // 1_000_000, channel, text))
        self._pending_bytes += _cost_bytes(text)

    def take(self) -> Shipment:
        """The next batch; the same one again as long as it was not confirmed.

        It must not grow meanwhile: under another id Redis would store its lines a second time.
        """
        with self._lock:
            if self._in_flight is None:
                lines = self._next_lines()
                is_end = self._is_closed and not self._pending
                self._in_flight = Shipment(
                    lines, is_end, is_first=bool(lines) and lines[0].number == 1
                )
            return self._in_flight

    def keep(self, last: int, size_bytes: int, max_bytes: int) -> int:
        """Count the entry that ends with line `last`; the number up to which lines must go, so
        that what is left takes at most `max_bytes`. May be told the same entry again."""
        if not self._stored or self._stored[-1][0] < last:
            self._stored.append((last, size_bytes))
            self._stored_bytes += size_bytes
        oldest = 0
        while self._stored_bytes > max_bytes and len(self._stored) > 1:
            oldest, gone_bytes = self._stored.popleft()
            self._stored_bytes -= gone_bytes
        return oldest

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

    def _next_lines(self) -> tuple[Line, ...]:
        lines: list[Line] = []
        size = 0
        while self._pending and len(lines) < _ENTRY_LINES and size < _ENTRY_BYTES:
            line = self._pending.popleft()
            self._pending_bytes -= _cost_bytes(line.text)
            size += len(line.text)
            lines.append(line)
        return tuple(lines)


def _cost_bytes(text: str) -> int:
    return _LINE_BYTES + len(text)


class LogShipper(threading.Thread):
    """The thread that empties the buffers."""

    def __init__(self, redis: Redis, *, max_lines: int, max_bytes: int) -> None:
        """`max_lines`, `max_bytes`: of each run, about; what is older goes."""
        super().__init__(name="log-shipper", daemon=True)
        self._redis = redis
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._waiting: dict[str, RunLog] = {}
        self._open: dict[str, RunLog] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._away = threading.Event()
        self._sending = threading.Lock()
        self._give_up_at = float("inf")

    def open(self, strategy_id: str, run_id: str) -> RunLog:
        """Begin the log of a run."""
        run_log = RunLog(self, strategy_id, run_id)
        with self._changed:
            self._open[run_id] = run_log
        return run_log

    def wake(self, run_log: RunLog) -> None:
        """This run has something to ship."""
        with self._changed:
            self._waiting[run_log.run_id] = run_log
            self._changed.notify()

    def wait_for_pipeline(self) -> None:
        """Until the pipeline that is under way, if there is one, has come back or failed."""
        with self._sending:
            return

    def close(self, timeout_s: float) -> None:
        """Ship what is left, for at most this long, and end the thread."""
        self._give_up_at = time.monotonic() + timeout_s
        with self._changed:
            self._closing = True
            self._changed.notify()
        self.join(timeout_s + _AWAY_PAUSE_S)
        if self._open:
            log.error("log_lines_lost", extra={"runs": list(self._open)})

    def run(self) -> None:
        """Ship until closed and empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                batch = list(self._waiting.values())
                self._waiting.clear()
            try:
                with self._sending:
                    self._ship(batch)
            except Exception as error:
                # Redis is away, or something is broken: without this thread no run has a log.
                is_away = isinstance(error, RedisError)
                names = {"error": type(error).__name__}
                log.warning("log_shipping_failed", extra=names, exc_info=not is_away)
                if time.monotonic() > self._give_up_at:
                    return
                self._away.wait(_AWAY_PAUSE_S)
                for run_log in batch:
                    self.wake(run_log)

    def _ship(self, batch: list[RunLog]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        sent: list[tuple[RunLog, int]] = []
        for run_log in batch:
            shipment = run_log.take()
            if shipment.lines:
                sent.append((run_log, self._append(pipeline, run_log, shipment)))
            else:
                self._confirm(run_log)
        answers = iter(pipeline.execute(raise_on_error=False))
        failure: Exception | None = None
        for run_log, commands in sent:
            stored, *_ = [next(answers) for _ in range(commands)]
            if isinstance(stored, ResponseError) and "equal or smaller" in str(stored):
                log.info("log_batch_was_stored", extra={"run_id": run_log.run_id})
            elif isinstance(stored, Exception):
                failure = stored
                continue
            self._confirm(run_log)
        if failure is not None:
            raise failure

    def _append(self, pipeline: Any, run_log: RunLog, shipment: Shipment) -> int:
        """Queue the entry, and a notice with the first and the last; the number of commands."""
        last = shipment.lines[-1].number
        fields = encode(shipment.lines, is_end=shipment.is_end)
        size_bytes = sum(map(len, fields.values()))
        too_much = run_log.keep(last, size_bytes, self._max_bytes)
        oldest = max(last - self._max_lines, too_much + 1 if too_much else 0)
        pipeline.xadd(
            logs_key(run_log.run_id),
            fields,
            id=entry_id(last),
            minid=entry_id(oldest) if oldest > 0 else None,
            approximate=True,
        )
        if shipment.is_first or shipment.is_end:
            add_notice(pipeline, run_log.strategy_id)
            return 2
        return 1

    def _confirm(self, run_log: RunLog) -> None:
        run_log.confirm()
        if run_log.has_pending:
            self.wake(run_log)  # the buffer held more than one entry takes
        elif run_log.is_done:
            with self._changed:
                self._open.pop(run_log.run_id, None)
