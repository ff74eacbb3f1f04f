"""How much of the logs of a client's strategies is kept: what may be, and what is.

No request asks for more of it, so none is refused; the oldest lines and runs go instead.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.clients.models import Client
from app.database import database_now
from app.logs.models import LogChunk
from app.settings import Settings
from app.strategies.models import Run, Strategy

_DAY_S = 86_400


def limits(settings: Settings, client: Client) -> dict[str, float]:
    """What is kept of each strategy at most: `runs`, `days` (0: as long as their run), and
    `archive_bytes`, compressed."""
    own = {
        "runs": (client.log_runs_kept, settings.log_runs_kept),
        "days": (client.log_kept_days, settings.log_kept_days),
        "archive_bytes": (client.log_archive_max_bytes, settings.log_archive_max_bytes),
    }
    return {name: general if value is None else value for name, (value, general) in own.items()}


def kept(session: Session, client_id: str) -> dict[str, float]:
    """The most of each that any of the client's strategies has now."""
    owned = select(Strategy.strategy_id).where(
        Strategy.client_id == client_id, Strategy.deleted_at.is_(None)
    )
    runs = (
        select(func.count().label("n"))
        .where(Run.strategy_id.in_(owned))
        .group_by(Run.strategy_id)
        .subquery()
    )
    chunks = (
        select(
            func.sum(LogChunk.stored_bytes).label("bytes"),
            func.min(LogChunk.created_at).label("since"),
        )
        .where(LogChunk.strategy_id.in_(owned))
        .group_by(LogChunk.strategy_id)
        .subquery()
    )
    age_s = database_now() - func.min(chunks.c.since)
    archive = session.execute(select(func.max(chunks.c.bytes), age_s)).one()
    return {
        "runs": session.scalars(select(func.coalesce(func.max(runs.c.n), 0))).one(),
        "days": round((archive[1] or 0.0) / _DAY_S, 3),
        "archive_bytes": archive[0] or 0,
    }
