"""gunicorn's configuration: gevent workers, for followers stay connected for hours.

A worker that spends a thread on each follower stops answering when its threads are used up; a
greenlet costs a few kilobytes (docs/decisions/0002-gevent.md has the measurement).
"""

import os
import sys
from contextlib import closing
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.secrets.envelope import Sealer
from app.secrets.keys import CredentialKeyError, check_sealing
from app.settings import Role, SettingsError, load

try:
    _settings = load(Role.WEB, os.environ)
except SettingsError as error:
    sys.exit(str(error))

bind = f"{_settings.bind_host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "gevent"
worker_connections = _settings.web_connections
graceful_timeout = 5
timeout = 60
keepalive = 75
loglevel = _settings.log_level
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
