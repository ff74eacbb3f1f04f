"""The heartbeat: one thread that renews all leases of a runner and learns what should stop.

It only moves the fences of the runs; each run's own thread watches its fence, so that a heartbeat
that hangs on a dead database cannot keep a run alive beyond its lease.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from app.database import Database, database_now
from app.runners.models import Runner
from tasks import metrics
from tasks.claims import Claims
from tasks.control import Registry, RunControl

log = logging.getLogger(__name__)

_AFTER_ERROR_S = 0.5


def fence_after_s(lease_s: float) -> float:
    """How long after the start of a renewal a run may live: the lease less the time to kill."""
    return lease_s - max(1.0, lease_s * 0.2)


def guard_after_s(lease_s: float) -> float:
    """The same for the guard, which kills when the runner itself did not: later, still in time."""
    return (fence_after_s(lease_s) + lease_s) / 2


def guarded_until(control: RunControl, lease_s: float) -> float:
    """Until when a sandbox of this run may live, unless a beat extends it. Monotonic seconds.

    A beat that comes before the sandbox has begun finds nothing to extend; the next one does.
    """
    return control.fence_at - fence_after_s(lease_s) + guard_after_s(lease_s)


@dataclass(frozen=True)
class HeartbeatConfig:
    """How often, for whom, and by which clock its fences are counted."""

    runner_id: str
    interval_s: float
    lease_s: float
    clock: Callable[[], float] = time.monotonic


class Heartbeat(threading.Thread):
    """Beats until `close()`; `beat_now()` makes the next one immediate."""

    def __init__(
        self,
        config: HeartbeatConfig,
        database: Database,
        claims: Claims,
        registry: Registry,
        extend: Callable[[list[str], float], None],
    ) -> None:
        """`extend` lets sandboxes, by name, live until a monotonic time; it must not block."""
        super().__init__(name="heartbeat", daemon=True)
        self._config = config
        self._database = database
        self._claims = claims
        self._registry = registry
        self._extend = extend
        self._due = threading.Event()
        self._closing = False
        self.is_stopping = False

    def beat_now(self) -> None:
        """Look at the rows at once."""
        self._due.set()

    def close(self) -> None:
        """End the thread after the beat that may be under way."""
        self._closing = True
        self._due.set()
        self.join(timeout=10)

    def run(self) -> None:
        """Beat, at least every `interval_s`."""
        pause_s = 0.0
        while True:
            self._due.wait(pause_s)
            self._due.clear()
            if self._closing:
                return
            try:
                self.beat()
                pause_s = self._config.interval_s
            except SQLAlchemyError as error:
                metrics.LEASE_MISSES.labels("renewal").inc()
                log.error("heartbeat_failed", extra={"error": type(error).__name__})
                pause_s = min(_AFTER_ERROR_S, self._config.interval_s)
            except Exception:
                # A heart that stops kills every run at its fence; one that errs tries again.
                metrics.LEASE_MISSES.labels("renewal").inc()
                log.exception("heartbeat_broken")
                pause_s = min(_AFTER_ERROR_S, self._config.interval_s)

    def beat(self) -> None:
        """Renew once and pass on what was learned; two statements, however many runs there are.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; no fence was moved.
        """
        controls = self._registry.snapshot()
        # Taken before the statement: the lease that it writes ends no earlier than this plus lease.
        began_at = self._config.clock()
        fence_at = began_at + fence_after_s(self._config.lease_s)
        ours = self._claims.renew([control.strategy_id for control in controls])
        renewed: list[str] = []
        for control in controls:
            epoch, stop = ours.get(control.strategy_id, (None, False))
            is_ours = epoch == control.epoch
            self._registry.apply(control, fence_at=fence_at if is_ours else None, stop=stop)
            if is_ours:
                renewed += control.sandboxes
        self._extend(renewed, began_at + guard_after_s(self._config.lease_s))
        used = self._claims.room.used
        with self._database.transaction() as session:
            session.execute(
                update(Runner)
                .where(Runner.runner_id == self._config.runner_id)
                .values(
                    last_heartbeat_at=database_now(),
                    running=len(controls),
                    used_cpu_millis=int(used.cpu_millis),
                    used_memory_mb=int(used.memory_mb),
                    is_stopping=self.is_stopping,
                )
            )
