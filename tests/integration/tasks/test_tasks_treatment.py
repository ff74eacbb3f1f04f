"""A runner with real sandboxes, and strategies that say how they want to be treated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.redis_server import RedisServer
from support.runner import Station, station

from tasks.identity import identify

FAST = {"cpu_millis": 1000}
STAYS = """
    import signal, sys
    signal.signal(signal.SIGTERM, lambda *_: (print("bye"), sys.exit(0)))
    print("ready")
    while True:
        signal.pause()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Station]:
    """One runner for all tests that do not end it; a Redis database of its own."""
    folder = tmp_path_factory.mktemp("runner")
    (folder / "sequence.db").write_bytes(migrated_sqlite.read_bytes())
    server = RedisServer(folder / "redis").start()
    with station(f"sqlite:///{folder}/sequence.db", server.url) as made:
        made.open()
        yield made
    server.kill()


def test_one_that_says_nothing_shows_its_stacks_and_is_restarted(place: Station) -> None:
    strategy_id = place.start(
        """
        import os, threading, time
        def waits_for_an_answer():
            threading.Event().wait()
        if os.environ["SEQUENCE_RUN_EPOCH"] == "1":
            threading.Thread(target=waits_for_an_answer).start()
            time.sleep(1000)
        """,
        watchdog={"silence_secs": 1},
        resources=FAST,
    )
    place.wait_for(strategy_id, "stopped", "completed")
    run_id = place.wait_for_run(strategy_id, 1, "stalled")
    lines = place.lines(strategy_id, run_id)
    assert lines[1][1].startswith("no output for 1 s (hosted.watchdog.silence_secs)")
    stacks = "\n".join(text for channel, text in lines if channel == "stderr")
    assert "in waits_for_an_answer" in stacks
    assert 'File "/workspace/main.py", line 7 in <module>' in stacks
    assert lines[-1][1] == "stalled: ended with signal SIGTERM; stalled, restarts now"
    assert place.row(strategy_id)["restart_count"] >= 1


def test_one_that_cannot_show_its_stacks_is_restarted_all_the_same(place: Station) -> None:
    """It is another program by then, and ignores SIGTERM."""
    strategy_id = place.start(
        """
        import os, signal
        if os.environ["SEQUENCE_RUN_EPOCH"] == "1":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            wait = "import time; time.sleep(1000)"
            os.execv("/usr/bin/python3", ["python3", "-c", wait])
        """,
        watchdog={"silence_secs": 1},
        resources=FAST,
    )
    place.wait_for(strategy_id, "stopped", "completed")
    run_id = place.wait_for_run(strategy_id, 1, "stalled")
    said = [text for _, text in place.lines(strategy_id, run_id)]
    assert "its first process is not a Python that could show its stacks" in said
    assert "still running after its grace of 1 s: SIGKILL" in said
    assert said[-1] == "stalled: ended with signal SIGKILL; stalled, restarts now"


HANGS = b"import signal; print('hanging'); signal.pause()"
CLEANUP = b"""
import os
environ = os.environ
print("cleaning after", environ["SEQUENCE_EXIT_REASON"], environ["SEQUENCE_RUN_EPOCH"])
print("token is", environ["TOKEN"])
"""


def test_a_stop_is_followed_by_its_hook(place: Station) -> None:
    strategy_id = place.start(
        STAYS,
        files={"cleanup.py": CLEANUP},
        hooks={"on_stop": "./cleanup.py"},
        secrets={"TOKEN": "canary-77aa"},
        resources=FAST,
    )
    place.wait_for_line(strategy_id, "ready")
    place.caller.ask(strategy_id, "stop")
    row = place.wait_for(strategy_id, "stopped", "stopped_by_user")
    place.wait_for_run(strategy_id, 1, "stopped_by_user")
    assert [text for _, text in place.lines(strategy_id)][2:] == [
        "bye",
        "hook on_stop starts: cleanup.py, after stopped_by_user",
        "cleaning after stopped_by_user 1",
        "token is [secret TOKEN]",
        "hook on_stop ended with exit code 0",
        "ended with exit code 0; stopped, stopped by user",
    ]
    assert row["hooks"] == {"on_stop": "cleanup.py"}


def test_a_crash_is_followed_by_its_hook_before_the_restart(place: Station) -> None:
    """A hook that fails, even in another way than by an exit, holds nothing up."""
    source = """
        import os
        print("life", os.environ["SEQUENCE_RUN_EPOCH"])
        if os.environ["SEQUENCE_RUN_EPOCH"] == "1":
            os.kill(os.getpid(), 9)
    """
    failing = b"import os; print(os.environ['SEQUENCE_EXIT_REASON']); os.abort()"
    strategy_id = place.start(
        source,
        files={"cleanup.py": failing},
        hooks={"on_crash": "cleanup.py"},
        resources=FAST,
    )
    place.wait_for(strategy_id, "stopped", "completed")
    run_id = place.wait_for_run(strategy_id, 1, "signal")
    assert [text for _, text in place.lines(strategy_id, run_id)][1:] == [
        "life 1",
        "hook on_crash starts: cleanup.py, after signal",
        "signal",
        "hook on_crash ended with signal SIGABRT",
        "ended with signal SIGKILL; signal, restarts now",
    ]
    # The second run ends well, and there is no hook for that.
    place.wait_for_run(strategy_id, 2, "completed")
    assert place.said(strategy_id) == ["life 2"]


def test_a_hook_has_its_time_and_no_more(place: Station) -> None:
    """A stop that comes meanwhile waits for it and still wins against the restart."""
    strategy_id = place.start(
        "raise SystemExit(3)",
        files={"cleanup.py": HANGS},
        hooks={"on_crash": "cleanup.py", "timeout_secs": 1},
        resources=FAST,
    )
    place.wait_for_line(strategy_id, "hanging")
    assert place.caller.ask(strategy_id, "stop")["status"] == "running"
    place.wait_for(strategy_id, "stopped", "stopped_by_user")
    place.wait_for_run(strategy_id, 1, "stopped_by_user")
    assert [text for _, text in place.lines(strategy_id)][3:] == [
        "time-out: 1 s are over; SIGTERM",
        "hook on_crash ended with signal SIGTERM",
        "ended with exit code 3; stopped, stopped by user",
    ]


def test_hooks_of_a_lost_runner_and_of_an_eviction(sqlite_url: str, redis_url: str) -> None:
    with station(sqlite_url, redis_url) as place:
        both = {"hooks": {"on_stop": "cleanup.py", "on_crash": "cleanup.py"}, "env": {"TOKEN": "t"}}
        runs, stops = [
            place.start(STAYS, files={"cleanup.py": CLEANUP}, resources=FAST, **both)
            for _ in range(2)
        ]
        hangs = place.start(
            STAYS, files={"hang.py": HANGS}, resources=FAST, hooks={"on_stop": "hang.py"}
        )
        # A predecessor on this very host that had no time to say goodbye.
        identity = identify(place.environ["RUNNER_NAME"])
        place.rows.add_runner("dead", host_key=identity.host_key, name=identity.name)
        place.web.services.redis.delete("default")
        lease = {"runner_id": "dead", "lease_expires_at": place.rows.now() + 1000}
        for strategy_id in (runs, stops, hangs):
            place.rows.change(strategy_id, status="running", epoch=1, **lease)
        assert place.caller.ask(stops, "stop")["status"] == "running"
        place.open()
        for strategy_id in (runs, hangs):
            place.wait_for_line(strategy_id, "ready")
        assert place.said(runs) == ["cleaning after runner_lost 2", "token is t", "ready"]
        assert place.said(hangs) == ["ready"]
        place.wait_for_run(stops, 2, "stopped_by_user")
        assert place.row(stops)["status"] == "stopped"
        assert place.said(stops) == ["cleaning after runner_lost 2", "token is t"]
        last = place.lines(stops)[-1][1]
        assert last == "the program was not started; stopped, stopped by user"
        place.close()
        for strategy_id, due in ((runs, None), (hangs, "evicted")):
            row = place.rows.strategy(strategy_id)
            assert (row.status, row.status_reason, row.hook_due) == ("queued", "evicted", due)
        assert place.said(runs)[3:] == ["bye", "cleaning after evicted 2", "token is t"]
        assert place.said(hangs)[:2] == ["ready", "bye"]
