"""The thread of the scheduler that keeps logs: archives, forgets, and finds what nobody owns.

It has a thread of its own so that a large archive never delays a restart.
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.logs import stream
from app.logs.archive import Archive
from app.logs.retention import Forgetting
from app.strategies.models import Run, Strategy

log = logging.getLogger(__name__)

_EVERY_S = 0.5
_AWAY_PAUSE_S = 2.0
_ENFORCE_EVERY_S = 60.0
_STRAYS_EVERY_S = 60.0
_AT_ONCE = 100
_LOGS_PREFIX = b"logs:"


@dataclass
class LogSweep:
    """One look at everything; any number of schedulers may look at once."""

    archive: Archive
    forgetting: Forgetting
    _broken: set[str] = field(default_factory=set)
    _enforce_at: float = 0.0
    _strays_at: float = 0.0

    def run_once(self, *, is_thorough: bool = False) -> int:
        """Archive what is due; now and then also forget. The number of lines that were archived.

        Raises:
            redis.exceptions.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError: one of the places
                is away; the next look does it all.
        """
        lines = self._archive_due() + self._archive_ended()
        now = time.monotonic()
        if is_thorough or now >= self._enforce_at:
            self._enforce_at = now + _ENFORCE_EVERY_S
            self.forgetting.run_once()
        if is_thorough or now >= self._strays_at:
            self._strays_at = now + _STRAYS_EVERY_S
            self._remove_strays()
        return lines

    def _archive_due(self) -> int:
        """What runners said is worth it; a hint goes once the archive has what it was about."""
        redis = self.archive.source.redis
        hints: Any = redis.srandmember(stream.DUE_KEY, _AT_ONCE)
        for raw in hints or ():
            # Put aside and not left there: what comes from now on may be told again.
            redis.smove(stream.DUE_KEY, stream.TAKEN_KEY, raw)
        taken: Any = redis.srandmember(stream.TAKEN_KEY, _AT_ONCE)
        lines = 0
        for raw in taken or ():
            with self.archive.database.reading() as session:
                run = session.get(Run, raw.decode())
            if run is not None:
                lines += self._archive_one(run)
            redis.srem(stream.TAKEN_KEY, raw)
        return lines

    def _archive_ended(self) -> int:
        return sum(self._archive_one(run) for run in self.archive.runs_to_archive())

    def _archive_one(self, run: Run) -> int:
        if run.run_id in self._broken:
            return 0
        try:
            return self.archive.archive(run)
        except (RedisError, SQLAlchemyError, OSError):
            raise  # its hint is still there
        except Exception:
            # One stream that cannot be read must not keep the others from the archive.
            log.exception("log_not_archived", extra={"run_id": run.run_id})
            self._broken.add(run.run_id)
            return 0

    def _remove_strays(self) -> None:
        """Streams and objects whose rows are gone, as when Redis was away when a run was pruned."""
        redis = self.archive.source.redis
        keys: list[bytes] = []
        for key in redis.scan_iter(match=_LOGS_PREFIX + b"*", count=1000):
            keys.append(key)
            if len(keys) >= _AT_ONCE:
                self._remove_stray_streams(keys)
                keys.clear()
        self._remove_stray_streams(keys)
        store = self.archive.source.store
        for strategy_id in store.strategies():
            with self.archive.database.reading() as session:
                is_known = session.get(Strategy, strategy_id) is not None
                query = select(Run.run_id).where(Run.strategy_id == strategy_id)
                known = set(session.scalars(query)) if is_known else set()
            if not is_known:
                store.drop_strategy(strategy_id)
            elif count := store.drop_runs_but(strategy_id, known):
                log.info("stray_objects_removed", extra={"runs": count})

    def _remove_stray_streams(self, keys: list[bytes]) -> None:
        run_ids = [key.removeprefix(_LOGS_PREFIX).decode() for key in keys]
        with self.archive.database.reading() as session:
            known = set(session.scalars(select(Run.run_id).where(Run.run_id.in_(run_ids))))
        strays = [run_id for run_id in run_ids if run_id not in known]
        if strays:
            stream.delete_runs(self.archive.source.redis, strays)
            log.info("stray_logs_removed", extra={"runs": len(strays)})


class LogKeeper(threading.Thread):
    """Sweeps until closed."""

    def __init__(self, sweep: LogSweep) -> None:
        super().__init__(name="log-keeper", daemon=True)
        self._sweep = sweep
        self._closing = threading.Event()

    def run(self) -> None:
        """Sweep until closed."""
        pause_s = 0.0
        while not self._closing.wait(pause_s):
            try:
                self._sweep.run_once()
                pause_s = _EVERY_S
            except (RedisError, SQLAlchemyError, OSError) as error:
                log.warning("log_sweep_failed", extra={"error": type(error).__name__})
                pause_s = _AWAY_PAUSE_S
            except Exception:
                log.exception("log_sweep_broken")
                pause_s = _AWAY_PAUSE_S

    def close(self) -> None:
        """End the thread once it has finished the run that it archives."""
        self._closing.set()
        self.join(timeout=10)
