"""Shows what running strategies use and are sealed off by, while they run.

A sample of each goes into Redis now and then; the isolation goes into the run's row once.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.logs.stream import Channel
from app.strategies.usage import KEPT_S, usage_key
from sandbox import NetworkEvent, Sandbox, SandboxError
from tasks import metrics
from tasks.claims import Claims
from tasks.logs.run_log import RunLog

log = logging.getLogger(__name__)

_EVERY_S = 2.0
_REFUSALS_EVERY_S = 60.0
_REFUSALS_NAMED = 10


class NetworkNews:
    """Passes on what befalls the network, once there is somebody who listens."""

    listener: Callable[[NetworkEvent], None] | None = None

    def __call__(self, event: NetworkEvent) -> None:
        """Called by the sandbox's host, in a thread of its own."""
        log.warning("network_event", extra={"kind": event.kind, "runs": len(event.runs)})
        if self.listener is not None:
            self.listener(event)


class UsageSampler(threading.Thread):
    """Samples every run of this process; a sample that is lost is replaced by the next."""

    def __init__(self, redis: Redis, claims: Claims) -> None:
        super().__init__(name="usage", daemon=True)
        self._redis = redis
        self._claims = claims
        self._sandboxes: dict[str, Sandbox] = {}
        self._logs: dict[str, RunLog] = {}
        self._recorded: set[str] = set()
        self._refusals_at = time.monotonic() + _REFUSALS_EVERY_S
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def add(self, run_id: str, sandbox: Sandbox, run_log: RunLog) -> None:
        """Sample this run from now on."""
        with self._lock:
            self._sandboxes[run_id] = sandbox
            self._logs[run_id] = run_log

    def tell(self, event: NetworkEvent) -> None:
        """Say in the logs of the runs that it touches what befell their network."""
        with self._lock:
            touched = [self._logs[run_id] for run_id in event.runs if run_id in self._logs]
        for run_log in touched:
            run_log.write(Channel.SYSTEM, event.message)

    def remove(self, run_id: str) -> None:
        """This run is over."""
        with self._lock:
            self._sandboxes.pop(run_id, None)
            self._logs.pop(run_id, None)
            self._recorded.discard(run_id)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self.join(timeout=5)

    def run(self) -> None:
        """Sample until closed."""
        while not self._closing.wait(_EVERY_S):
            try:
                self._sample()
                self._record()
                self._tell_refusals()
            except (RedisError, SQLAlchemyError) as error:
                log.info("usage_not_stored", extra={"error": type(error).__name__})
            except Exception:
                log.exception("usage_not_sampled")

    def _sample(self) -> None:
        with self._lock:
            sandboxes = list(self._sandboxes.items())
        pipeline = self._redis.pipeline(transaction=False)
        for run_id, sandbox in sandboxes:
            pipeline.set(usage_key(run_id), json.dumps(asdict(sandbox.usage())), ex=KEPT_S)
        pipeline.execute()

    def _record(self) -> None:
        with self._lock:
            fresh = {
                run_id: dict(sandbox.isolation)
                for run_id, sandbox in self._sandboxes.items()
                if run_id not in self._recorded
            }
        if fresh:
            self._claims.record_isolation(fresh)
            with self._lock:
                self._recorded |= fresh.keys() & self._sandboxes.keys()

    def _tell_refusals(self) -> None:
        if time.monotonic() < self._refusals_at:
            return
        self._refusals_at = time.monotonic() + _REFUSALS_EVERY_S
        with self._lock:
            runs = [(self._sandboxes[run_id], self._logs[run_id]) for run_id in self._sandboxes]
        for sandbox, run_log in runs:
            tell_refusals(sandbox, run_log)


def tell_refusals(sandbox: Sandbox, run_log: RunLog) -> None:
    """Say in a run's own log what it tried to reach and may not, since the last time."""
    try:
        refusals = sandbox.take_refusals()
    except SandboxError as error:
        log.warning("refusals_not_read", extra={"error": str(error)})
        return
    metrics.NETWORK_REFUSALS.inc(sum(refusal.count for refusal in refusals))
    for refusal in sorted(refusals, key=lambda found: -found.count)[:_REFUSALS_NAMED]:
        port = f":{refusal.port}" if refusal.port else ""
        run_log.write(
            Channel.SYSTEM,
            f"refused by the network policy: {refusal.destination}{port} "
            f"({refusal.protocol}, {refusal.count} {'time' if refusal.count == 1 else 'times'})",
        )
    if len(refusals) > _REFUSALS_NAMED:
        more = len(refusals) - _REFUSALS_NAMED
        run_log.write(Channel.SYSTEM, f"refused by the network policy: {more} more destinations")
