"""Walking along a strategy's log as it grows, across its restarts.

The rows decide what comes next; Redis only delivers lines and wakes us. So a tail survives the loss
of Redis or of a runner: it looks at the row again every `_LOOK_AGAIN_MS`.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import Database, database_now
from app.logs import stream
from app.logs.cursor import Cursor
from app.logs.lost import lost_end
from app.logs.source import LogSource
from app.logs.stream import Batch
from app.strategies import repository
from app.strategies.models import Run, Strategy
from app.strategies.states import DesiredState, Reason, Status

_LOOK_AGAIN_MS = 2000
# A runner writes the row's end first and ships the last lines after it.
_LAST_LINES_WITHIN_S = 3.0
# If it wrote how many there are, it is known that some are missing.
_KNOWN_LINES_WITHIN_S = 10.0
_DELETED: dict[str, Any] = {"status": "deleted", "status_reason": "deleted"}


@dataclass(frozen=True)
class Outcome:
    """How a strategy ended, for those who follow it up to this claim.

    Attributes:
        epoch: the last claim; None when there will be no other, for the strategy was deleted.
    """

    epoch: int | None
    fields: dict[str, Any]


@dataclass(frozen=True)
class News:
    """What one step found: a run's new batches, behind `after`, or that all is over for now."""

    run: Run | None = None
    after: Cursor | None = None
    batches: tuple[Batch, ...] = ()
    outcome: Outcome | None = None


@dataclass
class Tail:
    """A place in one strategy's log that moves on with `step`.

    Attributes:
        place: behind the last line that a step gave away.
    """

    database: Database
    redis: Redis
    source: LogSource
    strategy_id: str
    place: Cursor | None = None
    _run: Run | None = None
    _is_complete: bool = False
    _is_drained: bool = False
    _patient_until: float = 0.0
    _notice_id: bytes = field(default=b"0-0")

    def begin(self) -> Cursor:
        """Go behind the newest line that is stored by now."""
        with self.database.reading() as session:
            row = _find(session, self.strategy_id)
            epoch = row.epoch if row is not None else 0
            self._run = repository.run_of_epoch(session, self.strategy_id, epoch)
        newest = self._newest_batch()
        # What ended before anybody looked has nothing more to say.
        self._is_drained = newest is not None and newest.is_end
        self.place = Cursor(epoch, newest.last if newest is not None else 0)
        return self.place

    def wait_for_runners(self) -> None:
        """Redis was away: runners were cut off as well and have to ship what gathered meanwhile."""
        self._patient_until = time.monotonic() + _LAST_LINES_WITHIN_S

    def step(self) -> News:
        """What is new; waits for it up to two seconds.

        Raises:
            redis.exceptions.RedisError, sqlalchemy.exc.SQLAlchemyError: the next step goes on.
        """
        place = self.place or self.begin()
        row = self._look(place)
        if row is None:
            return News(outcome=Outcome(None, _DELETED))
        if self._run is not None and not self._is_drained:
            return self._drain(self._run)
        if _is_over(row):
            return News(outcome=Outcome(row.epoch, _outcome(row)))
        self.wait()
        return News()

    def wait(self) -> None:
        """Until a notice comes, or it is time to look at the row again."""
        self._xread({stream.notices_key(self.strategy_id): self._notice_id}, _LOOK_AGAIN_MS)

    def _look(self, place: Cursor) -> Strategy | None:
        """Read the row, and step to the next run when there is one."""
        with self.database.reading() as session:
            row = _find(session, self.strategy_id)
            if row is None:
                return None
            if self._run is None or self._is_drained:
                following = repository.next_run(session, self.strategy_id, place.epoch)
                if following is not None:
                    self._run, self._is_drained = following, False
                    self.place = Cursor(following.epoch, 0)
            elif self._run.ended_at is None:
                self._run = repository.run_of_epoch(session, self.strategy_id, self._run.epoch)
            self._is_complete = self._run is not None and self._has_all_lines(session, self._run)
            return row

    def _has_all_lines(self, session: Session, run: Run) -> bool:
        """Whether what is not in Redis by now will never be."""
        if run.ended_at is None or time.monotonic() < self._patient_until:
            return False
        if run.reason == Reason.RUNNER_LOST or run.logs_archived_at is not None:
            return True
        within_s = _LAST_LINES_WITHIN_S if run.log_lines is None else _KNOWN_LINES_WITHIN_S
        return session.scalars(select(database_now())).one() > run.ended_at + within_s

    def _newest_batch(self) -> Batch | None:
        if self._run is None:
            return None
        return next(self.source.backward(self._run.run_id), None)

    def _drain(self, run: Run) -> News:
        place = self.place or Cursor(run.epoch, 0)
        key = stream.logs_key(run.run_id)
        keys: dict[Any, Any] = {key: stream.entry_id(place.number)}
        block_ms = 0 if self._is_complete else _LOOK_AGAIN_MS
        if block_ms:
            keys[stream.notices_key(self.strategy_id)] = self._notice_id
        batches = stream.decode_all(self._xread(keys, block_ms).get(key.encode(), []))
        if batches and batches[0].first > place.number + 1:
            # Perhaps not lost, but moved into the archive while nobody looked.
            batches = list(self.source.forward(run.run_id, place.number))
        if not batches and self._is_complete:
            batches = self._rest(run, place.number)
            self._is_drained = not batches
        if not batches:
            return News()
        self.place = Cursor(run.epoch, batches[-1].last)
        self._is_drained = batches[-1].is_end
        return News(run, place, tuple(batches))

    def _rest(self, run: Run, number: int) -> list[Batch]:
        """What Redis has not any more, and will not have; in the end our word on what is lost."""
        batches = list(self.source.forward(run.run_id, number))
        lost = None if batches else lost_end(run, number, time.time_ns() // 1_000_000)
        return batches if lost is None else [lost]

    def _xread(self, keys: dict[Any, Any], block_ms: int) -> dict[bytes, list[Any]]:
        answer: Any = self.redis.xread(keys, count=32, block=block_ms if block_ms else None)
        streams = dict(answer.items() if isinstance(answer, dict) else answer or ())
        notices = streams.get(stream.notices_key(self.strategy_id).encode())
        if notices:
            self._notice_id = notices[-1][0]
        return streams


def _find(session: Session, strategy_id: str) -> Strategy | None:
    """The row as all of its followers see it; whether they may was asked before."""
    return session.scalar(
        select(Strategy).where(Strategy.strategy_id == strategy_id, Strategy.deleted_at.is_(None))
    )


def _is_over(row: Strategy) -> bool:
    """Whether it has ended for good."""
    ended = row.status in (Status.STOPPED, Status.FAILED)
    return ended and row.desired_state == DesiredState.STOPPED


def _outcome(row: Strategy) -> dict[str, Any]:
    return {
        "status": row.status,
        "status_reason": row.status_reason,
        "exit_code": row.exit_code,
        "run_id": row.run_id,
    }
