"""Forgetting lines that are too old or too many, by what is kept of each client."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, delete, func, select
from sqlalchemy.orm import Session, load_only

from app.clients.models import Client
from app.database import database_now
from app.logs.models import LogChunk
from app.logs.source import LogSource
from app.strategies.models import Run, Strategy

log = logging.getLogger(__name__)

_DAY_S = 86_400.0
_BATCH = 5000


@dataclass(frozen=True)
class Retention:
    """What is kept of clients for whom nothing else was set.

    Attributes:
        days: age of archived lines; 0: as long as their run.
        max_bytes: of the archive of each strategy, compressed.
        runs: of each strategy.
    """

    days: float
    max_bytes: int
    runs: int


@dataclass(frozen=True)
class Forgetting:
    """Forgets; any number of processes may do so at once."""

    source: LogSource
    default: Retention

    def run_once(self) -> int:
        """Forget runs beyond the number, then chunks beyond age and bytes; how many chunks.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, OSError: a place is away; the next look does it all.
        """
        self._forget_runs()
        with self.source.database.reading() as session:
            doomed = [*self._too_old(session), *self._too_many(session)]
        self.source.store.drop(doomed)
        with self.source.database.transaction() as session:
            for chunk in doomed:
                is_this = and_(
                    LogChunk.run_id == chunk.run_id, LogChunk.after_number == chunk.after_number
                )
                session.execute(delete(LogChunk).where(is_this))
        return len(doomed)

    def _forget_runs(self) -> None:
        """The oldest runs of strategies with too many, never one that still lasts.

        Their chunks go with the rows; what they have elsewhere is found as a stray.
        """
        place = func.row_number().over(partition_by=Run.strategy_id, order_by=Run.epoch.desc())
        kept = func.coalesce(Client.log_runs_kept, self.default.runs).label("kept")
        runs = select(Run.run_id, Run.ended_at, place.label("place"), kept)
        numbered = _of_client(runs, Run.strategy_id).subquery()
        is_doomed = (numbered.c.place > numbered.c.kept) & numbered.c.ended_at.is_not(None)
        with self.source.database.transaction() as session:
            doomed = session.scalars(select(numbered.c.run_id).where(is_doomed).limit(_BATCH)).all()
            for run_id in doomed:
                session.execute(delete(Run).where(Run.run_id == run_id))
        if doomed:
            log.info("runs_forgotten", extra={"runs": len(doomed)})

    def _too_old(self, session: Session) -> list[LogChunk]:
        days = func.coalesce(Client.log_kept_days, self.default.days)
        is_old = and_(days > 0, LogChunk.created_at < database_now() - days * _DAY_S)
        query = _of_client(_light(), LogChunk.strategy_id).where(is_old)
        return list(session.scalars(query.limit(_BATCH)))

    def _too_many(self, session: Session) -> Iterator[LogChunk]:
        kept = func.coalesce(Client.log_archive_max_bytes, self.default.max_bytes)
        sums = _of_client(select(LogChunk.strategy_id, kept), LogChunk.strategy_id)
        is_rich = func.sum(LogChunk.stored_bytes) > kept
        rich = sums.group_by(LogChunk.strategy_id, Client.log_archive_max_bytes).having(is_rich)
        for strategy_id, kept_bytes in session.execute(rich).all():
            yield from _oldest_beyond(session, strategy_id, kept_bytes)


def _of_client(query: Any, strategy_id: Any) -> Any:
    """With the row of the client whose strategy has the id in this column."""
    return query.join(Strategy, Strategy.strategy_id == strategy_id).join(
        Client, Client.client_id == Strategy.client_id
    )


def _light() -> Select[LogChunk]:
    """Chunks, oldest first, without their data, but with what their objects are called by."""
    columns = (LogChunk.strategy_id, LogChunk.first_number, LogChunk.last_number)
    light = load_only(*columns, LogChunk.stored_bytes)
    return select(LogChunk).options(light).order_by(LogChunk.created_at, LogChunk.after_number)


def _oldest_beyond(session: Session, strategy_id: str, max_bytes: int) -> Iterator[LogChunk]:
    found = list(session.scalars(_light().where(LogChunk.strategy_id == strategy_id)))
    excess = sum(chunk.stored_bytes for chunk in found) - max_bytes
    for chunk in found:
        if excess <= 0:
            return
        yield chunk
        excess -= chunk.stored_bytes
