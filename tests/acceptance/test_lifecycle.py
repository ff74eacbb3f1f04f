"""How strategies end, come back and stay away."""

import json
import sqlite3
import time
from contextlib import closing
from urllib.parse import urlsplit

from .conftest import GRACE_S, NOWHERE, on_both_databases
from .dev_platform import DevPlatform
from .processes import of_strategy
from .programs import lives, witness
from .support import Api, said, wait_for

CRASHES_TWICE = """
import os, sys, time
print("epoch", os.environ["SEQUENCE_RUN_EPOCH"])
if int(os.environ["SEQUENCE_RUN_EPOCH"]) <= 2:
    sys.exit(3)
time.sleep(60)
"""
FAILS_THE_SAME_WAY = "raise ValueError('always this one')\n"
EATS_MEMORY = "eaten = []\nwhile True:\n    eaten.append(b'x' * (1 << 20))\n"
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf")
time.sleep(60)
"""


@on_both_databases
def test_exit_zero_is_the_end(api: Api) -> None:
    strategy_id = api.create("done", "print('done')")["strategy_id"]
    row = api.wait(strategy_id, status="stopped")
    assert (row["status_reason"], row["exit_code"]) == ("completed", 0)
    assert (row["desired_state"], row["restart_count"]) == ("stopped", 0)
    api.delete(strategy_id)


@on_both_databases
def test_a_failure_comes_back_at_once_then_later(api: Api) -> None:
    strategy_id = api.create("crashes", CRASHES_TWICE)["strategy_id"]
    failed = api.wait(strategy_id, status="failed")
    assert (failed["status_reason"], failed["exit_code"]) == ("exit_nonzero", 3)
    assert (failed["restart_count"], failed["desired_state"]) == (1, "running")
    assert 0 <= failed["next_restart_at"] - time.time() <= 2
    api.wait_line(strategy_id, "epoch 3")
    row = api.row(strategy_id)
    assert (row["status"], row["restart_count"]) == ("running", 2)
    assert row["next_restart_at"] is None
    assert row["run_id"] != failed["run_id"]
    api.stopped(strategy_id)
    history = api.history(strategy_id)
    assert said(history) == ["epoch 1", "epoch 2", "epoch 3"]
    first, second, third = dict.fromkeys(record["run_id"] for record in history)
    assert [second, third] == [failed["run_id"], row["run_id"]]
    assert _pause_s(history, first, second) < 1
    assert 0.5 < _pause_s(history, second, third) < 3
    api.delete(strategy_id)


def _pause_s(history: list[dict[str, object]], before: str, after: str) -> float:
    end = max(int(str(r["ts_ms"])) for r in history if r["run_id"] == before)
    begin = min(int(str(r["ts_ms"])) for r in history if r["run_id"] == after)
    return (begin - end) / 1000


def test_a_crash_loop_ends_failed(platform: DevPlatform) -> None:
    """The pauses between the failures are minutes, so the database's clock is helped on."""
    api, cli = platform.live, platform.command_line()
    strategy_id = api.create("loops", FAILS_THE_SAME_WAY)["strategy_id"]
    with cli.begin("strategy", "logs", strategy_id, "--follow") as follower:
        _hurry_to_the_crash_loop(platform, strategy_id)
        row = api.row(strategy_id)
        assert (row["status"], row["desired_state"]) == ("failed", "stopped")
        assert (row["next_restart_at"], row["restart_count"], row["exit_code"]) == (None, 9, 1)
        stdout, stderr = follower.communicate(timeout=20)
    assert "ValueError: always this one" in stdout
    assert "crash_loop" in stderr
    assert follower.returncode == 1, "the status of the strategy"
    errors = [r["line"] for r in api.history(strategy_id) if r["stream"] == "stderr"]
    assert errors.count("ValueError: always this one") == 10
    assert api.start(strategy_id)["restart_count"] == 0, "a start by hand begins anew"
    api.wait(strategy_id, status="failed", restart_count=1)
    api.delete(strategy_id)


def _hurry_to_the_crash_loop(platform: DevPlatform, strategy_id: str) -> None:
    database = urlsplit(platform.facts["database_url"]).path.removeprefix("/")
    due_now = "UPDATE strategies SET next_restart_at = 1 WHERE next_restart_at > 1"
    with closing(sqlite3.connect(database, timeout=10)) as connection:

        def hurry() -> bool:
            with connection:
                connection.execute(f"{due_now} AND strategy_id = ?", (strategy_id,))
            return bool(platform.live.row(strategy_id)["status_reason"] == "crash_loop")

        wait_for("the end of the crash loop", hurry, 30)


@on_both_databases
def test_out_of_memory_is_named(api: Api) -> None:
    row = api.create("eats", EATS_MEMORY, resources={"memory_mb": 64})
    row = api.wait(row["strategy_id"], status="failed")
    assert (row["status_reason"], row["desired_state"]) == ("oom", "running")
    assert row["exit_code"] == 137
    assert row["restart_count"] >= 1
    assert "out of memory" in api.lines(row["strategy_id"])[-1]["line"]
    api.delete(row["strategy_id"])


@on_both_databases
def test_a_time_out_is_final(api: Api) -> None:
    row = api.create("too-long", witness(), resources={"timeout_secs": 2})
    history = api.history(row["strategy_id"])
    row = api.row(row["strategy_id"])
    assert (row["status"], row["status_reason"]) == ("failed", "timeout")
    assert (row["desired_state"], row["next_restart_at"]) == ("stopped", None)
    ((epoch, begin, end),) = lives(history)
    assert epoch == 1
    # The start of Python, which a busy machine draws out, is part of its time.
    assert 0.8 < end - begin < 2 + GRACE_S
    assert json.loads(said(history)[-1])["event"] == "ends"
    api.delete(row["strategy_id"])


@on_both_databases
def test_a_stop_takes_less_than_a_second(api: Api) -> None:
    strategy_id = api.create("obeys", witness())["strategy_id"]
    api.wait_line(strategy_id, "{")
    asked_at = time.monotonic()
    row = api.stopped(strategy_id)
    assert time.monotonic() - asked_at < 1
    assert (row["status_reason"], row["exit_code"]) == ("stopped_by_user", 0)
    assert json.loads(said(api.history(strategy_id))[-1])["event"] == "ends"
    api.delete(strategy_id)


@on_both_databases
def test_one_that_ignores_the_stop_is_killed_after_its_grace(api: Api) -> None:
    strategy_id = api.create("deaf", DEAF)["strategy_id"]
    api.wait_line(strategy_id, "deaf")
    asked_at = time.monotonic()
    row = api.stopped(strategy_id)
    assert GRACE_S - 0.1 < time.monotonic() - asked_at < GRACE_S + 1.5
    assert (row["status_reason"], row["exit_code"]) == ("stopped_by_user", 137)
    words = [r["line"] for r in api.lines(strategy_id) if r["stream"] == "system"]
    assert "SIGKILL" in words[1]
    api.delete(strategy_id)


@on_both_databases
def test_deleting_a_running_one_ends_it_first(api: Api) -> None:
    strategy_id = api.create("deleted", witness(last_words_s=0.5))["strategy_id"]
    with api.follow(strategy_id) as follow:
        events = follow.events()
        assert "begins" in next(e.data["line"] for e in events if e.data["stream"] == "stdout")
        api.delete(strategy_id)
        assert api.call("GET", f"/v1/strategies/{strategy_id}").status == 404
        assert [event.data["status"] for event in events if event.kind == "end"] == ["deleted"]
    wait_for("the end of its program", lambda: not of_strategy(strategy_id))
    again = api.create("deleted", witness())["strategy_id"]
    assert again != strategy_id
    api.wait_line(again, "{")
    api.delete(again)


@on_both_databases
def test_a_new_version_starts_only_when_the_old_one_is_gone(api: Api) -> None:
    old = api.create("versions", witness(last_words_s=0.7))
    strategy_id = old["strategy_id"]
    api.wait_line(strategy_id, "{")
    new = api.create("versions", witness(version=2), env={"NEW": "yes"})
    assert new["strategy_id"] == strategy_id
    assert new["artifact_sha256"] != old["artifact_sha256"]
    api.wait_line(strategy_id, '{"epoch": 2')
    row = api.row(strategy_id)
    assert (row["status"], row["restart_count"]) == ("running", 0)
    assert row["env"] == {"NEW": "yes"}
    api.stopped(strategy_id)
    history = api.history(strategy_id)
    assert [epoch for epoch, _, _ in lives(history)] == [1, 2]
    assert [json.loads(line)["event"] for line in said(history)].count("ends") == 2
    api.delete(strategy_id)


@on_both_databases
def test_a_start_while_stopping_waits_for_the_end(api: Api) -> None:
    strategy_id = api.create("again", witness(last_words_s=0.7))["strategy_id"]
    api.wait_line(strategy_id, "{")
    stopping = api.stop(strategy_id)
    assert (stopping["status"], stopping["desired_state"]) == ("running", "stopped")
    starting = api.start(strategy_id)
    assert (starting["status"], starting["desired_state"]) == ("running", "running")
    api.wait_line(strategy_id, '{"epoch": 2')
    api.stopped(strategy_id)
    assert [epoch for epoch, _, _ in lives(api.history(strategy_id))] == [1, 2]
    api.delete(strategy_id)


@on_both_databases
def test_a_stop_while_queued_means_that_it_never_runs(api: Api) -> None:
    placement = {"latency_target": [NOWHERE]}
    row = api.create("waits", witness(), placement=placement)
    assert (row["status"], row["latency_target"]) == ("queued", NOWHERE)
    row = api.stop(row["strategy_id"])
    assert (row["status"], row["status_reason"]) == ("stopped", "stopped_by_user")
    assert row["run_id"] is None
    api.delete(row["strategy_id"])


@on_both_databases
def test_the_next_preferred_target_is_taken_when_the_first_has_no_runner(api: Api) -> None:
    row = api.create("prefers", "", placement={"latency_target": [NOWHERE, "coinbase"]})
    assert row["latency_target"] == "coinbase"
    api.wait(row["strategy_id"], status="stopped", status_reason="completed")
    api.delete(row["strategy_id"])
