"""Control groups: which version this host has, and the runner's tree in it."""

from __future__ import annotations

import contextlib
import fcntl
import os

from sandbox.cgroups import mounts, v1, v2
from sandbox.cgroups.elsewhere import clear_elsewhere
from sandbox.cgroups.groups import RunGroup, Tree, clear, empty, hasten, sweep
from sandbox.errors import Problem, SandboxUnavailableError

__all__ = [
    "RunGroup",
    "Tree",
    "clear",
    "clear_elsewhere",
    "detect",
    "empty",
    "hasten",
    "remove_unless_held",
    "sweep",
]

_REMEDY = (
    "run on a host whose control groups are visible: in a container mount them"
    " (docker run --privileged --cgroupns=host), on Debian or Ubuntu boot with systemd's defaults"
)


def detect(name: str, hierarchies: mounts.Hierarchies | None = None) -> Tree:
    """The tree of the runner `name`; touches nothing. Raises `SandboxUnavailableError`.

    Hybrid hosts have both versions mounted: the one that holds the memory controller counts.
    """
    found = hierarchies or mounts.find_own()
    if "memory" in found.v1:
        missing = [controller for controller in v1.CONTROLLERS if controller not in found.v1]
        if not missing:
            return v1.TreeV1(name, found.v1)
        what = f"control groups (v1): no visible hierarchy for {', '.join(missing)}"
        raise SandboxUnavailableError([Problem(what, _REMEDY)])
    if found.v2 is not None and found.v2.is_dir():
        return v2.TreeV2(name, found.v2)
    raise SandboxUnavailableError([Problem("no control group file system is visible", _REMEDY)])


def remove_unless_held(tree: Tree) -> None:
    """Remove the runner's own group when it is empty and no runner of its name lives.

    An idle runner's group is empty as well, and holds its name: without it there could be two.
    """
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        fd = os.open(tree.lock_directory(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tree.remove()
