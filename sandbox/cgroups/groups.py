"""What the two versions of control groups have in common, and how a group is emptied."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from sandbox.errors import Problem, SandboxStuckError
from sandbox.outcome import Usage
from sandbox.program import Limits

_CHUNK_BYTES = 1 << 16
_FIRST_PAUSE_S = 0.0005
_DYING_CPU_MILLIS = 2_000


class RunGroup(Protocol):
    """The control group of one run."""

    @property
    def name(self) -> str: ...

    @property
    def join_files(self) -> Sequence[Path]:
        """The files into which a process writes its pid to be limited. All of them."""

    def limit_cpu(self, cpu_millis: int) -> None:
        """Put the CPU quota in force. Apart from the other limits: see `Tree.create`."""

    def pids(self) -> list[int]:
        """Ids of the processes in it, as the caller's pid namespace numbers them."""

    def kill_once(self) -> None:
        """Send SIGKILL to all that is in it now, stopped processes included."""

    def seal(self) -> None:
        """Let no process in it start another any more. Raises OSError when it is gone."""

    def usage(self) -> Usage:
        """Live counters; complete until `remove`."""

    def cpu_s(self) -> float:
        """The processor time used so far, cheaper than all counters. Raises OSError."""

    def memory(self) -> tuple[int, int]:
        """Bytes in use, and how many processes the kernel has killed for want of more. As cheap.
        Raises OSError."""

    def socket_bytes(self) -> int:
        """What is counted for its sockets. Raises OSError."""

    def remove(self) -> None:
        """Remove the empty group. Raises OSError (EBUSY) while a process is in it."""


class Tree(Protocol):
    """The control groups of one runner."""

    @property
    def version(self) -> str: ...

    def prepare(self) -> list[Problem]:
        """Make the runner's group below its parent; answers with what is in the way of it."""

    def lock_directory(self) -> Path:
        """A directory that every runner of this name on this host shares."""

    def idle_file(self) -> Path:
        """A `cgroup.procs` where a helper process of the runner may be, without any limit."""

    def create(self, run_name: str, limits: Limits) -> RunGroup:
        """Make a run's group with every limit but the CPU quota in force.

        The quota comes when the program begins: the set-up is ours, and in a group of 250 millis
        it alone would use up the first period and hold the program back for 75 ms.
        """

    def group(self, run_name: str) -> RunGroup:
        """A run's group, whether it exists or not."""

    def leftovers(self) -> list[RunGroup]:
        """The groups below the runner's, whoever made them."""

    def elsewhere(self) -> list[Path]:
        """Groups of runners of the same name and user in other parts of the hierarchy: a runner
        that systemd starts in a new scope each time has another parent each time."""

    def remove(self) -> None:
        """Remove the runner's own group if nothing is below it."""


def empty(group: RunGroup, timeout_s: float) -> None:
    """Kill until nothing is left in the group. Raises `SandboxStuckError` after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while left := group.pids():
        if time.monotonic() > deadline_s:
            raise SandboxStuckError(
                f"run {group.name}: processes {left} did not die within {timeout_s:g} s of SIGKILL;"
                " look at their state (ps -o pid,stat,wchan), D means a device or file system hangs"
            )
        group.kill_once()
        if pause_s == _FIRST_PAUSE_S:
            hasten(group)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.02)


def hasten(group: RunGroup) -> None:
    """Lift the CPU quota of a run that was sent SIGKILL: its processes die at its own cost, which
    takes a hundred of them 20 s at 10 millis."""
    with contextlib.suppress(OSError):  # it is gone
        group.limit_cpu(_DYING_CPU_MILLIS)


def clear(group: RunGroup, timeout_s: float) -> None:
    """Empty the group, then remove it; a dying process may hold it for a moment longer."""
    empty(group, timeout_s)
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            return group.remove()
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise SandboxStuckError(
                    f"run {group.name}: its control group cannot be removed ({error})"
                ) from error
        time.sleep(0.001)


def sweep(tree: Tree, timeout_s: float, keep: Iterable[str] = ()) -> list[str]:
    """Kill and remove every run's group but those named in `keep`; answers with their names."""
    kept = frozenset(keep)
    swept = [group for group in tree.leftovers() if group.name not in kept]
    for group in swept:
        clear(group, timeout_s)
    return [group.name for group in swept]


def kill_pids(pids: Iterable[int]) -> None:
    """SIGKILL each; one that is gone already is no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def read_pids(directory: Path) -> list[int]:
    """The processes of one group; none when the group is gone."""
    try:
        # 0 stands for a process outside our pid namespace: nothing we could signal.
        return [int(pid) for pid in _read(directory / "cgroup.procs").split() if pid != "0"]
    except (FileNotFoundError, ProcessLookupError):
        return []


def read_int(file: Path) -> int:
    """The number that a file holds. Raises OSError."""
    return int(_read(file))


def read_table(file: Path) -> dict[str, int]:
    """`name value` lines, as in cpu.stat and memory.events."""
    return {name: int(value) for name, value in (line.split() for line in _read(file).splitlines())}


def write(file: Path, value: int | str) -> None:
    """One write(2), as these files want it; never creates a file."""
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def remove_directory(directory: Path) -> None:
    """Remove an empty group; one that is gone is fine."""
    with contextlib.suppress(FileNotFoundError):
        directory.rmdir()


def subdirectories(directory: Path) -> list[Path]:
    """The groups below; none when the group itself is gone."""
    try:
        return sorted(entry for entry in directory.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []


def _read(file: Path) -> str:
    # Many times a second, and a third of what `read_text` takes.
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, _CHUNK_BYTES), b"")).decode("ascii")
    finally:
        os.close(fd)
