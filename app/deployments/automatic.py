"""The way back that nobody has to ask for: from a new version that only crashes."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import database_now
from app.deployments import repository
from app.deployments.models import Origin, StrategyVersion
from app.strategies import lifecycle, schedule
from app.strategies.lifecycle import FRESH_START, Change
from app.strategies.models import Strategy
from app.strategies.states import DesiredState, Event, Reason


@dataclass(frozen=True)
class Rollback:
    """Version `failed` crash-looped within `within_s` seconds of its first start, so that the
    content of version `source` came back as version `version`."""

    failed: int
    source: int
    version: int
    within_s: float

    def __str__(self) -> str:
        return (
            f"version {self.failed} did so within {self.within_s:g} s of its first start "
            f"(hosted.deploy.auto_rollback_secs): version {self.source} comes back as "
            f"version {self.version}"
        )


def roll_back_if_new(session: Session, row: Strategy, actor: str) -> Rollback | None:
    """Queue the version before the present one of a row that has just crash-looped, if its owner
    wants that and it is soon enough; None when nothing was done.

    What came back this way is not taken back in its turn: two bad ones would alternate for ever.
    """
    source = _source(session, row)
    if source is None:
        return None
    failed, within_s = row.version, row.deploy["auto_rollback_secs"]
    repository.bring_back(session, row, source, Origin.AUTO_ROLLBACK, actor)
    row.desired_state = DesiredState.RUNNING
    schedule.arm(session, row)
    session.flush()
    change = Change(Event.ROLL_BACK, Reason.ROLLED_BACK, actor, FRESH_START)
    lifecycle.apply(session, row, change)
    return Rollback(failed, source.version, row.version, within_s)


def _source(session: Session, row: Strategy) -> StrategyVersion | None:
    within_s = row.deploy.get("auto_rollback_secs", 0)
    if not within_s or row.version_started_at is None or row.deleted_at is not None:
        return None
    now_s = session.scalars(select(database_now())).one()
    if now_s - row.version_started_at > within_s:
        return None
    current = repository.find(session, row.strategy_id, row.version)
    if current is None or current.origin == Origin.AUTO_ROLLBACK:
        return None
    return repository.hold(session, row.strategy_id, row.version - 1)
