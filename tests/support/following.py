"""A reader of server-sent events, in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.waiting import wait_until


@dataclass(frozen=True)
class Event:
    """One event as a client sees it."""

    name: str
    id: str | None
    data: dict[str, Any]


def parse(block: str) -> Event | None:
    """An event, or None for a comment."""
    fields = dict(
        line.split(": ", 1) for line in block.strip("\n").split("\n") if not line.startswith(":")
    )
    if not fields:
        return None
    return Event(fields["event"], fields.get("id"), json.loads(fields["data"]))


class Reader:
    """Reads a generator of events to its end; `error` is what ended it otherwise."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.events: list[Event] = []
        self.blocks = 0
        self.error: BaseException | None = None
        self._source = blocks
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        return [event.data["line"] for event in self.events if event.name == "log"]

    @property
    def ids(self) -> list[str | None]:
        return [event.id for event in self.events if event.name == "log"]

    def wait_for(self, line: str) -> None:
        """Until a line has come."""
        wait_until(lambda: line in self.lines or self.error, f"{line!r} among {self.lines[-5:]}")
        assert self.error is None, self.error

    def wait_begun(self) -> None:
        """Until the first thing came, be it a comment."""
        wait_until(lambda: self.blocks, "the stream begins")

    def outcome(self) -> dict[str, Any]:
        """The data of the `end` event, for which it waits."""
        wait_until(lambda: not self._thread.is_alive(), f"the stream ends; {self.events[-3:]}")
        assert self.error is None, self.error
        assert [event.name for event in self.events].count("end") == 1
        assert self.events[-1].name == "end"
        return self.events[-1].data

    def _read(self) -> None:
        try:
            for text in self._source:
                events = [parse(block) for block in text.split("\n\n") if block]
                self.events += [event for event in events if event is not None]
                self.blocks += 1
        except BaseException as error:
            self.error = error
