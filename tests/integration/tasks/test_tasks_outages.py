"""Redis or the database goes and comes back: what ran runs or is fenced, what waits is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.api import error
from support.groups import control_groups, pids_of
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer
from support.runner import Station, station
from support.waiting import wait_until
from support.worker import ROOT, Worker

from app import migrations
from app.database import Database

LEASE_S = 3
COUNTS = """
    import itertools, os, time
    print("ready", os.environ["SEQUENCE_RUN_EPOCH"])
    for number in itertools.count():
        print(number)
        time.sleep(0.05)
"""


@pytest.fixture
def durable_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(durable=True)
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def platform(place: Station, folder: Path) -> Iterator[None]:
    """A worker and a scheduler as the Procfile has them; both end well afterwards."""
    place.environ["LOG_LEVEL"] = "info"
    worker = Worker(place, folder / "worker.log")
    with (folder / "scheduler.log").open("wb") as log:
        scheduler = subprocess.Popen(
            [sys.executable, "-m", "tasks.scheduler"],
            cwd=ROOT,
            env={**place.environ, "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        worker.wait_ready()
        yield
        assert scheduler.poll() is None, (folder / "scheduler.log").read_text()
        assert worker.terminate() == 0, worker.said
        assert control_groups(f"sequence-{place.environ['RUNNER_NAME']}*") == []
    finally:
        worker.kill()
        scheduler.kill()
        scheduler.wait()


def test_redis_comes_back_with_nothing(
    sqlite_url: str, own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = own_redis()
    with station(sqlite_url, server.url) as place, platform(place, tmp_path):
        running = place.start(COUNTS)
        place.wait_for_line(running, "ready 1")
        place.wait_for_line(running, "5")
        server.kill()
        waiting = place.start(COUNTS)
        assert place.row(waiting)["status"] == "queued"
        server.start()
        place.wait_for_line(waiting, "ready 1")
        wait_until(lambda: place.said(running), "its log goes on")
        row = place.row(running)
        assert (row["status"], row["restart_count"]) == ("running", 0)
        assert [run.epoch for run in place.rows.runs(running)] == [1]
        # What Redis held is gone, and the log says so; what was written meanwhile is there.
        (channel, marker), *lines = place.lines(running)
        assert (channel, marker.partition(" ")[2]) == (
            "system",
            "lines of this run are not kept any more",
        )
        numbers = [int(text) for channel, text in lines if channel == "stdout"]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_database_that_is_away_for_longer_than_the_fence(
    durable_postgres: PostgresServer, redis_url: str, tmp_path: Path
) -> None:
    url = durable_postgres.url(durable_postgres.create_database())
    with closing(Database(url.replace("postgresql://", "postgresql+psycopg://"))) as database:
        migrations.upgrade(database)
    url = url.replace("postgresql://", "postgresql+psycopg://")
    beat_s = LEASE_S / 6
    with (
        station(url, redis_url, LEASE_SECS=LEASE_S, HEARTBEAT_SECS=beat_s) as place,
        platform(place, tmp_path),
    ):
        strategy_id = place.start(COUNTS)
        place.wait_for_line(strategy_id, "ready 1")
        run_id = place.rows.runs(strategy_id)[0].run_id
        assert pids_of(run_id)
        durable_postgres.halt()
        answer = place.caller.get(f"/strategies/{strategy_id}")
        error(answer, 503, "SERVICE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
        wait_until(lambda: not pids_of(run_id), "it is fenced")
        durable_postgres.resume()
        place.wait_for_line(strategy_id, "ready 2")
        assert [run.reason for run in place.rows.runs(strategy_id)] == ["runner_lost", None]
        row = place.row(strategy_id)
        assert (row["status"], row["restart_count"]) == ("running", 0)
