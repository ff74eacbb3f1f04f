"""Entry point of the `scheduler` process: `python -m tasks.scheduler`.

It holds nothing: every sweep looks at the rows afresh. More than one may run; none is a must for
what already runs, and what fell due while none ran is found by the next.
"""

import logging
import os
import signal
import sys

from sqlalchemy.exc import SQLAlchemyError

from app.broker import Announcer
from app.database import Database
from app.logs.archive import Archive
from app.logs.chunks import ChunkStore
from app.logs.retention import Forgetting, Retention
from app.logs.source import LogSource
from app.observability import configure_logging
from app.redis_client import connect
from app.settings import Role, Settings, SettingsError, load
from tasks.leases import LeaseWatch
from tasks.logs.keeper import LogKeeper, LogSweep
from tasks.sweep import Sweep

log = logging.getLogger(__name__)

_AWAY_PAUSE_S = 1.0
_ENDS = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    """Sweep until SIGTERM or SIGINT."""
    try:
        settings = load(Role.SCHEDULER, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    configure_logging(settings.log_level, settings.log_format)
    # Blocked, and taken where the loop waits: nothing is interrupted in its middle.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    _sweep_until_told(settings)
    return 0


def _sweep_until_told(settings: Settings) -> None:
    database = Database(settings.database_url)
    announcer = Announcer(settings)
    redis = connect(settings.redis_url, read_timeout_s=1.0)
    leases = LeaseWatch.of(settings.lease_s)
    sweep = Sweep(database, announcer, redis, settings.requeue_after_s, leases)
    keeper = _log_keeper(settings)
    keeper.start()
    pause_s = 0.0
    while signal.sigtimedwait(_ENDS, pause_s) is None:
        try:
            sweep.run_once()
            pause_s = settings.sweep_s
        except SQLAlchemyError as error:
            log.error("sweep_failed", extra={"error": str(error).splitlines()[0]})
            pause_s = _AWAY_PAUSE_S
    keeper.close()
    announcer.close()
    database.close()


def _log_keeper(settings: Settings) -> LogKeeper:
    database = Database(settings.database_url, pool_size=2)
    source = LogSource(database, connect(settings.redis_url), ChunkStore(settings.log_archive_url))
    default = Retention(
        settings.log_kept_days, settings.log_archive_max_bytes, settings.log_runs_kept
    )
    return LogKeeper(LogSweep(Archive(source), Forgetting(source, default)))


if __name__ == "__main__":
    sys.exit(main())
