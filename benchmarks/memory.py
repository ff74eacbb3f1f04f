"""What a running strategy costs beyond its own interpreter.

PSS (each shared page divided by those who share it) of every process of the platform and of every
process of the sandboxes but the strategies' interpreters, with and without the strategies.
"""

from pathlib import Path

from benchmarks.embedded import Platform
from benchmarks.report import Row

STRATEGIES = 20

_IDLE = """\
import time
print("up", flush=True)
while True:
    time.sleep(60)
"""


def per_strategy(platform: Platform) -> Row:
    """KiB for each of 20 idle strategies."""
    # One first, for what is only needed once.
    warm = platform.create("memory-warm", _IDLE)
    platform.start(warm)
    platform.wait_for(warm, "running")
    before = _kib_beyond_interpreters(platform)
    started = [platform.create(f"memory-{number}", _IDLE) for number in range(STRATEGIES)]
    for strategy_id in started:
        with platform.follow(strategy_id, "1-0") as lines:
            platform.start(strategy_id)
            next(lines)
    after = _kib_beyond_interpreters(platform)
    for strategy_id in (warm, *started):
        platform.stop_and_wait(strategy_id)
    note = "PSS of platform, bwrap and relay; interpreters left out"
    return Row(
        "memory per running strategy", [(after - before) / STRATEGIES / 1024], "MiB", note=note
    )


def _kib_beyond_interpreters(platform: Platform) -> int:
    roots = set(platform.pids.values())
    return sum(_pss_kib(pid) for pid in _descendants(roots) if not _is_strategy(pid))


def _descendants(roots: set[int]) -> set[int]:
    parents = {int(path.name): _parent(path) for path in Path("/proc").glob("[0-9]*")}
    found = set(roots)
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _is_strategy(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return command[1:3] == [b"-u", b"main.py"]


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
