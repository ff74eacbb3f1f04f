"""``GET /v1/runners``: what every key may know of the platform's runners."""

from __future__ import annotations

from support.api import Caller, error
from support.owners import Rows


def test_runners_by_name(caller: Caller, rows: Rows) -> None:
    rows.add_runner("b", name="b", is_stopping=True, cpu_millis=4000, used_cpu_millis=250)
    rows.add_runner("a", name="a", running=3, queues=["kalshi"], last_heartbeat_at=rows.now() - 11)
    answer = caller.get("/runners")
    assert answer.status_code == 200
    first, second = answer.json["runners"]  # type: ignore[index]
    assert (first["name"], first["is_live"], first["is_stopping"]) == ("a", False, False)
    assert (first["running"], first["max_strategies"], first["queues"]) == (3, 10, ["kalshi"])
    assert (second["name"], second["is_live"], second["is_stopping"]) == ("b", True, True)
    assert (second["cpu_millis"], second["used_cpu_millis"]) == (4000, 250)
    assert (second["memory_mb"], second["used_memory_mb"]) == (None, 0)
    assert set(first) == {
        *("runner_id", "name", "host", "version", "queues", "is_live", "is_stopping", "running"),
        *("max_strategies", "cpu_millis", "memory_mb", "used_cpu_millis", "used_memory_mb"),
        *("started_at", "last_heartbeat_at"),
    }


def test_none(caller: Caller) -> None:
    assert caller.get("/runners").json == {"runners": []}


def test_a_key_is_needed(caller: Caller) -> None:
    error(caller.get("/runners", headers={"Authorization": "Bearer x"}), 401, "UNAUTHORIZED")
