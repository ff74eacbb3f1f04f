"""Which leases nobody renews any more, by a clock that nobody can step.

The database's clock says when a lease ends, but it may jump forward, and then every lease in the
table is over at once while its runner still lives. So whoever takes leases away counts by its own
monotonic clock, from the moment at which it first saw this renewal: for what the lease had left
then, and never for less than a runner and its guard need to kill.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Double, select, type_coerce
from sqlalchemy.orm import Session

from app.database import database_now
from app.strategies.models import Strategy
from app.strategies.states import Status
from tasks.heartbeat import guard_after_s

_LONGEST_S = 300.0  # what LEASE_SECS may be at most: a clock stepped back forgets no strategy


@dataclass(frozen=True)
class Renewal:
    """One state of a lease; a renewal or another claim makes a new one."""

    strategy_id: str
    epoch: int
    expires_at: float


@dataclass
class LeaseWatch:
    """What one scheduler has seen of the leases; `expired` is to be called all the time.

    Attributes:
        patience_s: how long a lease counts at least from when it was first seen.
        clock: monotonic seconds.
    """

    patience_s: float
    clock: Callable[[], float] = time.monotonic
    _over_at: dict[Renewal, float] = field(default_factory=dict)

    @classmethod
    def of(cls, lease_s: float) -> "LeaseWatch":
        """The watch over leases of this length: they count until the guard has surely killed."""
        return cls((lease_s + guard_after_s(lease_s)) / 2)

    def expired(self, session: Session) -> Sequence[Renewal]:
        """Leases that are over. Until the row is locked, one of them may still be renewed."""
        rows: Sequence[Any] = session.execute(
            select(
                Strategy.strategy_id,
                Strategy.epoch,
                Strategy.lease_expires_at,
                (type_coerce(Strategy.lease_expires_at, Double) - database_now()).label("left_s"),
            ).where(Strategy.status == Status.RUNNING)
        ).all()
        now = self.clock()
        seen = self._over_at
        self._over_at = {}
        for row in rows:
            renewal = Renewal(row.strategy_id, row.epoch, row.lease_expires_at)
            lasts_s = min(max(row.left_s, self.patience_s), _LONGEST_S)
            self._over_at[renewal] = seen.get(renewal, now + lasts_s)
        return [renewal for renewal, over_at in self._over_at.items() if now >= over_at]
