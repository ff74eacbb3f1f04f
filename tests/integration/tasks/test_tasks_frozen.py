"""A runner that stands still for longer than its lease: its program is dead before another's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from support.groups import control_groups, pids_of
from support.runner import Station, station
from support.waiting import wait_until
from support.worker import Worker

from tasks.leases import LeaseWatch
from tasks.sweep import Sweep

LEASE_S = 3
STUBBORN = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", os.environ["SEQUENCE_RUN_EPOCH"])
    while True:
        print(time.time())
        time.sleep(0.05)
"""

LINGERS = b"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("cleaning", os.environ["SEQUENCE_RUN_EPOCH"])
time.sleep(60 if os.environ["SEQUENCE_RUN_EPOCH"] == "1" else 0)
"""


@pytest.fixture
def place(sqlite_url: str, redis_url: str) -> Iterator[Station]:
    with station(sqlite_url, redis_url, LEASE_SECS=LEASE_S, HEARTBEAT_SECS=0.3) as made:
        yield made


@contextmanager
def worker(place: Station, log: Path) -> Iterator[Worker]:
    made = Worker(place, log)
    try:
        made.wait_ready()
        yield made
        assert made.terminate() == 0, made.said
        assert control_groups(f"sequence-{place.environ['RUNNER_NAME']}*") == []
    finally:
        made.kill()


def test_its_program_is_dead_before_the_lease_is(
    place: Station, redis: Redis, tmp_path: Path
) -> None:
    with worker(place, tmp_path / "worker.log") as frozen:
        strategy_id = place.start(STUBBORN)
        place.wait_for_line(strategy_id, "ready 1")
        run_id = place.rows.runs(strategy_id)[0].run_id
        leases = LeaseWatch.of(LEASE_S)
        sweep = Sweep(place.rows.database, place.web.services.announcer, redis, 10, leases)
        os.kill(frozen.process.pid, signal.SIGSTOP)
        try:
            # What it had committed before it stood still is all that counts from here on.
            lease = place.rows.strategy(strategy_id).lease_expires_at
            assert lease is not None
            assert pids_of(run_id)
            wait_until(lambda: not pids_of(run_id), "its program is dead")
            wait_until(lambda: sweep.run_once() > 0, "the sweep finds the lease expired")
            assert place.row(strategy_id)["status"] == "queued"
            assert not pids_of(run_id)
        finally:
            os.kill(frozen.process.pid, signal.SIGCONT)
        # It wakes up, finds its run dead and the row another's, and takes it up anew.
        place.wait_for_line(strategy_id, "ready 2")
        last_sign = float(place.said(strategy_id, run_id)[-1])
        assert last_sign < lease
        assert [run.reason for run in place.rows.runs(strategy_id)] == ["runner_lost", None]
        row = place.row(strategy_id)
        assert (row["status"], row["restart_count"]) == ("running", 0)


def test_one_that_wakes_up_before_anybody_looked_is_no_crash_of_the_program(
    place: Station, tmp_path: Path
) -> None:
    with worker(place, tmp_path / "worker.log") as frozen:
        strategy_id = place.start(STUBBORN)
        place.wait_for_line(strategy_id, "ready 1")
        run_id = place.rows.runs(strategy_id)[0].run_id
        os.kill(frozen.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: not pids_of(run_id), "its program is dead")
        finally:
            os.kill(frozen.process.pid, signal.SIGCONT)
        place.wait_for_line(strategy_id, "ready 2")
        first, _ = place.rows.runs(strategy_id)
        assert first.reason == "runner_lost", place.lines(strategy_id, run_id)
        row = place.row(strategy_id)
        assert (row["restart_count"], place.rows.strategy(strategy_id).failure_streak) == (0, 0)


def test_its_hook_is_dead_before_another_runs_it_again(place: Station, tmp_path: Path) -> None:
    with worker(place, tmp_path / "worker.log") as frozen:
        hooks = {"on_crash": "cleanup.py", "timeout_secs": 90}
        source = "print('ready'); raise SystemExit(3)"
        strategy_id = place.start(
            source, files={"cleanup.py": LINGERS}, hooks=hooks, restart={"policy": "never"}
        )
        place.wait_for_line(strategy_id, "cleaning 1")
        hook = f"{place.rows.runs(strategy_id)[0].run_id}-hook"
        assert pids_of(hook)
        os.kill(frozen.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: not pids_of(hook), "its hook is dead")
        finally:
            os.kill(frozen.process.pid, signal.SIGCONT)
        place.wait_for_line(strategy_id, "cleaning 2")
        assert place.rows.runs(strategy_id)[0].reason == "runner_lost"
