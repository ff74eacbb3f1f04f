"""File locks of a run, counted: the kernel keeps 192 bytes for each, which no control group counts.

SQLite needs POSIX locks, so they cannot be refused; a run that holds absurdly many of them is
killed. They are counted in /proc/locks as the sandbox itself sees it: what a process of another pid
namespace took is not in it. The system call filter refuses those that would be in no such list, or
in everybody's: the locks of a process whose descriptors outlive it, and those of open files.
"""

from __future__ import annotations

import os
import re
import threading

from sandbox.errors import SandboxError

MOST = 1_000
"""Locks that a run may hold: a connection of SQLite takes three at a time."""

_CHUNK_BYTES = 1 << 16
# The other kinds are bounded by the files that are open, and may name a process that is gone, whose
# id is another's by now; other machines' (NFS) have none above 0 and are in everybody's list.
_OF_A_PROCESS = re.compile(rb"POSIX +\S+ +(?:READ|WRITE|UNLCK) [1-9]")


class LockCount:
    """The locks of one run. Thread-safe."""

    def __init__(self, fd: int | None) -> None:
        """`fd`: its /proc/locks; belongs to this object from now on. None: it has ended."""
        self._fd = fd
        self._lock = threading.Lock()

    def is_over(self) -> bool:
        """Whether it holds more than `MOST`; False after `close`."""
        with self._lock:
            if self._fd is None:
                return False
            os.lseek(self._fd, 0, os.SEEK_SET)
            found = 0
            while found <= MOST and (chunk := os.read(self._fd, _CHUNK_BYTES)):  # whole lines
                found += len(_OF_A_PROCESS.findall(chunk))
            return found > MOST

    def close(self) -> None:
        """Let go. May be repeated."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


def open_count(pid_one: int) -> LockCount:
    """The locks of the sandbox whose first process this is; of none when it is gone.

    As for `scratch.open_scratch`, bubblewrap's reaper is asked: nobody inside can make its root or
    its /proc another. Raises `SandboxError`.
    """
    try:
        return LockCount(os.open(f"/proc/{pid_one}/root/proc/locks", os.O_RDONLY | os.O_CLOEXEC))
    except (FileNotFoundError, ProcessLookupError):
        return LockCount(None)
    except OSError as error:
        raise SandboxError(f"the sandbox's file locks cannot be counted: {error}") from error
