"""A runner whose consumer takes no message any more ends itself; a full or idle one does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis
from support.groups import control_groups
from support.runner import Station, station
from support.waiting import wait_until
from support.worker import Worker

DEAF_S = 2
STAYS = """
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: (print("bye"), sys.exit(0)))
    print("ready", os.environ["SEQUENCE_RUN_EPOCH"])
    while True:
        time.sleep(60)
"""


@pytest.fixture
def place(sqlite_url: str, redis_url: str) -> Iterator[Station]:
    with station(sqlite_url, redis_url, RUNNER_DEAF_SECS=DEAF_S) as made:
        made.environ["RUNNER_MAX_STRATEGIES"] = "2"
        yield made


def deafen(url: str) -> None:
    """Take its queues from the consumer: it stays connected, and believes itself well."""
    with closing(Celery("tests", broker=url, set_as_current=False)) as celery:
        ((node, queues),) = celery.control.inspect(timeout=5, limit=1).active_queues().items()
        assert any(queue["name"].startswith("pulse.") for queue in queues)
        for queue in queues:
            celery.control.cancel_consumer(queue["name"], destination=[node])


def pass_by(place: Station, seconds: float) -> None:
    until = place.rows.now() + seconds
    wait_until(lambda: place.rows.now() > until, "that long")


def test_a_deaf_runner_ends_and_another_has_its_strategies(
    place: Station, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    worker = Worker(place, tmp_path / "worker.log")
    successor = None
    try:
        worker.wait_ready()
        ids = [place.start(STAYS), place.start(STAYS)]
        for strategy_id in ids:
            place.wait_for_line(strategy_id, "ready 1")
        # Full: what it does not take is no sign of deafness. Then there is room, and it hears.
        pass_by(place, 1.5 * DEAF_S)
        place.caller.ask(ids[1], "stop")
        place.wait_for(ids[1], "stopped")
        pass_by(place, 1.5 * DEAF_S)
        assert worker.process.poll() is None, worker.said
        assert "tasks.pulse" not in worker.said

        deafen(redis_url)
        assert worker.process.wait(30) == 1
        assert "consumer_stuck" in worker.said
        assert "Traceback" not in worker.said
        assert place.row(ids[0])["status_reason"] == "evicted"
        assert place.said(ids[0])[-1] == "bye"
        assert control_groups(f"sequence-{place.environ['RUNNER_NAME']}*") == []
        assert redis.keys("pulse.*") == []

        successor = Worker(place, tmp_path / "successor.log")
        place.wait_for_line(ids[0], "ready 2")
        assert successor.terminate() == 0, successor.said
    finally:
        worker.kill()
        if successor is not None:
            successor.kill()
