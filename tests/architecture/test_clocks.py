"""What is counted in seconds is counted on the monotonic clock: a clock step must not touch it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Time-outs, graces, fences: everything between the start of a run and its end.
WATCHERS = [
    "tasks/supervision.py",
    "tasks/control.py",
    "tasks/heartbeat.py",
    "tasks/runner.py",
    "sandbox/running.py",
    "sandbox/status.py",
    "sandbox/launch.py",
]
WALL_CLOCKS = {"time", "time_ns", "localtime", "gmtime", "CLOCK_REALTIME", "now", "utcnow", "today"}


def readings(path: Path) -> Iterator[str]:
    """Each use of the wall clock, by attribute or by imported name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in WALL_CLOCKS:
            yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("name", WATCHERS)
def test_nothing_that_watches_a_run_reads_the_wall_clock(name: str) -> None:
    assert list(readings(ROOT / name)) == []


def test_a_use_would_be_found(tmp_path: Path) -> None:
    source = tmp_path / "late.py"
    source.write_text("import time\nfrom time import time as t\nx = time.time() + 1\n")
    assert len(list(readings(source))) == 2
