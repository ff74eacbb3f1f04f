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
_WRITES = """\
import time
while True:
    print(time.time(), flush=True)
    time.sleep(0.02)
"""


def start_to_first_line(platform: Platform) -> Row:
    """From the answer to `POST .../start` until a follower has the strategy's first line."""
    strategy_id = platform.create("first-line", _STARTS)
    samples = []
    for epoch in range(1, RUNS + 1):
        with platform.follow(strategy_id, f"{epoch}-0") as lines:
            answered_at = platform.start(strategy_id)
            arrived_at, _ = next(lines)
        samples.append((arrived_at - answered_at) * 1000)
        platform.stop_and_wait(strategy_id)
    return Row("start answered -> first line at a follower", samples, "ms", 100)


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
