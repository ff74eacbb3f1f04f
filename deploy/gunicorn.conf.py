"""gunicorn's configuration: gevent workers, for followers stay connected for hours.

A worker that spends a thread on each follower stops answering when its threads are used up; a
greenlet costs a few kilobytes (docs/decisions/0002-gevent.md has the measurement).
"""

import os
import sys

from app.settings import Role, SettingsError, load

try:
    _settings = load(Role.WEB, os.environ)
except SettingsError as error:
    sys.exit(str(error))

bind = f"{_settings.bind_host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "gevent"
worker_connections = _settings.web_connections
# As long as it lets them be: callers send filters and cursors in the line.
limit_request_line = 8190
graceful_timeout = 5
timeout = 60
keepalive = 75
loglevel = _settings.log_level
proc_name = "sequence-web"
# Two platforms of one user would fight for its path, and nothing here speaks to it.
control_socket_disable = True
