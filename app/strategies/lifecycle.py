"""The one way in which a strategy's status changes: compare-and-set plus an event row.

Both sides use it: the web tier for what owners ask, runners and the scheduler for what happens.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from app import log_context
from app.database import database_now
from app.runners import repository as runners
from app.strategies import schedule
from app.strategies.models import Strategy, StrategyEvent
from app.strategies.placement import choose_queue
from app.strategies.states import DesiredState, Event, Reason, Status, next_status


class LostRaceError(Exception):
    """The row changed between the look and the set; nothing was written."""


@dataclass(frozen=True)
class Change:
    """One transition.

    Attributes:
        actor: who did it: `key:<id>`, `runner:<id>`, `scheduler` or `schedule`.
        values: further columns to set in the same statement.
    """

    event: Event
    reason: Reason
    actor: str
    values: dict[str, Any] = field(default_factory=dict)


def lock(session: Session, strategy_id: str) -> Strategy | None:
    """The row, locked until the transaction ends (SQLite locks all rows at once); None if gone."""
    return session.scalar(
        select(Strategy)
        .where(Strategy.strategy_id == strategy_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def apply(session: Session, row: Strategy, change: Change) -> Status:
    """Carry out a transition of the row and write its event; returns the new status.

    `row` is as it was read; it is refreshed afterwards.

    Raises:
        IllegalTransitionError: the table has no such transition.
        LostRaceError: the row is no longer in the status and epoch that it was read in.
    """
    before, epoch = Status(row.status), row.epoch
    after = next_status(before, change.event)
    result = session.execute(
        update(Strategy)
        .where(
            Strategy.strategy_id == row.strategy_id,
            Strategy.status == before,
            Strategy.epoch == epoch,
        )
        .values(
            {
                "status": after,
                "status_reason": change.reason,
                "updated_at": database_now(),
                **_values_of(session, row, after),
                **change.values,
            }
        )
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)  # noqa: S101 - for the type checker
    if result.rowcount != 1:
        raise LostRaceError(row.strategy_id)
    session.refresh(row)
    _record(session, row, change, before)
    return after


def owner_stops(session: Session, row: Strategy, actor: str) -> bool:
    """The owner wants it stopped, its schedule out of force; True when a runner has to be told.

    What waits is stopped at once; what runs is asked to end, and its runner says when it has.
    """
    is_news = row.desired_state == DesiredState.RUNNING
    row.desired_state = DesiredState.STOPPED
    was_scheduled, row.next_run_at = row.next_run_at is not None, None
    row.create_fingerprint = None
    if row.status == Status.RUNNING:
        if row.stop_requested_at is None:
            row.stop_requested_at = database_now()
        row.updated_at = database_now()
        session.flush()
        session.refresh(row)
        if is_news:
            _record_request(session, row, Change(Event.STOP, Reason.STOPPED_BY_USER, actor))
        return True
    session.flush()
    if row.status == Status.QUEUED and row.hook_due is not None:
        return True  # a runner takes it for the hook of its lost run alone, and stops it then
    if row.status != Status.STOPPED or row.next_restart_at is not None or was_scheduled:
        apply(session, row, Change(Event.STOP, Reason.STOPPED_BY_USER, actor))
    return False


def owner_starts(session: Session, row: Strategy, actor: str) -> bool:
    """The owner wants it running, now and by its schedule; True when runners have to be told.

    One that is being stopped is started again once it is gone: never two at a time.
    """
    is_news = row.desired_state == DesiredState.STOPPED
    row.desired_state = DesiredState.RUNNING
    schedule.arm(session, row)
    row.create_fingerprint = None
    asked = {"start_request_id": log_context.request_id()}
    if is_news or row.status != Status.RUNNING:
        row.start_request_id = asked["start_request_id"]
    session.flush()
    if row.status in (Status.QUEUED, Status.RUNNING):
        if is_news and row.status == Status.RUNNING:
            _record_request(session, row, Change(Event.START, Reason.REQUESTED, actor))
        return False
    apply(session, row, Change(Event.START, Reason.REQUESTED, actor, FRESH_START | asked))
    return True


FRESH_START: dict[str, Any] = {
    "restart_count": 0,
    "failure_streak": 0,
    "crash_signature": None,
    "crash_count": 0,
    "exit_code": None,
    "start_request_id": None,
}
"""What a start by hand forgets: the past of a crash loop."""


def _values_of(session: Session, row: Strategy, after: Status) -> dict[str, Any]:
    """Columns that belong to being in a status, whatever led there."""
    values: dict[str, Any] = {"next_restart_at": None, "queued_at": None, "announced_at": None}
    if after == Status.QUEUED:
        values["queued_at"] = values["announced_at"] = database_now()
        # Placed anew each time: the runners of its first choice may be gone by now, or back.
        wanted = row.placement.get("latency_target", [])
        values["latency_target"] = choose_queue(wanted, runners.live_queues(session))
    if after != Status.RUNNING:
        values |= {"runner_id": None, "lease_expires_at": None, "stop_requested_at": None}
    return values


def _record_request(session: Session, row: Strategy, change: Change) -> None:
    """What its owner asks of a running one changes nothing yet; who asked is on record."""
    before = Status(row.status)
    assert next_status(before, change.event) == before  # noqa: S101 - a fault of ours
    _record(session, row, change, before)


def _record(session: Session, row: Strategy, change: Change, before: Status) -> None:
    session.add(
        StrategyEvent(
            strategy_id=row.strategy_id,
            at=database_now(),
            event=change.event,
            from_status=before,
            to_status=row.status,
            reason=change.reason,
            actor=change.actor,
            run_id=row.run_id,
            epoch=row.epoch,
        )
    )
    session.flush()
