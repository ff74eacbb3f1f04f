"""Server-sent events: bytes in, whole events out."""

import re
from dataclasses import dataclass

# A carriage return at the end of what has arrived may be half of a CRLF: it waits.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True)
class Event:
    """``event_id`` is the last id seen on the stream up to this event, or None."""

    kind: str
    data: str
    event_id: str | None


class EventParser:
    """Parser of one connection, after the HTML standard's event stream format.

    An event counts only once its closing empty line has arrived: what a cut connection left
    unfinished is dropped, and its id is never reported.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []
        self._event_id: str | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ``chunk`` completes, in order."""
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        events = []
        for line in lines:
            if line:
                self._take_field(line.decode("utf-8", "replace"))
            elif (event := self._finish()) is not None:
                events.append(event)
        return events

    def _take_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._event_id = value

    def _finish(self) -> Event | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return Event(kind, "\n".join(data), self._event_id) if data else None
