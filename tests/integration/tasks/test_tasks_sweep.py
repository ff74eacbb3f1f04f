"""The sweep finds what is due or lost, however many sweeps there are."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from redis import Redis
from support.api import Caller, Web
from support.owners import Rows, claimed, ended, run_once
from support.redis_server import RedisServer

from app.broker import Announcer
from app.database import Database
from app.logs.stream import encode, logs_key
from app.models import Artifact, Runner, Strategy
from tasks.claims import Claims
from tasks.ending import Cause
from tasks.leases import LeaseWatch
from tasks.sweep import Sweep

REQUEUE_AFTER_S = 10.0


@pytest.fixture
def sweep(web_process: Web, database: Database, redis: Redis) -> Sweep:
    return Sweep(database, web_process.services.announcer, redis, REQUEUE_AFTER_S, LeaseWatch(0))


def at_once(*acts: Callable[[], object]) -> list[object]:
    found: list[object] = [None] * len(acts)
    gate = threading.Barrier(len(acts))

    def run(number: int) -> None:
        gate.wait()
        found[number] = acts[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_nothing_to_do(sweep: Sweep, caller: Caller) -> None:
    assert sweep.run_once() == 0
    caller.created("stopped")
    caller.created("fresh in its queue", start_immediately=True)
    assert sweep.run_once() == 0


def test_a_restart_that_is_due(
    sweep: Sweep, claims: Claims, waiting: str, rows: Rows, redis: Redis
) -> None:
    run_once(claims, waiting, ended(1))
    run_once(claims, waiting, ended(1))
    rows.change(waiting, next_restart_at=rows.now() + 60)
    redis.delete("default")
    assert sweep.run_once() == 0
    rows.change(waiting, next_restart_at=rows.now() - 0.01)
    assert sweep.run_once() == 1
    row = rows.strategy(waiting)
    assert (row.status, row.status_reason, row.restart_count) == ("queued", "restarting", 2)
    assert row.next_restart_at is None
    assert redis.llen("default") == 1
    assert sweep.run_once() == 0


def test_a_failed_one_that_should_not_run_stays(sweep: Sweep, waiting: str, rows: Rows) -> None:
    due = rows.now() - 1
    rows.change(waiting, status="failed", desired_state="stopped", next_restart_at=due)
    assert sweep.run_once() == 0
    rows.change(waiting, desired_state="running", next_restart_at=None)
    assert sweep.run_once() == 0
    assert rows.strategy(waiting).status == "failed"


def test_a_lease_that_ran_out(
    sweep: Sweep, claims: Claims, waiting: str, rows: Rows, redis: Redis
) -> None:
    claim = claimed(claims, waiting)
    redis.delete("default")
    assert sweep.run_once() == 0
    rows.change(waiting, lease_expires_at=rows.now() - 0.01)
    assert sweep.run_once() == 1
    row = rows.strategy(waiting)
    assert (row.status, row.status_reason, row.restart_count) == ("queued", "runner_lost", 0)
    assert row.runner_id is None
    assert rows.runs(waiting)[0].reason == "runner_lost"
    assert redis.llen("default") == 1
    assert not claims.finish(claim, ended(0)).is_ours
    assert claims.renew([waiting]) == {}
    assert sweep.run_once() == 0


def test_a_lost_one_that_should_stop_is_stopped(
    sweep: Sweep, claims: Claims, caller: Caller, waiting: str, rows: Rows
) -> None:
    claimed(claims, waiting)
    caller.ask(waiting, "stop")
    rows.change(waiting, lease_expires_at=rows.now() - 1)
    sweep.run_once()
    assert rows.strategy(waiting).status == "stopped"


def test_a_lost_one_that_was_deleted_is_purged(
    sweep: Sweep, claims: Claims, caller: Caller, waiting: str, rows: Rows, redis: Redis
) -> None:
    claim = claimed(claims, waiting)
    redis.xadd(logs_key(claim.run_id), encode([]), id="1-0")
    caller.delete(waiting)
    assert sweep.run_once() == 0
    assert rows.exists(waiting)
    rows.change(waiting, lease_expires_at=rows.now() - 1)
    sweep.run_once()
    sweep.run_once()
    assert rows.count(Strategy) == rows.count(Artifact) == 0
    assert not redis.keys("logs:*")


def test_what_nobody_claimed_is_announced_again(
    sweep: Sweep, caller: Caller, rows: Rows, redis: Redis
) -> None:
    ids = [
        caller.created(f"s{number}", start_immediately=True)["strategy_id"] for number in range(5)
    ]
    for strategy_id in ids:
        rows.change(strategy_id, announced_at=rows.now() - REQUEUE_AFTER_S - 1)
    # Their messages still wait: the queue is long, not lost.
    assert sweep.run_once() == 0
    assert redis.llen("default") == 5
    redis.delete("default")
    assert sweep.run_once() == 5
    assert redis.llen("default") == 5
    redis.delete("default")
    # Just announced: there is time until the next.
    assert sweep.run_once() == 0


def test_a_clock_stepped_back_forgets_no_message(
    sweep: Sweep, waiting: str, rows: Rows, redis: Redis
) -> None:
    rows.change(waiting, announced_at=rows.now() + 3600)
    redis.delete("default")
    assert sweep.run_once() == 1
    assert redis.llen("default") == 1
    assert sweep.run_once() == 0


def test_as_many_are_announced_again_as_messages_are_missing(
    sweep: Sweep, caller: Caller, rows: Rows, redis: Redis
) -> None:
    ids = [
        caller.created(f"s{number}", start_immediately=True)["strategy_id"] for number in range(4)
    ]
    for number, strategy_id in enumerate(ids):
        rows.change(strategy_id, announced_at=rows.now() - REQUEUE_AFTER_S - 10 + number)
    # One is taken by a runner that stands still from then on: the oldest, as Redis hands them out.
    swallowed = redis.rpop("default")
    assert swallowed is not None
    assert sweep.run_once() == 1
    assert redis.llen("default") == 4
    newest = json.loads(redis.lrange("default", 0, 0)[0])
    assert newest["headers"]["argsrepr"] == f"['{ids[0]}']"
    for _ in range(10):
        for strategy_id in ids:
            rows.change(strategy_id, announced_at=rows.now() - REQUEUE_AFTER_S - 1)
        assert sweep.run_once() == 0
        assert redis.llen("default") == 4


def test_a_swallowed_announcement_costs_less_than_is_promised() -> None:
    """From a runner's death to its strategies elsewhere: 20 s at most, with the defaults."""
    from support.environments import settings

    default = settings()
    sweeps_s = 3 * default.sweep_s  # the lease is first seen, is over, the message is missed
    start_s = 1.0
    lost_s = default.lease_s + default.requeue_after_s + sweeps_s + start_s
    assert lost_s <= 20


def test_queues_are_looked_at_one_by_one(
    sweep: Sweep, caller: Caller, rows: Rows, redis: Redis
) -> None:
    first = caller.created("first", start_immediately=True)["strategy_id"]
    wanted = {"latency_target": ["kalshi"]}
    second = caller.created("second", placement=wanted, start_immediately=True)["strategy_id"]
    for strategy_id in (first, second):
        rows.change(strategy_id, announced_at=rows.now() - REQUEUE_AFTER_S - 1)
    redis.delete("kalshi")
    assert sweep.run_once() == 1
    assert redis.llen("kalshi") == redis.llen("default") == 1


def test_fingerprints_are_forgotten_after_their_minute(
    sweep: Sweep, caller: Caller, rows: Rows
) -> None:
    strategy_id = caller.created()["strategy_id"]
    sweep.run_once()
    assert rows.strategy(strategy_id).create_fingerprint is not None
    rows.change(strategy_id, create_fingerprint_at=rows.now() - 61)
    sweep.run_once()
    assert rows.strategy(strategy_id).create_fingerprint is None


def test_dead_runners_are_forgotten_after_an_hour(sweep: Sweep, rows: Rows) -> None:
    rows.add_runner("dead", last_heartbeat_at=rows.now() - 3601)
    rows.add_runner("silent", last_heartbeat_at=rows.now() - 3000)
    sweep.run_once()
    assert rows.runner("dead") is None
    assert rows.runner("silent") is not None
    assert rows.count(Runner) == 1


def test_sweeps_at_once_do_everything_once(
    sweep: Sweep, claims: Claims, caller: Caller, rows: Rows, redis: Redis
) -> None:
    ids = [
        caller.created(f"s{number}", start_immediately=True)["strategy_id"] for number in range(12)
    ]
    for strategy_id in ids[:4]:
        claimed(claims, strategy_id)
        rows.change(strategy_id, lease_expires_at=rows.now() - 1)
    for strategy_id in ids[4:8]:
        claim = claimed(claims, strategy_id)
        claims.finish(claim, ended(1))
        rows.change(strategy_id, status="failed", next_restart_at=rows.now() - 1)
    for strategy_id in ids[8:]:
        rows.change(strategy_id, status="stopped", deleted_at=1.0)
    redis.delete("default")
    found = at_once(*[sweep.run_once] * 4)
    assert all(isinstance(count, int) for count in found), found
    assert redis.llen("default") == 8
    for strategy_id in ids[:4]:
        assert [event for event, *_ in rows.events(strategy_id)].count("lose_runner") == 1
    for strategy_id in ids[4:8]:
        row = rows.strategy(strategy_id)
        assert (row.status, row.restart_count) == ("queued", 2)
    assert not any(rows.exists(strategy_id) for strategy_id in ids[8:])


def test_a_sweep_against_a_claim_and_a_stop(
    sweep: Sweep, claims: Claims, caller: Caller, rows: Rows
) -> None:
    strategy_id = caller.created(start_immediately=True)["strategy_id"]
    for _ in range(10):
        caller.ask(strategy_id, "start")
        claim = claimed(claims, strategy_id)
        rows.change(strategy_id, lease_expires_at=rows.now() - 1)
        at_once(
            sweep.run_once,
            lambda claim=claim: claims.finish(claim, ended(0, Cause.EVICTION)),  # type: ignore[misc]
            lambda: caller.ask(strategy_id, "stop"),
        )
        row = rows.strategy(strategy_id)
        assert row.desired_state == "stopped"
        assert row.status == "stopped", row.status_reason
        assert row.runner_id is None


class TestWithoutRedis:
    @pytest.fixture
    def server(self, own_redis: Callable[..., RedisServer]) -> RedisServer:
        return own_redis()

    @pytest.fixture
    def lone(self, server: RedisServer, database: Database) -> Iterator[Sweep]:
        from support.environments import settings

        from app.redis_client import connect

        redis = connect(server.url, read_timeout_s=1.0)
        announcer = Announcer(settings(REDIS_URL=server.url))
        with closing(announcer):
            yield Sweep(database, announcer, redis, REQUEUE_AFTER_S, LeaseWatch(0))
        redis.connection_pool.disconnect()

    def test_rows_are_put_right_and_announced_later(
        self, lone: Sweep, server: RedisServer, claims: Claims, waiting: str, rows: Rows
    ) -> None:
        claimed(claims, waiting)
        rows.change(waiting, lease_expires_at=rows.now() - 1)
        server.kill()
        assert lone.run_once() == 1
        assert rows.strategy(waiting).status == "queued"
        rows.change(waiting, announced_at=rows.now() - REQUEUE_AFTER_S - 1)
        assert lone.run_once() == 0
        server.start()
        rows.change(waiting, announced_at=rows.now() - REQUEUE_AFTER_S - 1)
        assert lone.run_once() == 1
        with server.client() as client:
            assert client.llen("default") == 1

    def test_a_frozen_redis_does_not_end_it(
        self, lone: Sweep, server: RedisServer, waiting: str, rows: Rows
    ) -> None:
        rows.change(waiting, announced_at=rows.now() - REQUEUE_AFTER_S - 1)
        lone.announcer.backlog("default")
        server.freeze()
        try:
            assert lone.run_once() == 0
        finally:
            server.thaw()

    def test_logs_of_a_deleted_one_are_removed_later(
        self,
        lone: Sweep,
        server: RedisServer,
        claims: Claims,
        caller: Caller,
        waiting: str,
        rows: Rows,
    ) -> None:
        claim = claimed(claims, waiting)
        with server.client() as client:
            client.xadd(logs_key(claim.run_id), encode([]), id="1-0")
            client.execute_command("CONFIG", "SET", "save", "1 1")
            client.save()
            caller.delete(waiting)
            claims.finish(claim, ended(0))
            server.kill()
            assert lone.run_once() == 0
            assert rows.exists(waiting)
            server.start()
            assert client.exists(logs_key(claim.run_id))
            assert lone.run_once() == 1
            assert not client.exists(logs_key(claim.run_id))
        assert not rows.exists(waiting)
