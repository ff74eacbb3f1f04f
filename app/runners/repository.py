"""Queries about runners."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from app.database import database_now
from app.runners.models import Runner

ALIVE_FOR_S = 10.0
"""A runner whose last heartbeat is older than this is not counted as live."""

_FORGOTTEN_AFTER_S = 3600.0


def live(session: Session) -> Sequence[Runner]:
    """The runners that take strategies at the moment."""
    return session.scalars(
        select(Runner).where(_is_alive(), Runner.is_stopping.is_(False)).order_by(Runner.runner_id)
    ).all()


def live_queues(session: Session) -> set[str]:
    """The queues that at least one live runner serves."""
    return {queue for runner in live(session) for queue in runner.queues}


def list_all(session: Session) -> list[tuple[Runner, bool]]:
    """Every runner that is not forgotten, and whether it was heard of lately; by name."""
    query = select(Runner, _is_alive()).order_by(Runner.name, Runner.host, Runner.started_at)
    return [(runner, bool(is_alive)) for runner, is_alive in session.execute(query)]


def _is_alive() -> ColumnElement[bool]:
    return Runner.last_heartbeat_at > database_now() - ALIVE_FOR_S


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
