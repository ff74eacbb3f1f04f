"""One run's lines, wherever they are: first in the archive, then in Redis, without a seam."""

from collections.abc import Iterator
from dataclasses import dataclass

from redis import Redis
from sqlalchemy import ColumnElement, select, true

from app.database import Database
from app.logs import stream
from app.logs.chunks import ChunkStore
from app.logs.models import LogChunk
from app.logs.stream import Batch


@dataclass(frozen=True)
class LogSource:
    """Reads stored lines; numbers that no batch has were trimmed, or lost with Redis.

    The archive and Redis overlap: what was archived just now is still in Redis for a while. Batches
    may begin before the place that was asked for.
    """

    database: Database
    redis: Redis
    store: ChunkStore

    def forward(self, run_id: str, number: int) -> Iterator[Batch]:
        """Batches with lines behind line `number`, oldest first."""
        for batch in self._archived_after(run_id, number, None):
            yield batch
            number = batch.last
        for batch in stream.forward(self.redis, run_id, number):
            if batch.first > number + 1:
                # Lines may have moved from Redis into the archive since it was asked.
                for moved in self._archived_after(run_id, number, batch.first):
                    yield moved
                    number = moved.last
            if batch.last > number:
                yield batch
                number = batch.last

    def backward(self, run_id: str, before: int | None = None) -> Iterator[Batch]:
        """Batches with lines in front of line `before`, or all, newest first."""
        lowest = before
        newest = self._chunk_before(run_id, before)
        for batch in stream.backward(self.redis, run_id):
            if newest is not None and newest.first_number > batch.last:
                # Our word on an end that was lost is in the archive alone.
                yield self.store.get(newest)
                lowest = newest.first_number
            newest = None
            if lowest is None or batch.first < lowest:
                yield batch
                lowest = batch.first
        while (chunk := self._chunk_before(run_id, lowest)) is not None:
            yield self.store.get(chunk)
            lowest = chunk.first_number

    def _archived_after(self, run_id: str, number: int, below: int | None) -> Iterator[Batch]:
        while True:
            condition = LogChunk.last_number > number
            if below is not None:
                condition &= LogChunk.first_number < below
            chunk = self._chunk(run_id, condition, LogChunk.after_number.asc())
            if chunk is None:
                return
            yield self.store.get(chunk)
            number = chunk.last_number

    def _chunk_before(self, run_id: str, number: int | None) -> LogChunk | None:
        condition = LogChunk.first_number < number if number is not None else true()
        return self._chunk(run_id, condition, LogChunk.after_number.desc())

    def _chunk(
        self, run_id: str, condition: ColumnElement[bool], order: ColumnElement[int]
    ) -> LogChunk | None:
        with self.database.reading() as session:
            return session.scalar(
                select(LogChunk)
                .where(LogChunk.run_id == run_id, condition)
                .order_by(order)
                .limit(1)
            )
