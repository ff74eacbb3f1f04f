"""Shows what running strategies use and are sealed off by, while they run.

A sample of each goes into Redis now and then; the isolation goes into the run's row once.
"""

import json
import logging
import threading
from dataclasses import asdict

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.strategies.usage import KEPT_S, usage_key
from sandbox import Sandbox
from tasks.claims import Claims

log = logging.getLogger(__name__)

_EVERY_S = 2.0


class UsageSampler(threading.Thread):
    """Samples every run of this process; a sample that is lost is replaced by the next."""

    def __init__(self, redis: Redis, claims: Claims) -> None:
        super().__init__(name="usage", daemon=True)
        self._redis = redis
        self._claims = claims
        self._sandboxes: dict[str, Sandbox] = {}
        self._recorded: set[str] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def add(self, run_id: str, sandbox: Sandbox) -> None:
        """Sample this run from now on."""
        with self._lock:
            self._sandboxes[run_id] = sandbox

    def remove(self, run_id: str) -> None:
        """This run is over."""
        with self._lock:
            self._sandboxes.pop(run_id, None)
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
