"""What owners may ask about versions; each function owns its transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.account import quotas
from app.api.context import Services
from app.clients.service import Principal
from app.database import database_now
from app.deployments import repository
from app.deployments.models import Origin, StrategyVersion
from app.errors import NotFoundError
from app.history.service import Page
from app.strategies import placement
from app.strategies import service as strategies
from app.strategies.going import set_going
from app.strategies.models import Strategy


def versions(
    services: Services, caller: Principal, strategy_id: str, *, before: int | None, limit: int
) -> Page[StrategyVersion]:
    """Versions that are kept, newest first.

    Raises:
        NotFoundError: the caller has no such strategy.
    """
    strategies.get(services, caller, strategy_id)
    with services.database.reading() as session:
        found = repository.page(session, strategy_id, before=before, limit=limit + 1)
    return Page.of(found, limit, lambda row: row.version)


def roll_back(services: Services, caller: Principal, strategy_id: str, version: int) -> Strategy:
    """Make an earlier version the newest one again; one that runs is replaced gracefully.

    The same again within a minute changes nothing: clients retry.

    Raises:
        NotFoundError: the caller has no such strategy, or it has no such version (any more).
        ValidationFailedError: it was placed on a target that is not known any more.
    """
    actor = f"key:{caller.key_id}"
    database = services.database
    with database.transaction() as session, quotas.held(services, session, caller.client_id):
        row = strategies.locked(session, caller, strategy_id)
        if _is_repeat(session, row, version):
            return row
        source = repository.hold(session, strategy_id, version)
        if source is None:
            raise _not_kept(session, row, version)
        placement.check_targets(
            source.placement.get("latency_target", []), services.settings.latency_targets.keys()
        )
        repository.bring_back(session, row, source, Origin.ROLLBACK, actor)
        announce = set_going(session, row, actor, start_immediately=False)
        session.flush()
        session.refresh(row)
    strategies.follow_up(services, row, announce=announce)
    return row


def _is_repeat(session: Session, row: Strategy, version: int) -> bool:
    current = repository.find(session, row.strategy_id, row.version)
    if current is None or (current.origin, current.source_version) != (Origin.ROLLBACK, version):
        return False
    now_s = session.scalars(select(database_now())).one()
    return now_s - current.created_at < strategies.REPEAT_WINDOW_S


def _not_kept(session: Session, row: Strategy, version: int) -> NotFoundError:
    oldest = repository.oldest(session, row.strategy_id)
    return NotFoundError(
        f"the strategy has no version {version}; it is at {row.version}, and {oldest} is the "
        "oldest that is kept"
    )
