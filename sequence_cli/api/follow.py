"""Follow a strategy's log across lost connections, without gap or repeat."""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import urllib3

from sequence_cli.api.client import ApiClient, Query
from sequence_cli.api.errors import ApiRefusalError, ApiUnreachableError
from sequence_cli.api.event_stream import Event, EventParser
from sequence_cli.api.strategies import log_path
from sequence_cli.errors import CliError

_CHUNK_BYTES = 65_536


@dataclass(frozen=True)
class FollowPolicy:
    """``idle_s``: silence, heartbeats included, after which a connection counts as dead."""

    idle_s: float = 60.0
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0
    give_up_s: float = 600.0


DEFAULT_POLICY = FollowPolicy()


@dataclass(frozen=True)
class LogRecord:
    """One line of a log as the API gives it; `ts_ms` is Unix milliseconds."""

    fields: dict[str, Any]


@dataclass(frozen=True)
class FollowEnd:
    """How the strategy ended: its row's values at that moment."""

    status: str
    status_reason: str | None
    exit_code: int | None


class LogFollower:
    """Yields LogRecord, last a FollowEnd.

    The first connection must succeed; a later loss is repaired from the last id received, and
    told to ``notice`` once. ``wanted`` are further parameters of the request. Raises CliError when
    the API refuses (a deleted strategy, a revoked key) or stays away for ``give_up_s``.
    """

    def __init__(
        self,
        client: ApiClient,
        strategy_id: str,
        notice: Callable[[str], None],
        policy: FollowPolicy = DEFAULT_POLICY,
        wanted: Query | None = None,
    ) -> None:
        self._client = client
        self._path = log_path(strategy_id)
        self._notice = notice
        self._query = {**(wanted or {}), "follow": "true"}
        self._policy = policy
        self._last_id: str | None = None
        self._connected_once = False
        self._lost_at_s: float | None = None

    def __iter__(self) -> Iterator[LogRecord | FollowEnd]:
        pause_s = self._policy.first_pause_s
        while True:
            before = self._last_id
            try:
                for item in self._one_connection():
                    yield item
                    if isinstance(item, FollowEnd):
                        return
                self._lost("the server closed it")
            except ApiUnreachableError as error:
                self._lost_or_raise(error, temporary=error.temporary)
            except ApiRefusalError as error:
                self._lost_or_raise(error, temporary=error.temporary or error.status == 429)
            if self._last_id != before:
                pause_s = self._policy.first_pause_s
            # Jitter, so that a restarted server is not met by all its followers at once.
            self._client.pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(pause_s * 2, self._policy.longest_pause_s)

    def _one_connection(self) -> Iterator[LogRecord | FollowEnd]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        response = self._client.open_stream(
            self._path, query=self._query, headers=headers, idle_s=self._policy.idle_s
        )
        self._connected_once = True
        parser = EventParser()
        try:
            while chunk := self._read(response):
                self._lost_at_s = None
                for event in parser.feed(chunk):
                    if event.event_id is not None:
                        self._last_id = event.event_id
                    if (item := _item(event)) is not None:
                        yield item
        finally:
            response.close()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return response.read1(_CHUNK_BYTES)
        except urllib3.exceptions.HTTPError as error:
            raise self._client.unreachable(error) from error

    def _lost_or_raise(self, error: CliError, *, temporary: bool) -> None:
        if not (self._connected_once and temporary):
            raise error
        self._lost(error.message)

    def _lost(self, why: str) -> None:
        now_s = time.monotonic()
        if self._lost_at_s is None:
            self._lost_at_s = now_s
            self._notice(f"the log connection was lost ({why}); resuming")
        elif now_s - self._lost_at_s > self._policy.give_up_s:
            raise CliError(
                f"the API has been away for {self._policy.give_up_s:.0f} s ({why}): "
                "run the command again when it is back"
            )


def _item(event: Event) -> LogRecord | FollowEnd | None:
    """The event's meaning; None for a kind that this version does not know."""
    if event.kind not in ("log", "end"):
        return None
    try:
        fields = json.loads(event.data)
        if event.kind == "log":
            return LogRecord({**fields, "line": str(fields["line"])})
        return FollowEnd(fields["status"], fields.get("status_reason"), fields.get("exit_code"))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CliError(
            f"the log stream sent an event that this command cannot read ({event.kind}): "
            "update the command or the server so that both are of one version"
        ) from None
