"""Hooks that a lost runner left behind: another one runs them, whatever the owner wants by then."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from support.api import Caller, error
from support.archives import base64_of, program
from support.environments import settings
from support.owners import Rows, claimed, claims_of, ended

from app.broker import Announcer
from app.database import Database
from tasks.claims import Claims
from tasks.ending import Cause
from tasks.sweep import Sweep

ARTIFACT = base64_of(program("pass", **{"ops/cleanup.py": b"pass"}))


@pytest.fixture
def lost(caller: Caller, claims: Claims, rows: Rows, sweep: Sweep) -> str:
    """The id of a strategy whose runner is gone, and whose hook nobody has run."""
    strategy_id: str = caller.created(
        artifact_base64=ARTIFACT, hooks={"on_crash": "ops/cleanup.py"}, start_immediately=True
    )["strategy_id"]
    claimed(claims, strategy_id)
    rows.change(strategy_id, lease_expires_at=rows.now() - 1)
    sweep.run_once()
    row = rows.strategy(strategy_id)
    assert (row.status, row.status_reason, row.hook_due) == ("queued", "runner_lost", "runner_lost")
    return strategy_id


@pytest.fixture
def sweep(database: Database, redis: Redis, redis_url: str) -> Any:
    announcer = Announcer(settings(REDIS_URL=redis_url))
    yield Sweep(database, announcer, redis, 5.0)
    announcer.close()


def test_the_next_claim_carries_it_until_it_is_done(
    claims: Claims, lost: str, rows: Rows, database: Database
) -> None:
    claim = claimed(claims, lost)
    assert (claim.hook_due, claim.is_hook_only) == ("runner_lost", False)
    claims_of(database, "other").hook_is_done(claim)
    assert rows.strategy(lost).hook_due is None
    rows.change(lost, hook_due="evicted", epoch=9)
    claims.hook_is_done(claim)
    assert rows.strategy(lost).hook_due == "evicted", "a late word changes nothing"


@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_a_stop_or_delete_waits_for_it(
    claims: Claims, lost: str, rows: Rows, caller: Caller, sweep: Sweep, verb: str
) -> None:
    if verb == "stop":
        assert caller.ask(lost, "stop")["status"] == "queued"
    else:
        caller.delete(lost)
        sweep.run_once()
        error(caller.get(f"/strategies/{lost}"), 404, "NOT_FOUND")
    claim = claimed(claims, lost)
    assert claim.is_hook_only
    verdict = claims.finish(claim, ended(None, Cause.STOP))
    assert (verdict.status, verdict.reason) == ("stopped", "stopped_by_user")
    assert verdict.is_deleted == (verb == "delete")
    assert rows.strategy(lost).hook_due is None
    if verb == "stop":
        assert claims.claim(lost) is None
    else:
        sweep.run_once()
        assert not rows.exists(lost)


def test_a_start_after_that_stop_goes_on(claims: Claims, lost: str, caller: Caller) -> None:
    caller.ask(lost, "stop")
    claim = claimed(claims, lost)
    caller.ask(lost, "start")
    assert claims.finish(claim, ended(None, Cause.STOP)).announce
    again = claimed(claims, lost)
    assert (again.hook_due, again.is_hook_only) == (None, False)


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_that_fenced_itself_leaves_it_too(
    claims: Claims, lost: str, rows: Rows, caller: Caller, asked: bool
) -> None:
    claim = claimed(claims, lost)
    claims.hook_is_done(claim)
    if asked:
        caller.ask(lost, "stop")
    assert claims.finish(claim, ended(137, Cause.FENCE)).announce
    assert rows.strategy(lost).hook_due == "runner_lost"
    assert claimed(claims, lost).is_hook_only is asked


def test_a_hook_that_a_shutdown_cut_short_is_kept(claims: Claims, lost: str, rows: Rows) -> None:
    claim = claimed(claims, lost)
    claims.finish(claim, ended(0, Cause.EVICTION, hook_due="evicted"))
    assert rows.strategy(lost).hook_due == "evicted"
    assert claimed(claims, lost).hook_due == "evicted"


@pytest.mark.parametrize(
    ("hooks", "field", "hint"),
    [
        ({"on_stop": "clenup.py"}, "hooks.on_stop", "did you mean 'ops/cleanup.py'?"),
        ({"on_crash": "z.py"}, "hooks.on_crash", "put it there, or drop the hook"),
    ],
)
def test_a_hook_that_the_artifact_does_not_have_is_refused(
    caller: Caller, hooks: dict[str, str], field: str, hint: str
) -> None:
    answer = caller.create("hooked", artifact_base64=ARTIFACT, hooks=hooks)
    (detail,) = error(answer, 422, "VALIDATION_ERROR")["details"]
    assert detail["field"] == field
    assert hint in detail["message"]
