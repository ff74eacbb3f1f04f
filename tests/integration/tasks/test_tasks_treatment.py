"""A runner with real sandboxes, and strategies that say how they want to be treated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.redis_server import RedisServer
from support.runner import Station, station

FAST = {"cpu_millis": 1000}


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
    assert "still running after its grace: SIGKILL" in said
    assert said[-1] == "stalled: ended with signal SIGKILL; stalled, restarts now"
