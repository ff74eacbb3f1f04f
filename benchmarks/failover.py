"""What an owner waits for when something ends: a stop, a runner's death, a runner's return."""

import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.embedded import Platform, running
from benchmarks.report import Row

Found = TypeVar("Found")

STOPS = 20
KILLS = 3
STRATEGIES = 10
_ROOT = Path(__file__).resolve().parents[1]
_READY_WITHIN_S = 30.0

_SAYS_WHEN_STOPPED = """\
import signal, sys, time
def stop(*_):
    print(time.time(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
while True:
    signal.pause()
"""
_SAYS_WHEN_STARTED = """\
import signal, time
print(time.time(), flush=True)
signal.pause()
"""


def stop_to_sigterm(platform: Platform) -> Row:
    """From the request to stop until the strategy's own handler of SIGTERM."""
    strategy_id = platform.create("stops", _SAYS_WHEN_STOPPED)
    samples = []
    for epoch in range(1, STOPS + 1):
        with platform.follow(strategy_id, f"{epoch}-0") as lines:
            platform.start(strategy_id)
            next(lines)
            asked_at = time.time()
            platform.call("POST", f"/v1/strategies/{strategy_id}/stop")
            _, told_at = next(lines)
        samples.append((float(told_at) - asked_at) * 1000)
        platform.wait_for(strategy_id, "stopped")
    return Row("stop asked -> SIGTERM in the strategy", samples, "ms", 250)


def rows() -> list[Row]:
    """Runners that are killed: one that comes back, and some whose strategies go elsewhere."""
    return [_same_host(), *_elsewhere()]


def _same_host() -> Row:
    """SIGKILL to the only runner; counted from the start of the process that takes its place."""
    samples: list[float] = []
    with running() as platform:
        ids = _started(platform)
        for epoch in range(1, KILLS + 1):
            pid = _runner_pid(platform)
            os.kill(pid, signal.SIGKILL)
            # Its supervisor waits longer each time before it starts another.
            _wait(partial(_runner_pid, platform, but=pid), "another runner")
            began_at = time.time()
            samples.append(max(_first_sign(platform, one, epoch + 1) for one in ids) - began_at)
    return Row(f"runner started again, same host -> all {STRATEGIES} run", samples, "s", 3)


def _elsewhere() -> list[Row]:
    """SIGKILL to one of two runners; the other one learns of it by the leases alone."""
    samples: list[float] = []
    with running(RUNNER_QUEUES="kalshi") as platform, _runner(platform, "bench-0") as first:
        ids, current = _started(platform), first
        for number in range(1, KILLS + 1):
            with _runner(platform, f"bench-{number}", lasting=True) as successor:
                # Anywhere between two beats.
                time.sleep(random.uniform(0, 3))
                samples += _killed(platform, current, ids, number)
                current = successor
        os.kill(current, signal.SIGTERM)
        os.waitpid(current, 0)
    tenths = " ".join(f"{one:.1f}" for one in statistics.quantiles(samples, n=10))
    return [
        Row("runner killed -> running elsewhere", samples, "s", 15, f"deciles {tenths}"),
        Row("the same, the slowest", [max(samples)], "s", 20),
    ]


def _started(platform: Platform) -> list[str]:
    ids = [platform.create(f"lives-{number}", _SAYS_WHEN_STARTED) for number in range(STRATEGIES)]
    for strategy_id in ids:
        platform.start(strategy_id)
    for strategy_id in ids:
        _first_sign(platform, strategy_id, 1)
    return ids


def _killed(platform: Platform, pid: int, ids: list[str], epoch: int) -> list[float]:
    """Kill this runner; seconds until the next run of each began, by its own clock."""
    killed_at = time.time()
    os.kill(pid, signal.SIGKILL)
    return [_first_sign(platform, one, epoch + 1) - killed_at for one in ids]


def _first_sign(platform: Platform, strategy_id: str, epoch: int) -> float:
    with platform.follow(strategy_id, f"{epoch}-0") as lines:
        return float(next(lines)[1])


@contextmanager
def _runner(platform: Platform, name: str, *, lasting: bool = False) -> Iterator[int]:
    """Another runner of this platform, for the default queue; its process id once it is ready."""
    environ = _environ_of(platform.pids["runner"])
    number = int(name.rpartition("-")[2])
    environ |= {
        "RUNNER_NAME": name,
        "RUNNER_QUEUES": "default",
        "RUNNER_FIRST_UID": str(1_700_000_000 + number * 1000),
    }
    line = re.search(r"^runner: (.*)$", (_ROOT / "Procfile").read_text(), re.MULTILINE)
    assert line is not None
    log = Path(environ["DATABASE_URL"].removeprefix("sqlite:///")).with_name(f"{name}.log")
    with log.open("wb") as output:
        command = ["sh", "-c", f"exec {line[1]}"]
        process = subprocess.Popen(command, cwd=_ROOT, env=environ, stdout=output, stderr=output)
    try:
        _wait(lambda: re.search(r"@\S+ ready\.", log.read_text(errors="replace")), f"{name} ready")
        yield process.pid
    finally:
        if not lasting:
            process.terminate()
            process.wait(30)


def _runner_pid(platform: Platform, but: int = 0) -> int:
    """The runner that is there now; 0 when there is none, or only this one."""
    mark = f"DATABASE_URL=sqlite:///{platform.folder}/".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_runner = b"tasks.worker" in (folder / "cmdline").read_bytes()
            if is_runner and int(folder.name) != but and mark in (folder / "environ").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    return 0


def _environ_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _wait(look: Callable[[], Found], what: str) -> Found:
    until = time.monotonic() + _READY_WITHIN_S
    while not (found := look()):
        if time.monotonic() > until:
            sys.exit(f"not within {_READY_WITHIN_S:.0f} s: {what}")
        time.sleep(0.02)
    return found
