"""A file system that is full is told from one that is not, by what the kernel counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from sealed import Box, Result

MIB = 1 << 20
FILL = """
import errno, json, sys
def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError as error:
            return error.errno
"""
FILES = """
import json
def make(directory):
    count = 0
    try:
        while True:
            open(f"{directory}/{count}", "wb").close()
            count += 1
    except OSError as error:
        return [count, error.errno]
"""


def fill(box: Box, source: str, **limits: int) -> Result:
    return box.run(FILL + source, memory_bytes=256 * MIB, **limits)


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/workspace", "workspace_bytes"), ("/tmp", "tmp_bytes"), ("/dev/shm", "shm_bytes")],
)
def test_one_that_is_full_is_named(box: Box, path: str, limit: str) -> None:
    result = fill(box, f"print(fill('{path}/x'))\nraise SystemExit(4)", **{limit: 4 * MIB})
    assert result.seen == 28
    assert result.outcome.exit_code == 4
    assert result.outcome.full == (path,)
    assert result.outcome.workspace_full == (path == "/workspace")


def test_one_that_was_emptied_again_is_not(box: Box) -> None:
    source = "import os\nprint(fill('x'))\nos.unlink('x')"
    assert fill(box, source, workspace_bytes=4 * MIB).outcome.full == ()


def test_a_file_that_is_deleted_but_open_counts_while_the_program_lives(box: Box) -> None:
    """Its pages go with its last descriptor, so nothing is left to see."""
    source = "import os\nopen('x', 'w').close()\nprint(fill('x'))\nos.unlink('x')\nprint(0)"
    assert not fill(box, source, workspace_bytes=4 * MIB).outcome.workspace_full


def test_nothing_is_full_after_an_ordinary_end(box: Box) -> None:
    outcome = box.run("open('x', 'w').write('small')").outcome
    assert (outcome.full, outcome.workspace_full) == ((), False)


def test_too_many_files_are_full_as_well(box: Box) -> None:
    result = box.run(FILES + "print(json.dumps(make('/workspace')))", inodes_max=10_000)
    count, number = result.seen
    assert 9_990 <= count < 10_000
    assert number == 28
    assert result.outcome.full == ("/workspace",)


def test_a_killed_run_tells_as_well(box: Box) -> None:
    live = box.start(
        FILL + "import signal\nfill('x')\nprint('full')\nsignal.pause()",
        workspace_bytes=4 * MIB,
        memory_bytes=64 * MIB,
    )
    live.wait_for("full")
    live.sandbox.kill()
    assert live.finish().outcome.workspace_full


def test_its_memory_goes_with_the_run(box: Box) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    result = fill(box, "fill('x')", workspace_bytes=128 * MIB)
    assert result.outcome.workspace_full
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
