"""File locks of a run, counted: the kernel keeps 192 bytes for each, which no control group counts.

SQLite needs POSIX locks, so they cannot be refused; a run that holds absurdly many of them is
killed. They are counted where the kernel shows them, in the fdinfo of the descriptors they were
taken through: /proc/locks leaves out those whose taker is gone while another process, which shares
its descriptors, holds them. The system call filter refuses the kinds that this cannot see.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from sandbox.cgroups import RunGroup

logger = logging.getLogger(__name__)
MOST = 10_000
"""Locks that a run may hold, 2 MB: a connection of SQLite takes three at a time."""

_EVERY_S = 0.5
_REST_SHARE = 4  # of the time that a round took: at most a fifth of one processor
_WORTH_A_LOOK_CPU_S = 0.05  # 10,000 locks cost at least about that
_LOOK_S = 0.2
_CHUNK_BYTES = 1 << 16
_MARK = b"lock:\t"


class LockCount:
    """The locks of one run. Not thread-safe: for the watch alone."""

    def __init__(self, group: RunGroup) -> None:
        self._group = group
        self._looked_at_cpu_s = 0.0
        self._is_hidden = False

    def is_over(self) -> bool:
        """Whether it holds more than `MOST`. Looks only at runs that worked since the last look:
        who did not cannot have taken any. Raises OSError when the group is gone."""
        cpu_s = self._group.cpu_s()
        if cpu_s - self._looked_at_cpu_s < _WORTH_A_LOOK_CPU_S:
            return False
        self._looked_at_cpu_s = cpu_s
        return self._count() > MOST

    def _count(self) -> int:
        """Stops at `MOST`, and when the look takes too long: then the next one takes the processes
        in another order, which a program cannot foresee."""
        pids = self._group.pids()
        random.shuffle(pids)
        until_s = time.monotonic() + _LOOK_S
        found = 0
        for pid in pids:
            try:
                found += _locks_of(pid, MOST + 1 - found, until_s)
            except PermissionError as error:
                self._report(error)
            if found > MOST or time.monotonic() > until_s:
                break
        return found

    def _report(self, error: PermissionError) -> None:
        if not self._is_hidden:
            remedy = "give the runner CAP_SYS_PTRACE, or run it as an ordinary user"
            found = {"run": self._group.name, "finding": str(error), "remedy": remedy}
            logger.warning("locks_not_readable", extra=found)
        self._is_hidden = True


class Watched(Protocol):
    """A run that is looked at."""

    @property
    def run_name(self) -> str: ...

    def check_locks(self) -> None:
        """Kill it when it holds too many. Raises `SandboxError`."""


class LockWatch:
    """A thread that looks at all runs of a runner, twice a second."""

    def __init__(self, running: Callable[[], Iterable[Watched]]) -> None:
        self._running = running
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-locks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        rest_s = _EVERY_S
        while not self._closing.wait(rest_s):
            begun_s = time.monotonic()
            for sandbox in self._running():
                try:
                    sandbox.check_locks()
                except Exception:
                    logger.exception("locks_not_watched", extra={"run": sandbox.run_name})
            rest_s = max(_EVERY_S, _REST_SHARE * (time.monotonic() - begun_s))


def _locks_of(pid: int, most: int, until_s: float) -> int:
    """Locks of one process, up to about `most`; none when it is gone meanwhile."""
    found = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in _names(f"/proc/{pid}/task"):
            folder = f"/proc/{pid}/task/{thread}/fdinfo"
            numbers = _names(folder)
            random.shuffle(numbers)
            for number in numbers:
                found += _locks_through(f"{folder}/{number}", most - found)
                if found >= most or time.monotonic() > until_s:
                    return found
            if numbers:
                break  # threads share their descriptors, but a first one that ended has none
    return found


def _names(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _locks_through(file: str, most: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = 0
            while found < most and (chunk := os.read(fd, _CHUNK_BYTES)):
                found += chunk.count(_MARK)
            return found
        finally:
            os.close(fd)
    return 0
