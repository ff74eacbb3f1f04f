"""A new version that only crashes gives way to the one before it, if that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import Caller
from support.archives import base64_of, program
from support.owners import Rows, claimed, ended

from tasks.claims import Claims, Verdict
from tasks.words import farewell

RESTART = {"crash_loop_count": 2}


def deployed(caller: Caller, number: int, **deploy: Any) -> str:
    row = caller.created(
        artifact_base64=base64_of(program(f"print({number})")),
        env={"N": str(number)},
        restart=RESTART,
        deploy=deploy,
        start_immediately=True,
    )
    return str(row["strategy_id"])


def crash_loop(claims: Claims, id: str) -> Verdict:
    """Fail twice in the same way; the verdict about the second time."""
    claims.finish(claimed(claims, id), ended(1))
    return claims.finish(claimed(claims, id), ended(1))


@pytest.fixture
def id(caller: Caller, claims: Claims) -> str:
    """One that runs, of which a second version was deployed and waits."""
    strategy_id = deployed(caller, 1)
    first = claimed(claims, strategy_id)
    deployed(caller, 2, auto_rollback_secs=60)
    claims.finish(first, ended(143))
    return strategy_id


def test_the_version_before_comes_back_and_says_so(
    caller: Caller, claims: Claims, rows: Rows, id: str
) -> None:
    verdict = crash_loop(claims, id)
    assert (verdict.status, verdict.announce) == ("queued", True)
    row = caller.row(id)
    assert (row["version"], row["env"]) == (3, {"N": "1"})
    assert (row["status_reason"], row["desired_state"]) == ("rolled_back", "running")
    assert rows.events(id)[-2:] == [
        ("crash_loop", "failed", "runner"),
        ("roll_back", "queued", "runner"),
    ]
    newest = caller.get(f"/strategies/{id}/versions").json["versions"][0]
    assert (newest["origin"], newest["source_version"]) == ("auto_rollback", 1)
    line = farewell(ended(1), verdict)
    assert "version 1 comes back as version 3" in line
    assert "within 60 s" in line
    assert [run.reason for run in rows.runs(id)][-1] == "crash_loop"
    assert claimed(claims, id).env == {"N": "1"}


def test_what_came_back_is_not_taken_back_in_its_turn(claims: Claims, rows: Rows, id: str) -> None:
    crash_loop(claims, id)
    rows.change(id, deploy={"auto_rollback_secs": 60})
    verdict = crash_loop(claims, id)
    assert (verdict.status, verdict.reason, verdict.rollback) == ("failed", "crash_loop", None)
    assert rows.strategy(id).version == 3


def test_it_is_too_late_after_that_time(claims: Claims, rows: Rows, id: str) -> None:
    claims.finish(claimed(claims, id), ended(1))
    rows.change(id, version_started_at=rows.now() - 61)
    assert claims.finish(claimed(claims, id), ended(1)).status == "failed"
    assert rows.strategy(id).version == 2


def test_the_time_begins_with_the_first_start(claims: Claims, rows: Rows, id: str) -> None:
    assert rows.strategy(id).version_started_at is None
    claims.finish(claimed(claims, id), ended(1))
    began = rows.strategy(id).version_started_at
    claimed(claims, id)
    assert rows.strategy(id).version_started_at == began


def test_nobody_comes_back_who_was_not_asked_for(caller: Caller, claims: Claims, id: str) -> None:
    deployed(caller, 3)
    assert crash_loop(claims, id).status == "failed"


def test_a_first_version_has_nothing_before_it(caller: Caller, claims: Claims) -> None:
    id = deployed(caller, 1, auto_rollback_secs=60)
    verdict = crash_loop(claims, id)
    assert (verdict.status, verdict.reason) == ("failed", "crash_loop")


def test_a_run_that_its_owner_stops_is_not_rolled_back(
    caller: Caller, claims: Claims, rows: Rows, id: str
) -> None:
    claims.finish(claimed(claims, id), ended(1))
    last = claimed(claims, id)
    caller.ask(id, "stop")
    assert claims.finish(last, ended(1)).status == "stopped"
    assert rows.strategy(id).version == 2
