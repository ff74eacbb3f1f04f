"""Lines on their way to a real Redis: in order, once, within bounds, and never silently dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from support.owners import disconnecting, shipping, write
from support.redis_server import RedisServer
from support.waiting import wait_until

from app.logs import stream
from app.logs.stream import Batch, Channel, Line, block_of
from app.redis_client import connect
from tasks.logs.run_log import BUFFER_BYTES, RunLog
from tasks.logs.shipper import LogShipper


@pytest.fixture
def server(own_redis: Callable[..., RedisServer]) -> RedisServer:
    return own_redis(persistent=True)


@pytest.fixture
def shipper(redis_url: str) -> Iterator[LogShipper]:
    with shipping(redis_url, max_lines=10**6) as made:
        yield made


@contextmanager
def reading(url: str) -> Iterator[Redis]:
    with disconnecting(connect(url)) as redis:
        yield redis


def stored(redis: Redis, run_id: str = "run") -> list[Line]:
    return stream.read_after(redis, run_id, 0, 10_000_000)


def settled(redis: Redis, run_log: RunLog) -> list[Line]:
    """Every line, once the last one is stored."""
    wait_until(lambda: run_log.is_done, f"everything of {run_log.run_id} is stored")
    return stored(redis, run_log.run_id)


def kept(lines: list[Line]) -> list[str]:
    return [line.text for line in lines if line.channel != Channel.SYSTEM]


def test_lines_arrive_in_their_order(shipper: LogShipper, redis: Redis) -> None:
    run_log = shipper.open("strategy", "run")
    for number in range(5000):
        run_log.write(Channel.STDOUT if number % 2 else Channel.STDERR, f"line {number}")
    run_log.close("the end")
    lines = settled(redis, run_log)
    assert [line.number for line in lines] == list(range(1, 5002))
    assert [line.text for line in lines[:-1]] == [f"line {number}" for number in range(5000)]
    assert (lines[-1].text, lines[-1].channel) == ("the end", "system")
    assert [line.ts_ms for line in lines] == sorted(line.ts_ms for line in lines)


def test_an_idle_line_goes_out_at_once_and_many_go_out_together(
    shipper: LogShipper, redis: Redis
) -> None:
    run_log = shipper.open("strategy", "run")
    for number in range(3):
        write(run_log, f"slow {number}")
        wait_until(lambda count=number + 1: len(stored(redis)) == count, "a line", 2)  # type: ignore[misc]
    assert redis.xlen(stream.logs_key("run")) == 3
    write(run_log, *map(str, range(3000)))
    run_log.close("the end")
    settled(redis, run_log)
    entries = redis.xlen(stream.logs_key("run"))
    assert entries < 500
    last = redis.xrevrange(stream.logs_key("run"), count=1)
    assert stream.decode(*last[0]).is_end
    assert not any(
        stream.decode(*entry).is_end for entry in redis.xrange(stream.logs_key("run"))[:-1]
    )


def test_many_runs_at_once_do_not_mix(shipper: LogShipper, redis: Redis) -> None:
    logs = [shipper.open(f"strategy {number}", f"run-{number}") for number in range(20)]

    def speak(run_log: RunLog) -> None:
        write(run_log, *(f"{run_log.run_id} says {number}" for number in range(500)))
        run_log.close("the end")

    threads = [threading.Thread(target=speak, args=(run_log,)) for run_log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run_log in logs:
        lines = settled(redis, run_log)
        assert kept(lines) == [f"{run_log.run_id} says {number}" for number in range(500)]


def test_followers_are_told_of_the_beginning_and_of_the_end(
    shipper: LogShipper, redis: Redis
) -> None:
    notices = stream.notices_key("strategy")
    run_log = shipper.open("strategy", "run")
    assert not redis.exists(notices)
    write(run_log, "first")
    wait_until(lambda: redis.xlen(notices) == 1, "the beginning is told")
    write(run_log, "second")
    wait_until(lambda: len(stored(redis)) == 2, "the second is stored")
    assert redis.xlen(notices) == 1
    run_log.close("the end")
    settled(redis, run_log)
    assert redis.xlen(notices) == 2


def test_nothing_is_written_after_the_end(shipper: LogShipper, redis: Redis) -> None:
    run_log = shipper.open("strategy", "run")
    run_log.close("the end")
    write(run_log, "too late")
    assert [line.text for line in settled(redis, run_log)] == ["the end"]


@pytest.mark.parametrize("outage", ["cut", "restart", "freeze"])
def test_every_line_is_stored_once_whatever_happens_to_redis(
    server: RedisServer, outage: str
) -> None:
    with shipping(server.url, max_lines=10**6) as shipper, reading(server.url) as redis:
        run_log = shipper.open("strategy", "run")
        for number in range(6000):
            # Room is waited for: this test is about outages, not about floods.
            wait_until(lambda: run_log._pending_bytes < BUFFER_BYTES // 2, "there is room")
            write(run_log, f"line {number}")
            if number % 300 == 150:
                if outage == "cut":
                    server.cut_connections()
                elif outage == "restart" and number < 1500:
                    server.restart()
                elif outage == "freeze" and number == 150:
                    server.freeze()
                    wait_until(lambda: run_log._in_flight is not None, "a batch is under way")
                    server.thaw()
        run_log.close("the end")
        lines = settled(redis, run_log)
    assert kept(lines) == [f"line {number}" for number in range(6000)]
    assert [line.number for line in lines] == list(range(1, 6002))


def test_an_answer_that_was_lost_stores_nothing_twice(server: RedisServer) -> None:
    with shipping(server.url) as shipper, reading(server.url) as redis:
        run_log = shipper.open("strategy", "run")
        write(run_log, "one", "two")
        wait_until(lambda: len(stored(redis)) == 2, "both are stored")
        # The same entry again, as it is sent when nobody saw that it had arrived.
        with run_log._lock:
            run_log._in_flight = Batch(2, (block_of(1, Channel.STDOUT, "two"),))
        shipper.wake(run_log)
        wait_until(lambda: run_log._in_flight is None and not run_log._pending, "it is confirmed")
        assert kept(stored(redis)) == ["one", "two"]
        run_log.close("the end")
        assert [line.text for line in settled(redis, run_log)] == ["one", "two", "the end"]


@pytest.mark.parametrize("text", ["x" * 1000, "x", ""], ids=["long", "short", "empty"])
def test_the_buffer_is_bounded_and_a_marker_counts_what_it_lost(
    server: RedisServer, text: str
) -> None:
    with shipping(server.url, max_lines=10**6) as shipper, reading(server.url) as redis:
        server.kill()
        run_log = shipper.open("strategy", "run")
        written = 50_000
        write(run_log, *[text] * written)
        assert len(run_log._pending) < written
        assert run_log._dropped > 0
        server.start()
        wait_until(lambda: run_log._pending_bytes == 0, "what was buffered is on its way")
        write(run_log, "after")
        run_log.close("the end")
        lines = settled(redis, run_log)
    markers = [line for line in lines if line.channel == Channel.SYSTEM][:-1]
    counts = [int(marker.text.split()[0]) for marker in markers]
    assert [marker.text for marker in markers] == [
        f"{count} lines were dropped here: they came faster than they are stored"
        for count in counts
    ]
    assert sum(counts) + len(kept(lines)) == written + 1
    assert [line.text for line in lines[-2:]] == ["after", "the end"]
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))


def test_the_last_words_get_through_a_full_buffer(server: RedisServer) -> None:
    with shipping(server.url, max_lines=10**6) as shipper, reading(server.url) as redis:
        server.kill()
        run_log = shipper.open("strategy", "run")
        write(run_log, *["x" * 1000] * 9000)
        run_log.write(Channel.SYSTEM, "SIGKILL")
        run_log.close("the end")
        server.start()
        lines = settled(redis, run_log)
    assert "were dropped here" in lines[-3].text
    assert [line.text for line in lines[-2:]] == ["SIGKILL", "the end"]


def test_a_flood_of_one_run_does_not_hold_up_another(redis_url: str, redis: Redis) -> None:
    with shipping(redis_url, max_lines=10**6) as shipper:
        flood = shipper.open("flood", "flood")
        calm = shipper.open("calm", "calm")
        done = threading.Event()

        def speak() -> None:
            while not done.is_set():
                write(flood, *["x" * 100] * 100)

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            for number in range(20):
                write(calm, f"calm {number}")
                wait_until(
                    lambda count=number + 1: len(stored(redis, "calm")) == count,  # type: ignore[misc]
                    "a calm line is stored",
                    3,
                )
        finally:
            done.set()
            thread.join()
        for run_log in (flood, calm):
            run_log.close("the end")
            settled(redis, run_log)


def test_a_log_that_redis_refuses_does_not_keep_the_others(
    shipper: LogShipper, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(stream.logs_key("odd"), "something else")
    odd = shipper.open("odd", "odd")
    write(odd, "refused")
    for number in range(3):
        run_log = shipper.open(f"fine {number}", f"fine-{number}")
        write(run_log, "fine")
        run_log.close("the end")
        assert kept(settled(redis, run_log)) == ["fine"]
    assert "log_shipping_failed" in caplog.text
    redis.delete(stream.logs_key("odd"))
    odd.close("the end")
    assert kept(settled(redis, odd)) == ["refused"]


def test_old_lines_are_trimmed(redis_url: str, redis: Redis) -> None:
    with shipping(redis_url, max_lines=1000) as shipper:
        run_log = shipper.open("strategy", "run")
        for number in range(20_000):
            write(run_log, f"line {number}")
            if number % 100 == 0:
                wait_until(lambda: not run_log._pending, "it is on its way")
        run_log.close("the end")
        lines = settled(redis, run_log)
    assert 1000 <= len(lines) < 15_000
    assert lines[-1].number == 20_001
    assert [line.number for line in lines] == list(range(lines[0].number, 20_002))


def test_what_is_discarded_leaves_nothing(shipper: LogShipper, redis: Redis) -> None:
    for attempt in range(30):
        run_log = shipper.open("strategy", f"run-{attempt}")
        write(run_log, *["x" * 1000] * 200)
        shipper.discard(run_log)
        stream.delete(redis, "strategy", [run_log.run_id])
        write(run_log, "too late")
        run_log.close("too late as well")
    last = shipper.open("other", "last")
    last.close("the end")
    settled(redis, last)
    assert redis.keys("logs:*") == [b"logs:last"]
    assert redis.keys("runs:*") == [b"runs:other"]


def test_closing_ships_what_is_left(redis_url: str, redis: Redis) -> None:
    with shipping(redis_url) as shipper:
        run_log = shipper.open("strategy", "run")
        write(run_log, *map(str, range(900)))
        run_log.close("the end")
    assert len(stored(redis)) == 901
    assert not shipper.is_alive()


def test_closing_without_redis_ends_in_time_and_says_what_is_lost(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with shipping(server.url) as shipper:
        run_log = shipper.open("strategy", "run")
        server.kill()
        write(run_log, "lost")
        run_log.close("the end")
    assert not shipper.is_alive()
    lost = [record for record in caplog.records if record.message == "log_lines_lost"]
    assert len(lost) == 1
    assert vars(lost[0])["runs"] == ["run"]


def test_long_lines_are_trimmed_by_their_bytes(redis_url: str, redis: Redis) -> None:
    """What is counted is what Redis holds."""
    with shipping(redis_url, max_bytes=2 << 20) as shipper:
        run_log = shipper.open("strategy", "run")
        for number in range(300):
            run_log.write(Channel.STDOUT, f"{number} " + "\x01" * 20_000)
            wait_until(lambda: not run_log.has_pending, "the buffer has room")
        run_log.close("the end")
        lines = settled(redis, run_log)
    held = sum(len(fields[b"body"]) for _, fields in redis.xrange(stream.logs_key("run")))
    assert held < 3 << 20
    assert lines[-1].text == "the end"
    assert lines[0].number > 150
