"""From the runner to bubblewrap: join the control groups, enter the slot, drop to its uid.

Each step replaces the one before by exec, so the process that the runner started ends up being
bubblewrap, and each fails closed: a step that cannot be done ends the chain.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHIM_FAILED = 125
# Of a host that runs out of memory the kernel takes a program before it takes the platform. Where
# it fails the value is higher already.
_SHIM = f"""
echo 500 2>/dev/null >/proc/self/oom_score_adj
ulimit -n "$1" || exit {SHIM_FAILED}
shift
while [ "$1" != -- ]; do
    echo $$ >"$1" || exit {SHIM_FAILED}
    shift
done
shift
exec "$@"
"""


@dataclass(frozen=True)
class Tools:
    """Absolute paths: the chain starts with an empty environment, so without a PATH."""

    nsenter: str
    bwrap: str


@dataclass(frozen=True)
class Entry:
    """What a run enters. The namespaces are the runner's descriptors; `uid` None: keep the own."""

    join_files: Sequence[Path]
    open_files: int
    network_fd: int
    user_fd: int | None
    uid: int | None


def command(tools: Tools, entry: Entry, bwrap: Sequence[str]) -> list[str]:
    """The command line to start with an empty environment; `bwrap` are bubblewrap's arguments.

    Namespaces are named by way of the runner's /proc entry: a descriptor that was handed on would
    stay open in the program.
    """
    joins = [str(file) for file in entry.join_files]
    shim = ["/bin/sh", "-c", _SHIM, "sequence-sandbox", str(entry.open_files), *joins, "--"]
    return [*shim, *_enter(tools, entry), tools.bwrap, *bwrap]


def _enter(tools: Tools, entry: Entry) -> list[str]:
    own = f"/proc/{os.getpid()}/fd"
    step = [tools.nsenter, f"--net={own}/{entry.network_fd}"]
    if entry.user_fd is not None:
        step += [f"--user={own}/{entry.user_fd}", "--preserve-credentials"]
    if entry.uid is not None:
        # As setpriv would, one exec less: groups cleared, and with the uid all capabilities.
        step += [f"--setgid={entry.uid}", f"--setuid={entry.uid}"]
    return [*step, "--"]
