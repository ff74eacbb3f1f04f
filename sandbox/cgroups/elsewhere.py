"""What a predecessor of the same name left in another part of the v2 hierarchy."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from sandbox.cgroups import groups
from sandbox.cgroups.v2 import RunGroupV2
from sandbox.errors import Problem, SandboxUnavailableError

_PAUSE_S = 0.05


def clear_elsewhere(tree: groups.Tree, lock_timeout_s: float, kill_timeout_s: float) -> list[str]:
    """Kill and remove the runs there; answers with their names. Only for the holder of the lock on
    the runner's name, and before it starts anything.

    Raises `SandboxUnavailableError` when a live runner holds one of those groups, and
    `SandboxStuckError`.
    """
    cleared: list[str] = []
    for directory in tree.elsewhere():
        with contextlib.suppress(FileNotFoundError):  # its own netd was about to remove it
            lock_fd = _lock(directory, time.monotonic() + lock_timeout_s)
            try:
                runs = [RunGroupV2(run) for run in groups.subdirectories(directory)]
                for run in runs:
                    groups.clear(run, kill_timeout_s)
                cleared += [run.name for run in runs]
                groups.remove_directory(directory)
            finally:
                os.close(lock_fd)
    return cleared


def _lock(directory: Path, deadline_s: float) -> int:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                os.close(fd)
                what = f"another runner of this name is alive on this host, in {directory.parent}"
                remedy = "stop it, or give each runner of a host its own name"
                raise SandboxUnavailableError([Problem(what, remedy)]) from None
        time.sleep(_PAUSE_S)
