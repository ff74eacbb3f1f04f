"""One request, followed by its id: web, row, message, runner, scheduler; and no secret in any."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from support.api import Web, body
from support.gunicorn_server import GunicornServer
from support.owners import Rows, claimed, claims_of
from support.runner import station
from support.waiting import wait_until
from support.worker import Worker

from app.strategies.service import get
from tasks.leases import LeaseWatch
from tasks.sweep import Sweep

ASKED = "trace-me 17"
CANARY = "canary-9f8e7d6c5b4a"


def events(text: str, name: str) -> list[dict[str, Any]]:
    """The lines with this event; every line has to be JSON."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["event"] == name]


def headers(redis: Redis, queue: str = "default") -> list[dict[str, Any]]:
    found: Any = redis.lrange(queue, 0, -1)
    return [json.loads(raw)["headers"] for raw in found]


def test_the_message_and_the_row_have_the_id(web_process: Web, redis: Redis) -> None:
    caller = web_process.caller()
    row = caller.create(start_immediately=True, headers={"X-Request-Id": ASKED}).json["strategy"]
    assert [one["request_id"] for one in headers(redis)] == [ASKED]
    stored = get(web_process.services, web_process.principal(caller), row["strategy_id"])
    assert stored.start_request_id == ASKED
    caller.ask(row["strategy_id"], "stop")
    caller.ask(row["strategy_id"], "start")
    assert headers(redis)[0]["request_id"] not in (ASKED, "")


def test_the_scheduler_tells_which_request_it_was(
    web_process: Web, redis: Redis, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    caller = web_process.caller()
    created = caller.create(start_immediately=True, headers={"X-Request-Id": ASKED})
    strategy_id = created.json["strategy"]["strategy_id"]
    redis.flushall()
    services = web_process.services
    rows.change(strategy_id, announced_at=rows.now() - 60)
    sweep = Sweep(services.database, services.announcer, redis, 2, LeaseWatch.of(15))
    with caplog.at_level("INFO", "tasks.sweep"):
        sweep.run_once()
    assert [one["request_id"] for one in headers(redis)] == [ASKED]
    assert "announced_again" in caplog.messages
    assert claimed(claims_of(services.database), strategy_id).request_id == ASKED


def test_gunicorn_and_the_runner_log_it_and_no_secret(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    with station(sqlite_url, redis_url) as place:
        key = place.caller.key
        worker = Worker(place, tmp_path / "worker.log")
        server = GunicornServer(tmp_path, **{**place.environ, "LOG_LEVEL": "info"})
        try:
            worker.wait_ready()
            with server:
                status, answered, _ = server.call(
                    "POST",
                    f"/v1/strategies?note={CANARY}",
                    json.dumps(body(name="t", start_immediately=True, secrets={"TOKEN": CANARY})),
                    {
                        "Authorization": f"Bearer {key}",
                        "Content-Type": "application/json",
                        "X-Request-Id": ASKED,
                    },
                )
                assert status == 201
                assert answered["x-request-id"] == ASKED
                announcer = place.web.services.announcer
                wait_until(lambda: '"event": "ended"' in worker.said, "the run has ended", 30)
                announcer.announce("nobody", "default", request_id="for nobody")
                wait_until(lambda: "nothing_to_claim" in worker.said, "the message was taken")
                assert server.call("GET", f"/v1/{CANARY}", None, {"X-Secret": CANARY})[0] == 404
            # Its control group goes with it, which a kill leaves to the next of its name.
            assert worker.terminate() == 0, worker.said
        finally:
            worker.kill()
    for name in ("claimed", "ended"):
        (line,) = events(_own(worker.said), name)
        assert line["request_id"] == ASKED
        assert line["run_id"]
        assert line["strategy_id"]
    (line,) = events(_own(worker.said), "nothing_to_claim")
    assert line["request_id"] == "for nobody"
    found = [line for line in events(server.said, "request") if line["method"] == "POST"]
    assert [line["request_id"] for line in found] == [ASKED]
    assert found[0]["status"] == 201
    assert found[0]["path"] == "/v1/strategies"
    assert found[0]["duration_ms"] > 0
    said = worker.said + server.said.replace(f"/v1/{CANARY}", "")
    for secret in (CANARY, base64.b64encode(CANARY.encode()).decode(), key):
        assert secret not in said


def test_text_for_people(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    environ = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "LOG_FORMAT": "text"}
    with GunicornServer(tmp_path, LOG_LEVEL="info", **environ) as server:
        server.call("GET", "/v1/health/live", None, {"X-Request-Id": ASKED})
    assert f"request_id={ASKED} " in server.said
    assert "{" not in server.said


def _own(text: str) -> str:
    """Without what Celery prints before its log is set up."""
    return "\n".join(line for line in text.splitlines() if line.startswith('{"ts"'))
