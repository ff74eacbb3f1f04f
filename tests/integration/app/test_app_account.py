"""Quotas: what is counted, what is refused, and what passes all the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.api import HELLO, Caller, Web, error, strategy
from support.archives import base64_of, program
from support.owners import Rows

from app import admin
from app.clients.service import ensure_client
from app.database import Database
from app.models import LogChunk, Run

LARGE = {"cpu_millis": 500, "memory_mb": 64}


@pytest.fixture
def limited(web_process: Web, caller: Caller) -> Callable[..., Caller]:
    """The caller, after its client was given these quotas."""

    def give(**quotas: int) -> Caller:
        with web_process.services.database.transaction() as session:
            ensure_client(session, "acme").quotas = quotas
        return caller

    return give


def quotas(caller: Caller) -> dict[str, Any]:
    found: dict[str, Any] = caller.get("/account").json["account"]["quotas"]
    return found


def used(caller: Caller) -> dict[str, int]:
    return {name: quota["used"] for name, quota in quotas(caller).items()}


def exceeded(answer: Any, name: str, limit: int, wanted: int) -> None:
    found = error(answer, 403, "QUOTA_EXCEEDED")
    assert str(limit) in found["message"]
    assert str(wanted) in found["message"]
    assert found["details"] == [{"field": name, "message": f"limit {limit}, wanted {wanted}"}]


def test_an_account_shows_limits_and_use(limited: Callable[..., Caller]) -> None:
    caller = limited(running=3)
    assert set(used(caller).values()) == {0}
    caller.created("a", resources=LARGE, start_immediately=True)
    caller.created("b", resources=LARGE)
    account = caller.get("/account").json["account"]
    assert account["client"] == "acme"
    assert account["quotas"] == {
        "strategies": {"limit": None, "used": 2},
        "running": {"limit": 3, "used": 1},
        "cpu_millis": {"limit": None, "used": 500},
        "memory_mb": {"limit": None, "used": 64},
        "artifact_bytes": {"limit": None, "used": len(HELLO)},
        "env_bytes": {"limit": None, "used": 0},
        "secret_bytes": {"limit": None, "used": 0},
    }
    assert account["log_retention"] == {
        "runs": {"limit": 20.0, "used": 0.0},
        "days": {"limit": 30.0, "used": 0.0},
        "archive_bytes": {"limit": 256.0 * 2**20, "used": 0.0},
    }
    assert account["limits"]["env_max_bytes"] == 65_536


def test_both_modes_count_and_other_clients_do_not(
    limited: Callable[..., Caller], web_process: Web
) -> None:
    caller = limited(strategies=1)
    web_process.caller("rival").created("a")
    web_process.caller(is_sandbox=True).created("b")
    exceeded(caller.create("c"), "strategies", 1, 2)


def test_strategies(limited: Callable[..., Caller]) -> None:
    caller = limited(strategies=1)
    id = caller.created("a")["strategy_id"]
    exceeded(caller.create("b"), "strategies", 1, 2)
    assert caller.create("a", env={"A": "2"}).status_code == 200
    caller.delete(id)
    assert caller.create("b").status_code == 201


def test_running_ones(limited: Callable[..., Caller]) -> None:
    caller = limited(running=1)
    first = caller.created("a", start_immediately=True)["strategy_id"]
    exceeded(caller.create("b", start_immediately=True), "running", 1, 2)
    second = caller.created("b")["strategy_id"]
    exceeded(caller.post(f"/strategies/{second}/start"), "running", 1, 2)
    assert caller.row(second)["status"] == "stopped"
    caller.ask(first, "start")
    caller.ask(first, "stop")
    assert caller.ask(second, "start")["status"] == "queued"


def test_cpu_and_memory(limited: Callable[..., Caller]) -> None:
    caller = limited(cpu_millis=900, memory_mb=100)
    caller.created("a", resources=LARGE, start_immediately=True)
    more_cpu = {"cpu_millis": 500, "memory_mb": 32}
    exceeded(
        caller.create("b", resources=more_cpu, start_immediately=True), "cpu_millis", 900, 1000
    )
    small = {"cpu_millis": 100, "memory_mb": 36}
    id = caller.created("b", resources=small, start_immediately=True)["strategy_id"]
    exceeded(caller.patch(id, resources={"memory_mb": 40}), "memory_mb", 100, 104)
    assert caller.row(id)["version"] == 1


def test_artifacts_count_once_and_with_every_kept_version(limited: Callable[..., Caller]) -> None:
    other = program("print('another')")
    caller = limited(artifact_bytes=len(HELLO) + len(other))
    for name in "ab":
        caller.created(name)
    caller.created("a", artifact_base64=base64_of(other))
    assert used(caller)["artifact_bytes"] == len(HELLO) + len(other)
    third = program("print('third')")
    answer = caller.create("c", artifact_base64=base64_of(third))
    assert error(answer, 403, "QUOTA_EXCEEDED")["details"][0]["field"] == "artifact_bytes"


def test_variables_and_secrets(limited: Callable[..., Caller]) -> None:
    caller = limited(env_bytes=10, secret_bytes=600)
    first = caller.created("a", env={"AB": "cdé"}, secrets={"A": "1"})["strategy_id"]
    assert {n: used(caller)[n] for n in ("env_bytes", "secret_bytes")} == {
        "env_bytes": 6,
        "secret_bytes": 256,
    }
    exceeded(caller.create("b", env={"AB": "cde"}), "env_bytes", 10, 11)
    exceeded(caller.patch(first, env={"LONGER": "12345"}), "env_bytes", 10, 17)
    exceeded(caller.create("b", secrets={"A": "x" * 300}), "secret_bytes", 600, 768)
    caller.patch(first, secrets={"A": "2"})
    assert used(caller)["secret_bytes"] == 512
    exceeded(caller.patch(first, secrets={"A": "3"}), "secret_bytes", 600, 768)
    exceeded(caller.create("b", secrets={"A": "1"}), "secret_bytes", 600, 768)
    assert strategy(caller.patch(first, secrets=None))["version"] == 3
    assert used(caller)["secret_bytes"] == 0
    caller.post(f"/strategies/{first}/rollback", json={"version": 2})
    assert used(caller)["secret_bytes"] == 512


def test_what_is_kept_of_logs(
    limited: Callable[..., Caller], rows: Rows, database: Database
) -> None:
    caller = limited()
    ids = [caller.created(name)["strategy_id"] for name in "ab"]
    with database.transaction() as session:
        ensure_client(session, "acme").log_runs_kept = 7
        for number, (id, size) in enumerate([(ids[0], 10), (ids[1], 20), (ids[1], 5)]):
            session.add(run_of(id, number))
            session.flush()
            session.add(chunk_of(id, number, size, rows.now() - 86_400 * (number + 1)))
    found = caller.get("/account").json["account"]["log_retention"]
    assert found["runs"] == {"limit": 7.0, "used": 2.0}
    assert found["archive_bytes"]["used"] == 25.0
    assert 3 <= found["days"]["used"] < 3.1


def run_of(strategy_id: str, number: int) -> Run:
    return Run(
        run_id=f"r{number}",
        strategy_id=strategy_id,
        epoch=number,
        runner_id="runner",
        artifact_sha256="a" * 64,
        started_at=1.0,
    )


def chunk_of(strategy_id: str, number: int, size: int, created_at: float) -> LogChunk:
    numbers = {"after_number": 0, "first_number": 1, "last_number": 1, "last_ts_ms": 1}
    return LogChunk(
        run_id=f"r{number}",
        strategy_id=strategy_id,
        is_end=True,
        raw_bytes=size,
        stored_bytes=size,
        created_at=created_at,
        data=b"",
        **numbers,
    )


def test_whoever_is_above_may_do_what_adds_nothing(limited: Callable[..., Caller]) -> None:
    caller = limited()
    ids = [caller.created(name, start_immediately=True)["strategy_id"] for name in "abc"]
    limited(strategies=1, running=1)
    assert strategy(caller.patch(ids[0], env={"A": "1"}))["version"] == 2
    caller.ask(ids[1], "stop")
    exceeded(caller.post(f"/strategies/{ids[1]}/start"), "running", 1, 3)


def test_two_at_once_do_not_pass_a_quota_together(limited: Callable[..., Caller]) -> None:
    caller = limited(strategies=2)
    gate = threading.Barrier(6)
    statuses: list[int] = []

    def create(number: int) -> None:
        gate.wait()
        statuses.append(caller.create(f"s{number}").status_code)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 201, 403, 403, 403, 403]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_operator_sets_quotas(web_process: Web) -> None:
    settings = web_process.settings
    caller = web_process.caller()
    shown = json.loads(admin.set_quotas(settings, "acme", ["strategies=5", "running=2"]))
    assert (shown["quotas"]["strategies"], shown["quotas"]["memory_mb"]) == (5, 0)
    assert quotas(caller)["strategies"]["limit"] == 5
    admin.set_quotas(settings, "acme", ["strategies="])
    assert quotas(caller)["strategies"]["limit"] is None
    assert quotas(caller)["running"]["limit"] == 2
    with pytest.raises(ValueError, match="give one of strategies"):
        admin.set_quotas(settings, "acme", ["planets=5"])
