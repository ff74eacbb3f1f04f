"""gunicorn's own log in the form of all others: its errors, and one line for each request."""

import logging
from datetime import timedelta
from typing import Any

from gunicorn import glogging  # type: ignore[import-untyped] # it ships no types

from app import log_context
from app.observability import configure_logging

_access = logging.getLogger("app.access")


class WebLog(glogging.Logger):  # type: ignore[misc] # gunicorn ships no types
    """A `logger_class`; the level and form are those of `loglevel` and of the class attribute."""

    form = "json"

    def setup(self, cfg: Any) -> None:
        """Hand everything to the root logger; also called when gunicorn reloads."""
        super().setup(cfg)
        configure_logging(cfg.loglevel, self.form)
        for one in (self.error_log, self.access_log):
            one.handlers = []
            one.propagate = True
        self._access_log_enabled = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        """One line for an answer, without the query: people put into it what they look for."""
        del req
        headers = {name.lower(): value for name, value in resp.headers}
        with log_context.bound(request_id=headers.get("x-request-id")):
            _access.info(
                "request",
                extra={
                    "method": environ.get("REQUEST_METHOD", ""),
                    "path": environ.get("PATH_INFO", ""),
                    "status": int(str(resp.status).split(None, 1)[0]),
                    "bytes": getattr(resp, "sent", None),
                    "duration_ms": round(request_time.total_seconds() * 1000, 1),
                    "remote": environ.get("REMOTE_ADDR", ""),
                },
            )
