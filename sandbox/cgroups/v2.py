"""Control groups v2: one directory per run below a delegated one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from sandbox.cgroups import groups
from sandbox.errors import Problem
from sandbox.outcome import Usage
from sandbox.program import Limits

CONTROLLERS = ("memory", "cpu", "pids")
PERIOD_US = 100_000
LEAF = "sequence-leaf"
_REMEDY = (
    "start the runner in a subtree of its own: systemd-run --user --scope -p Delegate=yes COMMAND"
    " (a service: Delegate=yes in its unit)"
)


class RunGroupV2:
    """See `groups.RunGroup`."""

    def __init__(self, directory: Path) -> None:
        self.name = directory.name
        self._at = directory

    @property
    def join_files(self) -> tuple[Path, ...]:
        return (self._at / "cgroup.procs",)

    def make(self, limits: Limits) -> None:
        """Make the directory and put every limit but the CPU's in force."""
        self._at.mkdir(exist_ok=True)
        groups.write(self._at / "memory.max", limits.memory_bytes)
        if (self._at / "memory.swap.max").exists():
            groups.write(self._at / "memory.swap.max", 0)
        groups.write(self._at / "memory.oom.group", 1)
        groups.write(self._at / "pids.max", limits.pids_max)

    def limit_cpu(self, cpu_millis: int) -> None:
        groups.write(self._at / "cpu.max", f"{cpu_millis * PERIOD_US // 1000} {PERIOD_US}")

    def pids(self) -> list[int]:
        return groups.read_pids(self._at)

    def kill_once(self) -> None:
        if (self._at / "cgroup.kill").exists():
            groups.write(self._at / "cgroup.kill", 1)
            return
        freeze = self._at / "cgroup.freeze"  # before Linux 5.14
        groups.write(freeze, 1)
        try:
            groups.kill_pids(self.pids())
        finally:
            groups.write(freeze, 0)

    def seal(self) -> None:
        groups.write(self._at / "pids.max", 0)

    def usage(self) -> Usage:
        peak = self._at / "memory.peak"
        cpu = groups.read_table(self._at / "cpu.stat")
        memory_bytes, oom_kills = self.memory()
        return Usage(
            memory_bytes=memory_bytes,
            memory_peak_bytes=groups.read_int(peak) if peak.exists() else None,
            cpu_s=cpu["usage_usec"] / 1e6,
            throttled_s=cpu.get("throttled_usec", 0) / 1e6,
            oom_kills=oom_kills,
            pids=groups.read_int(self._at / "pids.current"),
        )

    def cpu_s(self) -> float:
        return groups.read_table(self._at / "cpu.stat")["usage_usec"] / 1e6

    def memory(self) -> tuple[int, int]:
        return (
            groups.read_int(self._at / "memory.current"),
            groups.read_table(self._at / "memory.events")["oom_kill"],
        )

    def socket_bytes(self) -> int:
        return groups.read_table(self._at / "memory.stat")["sock"]

    def remove(self) -> None:
        groups.remove_directory(self._at)


class TreeV2:
    """See `groups.Tree`. `own` is the group of the calling process; `controllers` those that runs
    need (a test on a mount without controllers gives none)."""

    version = "v2"

    def __init__(self, name: str, own: Path, controllers: Sequence[str] = CONTROLLERS) -> None:
        self._parent = own.parent if own.name == LEAF else own
        self._at = self._parent / f"sequence-{name}"
        self._controllers = tuple(controllers)

    def prepare(self) -> list[Problem]:
        try:
            return self._prepare()
        except OSError as error:
            what = f"uid {os.getuid()} cannot use control groups (v2) in {self._parent}: {error}"
            return [Problem(what, _REMEDY)]

    def _prepare(self) -> list[Problem]:
        offered = (self._parent / "cgroup.controllers").read_text(encoding="ascii").split()
        if missing := [name for name in self._controllers if name not in offered]:
            what = f"control groups (v2): {self._parent} lacks the controllers {missing}"
            return [Problem(what, _REMEDY)]
        self._enable(self._parent)
        self._at.mkdir(exist_ok=True)
        self._enable(self._at)
        return []

    def _enable(self, directory: Path) -> None:
        """Let the groups below `directory` have our controllers.

        A group that passes controllers on may hold no process itself, so what is in it (the
        runner, and whatever was started with it in the same scope) moves to a leaf first.
        """
        control = directory / "cgroup.subtree_control"
        lacking = set(self._controllers) - set(control.read_text(encoding="ascii").split())
        if not lacking:
            return
        wanted = " ".join(f"+{name}" for name in sorted(lacking))
        for _ in range(10):
            try:
                groups.write(control, wanted)
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            self._move_to_leaf(directory)  # then again: one may just have been started there
        groups.write(control, wanted)

    def _move_to_leaf(self, directory: Path) -> None:
        leaf = directory / LEAF
        leaf.mkdir(exist_ok=True)
        for pid in groups.read_pids(directory):
            with contextlib.suppress(ProcessLookupError):
                groups.write(leaf / "cgroup.procs", pid)

    def lock_directory(self) -> Path:
        return self._at

    def idle_file(self) -> Path:
        # A group that passes controllers on may hold no process: where the runner is.
        leaf = self._parent / LEAF
        return (leaf if leaf.is_dir() else self._parent) / "cgroup.procs"

    def create(self, run_name: str, limits: Limits) -> RunGroupV2:
        group = self.group(run_name)
        group.make(limits)
        return group

    def group(self, run_name: str) -> RunGroupV2:
        return RunGroupV2(self._at / run_name)

    def leftovers(self) -> list[groups.RunGroup]:
        return [RunGroupV2(directory) for directory in groups.subdirectories(self._at)]

    def elsewhere(self) -> list[Path]:
        top = self._parent
        while (top.parent / "cgroup.procs").exists():
            top = top.parent
        # Groups of others come and go meanwhile; os.walk takes that as it is.
        same_name = [
            Path(parent, self._at.name)
            for parent, names, _ in os.walk(top)
            if self._at.name in names
        ]
        return [at for at in same_name if at != self._at and _is_own(at)]

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            groups.remove_directory(self._at)


def _is_own(directory: Path) -> bool:
    try:
        return directory.stat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False
