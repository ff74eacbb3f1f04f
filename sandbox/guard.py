"""guard: a process beside the runner that kills runs whose time was not extended.

A runner that stands still (SIGSTOP, a debugger, a host that swaps) cannot kill; its programs would
go on beside those of whoever takes their place. `sandbox.deadlines` is the runner's half. Times are
CLOCK_MONOTONIC, which all processes of a host share.

Runner to guard: `extend` (`runs` may live until `until_s`) and `forget` (`runs` are cleared away).
guard to runner: `heard` after each of those, and `killed` (`runs`) before it kills.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from sandbox import cgroups
from sandbox.network import messages

_AGAIN_S = 0.02
_LAST_WORK_S = 10.0


class Guard:
    """The deadlines of one runner's runs, and the runs whose deadline is past."""

    def __init__(self, channel: socket.socket, tree: cgroups.Tree) -> None:
        self._channel = channel
        self._tree = tree
        self._until_s: dict[str, float] = {}
        self._overdue: set[str] = set()

    def serve(self) -> None:
        """Until the runner closes the channel or is dead; then all that it left is killed."""
        # Not select(): the guard of a runner with hundreds of runs has a channel beyond 1023.
        waiting = select.poll()
        waiting.register(self._channel, select.POLLIN)
        while True:
            if waiting.poll(self._pause_ms()) and not self._hear():
                break
            self._keep()
        self._overdue |= self._until_s.keys()
        self._finish()

    def _pause_ms(self) -> int | None:
        if self._overdue:
            return math.ceil(_AGAIN_S * 1000)
        if not self._until_s:
            return None
        return math.ceil(max(0.0, min(self._until_s.values()) - time.monotonic()) * 1000)

    def _hear(self) -> bool:
        message = messages.receive(self._channel)
        if message is None:
            return False
        runs = message.fields["runs"]
        if message.op == "extend":
            # One that was killed stays dead, whatever a runner that woke up late has to say.
            late = self._overdue.intersection(runs)
            self._until_s |= dict.fromkeys(set(runs) - late, float(message.fields["until_s"]))
        else:
            self._overdue.difference_update(runs)
            for run in runs:
                self._until_s.pop(run, None)
        self._say("heard")
        return True

    def _keep(self) -> None:
        now = time.monotonic()
        if late := [run for run, until_s in self._until_s.items() if now >= until_s]:
            self._say("killed", runs=late)
            self._overdue.update(late)
            for run in late:
                del self._until_s[run]
        for run in self._overdue:
            self._kill(run)

    def _kill(self, run: str) -> bool:
        """Again and again until it is forgotten: a start that was under way may still join."""
        group = self._tree.group(run)
        # The group is gone, or going, by the hand of somebody else.
        with contextlib.suppress(OSError):
            group.seal()
            if group.pids():
                group.kill_once()
                cgroups.hasten(group)
        return not group.pids()

    def _finish(self) -> None:
        until = time.monotonic() + _LAST_WORK_S
        while self._overdue and time.monotonic() < until:
            self._overdue = {run for run in self._overdue if not self._kill(run)}
            time.sleep(_AGAIN_S)

    def _say(self, op: str, **fields: Any) -> None:
        # A runner that stands still does not read: what matters is the kill, not the word.
        with contextlib.suppress(OSError):
            messages.send(self._channel, op, **fields)


def main(channel_fd: int, name: str) -> None:
    """Guard the runs of the runner `name`, which is at the other end of `channel_fd`."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the runner's end is the only reason to end
    with contextlib.suppress(OSError):  # an ordinary user may not
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    channel = socket.socket(fileno=channel_fd)
    tree = cgroups.detect(name)
    messages.send(channel, "hello")
    channel.setblocking(False)
    Guard(channel, tree).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
