"""``sequence runners``, and what ``strategy status`` says of one that waits."""

import json
import time

from cli_api_server import STRATEGY_ID, Answer, LocalApi, one_strategy

LIVE = {
    "runner_id": "eu-1-0123456789ab",
    "name": "eu-1",
    "host": "box-7",
    "version": "0.4.0",
    "queues": ["kalshi", "polymarket"],
    "is_live": True,
    "is_stopping": False,
    "running": 3,
    "max_strategies": 50,
    "cpu_millis": 4000,
    "memory_mb": None,
    "used_cpu_millis": 750,
    "used_memory_mb": 1536,
    "started_at": 1777414125,
    "last_heartbeat_at": 0,
}


def test_each_runner_has_a_line(api: LocalApi, run) -> None:
    now = int(time.time())
    rows = [
        {**LIVE, "last_heartbeat_at": now},
        {**LIVE, "name": "eu-2", "is_stopping": True, "last_heartbeat_at": now},
        {**LIVE, "name": "eu-3", "is_live": False, "is_stopping": True},
    ]
    api.answer("GET", "/v1/runners", Answer({"runners": rows}))
    lines = run("runners").out.splitlines()
    assert lines[0].split()[:5] == ["NAME", "HOST", "STATE", "QUEUES", "RUNNING"]
    assert lines[1].split()[:9] == [
        *("eu-1", "box-7", "live", "kalshi,polymarket", "3/50"),
        *("750/4000m", "1536", "MB", "0.4.0"),
    ]
    assert lines[1].endswith(" s ago")
    assert [line.split()[2] for line in lines[2:]] == ["stopping", "silent"]
    assert json.loads(run("runners", "--json").out) == {"runners": rows}


def test_no_runner_is_said_so(api: LocalApi, run) -> None:
    api.answer("GET", "/v1/runners", Answer({"runners": []}))
    assert "no runner is known" in run("runners").out


def test_a_platform_without_the_route_is_named(api: LocalApi, run) -> None:
    api.answer("GET", "/v1/runners", Answer({}))
    result = run("runners")
    assert result.status == 1
    assert "older than this command" in result.err


def test_status_says_what_it_waits_for(api: LocalApi, run) -> None:
    waiting = {"reason": "no_capacity", "since": 1777414125, "detail": "it needs 600 MB"}
    row = {"status": "queued", "status_reason": "no_capacity", "waiting": waiting}
    api.answer("GET", f"/v1/strategies/{STRATEGY_ID}", one_strategy(**row))
    out = run("strategy", "status", STRATEGY_ID).out
    assert "no_capacity: it needs 600 MB, since 2026-" in out
    assert "no runner of its target has room for it" in out
