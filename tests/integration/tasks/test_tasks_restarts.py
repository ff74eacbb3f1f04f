"""Restarts as owners ask for them, and the races between a restart and a stop, in both orders."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from sqlalchemy.orm import Session
from support.api import Caller, Web
from support.owners import Rows, claimed, ended, run_once

from app.database import Database
from app.strategies import lifecycle
from app.strategies.lifecycle import Change
from app.strategies.models import Strategy
from app.strategies.states import Event, Reason
from tasks.claims import Claims, lose_runner, restart_due
from tasks.ending import Cause, consequence
from tasks.sweep import Sweep

RUNNER = "runner:runner-1"
OWNER = "key:1"


@pytest.fixture
def sweep(web_process: Web, database: Database, redis: Redis) -> Sweep:
    return Sweep(database, web_process.services.announcer, redis, 10.0)


@pytest.fixture
def begun(caller: Caller) -> Callable[..., str]:
    """The id of a new strategy that waits, with this `[hosted.restart]`."""

    def begin(**restart: Any) -> str:
        row = caller.created(start_immediately=True, restart=restart)
        return str(row["strategy_id"])

    return begin


def state(rows: Rows, strategy_id: str) -> tuple[str, str, str]:
    row = rows.strategy(strategy_id)
    return row.status, row.status_reason, row.desired_state


class TestAlways:
    @pytest.fixture
    def id(self, begun: Callable[..., str], claims: Claims) -> str:
        """One that completed twice: the first restart was at once, the second is to come."""
        strategy_id = begun(policy="always")
        _, verdict = run_once(claims, strategy_id, ended(0))
        assert (verdict.restart_in_s, verdict.announce) == (0.0, True)
        run_once(claims, strategy_id, ended(0))
        return strategy_id

    def test_it_comes_back(self, id: str, rows: Rows, sweep: Sweep, claims: Claims) -> None:
        assert state(rows, id) == ("stopped", "completed", "running")
        assert rows.strategy(id).next_restart_at is not None
        assert claims.claim(id) is None
        rows.change(id, next_restart_at=rows.now() - 0.01)
        assert sweep.run_once() == 1
        assert state(rows, id) == ("queued", "restarting", "running")
        assert rows.strategy(id).restart_count == 2

    def test_a_stop_in_between_holds(
        self, id: str, rows: Rows, sweep: Sweep, caller: Caller
    ) -> None:
        row = caller.ask(id, "stop")
        assert row["next_restart_at"] is None
        assert state(rows, id) == ("stopped", "stopped_by_user", "stopped")
        assert sweep.run_once() == 0
        assert rows.events(id)[-1] == ("stop", "stopped", "key")

    def test_a_start_in_between_is_at_once(self, id: str, rows: Rows, caller: Caller) -> None:
        assert caller.ask(id, "start")["status"] == "queued"
        row = rows.strategy(id)
        assert (row.restart_count, row.failure_streak, row.next_restart_at) == (0, 0, None)


def test_never_is_never(begun: Callable[..., str], claims: Claims, rows: Rows) -> None:
    strategy_id = begun(policy="never")
    _, verdict = run_once(claims, strategy_id, ended(1))
    assert (verdict.restart_in_s, verdict.announce) == (None, False)
    assert state(rows, strategy_id) == ("failed", "exit_nonzero", "stopped")


def test_the_last_restart_and_a_start_by_hand(
    begun: Callable[..., str], claims: Claims, rows: Rows, caller: Caller
) -> None:
    strategy_id = begun(max_restarts=1)
    run_once(claims, strategy_id, ended(1))
    run_once(claims, strategy_id, ended(2))
    assert state(rows, strategy_id) == ("failed", "max_restarts", "stopped")
    assert rows.strategy(strategy_id).next_restart_at is None
    caller.ask(strategy_id, "start")
    _, verdict = run_once(claims, strategy_id, ended(1))
    assert verdict.restart_in_s == 0


def test_a_time_out_that_restarts(begun: Callable[..., str], claims: Claims, rows: Rows) -> None:
    strategy_id = begun(on=["timeout"])
    _, verdict = run_once(claims, strategy_id, ended(143, Cause.TIME_OUT))
    assert (verdict.reason, verdict.restart_in_s) == ("timeout", 0.0)
    assert state(rows, strategy_id) == ("queued", "restarting", "running")


def test_the_policy_at_the_end_counts(
    begun: Callable[..., str], claims: Claims, rows: Rows, caller: Caller
) -> None:
    strategy_id = begun(policy="never")
    run_once(claims, strategy_id, ended(1))
    caller.created(restart={"policy": "on-failure"}, start_immediately=True)
    run_once(claims, strategy_id, ended(1))
    assert state(rows, strategy_id) == ("queued", "restarting", "running")


def _fails(session: Session, row: Strategy) -> None:
    row.failure_streak = 3  # a delay is to come
    lifecycle.apply(session, row, consequence(row, ended(1), RUNNER))


def _completes(session: Session, row: Strategy) -> None:
    row.failure_streak = 3
    lifecycle.apply(session, row, consequence(row, ended(0), RUNNER))


def _restarts(session: Session, row: Strategy) -> None:
    restart_due(session, row, "scheduler")


def _loses(session: Session, row: Strategy) -> None:
    lose_runner(session, row, "scheduler")


def _is_claimed(session: Session, row: Strategy) -> None:
    values = {"epoch": row.epoch + 1, "runner_id": "runner-1"}
    lifecycle.apply(session, row, Change(Event.CLAIM, Reason.STARTED, RUNNER, values))


class TestRaces:
    """One side holds the row's lock when the other comes; whoever is first, the stop stands."""

    @pytest.fixture
    def id(self, begun: Callable[..., str]) -> str:
        return begun(policy="always")

    def meet(self, database: Database, id: str, first: Callable[..., Any], then: Any) -> Any:
        """Run `then` in a thread that begins while `first` holds the row."""
        found: list[Any] = []
        is_coming = threading.Event()

        def come() -> None:
            is_coming.set()
            found.append(then())

        thread = threading.Thread(target=come)
        with database.transaction() as session:
            row = lifecycle.lock(session, id)
            assert row is not None
            first(session, row)
            thread.start()
            assert is_coming.wait(10)
        thread.join(20)
        assert not thread.is_alive()
        return found[0]

    @pytest.mark.parametrize(
        ("status", "other"),
        [
            ("failed", _restarts),
            ("stopped", _restarts),
            ("running", _fails),
            ("running", _completes),
            ("running", _loses),
            ("queued", _is_claimed),
        ],
    )
    def test_the_stop_comes_second(
        self, id: str, database: Database, rows: Rows, caller: Caller, status: str, other: Any
    ) -> None:
        rows.change(id, status=status, next_restart_at=rows.now())
        self.meet(database, id, other, lambda: caller.ask(id, "stop"))
        row = rows.strategy(id)
        assert row.desired_state == "stopped"
        if other is _is_claimed:
            assert row.status == "running"
            assert row.stop_requested_at is not None
        else:
            assert (row.status, row.status_reason) == ("stopped", "stopped_by_user")
            assert row.next_restart_at is None

    def stops(self, session: Session, row: Strategy) -> None:
        lifecycle.owner_stops(session, row, OWNER)

    @pytest.mark.parametrize("status", ["failed", "stopped"])
    def test_the_restart_comes_second(
        self, id: str, database: Database, rows: Rows, sweep: Sweep, status: str
    ) -> None:
        rows.change(id, status=status, next_restart_at=rows.now() - 1)
        assert self.meet(database, id, self.stops, sweep.run_once) == 0
        assert state(rows, id) == ("stopped", "stopped_by_user", "stopped")

    @pytest.mark.parametrize("exit_code", [0, 1, 137])
    def test_the_ending_comes_second(
        self, id: str, database: Database, rows: Rows, claims: Claims, exit_code: int
    ) -> None:
        claim = claimed(claims, id)
        verdict = self.meet(
            database, id, self.stops, lambda: claims.finish(claim, ended(exit_code))
        )
        assert (verdict.reason, verdict.announce) == ("stopped_by_user", False)
        assert state(rows, id) == ("stopped", "stopped_by_user", "stopped")

    def test_the_lost_lease_comes_second(
        self, id: str, database: Database, rows: Rows, claims: Claims, sweep: Sweep
    ) -> None:
        claimed(claims, id)
        rows.change(id, lease_expires_at=rows.now() - 1)
        self.meet(database, id, self.stops, sweep.run_once)
        sweep.run_once()  # on PostgreSQL the first one left the locked row alone
        assert state(rows, id) == ("stopped", "stopped_by_user", "stopped")

    def test_the_claim_comes_second(
        self, id: str, database: Database, rows: Rows, claims: Claims
    ) -> None:
        assert self.meet(database, id, self.stops, lambda: claims.claim(id)) is None
        assert state(rows, id) == ("stopped", "stopped_by_user", "stopped")
        assert rows.strategy(id).epoch == 0
