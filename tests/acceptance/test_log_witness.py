"""Every line once, whatever dies meanwhile: a program numbers its lines, and commands follow it."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .dev_platform import DevPlatform
from .support import wait_for
from .test_dev_recovery import RUNS_AGAIN_WITHIN_S, kill

NUMBERS = """
import itertools, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
for number in itertools.count():
    print(os.environ["SEQUENCE_RUN_EPOCH"], number)
    time.sleep(0.002)
"""
FOLLOWERS = 3
_MARKER = re.compile(r"(\d+) lines (?:of this run are not kept any more|.*were dropped here)")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[DevPlatform]:
    platform = DevPlatform(tmp_path)
    try:
        platform.start()
        yield platform
    finally:
        platform.close()


class Reader:
    """`sequence strategy logs NAME --follow --json`, which reconnects by itself."""

    def __init__(self, platform: DevPlatform, name: str, folder: Path) -> None:
        self.path = folder / f"follow-{name}"
        arguments = ["strategy", "logs", "numbers", "--follow", "--json"]
        with self.path.open("wb") as out, (folder / f"notes-{name}").open("wb") as notes:
            self.process = platform.command_line().spawn(*arguments, stdout=out, stderr=notes)

    @property
    def records(self) -> list[dict]:
        lines = self.path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def goes_on(self, platform: DevPlatform) -> None:
        """Until it has a line that was written after now."""
        seen = len(self.records)
        wait_for("more lines", lambda: len(self.records) > seen, RUNS_AGAIN_WITHIN_S)
        assert platform.is_ready() or self.process.poll() is None


def check(records: list[dict]) -> int:
    """That each number came once, in order, or is counted by a marker; how many came."""
    expected: dict[str, int] = {}
    came = 0
    for record in records:
        epoch = record["id"].partition("-")[0]
        place = expected.setdefault(epoch, 0)
        if record["stream"] == "stdout":
            assert record["line"] == f"{epoch} {place}"
            expected[epoch] = place + 1
            came += 1
        elif match := _MARKER.match(record["line"]):
            expected[epoch] = place + int(match[1])
    ids = [tuple(map(int, record["id"].split("-"))) for record in records]
    assert ids == sorted(set(ids))
    return came


def test_every_number_once_while_everything_is_killed(mortal: DevPlatform, tmp_path: Path) -> None:
    strategy_id = mortal.live.create("numbers", NUMBERS)["strategy_id"]
    mortal.live.wait_line(strategy_id, "1 ")
    readers = [Reader(mortal, str(number), tmp_path) for number in range(FOLLOWERS)]
    try:
        for name in ("web", "redis", "runner", "scheduler"):
            for reader in readers:
                reader.goes_on(mortal)
            kill(mortal, name)
        for reader in readers:
            reader.goes_on(mortal)
        mortal.live.stopped(strategy_id)
        for reader in readers:
            assert reader.process.wait(RUNS_AGAIN_WITHIN_S) == 0
    finally:
        for reader in readers:
            if reader.process.poll() is None:
                reader.process.send_signal(signal.SIGKILL)
                reader.process.wait()
    everything = mortal.live.history(strategy_id)
    assert check(everything) > 100
    for reader in readers:
        assert check(reader.records) > 100
        assert {record["id"].partition("-")[0] for record in reader.records} == {"1", "2"}
