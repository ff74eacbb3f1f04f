"""Ships the lines of all runs of a runner to Redis, from one thread.

A run's reader only appends to a bounded buffer and never waits. While a pipeline is under way new
lines gather, so batches grow with the load; an idle line goes out at once. An append whose answer
was lost is sent again: its entry's id makes sure that it is stored once.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.logs import stream
from app.logs.stream import Batch
from tasks.logs.bounds import Bounds, StreamSize
from tasks.logs.run_log import RunLog

log = logging.getLogger(__name__)

_AWAY_PAUSE_S = 0.5
_KEPT_AFTER_END_S = 7 * 86_400
"""A stream that nobody archives or deletes, whatever befell its run's row, goes by itself."""


@dataclass(frozen=True)
class _Sent:
    """One run's part of a pipeline: the batch, and how many commands it took."""

    run_log: RunLog
    batch: Batch
    commands: int


class LogShipper(threading.Thread):
    """The thread that empties the buffers."""

    def __init__(self, redis: Redis, bounds: Bounds) -> None:
        super().__init__(name="log-shipper", daemon=True)
        self._redis = redis
        self._bounds = bounds
        self._waiting: dict[str, RunLog] = {}
        self._open: dict[str, StreamSize] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._away = threading.Event()
        self._sending = threading.Lock()
        self._give_up_at = float("inf")

    def open(self, strategy_id: str, run_id: str) -> RunLog:
        """Begin the log of a run."""
        with self._changed:
            self._open[run_id] = StreamSize(self._bounds)
        return RunLog(strategy_id, run_id, self.wake)

    def discard(self, run_log: RunLog) -> None:
        """Forget what was not stored yet: the strategy is gone and its log with it.

        Nothing of it reaches Redis any more once this returns.
        """
        run_log.forget()
        with self._sending:
            # The pipeline that was under way has come back or failed.
            pass
        self.wake(run_log)

    def wake(self, run_log: RunLog) -> None:
        """This run has something to ship."""
        with self._changed:
            self._waiting[run_log.run_id] = run_log
            self._changed.notify()

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
                waiting = list(self._waiting.values())
                self._waiting.clear()
            try:
                with self._sending:
                    self._ship(waiting)
            except Exception as error:
                # Redis is away, or something is broken: without this thread no run has a log.
                is_away = isinstance(error, RedisError)
                names = {"error": type(error).__name__}
                log.warning("log_shipping_failed", extra=names, exc_info=not is_away)
                if time.monotonic() > self._give_up_at:
                    return
                self._away.wait(_AWAY_PAUSE_S)
                for run_log in waiting:
                    self.wake(run_log)

    def _ship(self, waiting: list[RunLog]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        sent: list[_Sent] = []
        for run_log in waiting:
            batch = run_log.take()
            if batch is None:
                self._go_on(run_log)
            else:
                sent.append(self._append(pipeline, run_log, batch))
        answers = iter(pipeline.execute(raise_on_error=False))
        failure: Exception | None = None
        for one in sent:
            stored, *_ = [next(answers) for _ in range(one.commands)]
            if isinstance(stored, ResponseError) and "equal or smaller" in str(stored):
                log.info("log_batch_was_stored", extra={"run_id": one.run_log.run_id})
            elif isinstance(stored, Exception):
                failure = stored
                continue
            one.run_log.confirm()
            self._go_on(one.run_log)
        if failure is not None:
            raise failure

    def _append(self, pipeline: Any, run_log: RunLog, batch: Batch) -> _Sent:
        """Queue the entry, with word to those who wait for the beginning, the end, or more."""
        key = stream.logs_key(run_log.run_id)
        size = self._open.setdefault(run_log.run_id, StreamSize(self._bounds))
        size.add(batch)
        oldest = size.oldest_kept(batch.last)
        pipeline.xadd(
            key,
            stream.encode(batch.blocks, is_end=batch.is_end),
            id=stream.entry_id(batch.last),
            minid=stream.entry_id(oldest) if oldest else None,
            approximate=True,
        )
        commands = 1
        if batch.first == 1 or batch.is_end:
            stream.add_notice(pipeline, run_log.strategy_id)
            commands += 1
        if size.archive_is_due() or batch.is_end:
            pipeline.sadd(stream.DUE_KEY, run_log.run_id)
            commands += 1
        if batch.is_end:
            pipeline.expire(key, _KEPT_AFTER_END_S)
            commands += 1
        return _Sent(run_log, batch, commands)

    def _go_on(self, run_log: RunLog) -> None:
        if run_log.has_pending:
            self.wake(run_log)  # the buffer held more than one entry takes
        elif run_log.is_done:
            with self._changed:
                self._open.pop(run_log.run_id, None)
