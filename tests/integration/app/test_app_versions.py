"""Versions over the API: what makes one, what comes back, what is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.api import Caller, Web, error, strategy
from support.archives import base64_of, program
from support.owners import Rows, claimed, claims_of, ended

from app.api.context import EXTENSION
from app.database import Database
from app.models import Artifact, StrategyVersion
from app.strategies.definition import DEFINING


def artifact(number: int) -> str:
    return base64_of(program(f"print({number})"))


def versions(caller: Caller, strategy_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get(f"/strategies/{strategy_id}/versions", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["versions"]
    return found


def roll_back(caller: Caller, strategy_id: str, version: int) -> dict[str, Any]:
    return strategy(caller.post(f"/strategies/{strategy_id}/rollback", json={"version": version}))


@pytest.fixture
def id(caller: Caller) -> str:
    """A stopped strategy with two versions."""
    caller.created(artifact_base64=artifact(1), env={"N": "1"}, secrets={"KEY": "secret-one"})
    row = caller.created(artifact_base64=artifact(2), env={"N": "2"})
    return str(row["strategy_id"])


def test_a_create_under_the_same_name_is_the_next_version(caller: Caller, id: str) -> None:
    assert caller.row(id)["version"] == 2
    newest, first = versions(caller, id)
    assert (newest["version"], first["version"]) == (2, 1)
    assert (newest["env"], first["env"]) == ({"N": "2"}, {"N": "1"})
    assert newest["artifact_sha256"] == caller.row(id)["artifact_sha256"]
    assert newest["origin"] == first["origin"] == "create"
    assert newest["actor"].startswith("key:")


def test_a_repeated_create_is_no_version(caller: Caller, id: str) -> None:
    caller.created(artifact_base64=artifact(2), env={"N": "2"})
    assert caller.row(id)["version"] == 2


def test_versions_show_no_secret(caller: Caller, id: str) -> None:
    answer = caller.get(f"/strategies/{id}/versions")
    for hidden in ("secret", "sequence_api_key", "ciphertext", "KEY"):
        assert hidden not in answer.text


def test_pages_of_versions(caller: Caller, id: str) -> None:
    answer = caller.get(f"/strategies/{id}/versions?limit=1")
    assert answer.json["next_before"] == 2
    assert [one["version"] for one in versions(caller, id, limit=1, before=2)] == [1]


def test_a_rollback_brings_everything_back_as_a_new_version(
    caller: Caller, id: str, rows: Rows, database: Database
) -> None:
    row = roll_back(caller, id, 1)
    assert (row["version"], row["env"], row["status"]) == (3, {"N": "1"}, "stopped")
    newest = versions(caller, id)[0]
    assert (newest["origin"], newest["source_version"]) == ("rollback", 1)
    stored = rows.strategy(id)
    with database.reading() as session:
        first = session.get(StrategyVersion, (id, 1))
        assert first is not None
        assert first.sealed("secrets") is not None
        assert [name for name in DEFINING if getattr(first, name) != getattr(stored, name)] == []


def test_a_repeated_rollback_is_one(caller: Caller, id: str) -> None:
    assert roll_back(caller, id, 1) == roll_back(caller, id, 1)
    assert roll_back(caller, id, 2)["version"] == 4


def test_a_running_one_is_replaced_and_never_runs_twice(
    caller: Caller, id: str, rows: Rows, database: Database
) -> None:
    caller.ask(id, "start")
    claims = claims_of(database)
    old = claimed(claims, id)
    row = roll_back(caller, id, 1)
    assert (row["status"], row["desired_state"], row["version"]) == ("running", "running", 3)
    assert rows.strategy(id).stop_requested_at is not None
    assert claims.claim(id) is None
    verdict = claims.finish(old, ended(143))
    assert (verdict.status, verdict.announce) == ("queued", True)
    new = claimed(claims, id)
    assert (old.env, new.env) == ({"N": "2"}, {"N": "1"})
    assert [run.version for run in rows.runs(id)] == [2, 3]
    shown = caller.get(f"/strategies/{id}").json["strategy"]
    assert shown["run"]["version"] == 3


def test_a_new_version_that_waits_to_come_back_forgets_the_failures(
    caller: Caller, id: str, rows: Rows, database: Database
) -> None:
    caller.ask(id, "start")
    claims = claims_of(database)
    claims.finish(claimed(claims, id), ended(1))
    assert rows.strategy(id).crash_count == 1
    caller.created(artifact_base64=artifact(3))
    row = rows.strategy(id)
    assert (row.status, row.crash_count, row.restart_count) == ("queued", 0, 0)


@pytest.mark.parametrize("version", [3, 2**31 - 1])
def test_no_rollback_to_what_never_was(caller: Caller, id: str, version: int) -> None:
    answer = caller.post(f"/strategies/{id}/rollback", json={"version": version})
    assert "1 is the oldest that is kept" in error(answer, 404, "NOT_FOUND")["message"]


@pytest.mark.parametrize("body", [{}, {"version": 0}, {"version": "1"}, {"version": 2**31}])
def test_bad_rollbacks(caller: Caller, id: str, body: dict[str, Any]) -> None:
    error(caller.post(f"/strategies/{id}/rollback", json=body), 422, "VALIDATION_ERROR")


def test_no_rollback_to_a_target_that_is_gone(caller: Caller, id: str, database: Database) -> None:
    with database.transaction() as session:
        first = session.get(StrategyVersion, (id, 1))
        assert first is not None
        first.placement = {"latency_target": ["nasdaq"]}
    answer = caller.post(f"/strategies/{id}/rollback", json={"version": 1})
    assert "nasdaq" in error(answer, 422, "VALIDATION_ERROR")["message"]
    assert caller.row(id)["version"] == 2


def test_old_versions_go_with_artifacts_that_nobody_else_has(
    web_process: Web, caller: Caller, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = web_process.services
    few = replace(services, settings=replace(services.settings, versions_kept=2))
    monkeypatch.setitem(web_process.flask.extensions, EXTENSION, few)
    caller.created("other", artifact_base64=artifact(1))
    for number in (1, 2, 3):
        id = caller.created("alpha", artifact_base64=artifact(number))["strategy_id"]
    assert [one["version"] for one in versions(caller, id)] == [3, 2]
    assert rows.count(Artifact) == 3  # the first is the other strategy's as well
    caller.created("alpha", artifact_base64=artifact(4))
    assert rows.count(Artifact) == 3
    answer = caller.post(f"/strategies/{id}/rollback", json={"version": 1})
    assert "3 is the oldest that is kept" in error(answer, 404, "NOT_FOUND")["message"]
    for row in caller.get().json["strategies"]:
        caller.delete(row["strategy_id"])
    assert rows.count(Artifact) == rows.count(StrategyVersion) == 0
