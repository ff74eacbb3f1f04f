"""Control groups v1: one directory per run in each of five hierarchies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from sandbox.cgroups import groups
from sandbox.errors import Problem
from sandbox.outcome import Usage
from sandbox.program import Limits

CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "freezer")
PERIOD_US = 100_000
_SOCKET_SHARE = 64  # a byte that is counted may hold a page that is not (SECURITY.md)


class RunGroupV1:
    """See `groups.RunGroup`. `directories` maps each controller to the run's directory."""

    def __init__(self, name: str, directories: Mapping[str, Path]) -> None:
        self.name = name
        self._at = directories

    @property
    def join_files(self) -> tuple[Path, ...]:
        return tuple(directory / "cgroup.procs" for directory in self._places())

    def make(self, limits: Limits) -> None:
        """Make the directories and put every limit but the CPU's in force."""
        for directory in self._places():
            directory.mkdir(exist_ok=True)
        memory = self._at["memory"]
        groups.write(memory / "memory.limit_in_bytes", limits.memory_bytes)
        if (memory / "memory.memsw.limit_in_bytes").exists():
            groups.write(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)
        groups.write(memory / "memory.swappiness", 0)
        # v1 counts TCP's and UDP's buffers apart, and without a limit not at all: one program could
        # take what the kernel grants all sockets of the host.
        if (memory / "memory.kmem.tcp.limit_in_bytes").exists():
            share_bytes = limits.memory_bytes // _SOCKET_SHARE
            groups.write(memory / "memory.kmem.tcp.limit_in_bytes", share_bytes)
        groups.write(self._at["pids"] / "pids.max", limits.pids_max)

    def limit_cpu(self, cpu_millis: int) -> None:
        groups.write(self._at["cpu"] / "cpu.cfs_period_us", PERIOD_US)
        groups.write(self._at["cpu"] / "cpu.cfs_quota_us", cpu_millis * PERIOD_US // 1000)

    def pids(self) -> list[int]:
        found: set[int] = set()
        for directory in self._places():
            found.update(groups.read_pids(directory))
        return sorted(found)

    def kill_once(self) -> None:
        # Frozen processes cannot fork away from the list; a pending SIGKILL ends them on thawing.
        state = self._at["freezer"] / "freezer.state"
        frozen = state.exists()
        if frozen:
            groups.write(state, "FROZEN")
        try:
            groups.kill_pids(self.pids())
        finally:
            if frozen:
                groups.write(state, "THAWED")

    def seal(self) -> None:
        groups.write(self._at["pids"] / "pids.max", 0)

    def usage(self) -> Usage:
        memory = self._at["memory"]
        memory_bytes, oom_kills = self.memory()
        return Usage(
            memory_bytes=memory_bytes,
            memory_peak_bytes=groups.read_int(memory / "memory.max_usage_in_bytes"),
            cpu_s=self.cpu_s(),
            throttled_s=groups.read_table(self._at["cpu"] / "cpu.stat")["throttled_time"] / 1e9,
            oom_kills=oom_kills,
            pids=groups.read_int(self._at["pids"] / "pids.current"),
        )

    def cpu_s(self) -> float:
        return groups.read_int(self._at["cpuacct"] / "cpuacct.usage") / 1e9

    def memory(self) -> tuple[int, int]:
        memory = self._at["memory"]
        return (
            groups.read_int(memory / "memory.usage_in_bytes"),
            groups.read_table(memory / "memory.oom_control").get("oom_kill", 0),
        )

    def socket_bytes(self) -> int:
        return groups.read_int(self._at["memory"] / "memory.kmem.tcp.usage_in_bytes")

    def remove(self) -> None:
        for directory in self._places():
            groups.remove_directory(directory)

    def _places(self) -> list[Path]:
        """Hierarchies may share a mount (`cpu,cpuacct`): each directory once."""
        return list(dict.fromkeys(self._at.values()))


class TreeV1:
    """See `groups.Tree`. `parents` maps each controller to the runner's own directory in it."""

    version = "v1"

    def __init__(self, name: str, parents: Mapping[str, Path]) -> None:
        self._parents = {controller: parents[controller] for controller in CONTROLLERS}
        self._at = {
            controller: parent / f"sequence-{name}" for controller, parent in self._parents.items()
        }

    def prepare(self) -> list[Problem]:
        denied = []
        for directory in dict.fromkeys(self._at.values()):
            try:
                directory.mkdir(exist_ok=True)
            except OSError:
                denied.append(directory)
                continue
            if not os.access(directory, os.W_OK | os.X_OK):
                denied.append(directory)
        if not denied:
            return []
        listed = " ".join(str(directory) for directory in denied)
        return [
            Problem(
                what=f"uid {os.getuid()} may not make control groups (v1) in {listed}",
                remedy=f"as root: mkdir -p {listed} && chown -R {os.getuid()} {listed}",
            )
        ]

    def lock_directory(self) -> Path:
        # The memory hierarchy's parent differs from one login session to the next on some hosts.
        return self._at["pids"]

    def idle_file(self) -> Path:
        return self._at["pids"] / "cgroup.procs"

    def create(self, run_name: str, limits: Limits) -> RunGroupV1:
        group = self.group(run_name)
        group.make(limits)
        return group

    def leftovers(self) -> list[groups.RunGroup]:
        names = {
            directory.name
            for place in self._at.values()
            for directory in groups.subdirectories(place)
        }
        return [self.group(name) for name in sorted(names)]

    def elsewhere(self) -> list[Path]:
        return []  # nothing makes a new parent in the pids hierarchy for each start

    def remove(self) -> None:
        for directory in dict.fromkeys(self._at.values()):
            with contextlib.suppress(OSError):  # an administrator made it for us: it stays
                groups.remove_directory(directory)

    def group(self, run_name: str) -> RunGroupV1:
        return RunGroupV1(run_name, {name: place / run_name for name, place in self._at.items()})
