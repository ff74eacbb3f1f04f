"""From a start to the first line, and from a written line to a follower."""

from benchmarks.embedded import Platform
from benchmarks.report import Row

RUNS = 30
LINES = 200

_STARTS = """\
import time
print(time.time(), flush=True)
while True:
    time.sleep(60)
"""
_IMPORTS_CLIENT = """\
import json, ssl, time, urllib.request  # what the published client imports
print(time.time(), flush=True)
while True:
    time.sleep(60)
"""
_CRASHES = """\
import os, sys, time
print(time.time(), flush=True)
if int(os.environ["SEQUENCE_RUN_EPOCH"]) % 2:
    sys.exit(1)
while True:
    time.sleep(60)
"""
_WRITES = """\
import time
while True:
    print(time.time(), flush=True)
    time.sleep(0.02)
"""


def start_to_first_line(platform: Platform) -> Row:
    """From the answer to `POST .../start` until a follower has the strategy's first line."""
    name = "start answered -> first line at a follower"
    return Row(name, _starts(platform, "first-line", _STARTS), "ms", 100)


def start_with_client(platform: Platform) -> Row:
    """The same for a strategy that first imports what the published client imports."""
    name = "the same, after importing the client's libraries"
    return Row(name, _starts(platform, "with-client", _IMPORTS_CLIENT), "ms")


def crash_to_running_again(platform: Platform) -> Row:
    """From a crash by the strategy's clock until a follower has the next run's first line."""
    strategy_id = platform.create("crash", _CRASHES)
    samples = []
    for epoch in range(1, 2 * RUNS, 2):
        with platform.follow(strategy_id, f"{epoch}-0") as lines:
            platform.start(strategy_id)
            _, crashed_at = next(lines)
            back_at, _ = next(lines)
        samples.append((back_at - float(crashed_at)) * 1000)
        platform.stop_and_wait(strategy_id)
    return Row("crash -> first line of the next run", samples, "ms", 500)


def _starts(platform: Platform, name: str, source: str) -> list[float]:
    strategy_id = platform.create(name, source)
    samples = []
    for epoch in range(1, RUNS + 1):
        with platform.follow(strategy_id, f"{epoch}-0") as lines:
            answered_at = platform.start(strategy_id)
            arrived_at, _ = next(lines)
        samples.append((arrived_at - answered_at) * 1000)
        platform.stop_and_wait(strategy_id)
    return samples


def write_to_follower(platform: Platform) -> Row:
    """From the strategy's own clock just before a line is written until a follower has it."""
    strategy_id = platform.create("write-line", _WRITES)
    with platform.follow(strategy_id, "1-0") as lines:
        platform.start(strategy_id)
        samples = []
        for _ in range(LINES):
            arrived_at, line = next(lines)
            samples.append((arrived_at - float(line)) * 1000)
    platform.stop_and_wait(strategy_id)
    return Row("line written -> line at a follower", samples, "ms", 20)
