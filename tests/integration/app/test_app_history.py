"""Runs and events: newest first, page by page, and for their owner alone."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import Caller, Web, error
from support.owners import Rows, claimed, claims_of, ended, run_once

from app.database import Database
from tasks.claims import Claims
from tasks.ending import Cause


@pytest.fixture
def claims(database: Database) -> Claims:
    return claims_of(database)


@pytest.fixture
def id(caller: Caller, claims: Claims) -> str:
    """One that was evicted four times and then stopped by its owner."""
    strategy_id: str = caller.created(start_immediately=True)["strategy_id"]
    for _ in range(4):
        run_once(claims, strategy_id, ended(143, Cause.EVICTION))
    claim = claimed(claims, strategy_id)
    caller.ask(strategy_id, "stop")
    claims.finish(claim, ended(0, Cause.STOP))
    return strategy_id


def pages(caller: Caller, path: str, key: str, limit: int) -> list[dict[str, Any]]:
    """All entries, page by page."""
    found: list[dict[str, Any]] = []
    before = None
    while True:
        query = {"limit": limit} | ({"before": before} if before else {})
        answer = caller.get(path, query_string=query)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json  # type: ignore[assignment]
        assert len(page[key]) <= limit
        found += page[key]
        before = page["next_before"]
        if before is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
def test_runs_newest_first(caller: Caller, id: str, limit: int) -> None:
    runs = pages(caller, f"/strategies/{id}/runs", "runs", limit)
    assert [run["epoch"] for run in runs] == [5, 4, 3, 2, 1]
    assert [run["reason"] for run in runs] == ["stopped_by_user"] + ["evicted"] * 4
    assert all(run["runner_id"] == "runner-1" and run["ended_at"] for run in runs)
    assert caller.get(f"/strategies/{id}/runs/{runs[1]['run_id']}").json == {"run": runs[1]}


@pytest.mark.parametrize("limit", [1, 3, 11, 50])
def test_events_newest_first_with_actor_and_reason(
    caller: Caller, web_process: Web, id: str, limit: int
) -> None:
    events = pages(caller, f"/strategies/{id}/events", "events", limit)
    assert [event["event"] for event in events] == [
        *("finish_stop", "stop", "claim"),
        *("evict", "claim") * 4,
        "start",
    ]
    key = f"key:{web_process.principal(caller).key_id}"
    asked, began = events[1], events[-1]
    assert (asked["actor"], asked["from_status"], asked["to_status"]) == (key, *["running"] * 2)
    assert (began["actor"], began["reason"], began["to_status"]) == (key, "requested", "queued")
    assert events[0]["actor"] == "runner:runner-1"
    assert events[0]["run_id"] == asked["run_id"]
    assert events[0]["at"] == events[0]["ts_ms"] // 1000


def test_a_run_keeps_the_evidence_of_its_end_and_its_limits(
    caller: Caller, claims: Claims, rows: Rows
) -> None:
    row = caller.created(start_immediately=True, resources={"memory_mb": 64, "timeout_secs": 9})
    ending = ended(
        137, was_oom=True, lived_s=1.23456, last_error_line="odd \0", explanation="\udc80"
    )
    run_once(claims, row["strategy_id"], ending)
    (run,) = pages(caller, f"/strategies/{row['strategy_id']}/runs", "runs", 5)
    assert run["evidence"] == {
        "cause": "program",
        "kind": "oom",
        "was_oom": True,
        "lived_s": 1.235,
        "last_error_line": "odd \ufffd",
        "explanation": "?",
        "full": [],
        "too_many_locks": False,
        "memory_mb": 64,
        "cpu_millis": 250,
        "timeout_secs": 9,
    }
    assert rows.runs(row["strategy_id"])[0].evidence == run["evidence"]


def test_others_see_nothing(caller: Caller, web_process: Web, id: str) -> None:
    run_id = caller.row(id)["run_id"]
    for other in (web_process.caller("rival"), web_process.caller(is_sandbox=True)):
        for path in ("runs", "events", f"runs/{run_id}"):
            error(other.get(f"/strategies/{id}/{path}"), 404, "NOT_FOUND")
    other = caller.created("second")["strategy_id"]
    error(caller.get(f"/strategies/{other}/runs/{run_id}"), 404, "NOT_FOUND")
    error(caller.get(f"/strategies/{id}/runs/x%00y"), 404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "before=0", "before=x", "befor=1"])
def test_a_bad_query_is_refused(caller: Caller, id: str, query: str) -> None:
    for path in ("runs", "events"):
        answer = caller.get(f"/strategies/{id}/{path}?{query}")
        error(answer, 400, "INVALID_PARAMS")


def test_before_the_first_there_is_nothing(caller: Caller, id: str) -> None:
    page = caller.get(f"/strategies/{id}/runs?before=1").json
    assert page == {"strategy_id": id, "runs": [], "next_before": None}
