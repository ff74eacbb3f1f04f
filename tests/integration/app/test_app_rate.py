"""Rates: a bucket for each key, which several processes empty together and never overdraw."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from support.api import Web, error
from support.redis_server import RedisServer

from app.api import rate
from app.api.context import EXTENSION
from app.api.rate import RateLimiter
from app.clients import revocations
from app.clients.revocations import Revocations, revoke_known
from app.errors import RateLimitedError
from app.redis_client import connect

QPS = 0.001
"""A bucket is refilled so slowly that the test is over before."""

Process = Callable[[int], RateLimiter]


@pytest.fixture
def process(redis_url: str, web_process: Web) -> Iterator[Process]:
    """What makes the rate limiter of one more web process, buckets of which hold so many."""
    listening: list[Revocations] = []

    def make(capacity: int) -> RateLimiter:
        listens = Revocations(connect(redis_url, retries=0))
        listening.append(listens)
        limiter = RateLimiter(connect(redis_url), listens, QPS)
        limiter._capacity = capacity
        while not listens.none_came():  # it subscribes, and hears that it did
            pass
        return limiter

    with web_process.flask.app_context():
        yield make
    for one in listening:
        one.close()


def passes(limiter: RateLimiter, key_id: str = "one") -> bool:
    try:
        assert limiter.take(key_id) is not None
    except RateLimitedError:
        return False
    return True


def scripts(redis: Redis) -> int:
    """How often a bucket was asked."""
    return int(redis.info("commandstats")["cmdstat_evalsha"]["calls"])


class TestAnswers:
    @pytest.fixture
    def slow(self, web_process: Web, process: Process, monkeypatch: pytest.MonkeyPatch) -> Web:
        limited = replace(web_process.services, rate=process(2))
        monkeypatch.setitem(web_process.flask.extensions, EXTENSION, limited)
        return web_process

    def test_a_bucket_is_told_and_empty_at_last(self, slow: Web) -> None:
        caller = slow.caller()
        answers = [caller.get() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        remaining = [answer.headers["RateLimit-Remaining"] for answer in answers]
        assert remaining == ["1", "0", "0"]
        assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"2"}
        error(answers[2], 429, "RATE_LIMITED")
        assert 0 < int(answers[2].headers["Retry-After"]) <= 1000
        assert 1000 < int(answers[2].headers["RateLimit-Reset"]) <= 2000

    def test_each_key_has_its_own(self, slow: Web) -> None:
        first, second = slow.caller(), slow.caller()
        assert [first.get().status_code for _ in range(3)][-1] == 429
        assert second.get().status_code == 200

    def test_a_bucket_is_refilled(self, slow: Web, redis: Redis) -> None:
        caller = slow.caller()
        key_id = slow.principal(caller).key_id
        assert [caller.get().status_code for _ in range(3)][-1] == 429
        at = float(redis.hget(f"rate:{key_id}", "at") or 0)
        redis.hset(f"rate:{key_id}", "at", str(at - 1 / QPS))
        assert [caller.get().status_code for _ in range(2)] == [200, 429]
        assert redis.pttl(f"rate:{key_id}") > 0


class TestLots:
    def test_who_asks_often_asks_redis_seldom(self, process: Process, redis: Redis) -> None:
        limiter = process(400)
        before = scripts(redis)
        assert all(passes(limiter) for _ in range(400))
        assert not passes(limiter)
        asked = scripts(redis) - before
        # 1, 2, 4, ... 64, then a quarter of a bucket at a time.
        assert asked <= 15

    def test_what_is_left_is_told_to_the_last(self, process: Process) -> None:
        limiter = process(100)
        found = [limiter.take("one") for _ in range(100)]
        assert [one.remaining for one in found if one] == list(range(99, -1, -1))

    def test_processes_never_overdraw_a_bucket_nor_lose_of_it(self, process: Process) -> None:
        limiters = [process(300) for _ in range(3)]
        passed = [0, 0, 0]
        busy = True
        while busy:
            busy = False
            for number, limiter in enumerate(limiters):
                for _ in range(3**number):  # one asks nine times as often as another
                    if passes(limiter):
                        passed[number] += 1
                        busy = True
        assert sum(passed) == 300

    def test_a_crowd_of_one_key_shares_lots(
        self, process: Process, redis: Redis, web_process: Web
    ) -> None:
        first, second = process(400), process(400)
        passed: list[bool] = []
        gate = threading.Barrier(8)

        def ask(limiter: RateLimiter, context: Any) -> None:
            with context:
                gate.wait(10)
                passed.extend(passes(limiter) for _ in range(100))

        threads = [
            threading.Thread(target=ask, args=(limiter, web_process.flask.app_context()))
            for limiter in (first, second)
            for _ in range(4)
        ]
        before = scripts(redis)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (len(passed), sum(passed)) == (800, 400)
        # Each of those who are refused asks for itself: the others had lots.
        assert scripts(redis) - before <= 400 + 40

    def test_what_is_not_used_goes_back(
        self, process: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rate, "_LOT_S", 0.0)
        idle, other = process(20), process(20)
        for _ in range(5):
            assert passes(idle)
        # Of the last lot one was used; the next time the other one is in the bucket again.
        assert passes(idle)
        left = other.take("one")
        assert left is not None
        assert left.remaining >= 20 - 7 - 1

    def test_what_is_old_is_forgotten(
        self, process: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rate, "_LOT_S", 0.0)
        monkeypatch.setattr(rate, "_RETURNED_WITHIN_S", 0.0)
        idle, other = process(20), process(20)
        assert all(passes(idle) for _ in range(5))
        found = other.take("one")
        assert found is not None
        assert found.remaining == 20 - (1 + 2 + 2 + 2 + 2) - 1

    def test_many_keys_are_not_remembered_for_ever(
        self, process: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rate, "_MOST_LOTS", 10)
        limiter = process(20)
        assert all(passes(limiter, f"key {number}") for number in range(50))
        assert len(limiter._lots) <= 10


class TestRevocations:
    def test_a_lot_does_not_outlive_one(self, process: Process, redis: Redis) -> None:
        limiter = process(400)
        generations = set()
        for _ in range(20):
            found = limiter.take("one")
            assert found is not None
            generations.add(found.generation)
        before = scripts(redis)
        assert revoke_known(redis)
        after = limiter.take("one")
        assert after is not None
        assert scripts(redis) == before + 1
        assert generations == {b""}
        assert after.generation == redis.get(revocations.GENERATION)

    def test_it_is_heard_once(self, redis_url: str, redis: Redis) -> None:
        listens = Revocations(connect(redis_url, retries=0))
        with closing(listens):
            assert not listens.none_came(), "before it listens it cannot know"
            while not listens.none_came():
                pass
            assert revoke_known(redis)
            assert [listens.none_came() for _ in range(3)] == [False, True, True]

    def test_what_a_broken_connection_missed_is_not_taken_for_silence(
        self, redis_url: str, redis: Redis
    ) -> None:
        listens = Revocations(connect(redis_url, retries=0))
        with closing(listens):
            while not listens.none_came():
                pass
            redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            assert not listens.none_came()
            assert not listens.none_came(), "it does not try again at once"
            listens._paused_until = 0.0
            assert not listens.none_came(), "it begins to listen again"
            while not listens.none_came():
                pass

    def test_without_it_every_request_asks(
        self, process: Process, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limiter = process(400)
        monkeypatch.setattr(limiter._revocations, "none_came", lambda: False)
        before = scripts(redis)
        assert all(passes(limiter) for _ in range(20))
        assert scripts(redis) == before + 20


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_redis_requests_pass_and_only_the_first_waits(
    web_process: Web, own_redis: Any
) -> None:
    server: RedisServer = own_redis()
    listens = Revocations(connect(server.url, retries=0))
    limiter = RateLimiter(server.client(), listens, 0.5)
    with web_process.flask.app_context(), closing(listens):
        assert limiter.take("one") is not None
        with pytest.raises(RateLimitedError):
            limiter.take("one")
        server.kill()
        assert [limiter.take("one") for _ in range(3)] == [None] * 3
