"""The market process's side: take what was asked, and answer."""

import json
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from market.calls.names import REQUESTS, answer_key, request_key

log = logging.getLogger(__name__)

_AT_ONCE = 100
_LOOK_S = 0.1
_AWAY_PAUSE_S = 0.5
_CLOSE_WITHIN_S = 3.0
_HELD = 500
_ANSWER_KEPT_S = 10


@dataclass(frozen=True, slots=True)
class Request:
    """What a web process asks for; `call` is where the answer goes.

    `name` is that under which a repetition of a submission is known, or None.
    """

    call: str
    operation: str
    owner: str
    arguments: dict[str, Any]
    name: str | None


class Inbox:
    """Requests as they come, taken off Redis by a thread of its own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._held: queue.Queue[Request] = queue.Queue(_HELD)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="inbox", daemon=True)

    def start(self) -> None:
        """Begin to take requests."""
        self._thread.start()

    def close(self) -> None:
        """Take no more; what was taken is still to be had from `take`."""
        self._ends.set()
        self._thread.join(_CLOSE_WITHIN_S)

    def take(self, wait_s: float, most: int) -> list[Request]:
        """Wait for a request at most this long; it and those behind it, `most` at most."""
        found: list[Request] = []
        try:
            found.append(self._held.get(timeout=wait_s) if wait_s else self._held.get_nowait())
            while len(found) < most:
                found.append(self._held.get_nowait())
        except queue.Empty:
            pass
        return found

    def _receive(self) -> None:
        is_away = False
        while not self._ends.is_set():
            try:
                for request in self._next():
                    self._held.put(request)
                is_away = False
            except RedisError as error:
                if not is_away:
                    log.warning("inbox_away", extra={"error": type(error).__name__})
                is_away = True
                self._ends.wait(_AWAY_PAUSE_S)

    def _next(self) -> list[Request]:
        popped: Any = self._redis.blmpop(_LOOK_S, 1, REQUESTS, direction="LEFT", count=_AT_ONCE)
        if popped is None:
            return []
        names = [one.decode() for one in popped[1]]
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.getdel(request_key(name))
        texts: Sequence[bytes | None] = pipe.execute()
        # One that is gone was given up by its caller.
        return [
            Request(call=name, **json.loads(text))
            for name, text in zip(names, texts, strict=True)
            if text is not None
        ]


def put_answers(pipe: Any, answers: Sequence[tuple[Request, Any]]) -> None:
    """Add answers to a pipeline of Redis."""
    for request, answer in answers:
        key = answer_key(request.call)
        pipe.rpush(key, json.dumps(answer))
        pipe.expire(key, _ANSWER_KEPT_S)
