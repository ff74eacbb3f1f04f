"""Following a strategy's log live, across its restarts, until it is over.

The rows decide what comes next; Redis only delivers lines and wakes us. So a follower survives the
loss of Redis or of a runner: it looks at the row again every `_LOOK_AGAIN_MS`.
"""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app.api.context import Services
from app.clients.service import Principal
from app.database import database_now
from app.logs import stream
from app.logs.cursor import Cursor
from app.logs.service import record, with_gap_markers
from app.logs.stream import Batch
from app.strategies import repository
from app.strategies.models import Run, Strategy
from app.strategies.states import DesiredState, Reason, Status

log = logging.getLogger(__name__)

_LOOK_AGAIN_MS = 2000
_HEARTBEAT_S = 10.0
_AWAY_PAUSE_S = 1.0
# A runner writes the row's end first and ships the last lines after it.
_LAST_LINES_WITHIN_S = 3.0
_RECENT_S = 60.0
# What waits for a runner longer than a moment says so instead of `requested`.
_FRESH = (Reason.REQUESTED, Reason.NO_RUNNER, Reason.NO_CAPACITY)
_HEARTBEAT = ": keep-alive\n\n"


@dataclass
class Follower:
    """One reader of one strategy's log; `events()` yields server-sent events as text."""

    services: Services
    caller: Principal
    strategy_id: str
    after: Cursor | None
    _run: Run | None = None
    _is_complete: bool = False
    _is_drained: bool = False
    _patient_until: float = 0.0
    _notice_id: bytes = b"0-0"
    _last_event_at: float = field(default_factory=time.monotonic)

    def events(self) -> Iterator[str]:
        """Events `log` and, last, `end`; comments keep proxies from closing the connection."""
        yield _HEARTBEAT
        while True:
            try:
                yield from self._until_over()
                return
            except (RedisError, OperationalError, InterfaceError) as error:
                log.warning("follow_interrupted", extra={"error": type(error).__name__})
                yield _HEARTBEAT
                time.sleep(_AWAY_PAUSE_S)
                # Runners were cut off as well and have to ship what gathered meanwhile.
                self._patient_until = time.monotonic() + _LAST_LINES_WITHIN_S

    def _until_over(self) -> Iterator[str]:
        while True:
            row = self._look()
            if row is None:
                yield _event("end", {"status": "deleted", "status_reason": "deleted"})
                return
            if self._run is not None and not self._is_drained:
                yield from self._drain()
            elif self._is_over(row):
                yield _event("end", _outcome(row))
                return
            else:
                self._wait()
            yield from self._heartbeat()

    def _look(self) -> Strategy | None:
        """Read the row, and step to the next run when there is one."""
        with self.services.database.reading() as session:
            row = repository.find(session, self.caller, self.strategy_id)
            if row is None:
                return None
            if self.after is None:
                self.after = _start_of(session, row)
            if self._run is None:
                self._run = repository.run_of_epoch(session, self.strategy_id, self.after.epoch)
            if self._run is None or self._is_drained:
                following = repository.next_run(session, self.strategy_id, self.after.epoch)
                if following is not None:
                    self._run, self._is_drained = following, False
                    self.after = Cursor(following.epoch, 0)
            elif self._run.ended_at is None:
                self._run = repository.run_of_epoch(session, self.strategy_id, self._run.epoch)
            self._is_complete = self._run is not None and self._has_all_lines(session, self._run)
            return row

    def _has_all_lines(self, session: Session, run: Run) -> bool:
        """Whether what is not in Redis by now will never be."""
        if run.ended_at is None or time.monotonic() < self._patient_until:
            return False
        if run.reason == Reason.RUNNER_LOST:
            return True
        return session.scalars(select(database_now())).one() > run.ended_at + _LAST_LINES_WITHIN_S

    def _drain(self) -> Iterator[str]:
        """Deliver what the run says, until it has nothing more to say or it is time to look."""
        run = cast(Run, self._run)
        while True:
            batches = self._read(0 if self._is_complete else _LOOK_AGAIN_MS)
            if not batches:
                self._is_drained = self._is_complete
                return
            for batch in batches:
                yield from self._deliver(run, batch)
                if batch.is_end:
                    self._is_drained = True
                    return

    def _deliver(self, run: Run, batch: Batch) -> Iterator[str]:
        after = cast(Cursor, self.after)
        fresh = [line for line in batch.lines if line.number > after.number]
        for line in with_gap_markers(fresh, after.number):
            entry = record(run, line)
            yield _event("log", entry, entry["id"])
            self.after = Cursor(run.epoch, line.number)
        self._last_event_at = time.monotonic()

    def _read(self, block_ms: int) -> list[Batch]:
        """New entries of the present run; waits up to `block_ms`, less if a notice comes."""
        run, after = cast(Run, self._run), cast(Cursor, self.after)
        logs_key = stream.logs_key(run.run_id)
        keys: dict[Any, Any] = {logs_key: stream.entry_id(after.number)}
        if block_ms:
            keys[stream.notices_key(self.strategy_id)] = self._notice_id
        return stream.decode_all(self._xread(keys, block_ms).get(logs_key.encode(), []))

    def _wait(self) -> None:
        """Until a notice comes, or it is time to look at the row again."""
        self._xread({stream.notices_key(self.strategy_id): self._notice_id}, _LOOK_AGAIN_MS)

    def _xread(self, keys: dict[Any, Any], block_ms: int) -> dict[bytes, list[Any]]:
        answer: Any = self.services.follow_redis.xread(
            keys, count=200, block=block_ms if block_ms else None
        )
        streams = dict(answer.items() if isinstance(answer, dict) else answer or ())
        notices = streams.get(stream.notices_key(self.strategy_id).encode())
        if notices:
            self._notice_id = notices[-1][0]
        return streams

    def _is_over(self, row: Strategy) -> bool:
        """Whether it has ended for good; one that never started is waited for."""
        ended = row.status in (Status.STOPPED, Status.FAILED)
        is_for_good = ended and row.desired_state == DesiredState.STOPPED
        return is_for_good and row.epoch >= cast(Cursor, self.after).epoch

    def _heartbeat(self) -> Iterator[str]:
        if time.monotonic() - self._last_event_at >= _HEARTBEAT_S:
            self._last_event_at = time.monotonic()
            yield _HEARTBEAT


def _start_of(session: Session, row: Strategy) -> Cursor:
    """Where following begins: the present run, or the next one after a start by hand.

    Who starts a strategy and then follows it sees a crash that was faster than he was.
    """
    is_fresh_start = row.status == Status.QUEUED and row.status_reason in _FRESH
    was_never_over = row.restart_count == 0 and row.exit_code is None
    if row.epoch == 0 or (is_fresh_start and was_never_over):
        return Cursor(row.epoch + 1, 0)
    since_start = row.epoch - row.restart_count
    recent = repository.first_recent_epoch(
        session, row.strategy_id, since_start, database_now() - _RECENT_S
    )
    return Cursor(recent or row.epoch, 0)


def _outcome(row: Strategy) -> dict[str, Any]:
    return {
        "status": row.status,
        "status_reason": row.status_reason,
        "exit_code": row.exit_code,
        "run_id": row.run_id,
    }


def _event(name: str, data: dict[str, Any], event_id: str | None = None) -> str:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
