"""Start, stop, delete and replace in every status, with a runner's own code on the other side."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from support.api import Caller, error
from support.archives import base64_of, program
from support.owners import Rows, claimed, claims_of, ended, run_once

from app.broker import RUN_TASK
from app.database import Database
from app.logs.stream import encode, logs_key, notices_key
from app.models import Artifact, Run, Strategy, StrategyEvent
from app.runners.wake import channel
from app.strategies.termination import bury
from tasks.claims import Claims
from tasks.ending import Cause

OTHER = base64_of(program("print('other')"))


@pytest.fixture
def claims(database: Database) -> Claims:
    return claims_of(database)


class Life:
    """One strategy that can be brought into any status the honest way."""

    def __init__(self, caller: Caller, claims: Claims, rows: Rows) -> None:
        self.caller, self.claims, self.rows = caller, claims, rows
        self.id = caller.created()["strategy_id"]

    def become(self, status: str) -> None:
        if status == "stopped":
            return
        self.caller.ask(self.id, "start")
        if status == "running":
            self.claim = claimed(self.claims, self.id)
        if status == "failed":
            run_once(self.claims, self.id, ended(1))
            run_once(self.claims, self.id, ended(1))
        if status == "failed for good":
            run_once(self.claims, self.id, ended(143, Cause.TIME_OUT))
        assert self.row["status"] == status.split(maxsplit=1)[0]

    @property
    def row(self) -> dict[str, Any]:
        return self.caller.row(self.id)

    def is_(self, status: str, reason: str, desired: str) -> bool:
        row = self.row
        found = (row["status"], row["status_reason"], row["desired_state"])
        assert found == (status, reason, desired)
        return True


@pytest.fixture
def life(caller: Caller, claims: Claims, rows: Rows) -> Life:
    return Life(caller, claims, rows)


STATUSES = ["stopped", "queued", "running", "failed", "failed for good"]


@pytest.mark.parametrize("status", STATUSES)
def test_start(life: Life, status: str) -> None:
    life.become(status)
    answered = life.caller.ask(life.id, "start")
    assert answered == life.row
    if status == "running":
        assert life.is_("running", "started", "running")
        return
    assert life.is_("queued", "requested", "running")
    assert (answered["restart_count"], answered["exit_code"]) == (0, None)
    assert answered["next_restart_at"] is None
    assert life.claims.claim(life.id)


@pytest.mark.parametrize("status", STATUSES)
def test_stop(life: Life, status: str) -> None:
    life.become(status)
    answered = life.caller.ask(life.id, "stop")
    assert answered == life.row
    if status == "running":
        assert life.is_("running", "started", "stopped")
        assert life.claims.renew([life.id]) == {life.id: (life.claim.epoch, True)}
        life.claims.finish(life.claim, ended(143, Cause.STOP))
    reason = "created" if status == "stopped" else "stopped_by_user"
    assert life.is_("stopped", reason, "stopped")
    assert life.row["next_restart_at"] is None
    assert life.claims.claim(life.id) is None


@pytest.mark.parametrize("verb", ["start", "stop"])
@pytest.mark.parametrize("status", STATUSES)
def test_twice_is_as_good_as_once(life: Life, status: str, verb: str) -> None:
    life.become(status)
    first = life.caller.ask(life.id, verb)
    second = life.caller.ask(life.id, verb)
    assert {**first, "updated_at": 0} == {**second, "updated_at": 0}


@pytest.mark.parametrize("status", STATUSES)
def test_delete(life: Life, status: str, redis: Redis) -> None:
    life.become(status)
    for run in life.rows.runs(life.id):
        redis.xadd(logs_key(run.run_id), encode([]), id="1-0")
    answer = life.caller.delete(life.id)
    assert answer.status_code == 200
    assert answer.json == {"strategy_id": life.id, "deleted": True}
    error(life.caller.get(f"/strategies/{life.id}"), 404, "NOT_FOUND")
    error(life.caller.delete(life.id), 404, "NOT_FOUND")
    error(life.caller.post(f"/strategies/{life.id}/start"), 404, "NOT_FOUND")
    assert life.caller.get().json == {"strategies": []}
    if status == "running":
        assert life.rows.exists(life.id)
        assert life.claims.renew([life.id]) == {life.id: (life.claim.epoch, True)}
        verdict = life.claims.finish(life.claim, ended(143, Cause.STOP))
        assert verdict.is_deleted
        assert not verdict.announce
        assert bury(life.claims._database, redis, life.id)
    assert not redis.keys("logs:*")
    assert not redis.exists(notices_key(life.id))
    for table in (Strategy, Run, StrategyEvent, Artifact):
        assert life.rows.count(table) == 0, table


def test_the_name_of_a_deleted_one_is_free_at_once(life: Life) -> None:
    life.become("running")
    life.caller.delete(life.id)
    again = life.caller.created(start_immediately=True)
    assert again["strategy_id"] != life.id
    assert again["status"] == "queued"
    life.claims.finish(life.claim, ended(143, Cause.STOP))
    assert life.caller.row(again["strategy_id"])["status"] == "queued"


@pytest.mark.parametrize("starts", [False, True])
@pytest.mark.parametrize("status", STATUSES)
def test_replace(life: Life, status: str, starts: bool) -> None:
    life.become(status)
    old = life.row
    row = life.caller.created(artifact_base64=OTHER, start_immediately=starts)
    assert row["strategy_id"] == life.id
    assert row["artifact_sha256"] != old["artifact_sha256"]
    if status == "running":
        # The old one is asked to end; only then is there a new claim, of the new artifact.
        assert life.is_("running", "started", "running")
        assert life.claims.claim(life.id) is None
        assert life.claims.renew([life.id]) == {life.id: (life.claim.epoch, True)}
        verdict = life.claims.finish(life.claim, ended(143, Cause.STOP))
        assert verdict.announce
        assert life.is_("queued", "restarted_by_user", "running")
    elif starts or status in ("queued", "failed"):
        assert row["status"] == "queued"
        assert row["desired_state"] == "running"
    else:
        assert row["status"] == old["status"]
        assert row["desired_state"] == "stopped"
        return
    claim = claimed(life.claims, life.id)
    assert claim.artifact_sha256 == row["artifact_sha256"]


def test_replacing_one_that_failed_forgets_its_failures(life: Life) -> None:
    life.become("failed")
    assert life.row["restart_count"] == 1
    life.caller.created(artifact_base64=OTHER)
    stored = life.rows.strategy(life.id)
    assert (stored.restart_count, stored.failure_streak, stored.crash_count) == (0, 0, 0)
    _, verdict = run_once(life.claims, life.id, ended(1))
    assert verdict.restart_in_s == 0


def test_replacing_one_that_runs_forgets_its_failures(life: Life) -> None:
    life.become("failed")
    life.caller.ask(life.id, "start")
    life.rows.change(life.id, failure_streak=5, crash_count=5, restart_count=5)
    claim = claimed(life.claims, life.id)
    life.caller.created(artifact_base64=OTHER)
    life.claims.finish(claim, ended(143, Cause.STOP))
    stored = life.rows.strategy(life.id)
    assert (stored.restart_count, stored.failure_streak, stored.crash_count) == (0, 0, 0)


def test_a_start_while_it_stops_makes_it_run_again_afterwards(life: Life) -> None:
    life.become("running")
    life.caller.ask(life.id, "stop")
    life.caller.ask(life.id, "start")
    assert life.is_("running", "started", "running")
    verdict = life.claims.finish(life.claim, ended(0, Cause.STOP))
    assert verdict.announce
    assert life.is_("queued", "restarted_by_user", "running")
    assert claimed(life.claims, life.id).epoch == life.claim.epoch + 1


def test_a_delete_while_it_stops_purges_it_afterwards(life: Life, redis: Redis) -> None:
    life.become("running")
    life.caller.ask(life.id, "stop")
    assert life.caller.delete(life.id).status_code == 200
    error(life.caller.get(f"/strategies/{life.id}"), 404, "NOT_FOUND")
    assert life.claims.renew([life.id]) == {life.id: (life.claim.epoch, True)}
    assert life.claims.finish(life.claim, ended(0, Cause.STOP)).is_deleted
    assert bury(life.claims._database, redis, life.id)
    assert life.rows.count(Strategy) == 0


def test_a_delete_while_it_starts_leaves_nothing_to_claim(life: Life) -> None:
    life.become("queued")
    life.caller.delete(life.id)
    assert life.claims.claim(life.id) is None
    assert life.rows.count(Strategy) == 0


def test_a_delete_after_stop_and_start_is_the_last_word(life: Life) -> None:
    life.become("running")
    for verb in ("stop", "start"):
        life.caller.ask(life.id, verb)
    life.caller.delete(life.id)
    verdict = life.claims.finish(life.claim, ended(0, Cause.STOP))
    assert (verdict.is_deleted, verdict.announce) == (True, False)


def test_a_stop_and_start_while_it_stops_is_one_restart(life: Life) -> None:
    life.become("running")
    for verb in ("stop", "stop", "start"):
        life.caller.ask(life.id, verb)
    assert life.claims.finish(life.claim, ended(143, Cause.STOP)).announce
    assert life.is_("queued", "restarted_by_user", "running")
    claimed(life.claims, life.id)
    assert life.is_("running", "started", "running")


def test_a_replacement_while_it_stops_does_not_start_it(life: Life) -> None:
    life.become("running")
    life.caller.ask(life.id, "stop")
    life.caller.created(artifact_base64=OTHER)
    life.claims.finish(life.claim, ended(143, Cause.STOP))
    assert life.is_("stopped", "stopped_by_user", "stopped")


def test_the_last_word_counts(life: Life) -> None:
    life.become("running")
    for verb in ("stop", "start", "stop", "start", "stop"):
        life.caller.ask(life.id, verb)
    life.claims.finish(life.claim, ended(0, Cause.STOP))
    assert life.is_("stopped", "stopped_by_user", "stopped")


def test_a_row_after_a_failure(life: Life) -> None:
    life.become("failed")
    row = life.row
    assert row["status_reason"] == "exit_nonzero"
    assert row["exit_code"] == 1
    assert row["restart_count"] == 1
    assert isinstance(row["next_restart_at"], int)
    assert row["next_restart_at"] >= row["updated_at"]
    assert row["run_id"] == life.rows.runs(life.id)[-1].run_id


def test_a_start_announces_the_row_and_nothing_else(life: Life, redis: Redis) -> None:
    life.become("queued")
    assert redis.llen("default") == 1
    message = redis.lindex("default", 0)
    assert isinstance(message, bytes)
    assert life.id.encode() in message
    assert RUN_TASK.encode() in message
    life.caller.ask(life.id, "start")
    assert redis.llen("default") == 1


def test_it_is_announced_where_a_live_runner_is(caller: Caller, rows: Rows, redis: Redis) -> None:
    wanted = {"latency_target": ["coinbase", "kalshi"]}
    rows.add_runner("r1", queues=["kalshi", "default"])
    rows.add_runner("r2", queues=["coinbase"], last_heartbeat_at=rows.now() - 60)
    rows.add_runner("r3", queues=["coinbase"], is_stopping=True)
    row = caller.created(placement=wanted, start_immediately=True)
    assert row["latency_target"] == "kalshi"
    assert redis.llen("kalshi") == 1
    rows.add_runner("r4", queues=["coinbase"])
    caller.ask(row["strategy_id"], "stop")
    assert caller.ask(row["strategy_id"], "start")["latency_target"] == "coinbase"
    assert redis.llen("coinbase") == 1


@pytest.mark.parametrize("act", ["stop", "delete", "replace"])
def test_a_runner_is_woken(life: Life, redis: Redis, act: str) -> None:
    life.become("running")
    with redis.pubsub() as subscription:
        subscription.subscribe(channel("runner-1"))
        assert subscription.get_message(timeout=5)
        if act == "stop":
            life.caller.ask(life.id, "stop")
        elif act == "delete":
            life.caller.delete(life.id)
        else:
            life.caller.created(artifact_base64=OTHER)
        message = subscription.get_message(timeout=5)
        assert message is not None
        assert message["type"] == "message"


def test_what_is_asked_of_a_running_one_is_on_record(life: Life) -> None:
    life.become("running")
    for verb in ("start", "stop", "stop", "start"):
        life.caller.ask(life.id, verb)
    life.claims.finish(life.claim, ended(0, Cause.STOP))
    assert life.rows.events(life.id) == [
        ("start", "queued", "key"),
        ("claim", "running", "runner"),
        ("stop", "running", "key"),
        ("start", "running", "key"),
        ("finish_restart", "queued", "runner"),
    ]


def test_every_change_is_on_record(life: Life) -> None:
    life.become("failed")
    life.caller.ask(life.id, "stop")
    assert life.rows.events(life.id) == [
        ("start", "queued", "key"),
        ("claim", "running", "runner"),
        ("fail", "failed", "runner"),
        ("restart_due", "queued", "runner"),
        ("claim", "running", "runner"),
        ("fail", "failed", "runner"),
        ("stop", "stopped", "key"),
    ]
