"""Schedules: when a strategy is started by the clock next.

`next_run_at` is set exactly while a schedule is in force: from a start by its owner until a stop.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import database_now
from app.strategies.models import Strategy
from app.strategies.states import DesiredState, Status


def next_tick(schedule: Mapping[str, Any], after_s: float) -> float | None:
    """Unix time of the first tick after `after_s`; None without a schedule, or when none comes.

    On the day on which a time does not exist the tick comes when it would have passed; a fixed time
    that comes twice ticks once, as Debian's cron has it.
    """
    if "cron" not in schedule:
        return None
    zone = ZoneInfo(schedule.get("timezone", "UTC"))
    try:
        return next(CronSim(schedule["cron"], datetime.fromtimestamp(after_s, zone))).timestamp()
    except StopIteration:
        return None


def arm(session: Session, row: Strategy) -> None:
    """Put the row's schedule, if it has one, in force from now on."""
    now_s = session.scalars(select(database_now())).one()
    row.next_run_at = next_tick(row.schedule, now_s)


def waits_for_tick(row: Strategy) -> bool:
    """Whether nothing is to run before the next tick."""
    is_idle = row.status in (Status.STOPPED, Status.FAILED) and row.next_restart_at is None
    is_wanted = row.desired_state == DesiredState.RUNNING
    return is_idle and is_wanted and row.next_run_at is not None


def kept_on(row: Strategy, values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a run's ending: no ending of a run takes a schedule out of force."""
    is_in_force = row.next_run_at is not None
    return {k: v for k, v in values.items() if not (is_in_force and k == "desired_state")}
