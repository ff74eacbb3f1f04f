"""From a new version in the row to what its owner wants of it, gracefully."""

from sqlalchemy.orm import Session

from app.strategies import lifecycle, schedule
from app.strategies.models import Strategy
from app.strategies.states import DesiredState, Status


def set_going(session: Session, row: Strategy, actor: str, *, start_immediately: bool) -> bool:
    """Bring a new or replaced strategy to what its owner wants; True if runners must be told.

    One that runs ends first, as if it were stopped, and only then the new version starts.
    """
    if schedule.waits_for_tick(row) and row.schedule and not start_immediately:
        schedule.arm(session, row)
        return False
    wants_to_run = row.desired_state == DesiredState.RUNNING
    if row.status == Status.RUNNING and wants_to_run:
        lifecycle.owner_stops(session, row, actor)
    if row.status == Status.QUEUED:
        # It waits to come back: the failures of the version before are not this one's.
        for name, value in lifecycle.FRESH_START.items():
            setattr(row, name, value)
    if wants_to_run or start_immediately:
        return lifecycle.owner_starts(session, row, actor)
    return False
