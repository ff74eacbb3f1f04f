"""The end of a deleted strategy: by the web tier when it does not run, else by its runner."""

import logging

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from app.artifacts import repository as artifacts
from app.database import Database
from app.deployments import repository as versions
from app.logs import stream
from app.strategies import lifecycle, repository
from app.strategies.models import Strategy
from app.strategies.states import Status

log = logging.getLogger(__name__)


def bury(database: Database, redis: Redis, strategy_id: str) -> bool:
    """Remove all that is left of a deleted strategy that does not run: its logs, then its rows.

    False when Redis is away: the rows stay, for without them nobody would find the logs again, and
    the sweep tries once more.
    """
    with database.reading() as session:
        runs = repository.run_ids(session, strategy_id)
    try:
        stream.delete(redis, strategy_id, runs)
    except RedisError as error:
        log.warning("logs_not_deleted", extra={"strategy_id": strategy_id, "error": str(error)})
        return False
    with database.transaction() as session:
        row = lifecycle.lock(session, strategy_id)
        if row is not None and row.deleted_at is not None and not _is_busy(row):
            _purge(session, row)
    return True


def _is_busy(row: Strategy) -> bool:
    waits_for_its_hook = row.status == Status.QUEUED and row.hook_due is not None
    return row.status == Status.RUNNING or waits_for_its_hook


def _purge(session: Session, row: Strategy) -> None:
    sha256 = row.artifact_sha256
    session.expunge(row)
    shas = versions.forget_all(session, row.strategy_id) | {sha256}
    repository.purge(session, row.strategy_id)
    for each in sorted(shas):
        artifacts.collect(session, each)
