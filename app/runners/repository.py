"""Queries about runners."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.database import database_now
from app.runners.models import Runner

ALIVE_FOR_S = 10.0
"""A runner whose last heartbeat is older than this is not counted as live."""

_FORGOTTEN_AFTER_S = 3600.0


def live_queues(session: Session) -> set[str]:
    """The queues that at least one live runner serves."""
    rows = session.scalars(
        select(Runner.queues).where(
            Runner.last_heartbeat_at > database_now() - ALIVE_FOR_S,
            Runner.is_stopping.is_(False),
        )
    )
    return {queue for queues in rows for queue in queues}


def predecessors(session: Session, host_key: str, runner_id: str) -> list[str]:
    """Ids of earlier runner processes with the same name on the same host."""
    return list(
        session.scalars(
            select(Runner.runner_id).where(
                Runner.host_key == host_key, Runner.runner_id != runner_id
            )
        )
    )


def forget_dead(session: Session) -> None:
    """Remove rows of runners that have not been heard of for an hour."""
    session.execute(
        delete(Runner).where(Runner.last_heartbeat_at < database_now() - _FORGOTTEN_AFTER_S)
    )
