"""What a run uses and is sealed off by, live and at its end."""

from typing import Any

from .conftest import on_both_databases
from .support import Api, CommandLine, wait_for

HUNGRY = "import time\nheld = bytearray(50 << 20)\nprint('up', flush=True)\ntime.sleep(300)\n"
HELD_BYTES = 50 << 20


def test_usage_and_isolation_are_shown(api: Api, cli: CommandLine) -> None:
    strategy_id = api.create("hungry", HUNGRY)["strategy_id"]

    def sampled() -> dict[str, Any] | None:
        run = api.row(strategy_id).get("run") or {}
        usage = run.get("usage") or {}
        return run if usage.get("memory_bytes", 0) >= HELD_BYTES and run["isolation"] else None

    live = wait_for("a live sample of what it uses", sampled)
    assert live["ended_at"] is None
    assert live["epoch"] == 1
    assert live["isolation"]["seccomp"] == "deny list"
    assert "peak" in cli.run("strategy", "status", "hungry")
    api.stop(strategy_id)
    api.wait(strategy_id, status="stopped")
    ended = api.row(strategy_id)["run"]
    assert ended["usage"]["memory_peak_bytes"] >= HELD_BYTES
    assert ended["usage"]["oom_kills"] == 0
    assert ended["usage"]["cpu_s"] > 0
    assert ended["reason"] == "stopped_by_user"
    assert ended["isolation"] == live["isolation"]
    api.delete(strategy_id)


@on_both_databases
def test_following_one_run_is_refused_with_the_reason(api: Api) -> None:
    strategy_id = api.create("one-run", "print('x')\n")["strategy_id"]
    run_id = wait_for("a run", lambda: api.row(strategy_id)["run_id"])
    answer = api.call("GET", f"/v1/strategies/{strategy_id}/logs?follow=true&run_id={run_id}")
    assert answer.status == 400
    assert "follow goes on across runs" in answer.json["error"]["message"]
    api.delete(strategy_id)
