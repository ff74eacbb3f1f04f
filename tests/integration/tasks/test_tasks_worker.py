"""The runner as the Procfile starts it: a real Celery worker in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.groups import control_groups
from support.runner import Station, station
from support.waiting import wait_until
from support.worker import ROOT, Worker

STAYS = """
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: (print("bye"), sys.exit(0)))
    print("ready", os.environ["SEQUENCE_RUN_EPOCH"])
    while True:
        print("alive", time.time())
        time.sleep(0.1)
"""


@pytest.fixture
def place(postgres_url: str, redis_url: str) -> Iterator[Station]:
    # `sequence dev` and the Procfile are tried on SQLite, in tests/acceptance.
    with station(postgres_url, redis_url) as made:
        yield made


@pytest.fixture
def start(place: Station, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def start_one() -> Worker:
        workers.append(Worker(place, tmp_path / f"worker-{len(workers)}.log"))
        return workers[-1]

    yield start_one
    for worker in workers:
        worker.kill()
    name = place.environ["RUNNER_NAME"]
    wait_until(lambda: not control_groups(f"sequence-{name}*"), "no control group is left")


def test_it_runs_evicts_and_takes_over(place: Station, start: Callable[[], Worker]) -> None:
    worker = start()
    worker.wait_ready()
    strategy_id = place.start(STAYS)
    place.wait_for_line(strategy_id, "ready 1")

    # SIGKILL: the next process of that name takes over within seconds, not after the lease.
    lease = place.rows.strategy(strategy_id).lease_expires_at
    first_run = place.rows.runs(strategy_id)[0].run_id
    worker.kill()
    successor = start()
    place.wait_for_line(strategy_id, "ready 2")
    assert lease is not None
    runs = place.rows.runs(strategy_id)
    assert [run.reason for run in runs] == ["runner_lost", None]
    last_sign = [line for line in place.said(strategy_id, first_run) if "alive" in line][-1]
    assert float(last_sign.split()[1]) < runs[1].started_at
    assert place.row(strategy_id)["restart_count"] == 0

    # SIGTERM: evicted, queued, announced, and nothing left.
    assert successor.terminate() == 0, successor.said
    row = place.row(strategy_id)
    assert (row["status"], row["status_reason"]) == ("queued", "evicted")
    assert place.said(strategy_id)[-1] == "bye"
    assert control_groups(f"sequence-{place.environ['RUNNER_NAME']}*") == []
    assert place.web.services.redis.llen("default") >= 1
    assert place.rows.runner(str(runs[1].runner_id)) is None
    for told in (worker.said, successor.said):
        assert "Traceback" not in told
        assert place.environ["CREDENTIAL_ENCRYPTION_KEY"] not in told


def test_a_database_that_is_away_is_one_message(
    place: Station, start: Callable[[], Worker]
) -> None:
    place.environ["DATABASE_URL"] = "sqlite:////proc/none.db"
    worker = start()
    assert worker.process.wait(30) != 0
    assert "error: the runner cannot start:" in worker.said
    assert "Traceback" not in worker.said


def test_a_bad_environment_is_one_message(place: Station, start: Callable[[], Worker]) -> None:
    place.environ |= {"LEASE_SECS": "1", "CREDENTIAL_ENCRYPTION_KEY": ""}
    worker = start()
    assert worker.process.wait(30) != 0
    assert "LEASE_SECS must be between 2 and 300" in worker.said
    assert "CREDENTIAL_ENCRYPTION_KEY is not set" in worker.said
    assert "Traceback" not in worker.said


def test_the_scheduler_finds_what_is_lost_and_ends_when_told(place: Station) -> None:
    strategy_id = place.start(STAYS)
    lost = place.rows.now() - 1
    place.rows.change(strategy_id, status="running", runner_id="gone", lease_expires_at=lost)
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "tasks.scheduler"],
        cwd=ROOT,
        # It looks at a lease for that long before it takes it away.
        env={
            **place.environ,
            **{"SWEEP_SECS": "0.05", "LEASE_SECS": "2", "HEARTBEAT_SECS": "0.5"},
            "PATH": os.environ["PATH"],
        },
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        place.wait_for(strategy_id, "queued", "runner_lost")
        wait_until(lambda: place.web.services.redis.llen("default") == 2, "it is announced")
        scheduler.send_signal(signal.SIGTERM)
        _, told = scheduler.communicate(timeout=10)
        assert scheduler.returncode == 0
        assert b"Traceback" not in told
    finally:
        scheduler.kill()
        scheduler.communicate()
