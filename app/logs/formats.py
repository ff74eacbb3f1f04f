"""The forms in which a log is followed: server-sent events, JSON lines, plain text."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.logs.records import record_json
from app.logs.stream import Line


@dataclass(frozen=True)
class Format:
    """Plain text: the bare lines, and ours on the end."""

    mimetype: str = "text/plain"
    heartbeat: str = ""

    def lines(self, epoch: int, run_id: str, lines: Iterable[Line]) -> str:  # noqa: ARG002
        """Lines of one run."""
        return "".join(f"{line.text}\n" for line in lines)

    def event(self, name: str, fields: dict[str, Any]) -> str:
        """`end` or `notice`."""
        words = ", ".join(f"{key} {value}" for key, value in fields.items() if value is not None)
        return f"[{name}: {words}]\n"


class JsonLines(Format):
    """One JSON object a line; an empty line keeps proxies from closing the connection."""

    def lines(self, epoch: int, run_id: str, lines: Iterable[Line]) -> str:
        """Lines of one run."""
        return "".join(f"{record_json(epoch, run_id, line)}\n" for line in lines)

    def event(self, name: str, fields: dict[str, Any]) -> str:
        """`end` or `notice`."""
        return json.dumps({"event": name, **fields}, ensure_ascii=False) + "\n"


class ServerSentEvents(Format):
    """Events `log`, `notice` and `end`; the id of a `log` is where to resume."""

    def lines(self, epoch: int, run_id: str, lines: Iterable[Line]) -> str:
        """Lines of one run."""
        return "".join(
            f"id: {epoch}-{line.number}\nevent: log\ndata: {record_json(epoch, run_id, line)}\n\n"
            for line in lines
        )

    def event(self, name: str, fields: dict[str, Any]) -> str:
        """`end` or `notice`."""
        return f"event: {name}\ndata: {json.dumps(fields, ensure_ascii=False)}\n\n"


EVENTS = ServerSentEvents("text/event-stream", ": keep-alive\n\n")
FORMATS: dict[str, Format] = {
    EVENTS.mimetype: EVENTS,
    "application/x-ndjson": JsonLines("application/x-ndjson", "\n"),
    "text/plain": Format(),
}
