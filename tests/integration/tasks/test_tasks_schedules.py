"""Schedules: what is due is started once, by whichever scheduler, and by nothing but its ticks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis
from support.api import Caller
from support.owners import Rows, claimed, ended

from app.database import Database
from tasks.claims import Claim, Claims
from tasks.ending import Cause
from tasks.schedules import Ticked, run_due

DAILY = {"cron": "0 0 * * *"}


@pytest.fixture
def scheduled(caller: Caller, claims: Claims) -> Callable[..., Claim]:
    """Deploys a scheduled strategy and starts it; its first run is under way."""

    def deploy(**schedule: str) -> Claim:
        row = caller.created(schedule=DAILY | schedule, start_immediately=True)
        return claimed(claims, row["strategy_id"])

    return deploy


@pytest.fixture
def waiting_for_tick(scheduled: Callable[..., Claim], claims: Claims) -> str:
    """The id of one whose first run is over."""
    claim = scheduled()
    claims.finish(claim, ended(0))
    return claim.strategy_id


def due(rows: Rows, strategy_id: str) -> None:
    """Three ticks were missed."""
    rows.change(strategy_id, next_run_at=rows.now() - 3 * 86_400)


def test_one_that_completed_waits_for_its_tick(
    waiting_for_tick: str, caller: Caller, database: Database, rows: Rows
) -> None:
    row = caller.row(waiting_for_tick)
    assert (row["status"], row["status_reason"]) == ("stopped", "completed")
    assert row["desired_state"] == "running"
    assert row["next_run_at"] % 86_400 == 0
    assert 0 < row["next_run_at"] - rows.now() <= 86_400
    assert run_due(database) == Ticked((), ())


def test_missed_ticks_are_one_start(
    waiting_for_tick: str, database: Database, rows: Rows, claims: Claims
) -> None:
    due(rows, waiting_for_tick)
    assert run_due(database).started == ((waiting_for_tick, "default"),)
    row = rows.strategy(waiting_for_tick)
    assert (row.status, row.status_reason) == ("queued", "scheduled")
    assert row.next_run_at is not None
    assert row.next_run_at > rows.now()
    assert rows.events(waiting_for_tick)[-1] == ("start", "queued", "schedule")
    claims.finish(claimed(claims, waiting_for_tick), ended(0))
    assert run_due(database) == Ticked((), ())


def test_schedulers_at_once_start_it_once(
    waiting_for_tick: str, database: Database, rows: Rows
) -> None:
    due(rows, waiting_for_tick)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run_due, [database] * 4))
    assert sum(len(ticked.started) for ticked in found) == 1
    events = [event for event, *_ in rows.events(waiting_for_tick)]
    assert events.count("start") == 2


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        ((0, Cause.TIME_OUT), "failed", "timeout"),
        ((None, Cause.SECRETS), "failed", "secrets_unreadable"),
    ],
)
def test_a_run_that_ends_badly_is_followed_by_the_next_tick(
    scheduled: Callable[..., Claim],
    claims: Claims,
    database: Database,
    rows: Rows,
    ending: Any,
    status: str,
    reason: str,
) -> None:
    claim = scheduled()
    claims.finish(claim, ended(*ending))
    strategy_id = claim.strategy_id
    row = rows.strategy(strategy_id)
    assert (row.status, row.status_reason, row.desired_state) == (status, reason, "running")
    due(rows, strategy_id)
    assert len(run_due(database).started) == 1


def test_a_run_that_goes_on_lets_its_tick_pass(
    scheduled: Callable[..., Claim], database: Database, rows: Rows
) -> None:
    strategy_id = scheduled().strategy_id
    due(rows, strategy_id)
    assert run_due(database) == Ticked((), ())
    row = rows.strategy(strategy_id)
    assert (row.status, row.status_reason, row.epoch) == ("running", "tick_skipped", 1)
    assert row.stop_requested_at is None
    assert rows.events(strategy_id)[-1] == ("skip_tick", "running", "schedule")
    assert run_due(database) == Ticked((), ())


def test_a_run_that_goes_on_is_replaced_if_its_owner_wants_that(
    scheduled: Callable[..., Claim], database: Database, rows: Rows, claims: Claims
) -> None:
    claim = scheduled(overlap="replace")
    strategy_id = claim.strategy_id
    due(rows, strategy_id)
    assert run_due(database) == Ticked((), ("runner-1",))
    assert claims.renew([strategy_id]) == {strategy_id: (1, True)}
    due(rows, strategy_id)
    assert run_due(database).started == (), "it is about to start anyway"
    assert [event for event, *_ in rows.events(strategy_id)].count("replace") == 1
    verdict = claims.finish(claim, ended(0, Cause.STOP))
    assert (verdict.status, verdict.reason, verdict.announce) == ("queued", "replaced", True)


def test_a_stop_suspends_it_and_a_start_resumes_it(
    waiting_for_tick: str, caller: Caller, database: Database, rows: Rows, redis: Redis
) -> None:
    row = caller.ask(waiting_for_tick, "stop")
    assert (row["status"], row["status_reason"]) == ("stopped", "stopped_by_user")
    assert (row["desired_state"], row["next_run_at"]) == ("stopped", None)
    assert run_due(database) == Ticked((), ())
    redis.delete("default")
    row = caller.ask(waiting_for_tick, "start")
    assert row["status"] == "queued"
    assert row["next_run_at"] > rows.now()
    assert redis.llen("default") == 1


def test_a_deployment_changes_the_ticks_and_starts_nothing(
    waiting_for_tick: str, caller: Caller
) -> None:
    before = caller.row(waiting_for_tick)["next_run_at"]
    row = caller.created(schedule={"cron": "30 0 * * *"})
    assert row["strategy_id"] == waiting_for_tick
    assert (row["status"], (row["next_run_at"] - before) % 86_400) == ("stopped", 1800)
    row = caller.created(schedule={"cron": "30 0 * * *"}, start_immediately=True, env={"A": "b"})
    assert row["status"] == "queued"
    caller.ask(waiting_for_tick, "stop")
    row = caller.created(schedule=DAILY)
    assert (row["status"], row["next_run_at"]) == ("stopped", None), "suspended as before"


def test_nothing_runs_before_its_owner_started_it(caller: Caller, database: Database) -> None:
    row = caller.created(schedule=DAILY)
    assert (row["desired_state"], row["next_run_at"]) == ("stopped", None)
    assert run_due(database) == Ticked((), ())


def test_a_deleted_one_has_no_ticks(
    scheduled: Callable[..., Claim], caller: Caller, database: Database, rows: Rows
) -> None:
    strategy_id = scheduled().strategy_id
    caller.delete(strategy_id)
    assert rows.strategy(strategy_id).next_run_at is None
    due(rows, strategy_id)
    assert run_due(database) == Ticked((), ())
