"""A child of `sequence dev` that dies is started again, and no strategy ever runs twice."""

import os
import signal
from collections.abc import Iterator

import pytest

from .dev_platform import DevPlatform
from .programs import lives, witness
from .support import wait_for

RUNS_AGAIN_WITHIN_S = 25.0


@pytest.fixture(scope="module")
def hardy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevPlatform]:
    """A platform whose children are killed."""
    platform = DevPlatform(tmp_path_factory.mktemp("hardy"))
    try:
        platform.start()
        yield platform
    finally:
        platform.close()


def kill(platform: DevPlatform, name: str) -> int:
    """Kill a child, and return once another is in its place and all is ready; its new pid."""
    before = platform.pids()[name]
    told = platform.stderr.count(f"{name} ended")
    os.kill(before, signal.SIGKILL)
    wait_for(f"the line about {name}", lambda: platform.stderr.count(f"{name} ended") > told, 5)
    line = platform.stderr.splitlines()[-1]
    assert "signal 9" in line
    assert "starting it again" in line
    wait_for(
        f"another {name}", lambda: platform.pids().get(name, before) != before, RUNS_AGAIN_WITHIN_S
    )
    wait_for("a ready platform", platform.is_ready, RUNS_AGAIN_WITHIN_S)
    return platform.pids()[name]


@pytest.mark.parametrize("name", ["web", "scheduler", "redis"])
def test_a_strategy_lives_on_while_another_process_is_killed(hardy: DevPlatform, name: str) -> None:
    others = {other: pid for other, pid in hardy.pids().items() if other != name}
    strategy_id = hardy.live.create(f"lives-through-{name}", witness())["strategy_id"]
    hardy.live.wait_line(strategy_id, "{")
    kill(hardy, name)
    assert {other: pid for other, pid in hardy.pids().items() if other != name} == others

    fresh = hardy.live.create(f"new-after-{name}", "print('new')")["strategy_id"]
    hardy.live.wait(fresh, RUNS_AGAIN_WITHIN_S, status="stopped", status_reason="completed")
    row = hardy.live.row(strategy_id)
    assert (row["status"], row["restart_count"]) == ("running", 0)
    hardy.live.stopped(strategy_id)
    ((epoch, _, _),) = lives(hardy.live.history(strategy_id))
    assert epoch == 1


def test_a_killed_runner_gives_its_strategies_to_the_next(hardy: DevPlatform) -> None:
    strategy_id = hardy.live.create("taken-over", witness())["strategy_id"]
    hardy.live.wait_line(strategy_id, "{")
    kill(hardy, "runner")
    hardy.live.wait_line(strategy_id, '{"epoch": 2', RUNS_AGAIN_WITHIN_S)
    assert hardy.live.row(strategy_id)["restart_count"] == 0
    hardy.live.stopped(strategy_id)
    (first, _, _), (second, _, _) = lives(hardy.live.history(strategy_id))
    assert (first, second) == (1, 2)


def test_a_due_restart_comes_after_the_scheduler_does(hardy: DevPlatform) -> None:
    program = "import os, sys\nprint(os.environ['SEQUENCE_RUN_EPOCH'])\n"
    strategy_id = hardy.live.create("due", f"{program}sys.exit(9)\n")["strategy_id"]
    hardy.live.wait(strategy_id, status="failed", restart_count=1)
    kill(hardy, "scheduler")
    hardy.live.wait_line(strategy_id, "3", RUNS_AGAIN_WITHIN_S)
    hardy.live.delete(strategy_id)
