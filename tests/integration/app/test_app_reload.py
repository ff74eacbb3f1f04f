"""gunicorn is replaced under load, and nobody's request fails."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.api import web
from support.gunicorn_server import GunicornServer
from support.waiting import wait_until

_IDLE_S = 2.0


@dataclass
class Caller:
    """Asks again and again, on one connection for as long as the server keeps it."""

    port: int
    key: str
    keeps: bool
    asked: int = 0
    failures: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        answered_at = time.monotonic()
        while not self.over.is_set():
            is_reused = connection.sock is not None
            idle_s = time.monotonic() - answered_at
            try:
                headers = {"Authorization": f"Bearer {self.key}"}
                connection.request("GET", "/v1/strategies", headers=headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(str(answer.status))
                self.asked += 1
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # Whoever was idle may have been left; a client begins anew then.
                if not is_reused or idle_s < _IDLE_S:
                    self.failures.append(repr(error))
            answered_at = time.monotonic()
            if not self.keeps:
                connection.close()
        connection.close()


def test_no_request_fails_and_followers_are_told(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    with web(sqlite_url, redis_url) as one:
        owner = one.caller()
        strategy_id = owner.created()["strategy_id"]
    environ = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": 2}
    with GunicornServer(tmp_path, **environ) as server:
        callers = [Caller(server.port, owner.key, keeps=number != 0) for number in range(4)]
        threads = [threading.Thread(target=caller.run) for caller in callers]
        for thread in threads:
            thread.start()
        try:
            following = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            stream = _follow(following, owner.key, strategy_id)
            old = server.workers
            server.signal(signal.SIGHUP)
            wait_until(lambda: not old & server.workers, "all workers are new ones", 60)
            told = stream.read().decode()
            stream.close()
            following.close()
            _answered_anew(callers)
            server.upgrade()
            _answered_anew(callers)
        finally:
            for caller in callers:
                caller.over.set()
            for thread in threads:
                thread.join(70)
        assert [caller.failures for caller in callers] == [[], [], [], []]
    (data,) = [line for line in told.splitlines() if line.startswith("data: ")]
    assert "event: notice" in told
    assert json.loads(data.removeprefix("data: "))["reason"] == "restart"


def _answered_anew(callers: list[Caller]) -> None:
    before = [caller.asked for caller in callers]
    wait_until(
        lambda: all(
            caller.asked >= asked + 5 for caller, asked in zip(callers, before, strict=True)
        ),
        "everybody is answered",
        60,
    )


def _follow(
    connection: http.client.HTTPConnection, key: str, strategy_id: str
) -> http.client.HTTPResponse:
    connection.request(
        "GET",
        f"/v1/strategies/{strategy_id}/logs?follow=true",
        headers={"Authorization": f"Bearer {key}", "Accept": "text/event-stream"},
    )
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline() == b": keep-alive\n"
    return answer
