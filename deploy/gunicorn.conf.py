"""gunicorn's configuration: gevent workers, for followers stay connected for hours.

A worker that spends a thread on each follower stops answering when its threads are used up; a
greenlet costs a few kilobytes (docs/decisions/0002-gevent.md has the measurement).
"""

import os
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.secrets.envelope import Sealer
from app.secrets.keys import CredentialKeyError, check_sealing
from app.settings import Role, SettingsError, load
from app.web_log import WebLog

try:
    _settings = load(Role.WEB, os.environ)
except SettingsError as error:
    sys.exit(str(error))

# What its workers count they put together in a folder; another master's is not ours (SIGUSR2).
_mark = f"sequence-metrics-{os.getpid()}-"
if not Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).name.startswith(_mark):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=_mark)


def on_exit(_server: Any) -> None:
    """Nobody will read it any more."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


bind = f"{_settings.bind_host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "app.web_worker.WebWorker"
worker_connections = _settings.web_connections
# As long as it lets them be: callers send filters and cursors in the line.
limit_request_line = 8190
graceful_timeout = 5
timeout = 60
keepalive = 75
loglevel = _settings.log_level
WebLog.form = _settings.log_format
logger_class = WebLog
proc_name = "sequence-web"
# Two platforms of one user would fight for its path, and nothing here speaks to it.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Refuse to start with a key that no runner opens; each sealing looks again by itself."""
    try:
        url = _settings.database_url
        with closing(Database(url)) as database, database.transaction() as session:
            check_sealing(session, Sealer(_settings.credential_public_key).key_id)
    except CredentialKeyError as error:
        sys.exit(f"error: the web process cannot start: {error}")
    except SQLAlchemyError as error:
        server.log.warning("the database is away, the key is not checked: %s", type(error).__name__)
