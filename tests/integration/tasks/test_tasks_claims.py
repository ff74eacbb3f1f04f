"""Claims, leases and endings on real databases: one owner at a time, late words change nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.api import Caller
from support.owners import LEASE_S, Rows, claimed, claims_of, ended, run_once

from app.database import Database
from tasks.claims import Claims
from tasks.ending import Cause, Ending


def test_a_claim_takes_the_row(claims: Claims, waiting: str, rows: Rows) -> None:
    claim = claimed(claims, waiting)
    row = rows.strategy(waiting)
    assert (row.status, row.epoch, row.runner_id) == ("running", 1, "runner-1")
    assert row.run_id == claim.run_id
    assert row.queued_at is None
    assert row.lease_expires_at == pytest.approx(rows.now() + LEASE_S, abs=2)
    (run,) = rows.runs(waiting)
    assert (run.run_id, run.epoch, run.runner_id) == (claim.run_id, 1, "runner-1")
    assert run.ended_at is None
    assert claims.claim(waiting) is None
    assert claims.claim("no-such-strategy") is None


def test_a_claim_carries_all_that_is_needed(claims: Claims, caller: Caller) -> None:
    given: dict[str, Any] = {"env": {"A": "1"}, "manifest": {"b": 2}, "secrets": {"C": "3"}}
    row = caller.created("full", start_immediately=True, sequence_api_key=caller.key, **given)
    claim = claimed(claims, row["strategy_id"])
    assert (claim.env, claim.manifest) == (given["env"], given["manifest"])
    assert (claim.name, claim.client_code, claim.entrypoint) == ("full", "acme", "main.py")
    assert claim.resources == row["resources"]
    assert claim.artifact_sha256 == row["artifact_sha256"]
    assert len(claim.artifact) == row["size_bytes"]
    assert claim.secrets is not None
    assert claim.sequence_api_key is not None
    assert claim.is_sandbox is False


@pytest.mark.parametrize("status", ["stopped", "running", "failed"])
def test_only_what_waits_is_claimed(claims: Claims, waiting: str, rows: Rows, status: str) -> None:
    rows.change(waiting, status=status)
    assert claims.claim(waiting) is None
    assert rows.strategy(waiting).epoch == 0


@pytest.mark.parametrize("values", [{"desired_state": "stopped"}, {"deleted_at": 1.0}])
def test_what_nobody_wants_is_not_claimed(
    claims: Claims, waiting: str, rows: Rows, values: dict[str, Any]
) -> None:
    rows.change(waiting, **values)
    assert claims.claim(waiting) is None


def race(database: Database, strategy_id: str, racers: int) -> list[Any]:
    found: list[Any] = [None] * racers
    gate = threading.Barrier(racers)

    def run(number: int) -> None:
        own = claims_of(database, f"runner-{number}")
        gate.wait()
        found[number] = own.claim(strategy_id)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [claim for claim in found if claim is not None]


def test_of_many_racers_exactly_one_wins(database: Database, waiting: str, rows: Rows) -> None:
    for epoch in range(1, 6):
        winners = race(database, waiting, 8)
        assert len(winners) == 1
        assert winners[0].epoch == epoch
        row = rows.strategy(waiting)
        assert row.run_id == winners[0].run_id
        assert len(rows.runs(waiting)) == epoch
        claims_of(database, str(row.runner_id)).finish(winners[0], ended(0, Cause.EVICTION))


class TestRenew:
    def test_it_extends_the_lease(self, claims: Claims, waiting: str, rows: Rows) -> None:
        claim = claimed(claims, waiting)
        rows.change(waiting, lease_expires_at=rows.now())
        assert claims.renew([waiting]) == {waiting: (claim.epoch, False)}
        lease = rows.strategy(waiting).lease_expires_at
        assert lease == pytest.approx(rows.now() + LEASE_S, abs=2)

    def test_it_tells_of_a_stop(self, claims: Claims, caller: Caller, waiting: str) -> None:
        claim = claimed(claims, waiting)
        caller.ask(waiting, "stop")
        assert claims.renew([waiting]) == {waiting: (claim.epoch, True)}

    def test_others_are_not_renewed(
        self, claims: Claims, database: Database, waiting: str, rows: Rows
    ) -> None:
        claimed(claims, waiting)
        lease = rows.strategy(waiting).lease_expires_at
        assert claims_of(database, "other").renew([waiting, "unknown"]) == {}
        assert rows.strategy(waiting).lease_expires_at == lease
        assert claims.renew([]) == {}

    def test_all_at_once(self, claims: Claims, caller: Caller) -> None:
        ids = [
            caller.created(f"s{number}", start_immediately=True)["strategy_id"]
            for number in range(12)
        ]
        for strategy_id in ids[:-1]:
            claimed(claims, strategy_id)
        assert claims.renew(ids) == dict.fromkeys(ids[:-1], (1, False))


class TestFinish:
    @pytest.mark.parametrize(
        ("ending", "row", "verdict"),
        [
            (ended(0), ("stopped", "completed", "stopped"), (None, False)),
            (ended(3), ("queued", "restarting", "running"), (0.0, True)),
            (ended(137, was_oom=True), ("queued", "restarting", "running"), (0.0, True)),
            (ended(143, Cause.TIME_OUT), ("failed", "timeout", "stopped"), (None, False)),
            (ended(0, Cause.EVICTION), ("queued", "evicted", "running"), (None, True)),
            (ended(137, Cause.FENCE), ("queued", "runner_lost", "running"), (None, True)),
            (ended(None, Cause.SANDBOX), ("queued", "restarting", "running"), (0.0, True)),
            (
                ended(None, Cause.SECRETS),
                ("failed", "secrets_unreadable", "stopped"),
                (None, False),
            ),
            (ended(None, Cause.ARTIFACT), ("failed", "artifact_corrupt", "stopped"), (None, False)),
        ],
        ids=lambda value: str(getattr(value, "cause", ""))[:12],
    )
    def test_each_cause(
        self,
        claims: Claims,
        waiting: str,
        rows: Rows,
        ending: Ending,
        row: tuple[str, str, str],
        verdict: tuple[float | None, bool],
    ) -> None:
        claim, given = run_once(claims, waiting, ending)
        stored = rows.strategy(waiting)
        assert (stored.status, stored.status_reason, stored.desired_state) == row
        assert (given.restart_in_s, given.announce) == verdict
        assert given.is_ours
        assert given.queue == "default"
        assert stored.runner_id is None
        assert stored.lease_expires_at is None
        assert stored.exit_code == ending.exit_code
        (run,) = rows.runs(waiting)
        assert run.run_id == claim.run_id
        assert run.ended_at is not None
        assert run.exit_code == ending.exit_code

    def test_the_run_keeps_what_was_seen(self, claims: Claims, waiting: str, rows: Rows) -> None:
        seen = {"usage": {"cpu_s": 1.5}, "isolation": {"uid": "own"}}
        run_once(claims, waiting, ended(9, was_oom=True, **seen))
        (run,) = rows.runs(waiting)
        assert run.reason == "oom"
        assert (run.usage, run.isolation) == (seen["usage"], seen["isolation"])

    def test_later_restarts_wait(self, claims: Claims, waiting: str, rows: Rows) -> None:
        run_once(claims, waiting, ended(1))
        _, verdict = run_once(claims, waiting, ended(1))
        assert verdict.restart_in_s == pytest.approx(0.9, abs=0.3)
        assert not verdict.announce
        row = rows.strategy(waiting)
        assert (row.status, row.status_reason) == ("failed", "exit_nonzero")
        assert row.next_restart_at == pytest.approx(rows.now() + 0.9, abs=1)
        assert row.restart_count == 1

    def test_ten_equal_failures_are_a_crash_loop(
        self, claims: Claims, waiting: str, rows: Rows
    ) -> None:
        for number in range(1, 11):
            assert rows.strategy(waiting).status != "stopped"
            rows.change(waiting, status="queued")
            _, verdict = run_once(claims, waiting, ended(1, last_error_line="KeyError"))
            assert (verdict.reason == "crash_loop") == (number == 10)
        row = rows.strategy(waiting)
        assert (row.status, row.status_reason) == ("failed", "crash_loop")
        assert row.desired_state == "stopped"
        assert row.next_restart_at is None

    def test_a_late_one_changes_nothing(
        self, claims: Claims, database: Database, waiting: str, rows: Rows
    ) -> None:
        old = claimed(claims, waiting)
        claims.take_back(["runner-1"])
        newer = claimed(claims_of(database, "runner-2"), waiting)
        before, events = vars(rows.strategy(waiting)), rows.events(waiting)
        for ending in (ended(0), ended(1), ended(0, Cause.STOP), ended(None, Cause.SECRETS)):
            assert not claims.finish(old, ending).is_ours
        after = vars(rows.strategy(waiting))
        assert {k: v for k, v in after.items() if k[0] != "_"} == {
            k: v for k, v in before.items() if k[0] != "_"
        }
        assert rows.events(waiting) == events
        assert rows.strategy(waiting).run_id == newer.run_id
        assert rows.runs(waiting)[-1].ended_at is None

    def test_twice_is_once(self, claims: Claims, waiting: str, rows: Rows) -> None:
        claim, first = run_once(claims, waiting, ended(1))
        assert first.is_ours
        assert not claims.finish(claim, ended(1)).is_ours
        assert rows.strategy(waiting).failure_streak == 1

    def test_the_same_runner_with_an_older_epoch_is_late_as_well(
        self, claims: Claims, waiting: str
    ) -> None:
        old, _ = run_once(claims, waiting, ended(0, Cause.EVICTION))
        claimed(claims, waiting)
        assert not claims.finish(old, ended(0)).is_ours

    def test_one_that_is_gone(self, claims: Claims, waiting: str, rows: Rows) -> None:
        claim = claimed(claims, waiting)
        rows.change(waiting, status="stopped")
        assert not claims.finish(claim, ended(0)).is_ours

    def test_old_runs_are_pruned(self, database: Database, waiting: str, rows: Rows) -> None:
        claims = claims_of(database, runs_kept=3)
        purged: list[str] = []
        ids = []
        for _ in range(6):
            claim, verdict = run_once(claims, waiting, ended(0, Cause.EVICTION))
            ids.append(claim.run_id)
            purged += verdict.purged_runs
        assert purged == ids[:3]
        assert [run.run_id for run in rows.runs(waiting)] == ids[3:]

    def test_it_waits_where_live_runners_are(
        self, claims: Claims, caller: Caller, rows: Rows
    ) -> None:
        rows.add_runner("r1", queues=["coinbase"])
        wanted = {"latency_target": ["coinbase", "kalshi"]}
        row = caller.created(placement=wanted, start_immediately=True)
        claim = claimed(claims, row["strategy_id"])
        caller.created(placement={"latency_target": ["kalshi"]})
        assert claims.finish(claim, ended(143, Cause.STOP)).queue == "kalshi"


class TestTakeBack:
    def test_what_a_dead_predecessor_left_is_queued(
        self, claims: Claims, database: Database, caller: Caller, waiting: str, rows: Rows
    ) -> None:
        other = caller.created("other", start_immediately=True)["strategy_id"]
        dead = claimed(claims, waiting)
        claimed(claims_of(database, "alive"), other)
        successor = claims_of(database, "runner-2")
        assert successor.take_back(["runner-1", "runner-0"]) == [(waiting, "default")]
        assert successor.take_back(["runner-1"]) == []
        assert successor.take_back([]) == []
        row = rows.strategy(waiting)
        assert (row.status, row.status_reason) == ("queued", "runner_lost")
        assert row.failure_streak == row.restart_count == 0
        (run,) = rows.runs(waiting)
        assert (run.reason, run.exit_code) == ("runner_lost", None)
        assert run.ended_at is not None
        assert rows.strategy(other).status == "running"
        assert claimed(successor, waiting).epoch == dead.epoch + 1

    def test_what_should_stop_anyway_is_stopped(
        self, claims: Claims, database: Database, caller: Caller, waiting: str, rows: Rows
    ) -> None:
        claimed(claims, waiting)
        caller.ask(waiting, "stop")
        assert claims_of(database, "runner-2").take_back(["runner-1"]) == []
        row = rows.strategy(waiting)
        assert (row.status, row.status_reason) == ("stopped", "stopped_by_user")


def test_the_epoch_only_grows(claims: Claims, caller: Caller, waiting: str) -> None:
    epochs = []
    for cause in (Cause.EVICTION, Cause.FENCE, Cause.PROGRAM, Cause.EVICTION):
        claim, _ = run_once(claims, waiting, ended(1, cause))
        epochs.append(claim.epoch)
    caller.ask(waiting, "stop")
    caller.created(env={"A": "1"})
    caller.ask(waiting, "start")
    epochs.append(claimed(claims, waiting).epoch)
    assert epochs == [1, 2, 3, 4, 5]
