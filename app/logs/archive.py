"""Moving lines from Redis into the archive."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.exc import IntegrityError

from app.database import Database, database_now
from app.logs import chunks, stream
from app.logs.lost import lost_end
from app.logs.models import LogChunk
from app.logs.source import LogSource
from app.logs.stream import Batch
from app.strategies.models import Run

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_KEPT_IN_REDIS_S = 600
# A runner writes a run's end first and ships its last lines after it, if it can.
_LAST_LINES_WITHIN_S = 30.0
# If it wrote how many there are, it may be that only it is cut off from Redis.
_KNOWN_LINES_WITHIN_S = 300.0
_BATCH = 200


@dataclass(frozen=True)
class Archive:
    """Archives; any number of processes may do so at once, and crash meanwhile."""

    source: LogSource

    @property
    def database(self) -> Database:
        """Where the rows are."""
        return self.source.database

    def archive(self, run: Run) -> int:
        """Archive what Redis has of a run and the archive has not; the number of lines.

        Redis keeps the newest of them for those who follow. Once the run's last line is archived,
        or a word on lines that will never come, its stream goes after ten minutes.
        """
        after, is_end = self._archived_to(run.run_id)
        lines, kept_from = 0, 0
        for group in _groups(stream.forward(self.source.redis, run.run_id, after), after):
            if not self._store(run, after, group):
                return lines  # another one was faster and goes on
            lines += group[-1].last - group[0].first + 1
            after, is_end, kept_from = group[-1].last, group[-1].is_end, group[0].first
        if kept_from:
            stream.trim(self.source.redis, run.run_id, kept_from)
        if run.ended_at is not None and (is_end or self._is_over(run, after)):
            if not is_end and (lines or run.logs_archived_at is None):
                self._tell_lost(run, after)
            self._conclude(run)
        return lines

    def runs_to_archive(self) -> Sequence[Run]:
        """Some of the runs that have ended and are not archived."""
        with self.database.reading() as session:
            return session.scalars(
                select(Run)
                .where(Run.logs_archived_at.is_(None), Run.ended_at < database_now() - 2)
                .order_by(Run.ended_at)
                .limit(_BATCH)
            ).all()

    def _archived_to(self, run_id: str) -> tuple[int, bool]:
        """The last line of the program's log that is archived, and whether it is the run's last."""
        newest = (
            select(LogChunk.last_number, LogChunk.is_end)
            .where(LogChunk.run_id == run_id, LogChunk.raw_bytes > 0)
            .order_by(LogChunk.after_number.desc())
            .limit(1)
        )
        with self.database.reading() as session:
            found = session.execute(newest).one_or_none()
        return (found.last_number, found.is_end) if found is not None else (0, False)

    def _store(self, run: Run, after: int, group: list[Batch]) -> bool:
        data = chunks.pack(group)
        chunk = _chunk(run, after, group, len(data))
        self.source.store.put(chunk, data)
        return self._add(chunk)

    def _tell_lost(self, run: Run, after: int) -> None:
        """Put our word on lines that will never come where they would be."""
        lost = lost_end(run, after, time.time_ns() // 1_000_000)
        if lost is not None:
            data = chunks.pack([lost])
            chunk = _chunk(run, after, [lost], len(data))
            chunk.raw_bytes, chunk.data = 0, data
            log.warning("log_end_lost", extra={"run_id": run.run_id, "after": after})
            self._add(chunk)

    def _add(self, chunk: LogChunk) -> bool:
        """Whether it was not there yet."""
        run_id, after = chunk.run_id, chunk.after_number
        try:
            with self.database.transaction() as session:
                if chunk.raw_bytes:
                    # They came after all, later than anybody waited.
                    session.execute(delete(LogChunk).where(_is(chunk), LogChunk.raw_bytes == 0))
                session.add(chunk)
        except IntegrityError:
            log.info("chunk_was_archived", extra={"run_id": run_id, "after": after})
            return False
        return True

    def _is_over(self, run: Run, last: int) -> bool:
        """Whether what is missing behind line `last` will never be there."""
        is_missing = run.log_lines is not None and last < run.log_lines
        within_s = _KNOWN_LINES_WITHIN_S if is_missing else _LAST_LINES_WITHIN_S
        with self.database.reading() as session:
            now = session.scalars(select(database_now())).one()
        return run.ended_at is not None and now > run.ended_at + within_s

    def _conclude(self, run: Run) -> None:
        self.source.redis.expire(stream.logs_key(run.run_id), _KEPT_IN_REDIS_S)
        with self.database.transaction() as session:
            session.execute(
                update(Run)
                .where(Run.run_id == run.run_id, Run.logs_archived_at.is_(None))
                .values(logs_archived_at=database_now())
            )


def _chunk(run: Run, after: int, group: list[Batch], stored_bytes: int) -> LogChunk:
    return LogChunk(
        run_id=run.run_id,
        after_number=after,
        strategy_id=run.strategy_id,
        first_number=group[0].first,
        last_number=group[-1].last,
        last_ts_ms=group[-1].last_ts_ms,
        is_end=group[-1].is_end,
        raw_bytes=_size_bytes(group),
        stored_bytes=stored_bytes,
        created_at=database_now(),
    )


def _groups(batches: Iterator[Batch], after: int) -> Iterator[list[Batch]]:
    """Batches without a gap between them, about a chunk's worth at a time."""
    group: list[Batch] = []
    size = 0
    for batch in batches:
        if batch.last <= after:
            continue
        is_gap = bool(group) and batch.first > group[-1].last + 1
        if group and (is_gap or size >= _CHUNK_BYTES):
            yield group
            group, size = [], 0
        group.append(batch)
        size += _size_bytes([batch])
    if group:
        yield group


def _size_bytes(batches: Sequence[Batch]) -> int:
    return sum(len(block.data) for batch in batches for block in batch.blocks)


def _is(chunk: LogChunk) -> ColumnElement[bool]:
    return and_(LogChunk.run_id == chunk.run_id, LogChunk.after_number == chunk.after_number)
