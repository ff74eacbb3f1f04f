"""Runners claim nothing that does not fit; what waits says why, and finds its way by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from support.api import Caller, Web, strategy
from support.owners import Rows, claimed, claims_of, ended
from support.runner import station
from support.waiting import wait_until

from app.database import Database
from app.runners.capacity import Size
from tasks.claims import Claims
from tasks.ending import Cause
from tasks.leases import LeaseWatch
from tasks.room import Room
from tasks.sweep import Sweep

QUEUES = ("default", "kalshi")
REQUEUE_AFTER_S = 10.0


@pytest.fixture
def sweep(web_process: Web, database: Database, redis: Redis) -> Sweep:
    return Sweep(database, web_process.services.announcer, redis, REQUEUE_AFTER_S, LeaseWatch(0))


@pytest.fixture
def small(database: Database) -> Claims:
    """The claims of a runner with 1000 cpu_millis and 1000 MB."""
    return claims_of(database, room=Room(Size(1000, 1000), QUEUES))


@pytest.fixture
def begun(caller: Caller, redis: Redis) -> Callable[..., str]:
    """The id of a new strategy of this size that waits; its message was lost."""

    def begin(name: str, memory_mb: int, cpu_millis: int = 100, **more: Any) -> str:
        size = {"memory_mb": memory_mb, "cpu_millis": cpu_millis}
        row = caller.created(name, start_immediately=True, resources=size, **more)
        redis.delete("default", "kalshi")
        return str(row["strategy_id"])

    return begin


def waiting(caller: Caller, strategy_id: str) -> dict[str, Any]:
    found = strategy(caller.get(f"/strategies/{strategy_id}"))["waiting"]
    assert isinstance(found, dict)
    return found


class TestClaims:
    def test_what_does_not_fit_stays_queued(
        self, small: Claims, begun: Callable[..., str], rows: Rows
    ) -> None:
        first, second = begun("first", 600), begun("second", 600)
        claimed(small, first)
        assert small.claim(second) is None
        row = rows.strategy(second)
        assert (row.status, row.status_reason, row.epoch) == ("queued", "no_capacity", 0)
        assert small.room.used == Size(100, 600)

    def test_who_fits_is_called_when_room_is_released(
        self, small: Claims, begun: Callable[..., str], rows: Rows
    ) -> None:
        ids = [begun(name, 600) for name in ("first", "second", "third")]
        claim = claimed(small, ids[0])
        for strategy_id in ids[1:]:
            assert small.claim(strategy_id) is None
        assert small.call_who_fits() == []
        small.room.release(claim.run_id)
        small.finish(claim, ended(0))
        assert small.call_who_fits() == [(ids[1], "default")]
        claimed(small, ids[1])
        assert rows.strategy(ids[1]).status_reason == "started"

    def test_a_claim_that_fails_takes_no_room(
        self, small: Claims, begun: Callable[..., str], caller: Caller
    ) -> None:
        strategy_id = begun("stopped", 600)
        caller.ask(strategy_id, "stop")
        assert small.claim(strategy_id) is None
        assert small.room.used == Size()

    def test_a_late_one_does_not_overtake_for_ever(
        self, small: Claims, begun: Callable[..., str], rows: Rows
    ) -> None:
        claimed(small, begun("runs", 600))
        big = begun("big", 900)
        assert small.claim(big) is None
        claimed(small, begun("overtakes", 100))
        rows.change(big, queued_at=rows.now() - 90)
        late = begun("late", 100)
        assert small.claim(late) is None
        assert rows.strategy(late).status_reason == "no_capacity"
        rows.change(big, queued_at=rows.now() - 200)
        claimed(small, late)

    def test_who_does_not_serve_a_queue_does_not_wait_for_it(
        self, small: Claims, begun: Callable[..., str], rows: Rows
    ) -> None:
        elsewhere = begun("elsewhere", 900, placement={"latency_target": ["coinbase"]})
        rows.change(elsewhere, status_reason="no_capacity", queued_at=rows.now() - 90)
        claimed(small, begun("runs", 600))
        claimed(small, begun("here", 100))


class TestSweep:
    def test_the_next_target_with_a_runner(
        self, sweep: Sweep, begun: Callable[..., str], rows: Rows, redis: Redis
    ) -> None:
        strategy_id = begun("mover", 64, placement={"latency_target": ["kalshi", "default"]})
        assert rows.strategy(strategy_id).latency_target == "kalshi"
        rows.add_runner("r1", queues=["default"])
        assert sweep.run_once() == 1
        assert rows.strategy(strategy_id).latency_target == "default"
        assert (redis.llen("kalshi"), redis.llen("default")) == (0, 1)
        assert sweep.run_once() == 0

    def test_no_runner_at_all_stays_and_says_so(
        self, sweep: Sweep, begun: Callable[..., str], rows: Rows, caller: Caller
    ) -> None:
        strategy_id = begun("stays", 64, placement={"latency_target": ["kalshi", "default"]})
        rows.change(strategy_id, queued_at=rows.now() + 60)
        assert sweep.run_once() == 0
        assert rows.strategy(strategy_id).status_reason == "requested"
        assert waiting(caller, strategy_id)["reason"] == "no_runner"
        since = rows.now() - 3
        rows.change(strategy_id, queued_at=since)
        sweep.run_once()
        row = caller.row(strategy_id)
        assert (row["status"], row["status_reason"]) == ("queued", "no_runner")
        assert waiting(caller, strategy_id) == {
            "reason": "no_runner",
            "since": int(since),
            "detail": "no live runner serves 'kalshi'; there is no live runner",
        }
        rows.add_runner("r1", queues=["coinbase"])
        assert "live runners serve coinbase" in waiting(caller, strategy_id)["detail"]
        rows.add_runner("r2", queues=["kalshi"])
        assert waiting(caller, strategy_id)["reason"] == "announced"

    def test_runners_that_are_full(
        self, sweep: Sweep, begun: Callable[..., str], rows: Rows, caller: Caller
    ) -> None:
        rows.add_runner("r1", running=10, max_strategies=10)
        strategy_id = begun("crowded", 64)
        rows.change(strategy_id, queued_at=rows.now() - 3)
        sweep.run_once()
        assert rows.strategy(strategy_id).status_reason == "no_capacity"
        assert waiting(caller, strategy_id)["reason"] == "no_capacity"

    def test_who_found_no_room_is_announced_when_there_is_some(
        self, sweep: Sweep, begun: Callable[..., str], rows: Rows, redis: Redis
    ) -> None:
        rows.add_runner("r1", memory_mb=1000, used_memory_mb=600)
        strategy_id = begun("patient", 600)
        a_while_ago = rows.now() - 1.5
        rows.change(strategy_id, status_reason="no_capacity", announced_at=a_while_ago)
        assert sweep.run_once() == 0
        rows.add_runner("r2", memory_mb=1000, cpu_millis=50)
        assert sweep.run_once() == 0
        rows.add_runner("r3", memory_mb=1000, used_memory_mb=400, cpu_millis=100)
        assert sweep.run_once() == 1
        assert redis.llen("default") == 1
        # While its message is under way it is not called again.
        rows.change(strategy_id, announced_at=rows.now() + 60)
        assert sweep.run_once() == 0

    def test_no_more_are_announced_than_fit(
        self, sweep: Sweep, begun: Callable[..., str], rows: Rows, redis: Redis
    ) -> None:
        for number in range(5):
            strategy_id = begun(f"one of five {number}", 400)
            rows.change(
                strategy_id, status_reason="no_capacity", announced_at=rows.now() - 1000 + number
            )
        rows.add_runner("r1", memory_mb=1000)
        assert sweep.run_once() == 2
        assert redis.llen("default") == 2

    def test_no_more_are_announced_than_there_are_slots(
        self, sweep: Sweep, begun: Callable[..., str], rows: Rows
    ) -> None:
        for number in range(3):
            strategy_id = begun(f"one of three {number}", 400)
            rows.change(strategy_id, status_reason="no_capacity", announced_at=rows.now() - 2)
        rows.add_runner("r1", running=8, max_strategies=10)
        assert sweep.run_once() == 2

    @pytest.mark.parametrize(
        ("runner", "detail"),
        [
            (
                {"memory_mb": 500},
                "it needs 100 cpu_millis and 600 MB, more than any runner of 'default' has: "
                "the largest has any cpu_millis and 500 MB",
            ),
            (
                {"memory_mb": 1000, "used_memory_mb": 600},
                "it needs 100 cpu_millis and 600 MB; the most that a runner of 'default' has left "
                "is any cpu_millis and 400 MB",
            ),
            ({}, "room for it is kept, or it waits behind one that came earlier"),
        ],
    )
    def test_the_words_for_a_lack_of_room(
        self,
        begun: Callable[..., str],
        rows: Rows,
        caller: Caller,
        runner: dict[str, int],
        detail: str,
    ) -> None:
        strategy_id = begun("large", 600)
        rows.change(strategy_id, status_reason="no_capacity")
        rows.add_runner("r1", **runner)
        found = waiting(caller, strategy_id)
        assert (found["reason"], found["detail"]) == ("no_capacity", detail)

    def test_what_runs_waits_for_nothing(self, begun: Callable[..., str], caller: Caller,
                                         small: Claims) -> None:  # fmt: skip
        strategy_id = begun("runs", 64)
        claim = claimed(small, strategy_id)
        assert strategy(caller.get(f"/strategies/{strategy_id}"))["waiting"] is None
        small.finish(claim, ended(143, Cause.TIME_OUT))
        assert strategy(caller.get(f"/strategies/{strategy_id}"))["waiting"] is None


def test_a_real_runner_takes_the_next_when_one_ends(postgres_url: str, redis_url: str) -> None:
    with station(postgres_url, redis_url, RUNNER_MEMORY_MB=100) as place:
        place.open()
        stays = "import time\nprint('here')\nwhile True: time.sleep(60)"
        size = {"memory_mb": 64}
        first = place.start(stays, resources=size)
        place.wait_for_line(first, "here")
        second = place.start(stays, resources=size)
        place.wait_for(second, "queued", "no_capacity")
        (runner,) = wait_until(
            lambda: [
                one
                for one in place.caller.get("/runners").json["runners"]  # type: ignore[index]
                if one["used_memory_mb"] == 64
            ],
            "the heartbeat tells the load",
        )
        assert (runner["running"], runner["memory_mb"], runner["is_live"]) == (1, 100, True)
        place.caller.ask(first, "stop")
        place.wait_for_line(second, "here")
