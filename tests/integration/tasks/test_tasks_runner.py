"""A runner with real sandboxes: what a program does, and what becomes of its strategy."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update
from support.api import error
from support.archives import base64_of, program
from support.groups import control_groups
from support.redis_server import RedisServer
from support.runner import Station, station
from support.waiting import wait_until
from support.worker import Worker

from app.models import Artifact, Runner
from app.redis_client import connect

STAYS = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: (print("bye"), sys.exit(0)))
    print("ready")
    while True:
        signal.pause()
"""

STUBBORN = """
    import signal
    signal.signal(signal.SIGTERM, lambda *_: print("not now"))
    print("stubborn")
    while True:
        signal.pause()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Station]:
    """One runner for all tests that do not end it; a Redis database of its own."""
    folder = tmp_path_factory.mktemp("runner")
    (folder / "sequence.db").write_bytes(migrated_sqlite.read_bytes())
    server = RedisServer(folder / "redis").start()
    with station(f"sqlite:///{folder}/sequence.db", server.url, LOG_MAX_LINES=100_000) as made:
        made.open()
        yield made
    server.kill()


@pytest.fixture(scope="module", autouse=True)
def second(place: Station, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A runner of the same name, which waits a while for the first to go before it gives up."""
    worker = Worker(place, tmp_path_factory.mktemp("second") / "worker.log")
    yield worker
    worker.kill()


def test_a_program_runs_to_its_end(place: Station) -> None:
    strategy_id = place.start(
        """
        import os, sys
        print(os.environ["MODE"], os.environ["SEQUENCE_RUN_EPOCH"])
        print("oops", file=sys.stderr)
        print("no newline", end="")
        """,
        env={"MODE": "paper"},
    )
    row = place.wait_for(strategy_id, "stopped", "completed")
    assert (row["exit_code"], row["desired_state"], row["restart_count"]) == (0, "stopped", 0)
    run_id = place.wait_for_run(strategy_id, 1, "completed")
    lines = place.lines(strategy_id)
    assert sorted(lines[1:-1]) == [
        ("stderr", "oops"),
        ("stdout", "no newline"),
        ("stdout", "paper 1"),
    ]
    assert lines[0][1].startswith("run 1 starts: main.py of artifact ")
    assert lines[-1] == ("system", "ended with exit code 0; stopped, completed")
    (run,) = place.rows.runs(strategy_id)
    assert run.run_id == run_id == row["run_id"]
    assert run.exit_code == 0
    assert run.usage is not None
    assert run.usage["memory_peak_bytes"] > 0
    assert run.isolation is not None
    assert {"pid", "mount", "net", "user"} <= set(run.isolation["namespaces"])
    assert run.isolation["seccomp"] == "deny list"


def test_a_crash_is_followed_by_a_restart_at_once(place: Station) -> None:
    strategy_id = place.start(
        """
        import os, sys, time
        print("life", os.environ["SEQUENCE_RUN_EPOCH"])
        if os.environ["SEQUENCE_RUN_EPOCH"] == "1":
            raise ValueError("first life")
        """
    )
    place.wait_for(strategy_id, "stopped", "completed")
    first, second = place.rows.runs(strategy_id)
    assert (first.reason, first.exit_code) == ("exit_nonzero", 1)
    assert first.ended_at is not None
    assert second.started_at - first.ended_at < 1.0
    assert place.row(strategy_id)["restart_count"] == 1
    place.wait_for_run(strategy_id, 1, "exit_nonzero")
    lines = place.lines(strategy_id, first.run_id)
    assert ("stderr", "ValueError: first life") in lines
    assert lines[-1] == ("system", "ended with exit code 1; exit nonzero, restarts now")
    assert place.said(strategy_id) == ["life 2"]


def test_a_stop_takes_less_than_a_second(place: Station) -> None:
    strategy_id = place.start(STAYS)
    place.wait_for_line(strategy_id, "ready")
    asked_at = time.monotonic()
    assert place.caller.ask(strategy_id, "stop")["status"] == "running"
    row = place.wait_for(strategy_id, "stopped", "stopped_by_user")
    assert time.monotonic() - asked_at < 1
    assert row["exit_code"] == 0
    place.wait_for_run(strategy_id, 1, "stopped_by_user")
    assert place.said(strategy_id) == ["ready", "bye"]


def test_one_that_does_not_listen_is_killed_after_its_grace(place: Station) -> None:
    strategy_id = place.start(
        """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
        else:
            print("deaf")
        while True:
            time.sleep(60)
        """
    )
    place.wait_for_line(strategy_id, "deaf")
    place.caller.ask(strategy_id, "stop")
    row = place.wait_for(strategy_id, "stopped", "stopped_by_user")
    assert row["exit_code"] == 137
    place.wait_for_run(strategy_id, 1, "stopped_by_user")
    lines = place.lines(strategy_id)
    assert ("system", "still running after its grace of 1 s: SIGKILL") in lines


def test_the_grace_is_the_strategys_own(place: Station) -> None:
    strategy_id = place.start(STUBBORN, stop={"grace_secs": 0.25})
    place.wait_for_line(strategy_id, "stubborn")
    place.caller.ask(strategy_id, "stop")
    place.wait_for(strategy_id, "stopped", "stopped_by_user")
    place.wait_for_run(strategy_id, 1, "stopped_by_user")
    lines = place.lines(strategy_id)
    assert ("system", "still running after its grace of 0.25 s: SIGKILL") in lines


def test_a_stop_at_the_very_beginning(place: Station) -> None:
    for number in range(5):
        strategy_id = place.start(STAYS, name=f"early-{number}")
        if number % 2:
            wait_until(lambda: place.row(strategy_id)["status"] != "queued", "it is claimed")  # noqa: B023
        place.caller.ask(strategy_id, "stop")
        place.wait_for(strategy_id, "stopped", "stopped_by_user")


def test_a_time_out_is_final(place: Station) -> None:
    strategy_id = place.start(STAYS, resources={"timeout_secs": 1})
    row = place.wait_for(strategy_id, "failed", "timeout")
    assert row["desired_state"] == "stopped"
    assert row["next_restart_at"] is None
    place.wait_for_run(strategy_id, 1, "timeout")
    assert place.said(strategy_id) == ["ready", "bye"]
    assert ("system", "time-out: 1 s are over; SIGTERM") in place.lines(strategy_id)


def test_too_much_memory_is_called_so(place: Station) -> None:
    strategy_id = place.start("x = bytearray(200 << 20)", resources={"memory_mb": 48})
    run_id = place.wait_for_run(strategy_id, 1, "oom")
    place.caller.ask(strategy_id, "stop")
    assert place.lines(strategy_id, run_id)[-1][1].startswith(
        "out of memory: killed at its limit (signal SIGKILL)"
    )
    place.wait_for(strategy_id, "stopped")


def test_a_full_workspace_is_called_so_and_not_out_of_memory(place: Station) -> None:
    strategy_id = place.start(
        """
        with open("history", "wb", buffering=0) as file:
            while file.write(bytes(65536)):
                pass
        """,
        resources={"memory_mb": 64},
    )
    run_id = place.wait_for_run(strategy_id, 1, "workspace_full")
    place.caller.ask(strategy_id, "stop")
    lines = place.lines(strategy_id, run_id)
    assert ("stderr", "OSError: [Errno 28] No space left on device") in lines
    channel, text = lines[-2]
    assert (channel, text.partition(" at the end")[0]) == ("system", "/workspace was full")
    assert lines[-1][1].startswith("ended with exit code 1; workspace full")
    (run, *_) = place.rows.runs(strategy_id)
    assert run.usage is not None
    assert run.usage["oom_kills"] == 0
    place.wait_for(strategy_id, "stopped")


def test_too_many_file_locks_are_called_so(place: Station) -> None:
    strategy_id = place.start(
        """
        import fcntl
        with open("locked", "wb") as file:
            for position in range(1 << 30, 0, -2):
                fcntl.lockf(file, fcntl.LOCK_EX, 1, position)
        """
    )
    run_id = place.wait_for_run(strategy_id, 1, "file_locks")
    place.caller.ask(strategy_id, "stop")
    (_, text), (_, last) = place.lines(strategy_id, run_id)[-2:]
    assert text.startswith("it held more than 1000 file locks")
    assert last.startswith("ended with signal SIGKILL; file locks")
    place.wait_for(strategy_id, "stopped")


def test_a_program_that_kills_itself_is_not_out_of_memory(place: Station) -> None:
    strategy_id = place.start("import os; os.kill(os.getpid(), 9)")
    place.wait_for_run(strategy_id, 1, "signal")
    place.caller.ask(strategy_id, "stop")
    place.wait_for(strategy_id, "stopped")


def test_secrets_arrive_and_are_masked(place: Station) -> None:
    canary = "canary-4c1d9e77"
    strategy_id = place.start(
        """
        import hashlib, os, sys
        token = os.environ["TOKEN"]
        print(hashlib.sha256(token.encode()).hexdigest())
        print("token is", token)
        print(os.environ["SEQUENCE_API_KEY"])
        sys.exit(f"died of {token}")
        """,
        secrets={"TOKEN": canary},
        sequence_api_key=place.caller.key,
    )
    place.wait_for_run(strategy_id, 1, "exit_nonzero")
    place.caller.ask(strategy_id, "stop")
    row = place.wait_for(strategy_id, "stopped")
    run_id = place.rows.runs(strategy_id)[0].run_id
    said = place.said(strategy_id, run_id)
    assert hashlib.sha256(canary.encode()).hexdigest() in said
    assert "token is [secret TOKEN]" in said
    assert "[secret SEQUENCE_API_KEY]" in said
    assert "died of [secret TOKEN]" in said
    with connect(place.environ["REDIS_URL"]) as redis:
        stored = b"".join(redis.dump(key) for key in redis.keys("logs:*"))
        redis.connection_pool.disconnect()
    for hidden in (canary, place.caller.key):
        assert hidden.encode() not in stored
        assert hidden not in str(row)


def test_secrets_that_do_not_open(place: Station) -> None:
    strategy_id = place.caller.created("sealed", secrets={"TOKEN": "t"})["strategy_id"]
    place.rows.change(strategy_id, secrets_nonce=bytes(24))
    place.caller.ask(strategy_id, "start")
    row = place.wait_for(strategy_id, "failed", "secrets_unreadable")
    assert row["desired_state"] == "stopped"
    assert row["next_restart_at"] is None
    place.wait_for_run(strategy_id, 1, "secrets_unreadable")
    assert place.lines(strategy_id)[-1][1] == (
        "the run could not start: the sealed value was altered or moved; deploy it again; "
        "failed, secrets unreadable"
    )


def test_an_artifact_that_is_not_what_was_uploaded(place: Station) -> None:
    artifact = base64_of(program("print('rotten')"))
    row = place.caller.created("rotten", artifact_base64=artifact)
    with place.rows.database.transaction() as session:
        session.execute(
            update(Artifact)
            .where(Artifact.sha256 == row["artifact_sha256"])
            .values(content=b"something else")
        )
    place.caller.ask(row["strategy_id"], "start")
    assert place.wait_for(row["strategy_id"], "failed", "artifact_corrupt")
    place.wait_for_run(row["strategy_id"], 1, "artifact_corrupt")
    assert "another SHA-256" in place.lines(row["strategy_id"])[-1][1]


def test_a_running_one_is_deleted_with_everything(place: Station) -> None:
    strategy_id = place.start(STAYS)
    place.wait_for_line(strategy_id, "ready")
    run_id = place.rows.runs(strategy_id)[0].run_id
    assert place.caller.delete(strategy_id).status_code == 200
    error(place.caller.get(f"/strategies/{strategy_id}"), 404, "NOT_FOUND")
    wait_until(lambda: not place.rows.exists(strategy_id), "the row is gone")
    redis = place.web.services.redis
    assert not redis.exists(f"logs:{run_id}", f"runs:{strategy_id}")


def test_a_replaced_one_ends_before_the_next_begins(place: Station) -> None:
    strategy_id = place.start(STAYS, name="versions")
    place.wait_for_line(strategy_id, "ready")
    assert place.start("print('second')", name="versions") == strategy_id
    place.wait_for(strategy_id, "stopped", "completed")
    first, second = place.rows.runs(strategy_id)
    assert first.reason == "restarted_by_user"
    assert first.ended_at is not None
    assert first.ended_at <= second.started_at
    place.wait_for_run(strategy_id, 2, "completed")
    assert place.said(strategy_id) == ["second"]


def test_a_flood_is_kept_in_order_and_to_the_last_line(place: Station) -> None:
    strategy_id = place.start(
        "for number in range(9000): print('line', number)", resources={"cpu_millis": 1000}
    )
    place.wait_for(strategy_id, "stopped", "completed")
    place.wait_for_run(strategy_id, 1, "completed")
    assert place.said(strategy_id) == [f"line {number}" for number in range(9000)]


def test_a_deeply_nested_manifest_arrives(place: Station) -> None:
    manifest: dict[str, object] = {}
    for _ in range(99):
        manifest = {"a": manifest}
    strategy_id = place.start(
        "import json, os; print(len(open(os.environ['SEQUENCE_STRATEGY_MANIFEST']).read()) > 400)",
        manifest=manifest,
    )
    place.wait_for(strategy_id, "stopped", "completed")
    place.wait_for_run(strategy_id, 1, "completed")
    assert place.said(strategy_id) == ["True"]


def test_an_eviction_queues_it_again(sqlite_url: str, redis_url: str) -> None:
    with station(sqlite_url, redis_url) as place:
        place.open()
        assert place.assembly is not None
        runner_id = place.assembly.identity.runner_id
        strategy_id = place.start(STAYS)
        place.wait_for_line(strategy_id, "ready")
        place.close()
        row = place.row(strategy_id)
        assert (row["status"], row["status_reason"]) == ("queued", "evicted")
        assert (row["restart_count"], row["desired_state"]) == (0, "running")
        assert place.rows.runner(runner_id) is None
        assert place.web.services.redis.llen("default") == 1
        assert control_groups(f"sequence-{place.environ['RUNNER_NAME']}*") == []
        assert place.said(strategy_id) == ["ready", "bye"]
        assert place.lines(strategy_id)[-1][1].startswith("its runner shuts down: ended with")
        place.open()
        row = place.wait_for(strategy_id, "running")
        assert place.rows.runs(strategy_id)[-1].epoch == 2
        assert place.rows.count(Runner) == 1


@pytest.mark.parametrize("is_stopping", [False, True])
def test_a_shutdown_does_not_wait_for_a_long_grace(
    sqlite_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, is_stopping: bool
) -> None:
    monkeypatch.setattr("tasks.runner._EVICTION_GRACE_S", 0.25)
    with station(sqlite_url, redis_url) as place:
        place.open()
        strategy_id = place.start(STUBBORN, stop={"grace_secs": 300})
        place.wait_for_line(strategy_id, "stubborn")
        if is_stopping:
            place.caller.ask(strategy_id, "stop")
            place.wait_for_line(strategy_id, "not now")
        place.close()
        row = place.row(strategy_id)
        expected = ("stopped", "stopped_by_user") if is_stopping else ("queued", "evicted")
        assert (row["status"], row["status_reason"]) == expected
        assert row["exit_code"] == 137


def test_a_lease_that_cannot_be_kept_ends_the_run_in_time(sqlite_url: str, redis_url: str) -> None:
    # Its start is over by then: no deadline is left but the fence.
    options = {"LEASE_SECS": 2, "HEARTBEAT_SECS": 0.3, "RUNNER_START_SECS": 0}
    with station(sqlite_url, redis_url, **options) as place:
        place.open()
        strategy_id = place.start(
            """
            import time
            print("ready")
            while True:
                print(time.time())
                time.sleep(0.05)
            """,
            files={"cleanup.py": b"print('cleaning')"},
            hooks={"on_crash": "cleanup.py"},
        )
        place.wait_for_line(strategy_id, "ready")
        with closing(
            sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            lease = place.rows.strategy(strategy_id).lease_expires_at
            assert lease is not None
            run_id = place.rows.runs(strategy_id)[0].run_id
            wait_until(
                lambda: (
                    ("system", "the lease could not be renewed: SIGKILL")
                    in place.lines(strategy_id, run_id)
                ),
                "it is fenced",
            )
            group = f"sequence-{place.environ['RUNNER_NAME']}/{run_id}"
            wait_until(lambda: not control_groups(group), "nothing of it is left")
            other.execute("ROLLBACK")
        last_sign = float(place.said(strategy_id, run_id)[-1])
        assert last_sign < lease
        wait_until(lambda: len(place.rows.runs(strategy_id)) == 2, "it is started again")
        first, second = place.rows.runs(strategy_id)
        assert (first.reason, second.epoch) == ("runner_lost", 2)
        assert place.row(strategy_id)["restart_count"] == 0
        # The lease may be another's by then: the hook is for whoever takes it next.
        wait_until(lambda: place.said(strategy_id)[:1] == ["cleaning"], "its hook comes first")
        assert not any("cleaning" in line for _, line in place.lines(strategy_id, run_id))


def test_what_a_dead_runner_left_is_taken_over_at_once(sqlite_url: str, redis_url: str) -> None:
    with station(sqlite_url, redis_url) as place:
        place.open()
        assert place.assembly is not None
        identity = place.assembly.identity
        place.close()
        # A predecessor on this very host that had no time to say goodbye.
        place.rows.add_runner("dead", host_key=identity.host_key, name=identity.name)
        strategy_id = place.start(STAYS)
        redis = place.web.services.redis
        redis.delete("default")
        place.rows.change(
            strategy_id,
            status="running",
            runner_id="dead",
            epoch=7,
            lease_expires_at=place.rows.now() + 1000,
        )
        place.open()
        place.wait_for_line(strategy_id, "ready")
        assert place.rows.runs(strategy_id)[-1].epoch == 8
        assert place.rows.runner("dead") is None


def test_a_second_runner_of_the_same_name_is_refused(second: Worker, place: Station) -> None:
    assert second.process.wait(40) != 0
    assert f"another runner named '{place.environ['RUNNER_NAME']}' is alive" in second.said
    assert "give each runner of a host its own name" in second.said
    assert "Traceback" not in second.said
    # The first one noticed nothing of it.
    place.wait_for(place.start("print('still here')"), "stopped", "completed")
