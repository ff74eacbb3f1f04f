"""File locks: 192 bytes of the kernel for each, which no control group counts."""

from __future__ import annotations

import errno

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
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
"""
HIDDEN_IN = {
    "one file": "kept = take(1 << 22)",
    "a process that wants to be left alone": "libc.prctl(4, 0, 0, 0, 0)\nkept = take(1 << 22)",
    "many files": """
kept = [take(100, f"/workspace/locked-{number}") for number in range(300)]
while True:
    burn(1)
""",
    "a child": """
if os.fork():
    signal.pause()
kept = take(1 << 22)
""",
    # /proc/locks shows none of these: the process that took them is gone.
    "descriptors of a dead process": f"""
file = open("/workspace/locked", "wb")
child = libc.syscall({{"x86_64": 56, "aarch64": 220}}[os.uname().machine], 0x400 | 17, 0, 0, 0, 0)
if child == 0:
    for position in range(4 * {MOST}, 0, -2):
        fcntl.lockf(file, fcntl.LOCK_EX, 1, position)
    os._exit(0)
os.waitpid(child, 0)
while True:
    burn(1)
""",
    "a thread that outlives the first": f"""
def work():
    kept = take(2 * {MOST})
    while True:
        burn(1)
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
burn(0.6)  # the watch looks meanwhile
say(database.execute("SELECT count(*) FROM trades").fetchone())
""",
    )
    assert result.seen == [100]
    assert (result.outcome.exit_code, result.outcome.too_many_locks) == (0, False)


def test_locks_that_cannot_be_counted_are_refused(any_box: AnyBox) -> None:
    """Those of an open file, which may hang in a socket's queue, and those of a thread that has
    descriptors of its own."""
    result = attempt(
        any_box,
        """
import fcntl, struct
file = open("/workspace/locked", "wb")
lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
clone = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
say([[tried(lambda: fcntl.fcntl(file, command, lock)) for command in (36, 37, 38)],
     syscall(clone, 0x10000 | 0x800 | 0x100, 0, 0, 0, 0)])
""",
    )
    assert result.seen == [[errno.EINVAL] * 3, errno.EPERM]
