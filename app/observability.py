"""Structured logs of the platform's own processes: one event a line, on stderr, as JSON or text."""

import json
import logging
import sys
import time
from typing import Any

from app import log_context

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _entry(record: logging.LogRecord) -> dict[str, Any]:
    """An event name and its fields; `extra=` of a log call becomes the fields."""
    entry: dict[str, Any] = {
        "ts": round(record.created, 3),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "logger": record.name,
        **log_context.present(),
    }
    return entry | {k: v for k, v in vars(record).items() if k not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """For machines."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        entry = _entry(record)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """For people: the same fields; nobody's words begin a line of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of text, and a traceback below it if there is one."""
        entry = _entry(record)
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        when = f"{second}.{int(record.msecs):03d}Z"
        del entry["ts"]
        head = f"{when} {str(entry.pop('level')).upper():7} {_plain(entry.pop('event'))}"
        fields = [f"{name}={_plain(value)}" for name, value in entry.items()]
        text = " ".join([head, *fields])
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


_FORMATTERS: dict[str, type[logging.Formatter]] = {"json": JsonFormatter, "text": TextFormatter}


def configure_logging(level: str, form: str = "json") -> None:
    """Send the root logger's records to stderr in this form, `json` or `text`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[form]())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if text.isprintable() and '"' not in text else json.dumps(text)
