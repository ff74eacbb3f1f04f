"""The heartbeat renews and tells; the fence holds when it cannot."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import event
from support.api import Caller, web
from support.owners import Rows, claimed, claims_of, disconnecting
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer
from support.waiting import wait_until

from app.database import Database
from app.redis_client import connect
from app.runners.wake import Waker
from tasks.claims import Claim
from tasks.control import Registry, RunControl
from tasks.heartbeat import Heartbeat, HeartbeatConfig, fence_after_s, guard_after_s
from tasks.wake import WakeListener

RUNNER = "runner-1"


class Pulse:
    """A heartbeat with its registry, and runs that it cares for."""

    def __init__(self, database: Database, *, interval_s: float, lease_s: float) -> None:
        self.claims = claims_of(database, RUNNER, lease_s=lease_s)
        self.registry = Registry()
        self.rows = Rows(database)
        self.lease_s = lease_s
        self.rows.add_runner(RUNNER, last_heartbeat_at=0.0)
        config = HeartbeatConfig(RUNNER, interval_s, lease_s)
        self.extended: dict[str, float] = {}
        self.heartbeat = Heartbeat(config, database, self.claims, self.registry, self.extend)

    def extend(self, runs: list[str], until_s: float) -> None:
        self.extended.update(dict.fromkeys(runs, until_s))

    def run(self, strategy_id: str) -> tuple[Claim, RunControl]:
        """What a runner does about a claim."""
        fence_at = time.monotonic() + fence_after_s(self.lease_s)
        claim = claimed(self.claims, strategy_id)
        control = RunControl(strategy_id, claim.epoch, fence_at, claim.run_id)
        self.registry.add(control)
        return claim, control


@contextmanager
def beating(database: Database, *, interval_s: float = 0.2, lease_s: float = 2) -> Iterator[Pulse]:
    pulse = Pulse(database, interval_s=interval_s, lease_s=lease_s)
    pulse.heartbeat.start()
    try:
        yield pulse
    finally:
        pulse.heartbeat.close()
        for control in pulse.registry.snapshot():
            pulse.registry.remove(control)


def test_it_keeps_lease_and_fence_ahead(database: Database, waiting: str) -> None:
    with beating(database) as pulse:
        _, control = pulse.run(waiting)
        first_fence, first_lease = control.fence_at, pulse.rows.strategy(waiting).lease_expires_at
        assert first_lease is not None
        wait_until(lambda: control.fence_at > first_fence + 1, "the fence moves")
        lease = pulse.rows.strategy(waiting).lease_expires_at
        assert lease is not None
        assert lease > first_lease + 0.9
        # The lease must outlive the fence, or another runner takes what still runs here.
        assert pulse.rows.now() + (control.fence_at - time.monotonic()) < lease
        assert not control.is_overdue
        # The guard comes after the fence, and before anybody else may come.
        guarded_until = wait_until(lambda: pulse.extended.get(control.run_id), "it is guarded")
        assert guarded_until > first_fence
        assert fence_after_s(pulse.lease_s) < guard_after_s(pulse.lease_s) < pulse.lease_s
        runner = pulse.rows.runner(RUNNER)
        assert runner is not None
        assert runner.running == 1
        assert runner.last_heartbeat_at > pulse.rows.now() - 2


def test_a_beat_is_two_statements_however_many_runs_there_are(
    database: Database, caller: Caller
) -> None:
    pulse = Pulse(database, interval_s=5, lease_s=15)
    for number in range(12):
        row = caller.created(f"s{number}", start_immediately=True)
        pulse.run(row["strategy_id"])
    said: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement.split(maxsplit=1)[0])

    event.listen(database.engine, "before_cursor_execute", listen)
    try:
        pulse.heartbeat.beat()
    finally:
        event.remove(database.engine, "before_cursor_execute", listen)
        for control in pulse.registry.snapshot():
            pulse.registry.remove(control)
    assert [word for word in said if word != "BEGIN"] == ["UPDATE", "UPDATE"]
    assert len(pulse.extended) == 24, "the program and its hook, for each run"


def test_it_passes_a_stop_on(database: Database, caller: Caller, waiting: str) -> None:
    with beating(database, interval_s=5, lease_s=15) as pulse:
        _, control = pulse.run(waiting)
        caller.ask(waiting, "stop")
        assert not control.stop_requested
        pulse.heartbeat.beat_now()
        wait_until(lambda: control.stop_requested, "the stop arrives", 2)
        assert not control.is_lost


@pytest.mark.parametrize("loss", ["lease", "epoch", "row"])
def test_it_passes_a_loss_on(database: Database, waiting: str, rows: Rows, loss: str) -> None:
    with beating(database) as pulse:
        _, control = pulse.run(waiting)
        fence_at = control.fence_at
        if loss == "lease":
            rows.change(waiting, runner_id="runner-2", epoch=control.epoch + 1)
        elif loss == "epoch":
            rows.change(waiting, epoch=control.epoch + 1)
        else:
            rows.change(waiting, status="stopped", runner_id=None)
        wait_until(lambda: control.is_lost, "the loss is noticed", 3)
        assert control.fence_at <= fence_at + 1


def test_it_says_that_the_runner_is_stopping(database: Database) -> None:
    with beating(database) as pulse:
        pulse.heartbeat.is_stopping = True
        pulse.heartbeat.beat_now()

        def is_stopping() -> bool:
            runner = pulse.rows.runner(RUNNER)
            return runner is not None and runner.is_stopping

        wait_until(is_stopping, "the row says so", 2)


def test_a_locked_sqlite_makes_runs_overdue_in_time(sqlite_url: str, redis_url: str) -> None:
    with web(sqlite_url, redis_url) as one, closing(Database(sqlite_url)) as database:
        strategy_id = one.caller().created(start_immediately=True)["strategy_id"]
        with beating(database) as pulse:
            _, control = pulse.run(strategy_id)
            path = sqlite_url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                locked_at = time.monotonic()
                lease = pulse.rows.strategy(strategy_id).lease_expires_at
                assert lease is not None
                wait_until(lambda: control.is_overdue, "the fence is reached", 3)
                assert time.monotonic() - locked_at < 2
                assert pulse.rows.now() < lease
                other.execute("ROLLBACK")
            wait_until(lambda: not control.is_overdue, "it beats again")


def test_a_frozen_postgresql_makes_runs_overdue_in_time(
    postgres: PostgresServer, postgres_url: str, redis_url: str
) -> None:
    with web(postgres_url, redis_url) as one, closing(Database(postgres_url)) as database:
        strategy_id = one.caller().created(start_immediately=True)["strategy_id"]
        with beating(database) as pulse:
            _, control = pulse.run(strategy_id)
            lease = pulse.rows.strategy(strategy_id).lease_expires_at
            assert lease is not None
            postgres.freeze()
            frozen_at = time.monotonic()
            try:
                wait_until(lambda: control.is_overdue, "the fence is reached", 3)
                assert time.monotonic() - frozen_at < 2
            finally:
                postgres.thaw()
            wait_until(lambda: not control.is_overdue, "it beats again")


def test_a_database_that_is_away_for_a_moment_costs_nothing(
    postgres: PostgresServer, postgres_url: str, redis_url: str
) -> None:
    with web(postgres_url, redis_url) as one, closing(Database(postgres_url)) as database:
        strategy_id = one.caller().created(start_immediately=True)["strategy_id"]
        with beating(database, lease_s=4) as pulse:
            _, control = pulse.run(strategy_id)
            for _ in range(5):
                before = control.fence_at
                postgres.cut_connections()
                wait_until(lambda before=before: control.fence_at > before, "it beats on")  # type: ignore[misc]
                assert not control.is_overdue
            assert not control.is_lost


@pytest.mark.parametrize("lease_s", [2, 3, 6, 15, 300])
def test_the_fence_leaves_time_to_kill(lease_s: float) -> None:
    assert 0 < fence_after_s(lease_s) <= lease_s - 1
    assert fence_after_s(lease_s) > lease_s / 3  # a late beat or two must not end a run


class TestControl:
    def test_a_mailbox_is_readable_once_for_what_was_put_in(self) -> None:
        import select

        control = RunControl("s", 1, 0.0)

        def is_readable() -> bool:
            return bool(select.select([control.fd], [], [], 0)[0])

        registry = Registry()
        registry.add(control)
        assert control.is_overdue
        assert not is_readable()
        control.request_stop()
        control.request_stop()
        assert is_readable()
        control.acknowledge()
        assert not is_readable()
        control.acknowledge()
        registry.apply(control, fence_at=time.monotonic() + 5, stop=True)
        assert not is_readable()
        assert not control.is_overdue
        registry.apply(control, fence_at=1.0, stop=False)
        assert not control.is_overdue, "a fence never comes nearer"
        registry.apply(control, fence_at=None, stop=False)
        assert control.is_lost
        assert is_readable()
        registry.remove(control)

    def test_one_that_is_gone_is_left_alone(self) -> None:
        registry, old, new = Registry(), RunControl("s", 1, 0.0), RunControl("s", 2, 0.0)
        registry.add(old)
        registry.add(new)
        registry.remove(old)
        registry.apply(old, fence_at=None, stop=True)
        assert not old.is_lost
        assert registry.snapshot() == [new]
        assert not registry.wait_until_empty(0)
        threading.Timer(0.05, registry.remove, [new]).start()
        assert registry.wait_until_empty(5)


class TestWake:
    def test_a_hint_arrives_and_survives_a_restart(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = own_redis()
        hints: list[float] = []
        with disconnecting(connect(server.url)) as redis:
            listener = WakeListener(redis, "r", lambda: hints.append(time.monotonic()))
            listener.start()
            try:
                wait_until(lambda: hints, "the listener is connected, which counts as a hint")
                for outage in (None, server.cut_connections, server.restart):
                    if outage is not None:
                        outage()

                    def heard() -> bool:
                        before = len(hints)
                        Waker(redis).wake("r")
                        return len(hints) > before

                    wait_until(heard, f"a hint arrives after {outage}")
            finally:
                listener.close()
            assert not listener.is_alive()

    def test_nobody_to_wake_is_no_error(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis()
        with disconnecting(connect(server.url)) as redis:
            Waker(redis).wake(None)
            Waker(redis).wake("nobody")
            server.kill()
            Waker(redis).wake("nobody")
