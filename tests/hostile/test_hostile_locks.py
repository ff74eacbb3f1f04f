"""File locks: 192 bytes of the kernel for each, which no control group counts."""

from __future__ import annotations

import errno
import fcntl
import struct
from pathlib import Path

import pytest
from attempts import attempt
from ordinary import AnyBox

from sandbox.locks import MOST

TAKE = """
import fcntl, threading
def take(count, path="/workspace/locked"):
    file = open(path, "wb")
    for position in range(2 * count, 0, -2):  # from the end: each is the first of the list
        fcntl.lockf(file, fcntl.LOCK_EX, 1, position)
    return file
"""
HIDDEN_IN = {
    "one file": "kept = take(1 << 22)",
    "a process that wants to be left alone": "libc.prctl(4, 0, 0, 0, 0)\nkept = take(1 << 22)",
    "many files": """
kept = [take(100, f"/workspace/locked-{number}") for number in range(300)]
signal.pause()
""",
    "a child": """
if os.fork():
    signal.pause()
kept = take(1 << 22)
""",
    "one file that many have open": """
for child in range(10):
    if os.fork() == 0:
        decoys = [os.open("/workspace/locked", os.O_WRONLY | os.O_CREAT) for number in range(900)]
        signal.pause()
kept = take(1 << 22)
""",
    "a thread that outlives the first": f"""
def work():
    kept = take(2 * {MOST})
    signal.pause()
threading.Thread(target=work).start()
libc.syscall({{"x86_64": 60, "aarch64": 93}}[os.uname().machine], 0)
""",
}


@pytest.mark.parametrize("how", HIDDEN_IN)
def test_a_program_that_hoards_locks_is_killed(any_box: AnyBox, how: str) -> None:
    result = attempt(any_box, TAKE + HIDDEN_IN[how], open_files=1000)
    assert result.outcome.too_many_locks, result
    assert (result.outcome.exit_code, result.outcome.oom) == (137, False)


def test_half_of_the_bound_and_a_database_are_nobodys_business(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        TAKE
        + f"""
import sqlite3
kept = take({MOST} // 2)
database = sqlite3.connect("/workspace/trades.db")
database.execute("PRAGMA journal_mode=WAL")
database.execute("CREATE TABLE trades (price)")
with database:
    database.executemany("INSERT INTO trades VALUES (?)", ((number,) for number in range(100)))
time.sleep(1.2)  # the watch looks meanwhile
say(database.execute("SELECT count(*) FROM trades").fetchone())
""",
    )
    assert result.seen == [100]
    assert (result.outcome.exit_code, result.outcome.too_many_locks) == (0, False)


def test_locks_of_whole_files_are_as_many_as_its_files(any_box: AnyBox) -> None:
    """Not counted: they may bear the id of a process that is gone, by now a neighbour's."""
    source = f"""
import fcntl
kept = [open(f"/workspace/{{number}}", "wb") for number in range({MOST} + 1)]
for file in kept:
    fcntl.flock(file, fcntl.LOCK_EX)
time.sleep(1.2)
say(True)
"""
    result = attempt(any_box, source, open_files=MOST + 100)
    assert result.seen is True
    assert (result.outcome.exit_code, result.outcome.too_many_locks) == (0, False)


def test_locks_of_others_are_nobodys_business(any_box: AnyBox, tmp_path: Path) -> None:
    with (tmp_path / "mine").open("wb") as mine, (tmp_path / "of-no-process").open("wb") as file:
        for position in range(2 * (MOST + 1), 0, -2):
            fcntl.lockf(mine, fcntl.LOCK_EX, 1, position)
            lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, position, 1, 0)
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        result = attempt(any_box, TAKE + "kept = take(100)\ntime.sleep(1.2)\nsay(True)")
    assert result.seen is True
    assert (result.outcome.exit_code, result.outcome.too_many_locks) == (0, False)


def test_locks_that_cannot_be_counted_are_refused(any_box: AnyBox) -> None:
    """Those of an open file, which everybody's list shows, and those of a process that is gone
    while another one has its descriptors, which none shows."""
    result = attempt(
        any_box,
        """
import fcntl, struct
file = open("/workspace/locked", "wb")
lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
clone = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
say([[tried(lambda: fcntl.fcntl(file, command, lock)) for command in (36, 37, 38)],
     syscall(clone, 0x400 | 17, 0, 0, 0, 0)])
""",
    )
    assert result.seen == [[errno.EINVAL] * 3, errno.EPERM]
