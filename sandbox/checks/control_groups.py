"""Control groups: delegation by making the runner's group, and what lies on the groups above it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sandbox import cgroups
from sandbox.cgroups import groups, mounts
from sandbox.config import HostConfig
from sandbox.errors import SandboxUnavailableError
from sandbox.findings import Finding, ok, warn
from sandbox.program import Limits

_MEMORY_AT_LEAST_BYTES = 2 * Limits().memory_bytes
_PIDS_AT_LEAST = 4 * Limits().pids_max
_NO_LIMIT = 1 << 60
_RAISE = "raise it for the runner's service: systemctl set-property UNIT {setting}"


def prepared(config: HostConfig) -> cgroups.Tree:
    """The runner's tree, its own group made. Raises `SandboxUnavailableError`."""
    tree = cgroups.detect(config.name)
    if problems := tree.prepare():
        raise SandboxUnavailableError(problems)
    return tree


def check(tree: cgroups.Tree) -> Iterator[Finding]:
    """Which version, whose, and what bounds all runs together."""
    found = mounts.find_own()
    kind = "hybrid: controllers on v1" if found.v1 and found.v2 else tree.version
    owner = "root" if os.geteuid() == 0 else f"delegated to uid {os.getuid()}"
    yield ok(f"control groups {tree.version} ({kind}), {owner}: {tree.lock_directory()}")
    yield from _bounds(tree, found)
    yield _swap(tree, found)


def _bounds(tree: cgroups.Tree, found: mounts.Hierarchies) -> Iterator[Finding]:
    memory_bytes = _least(found.v1.get("memory") or found.v2, _memory_files(tree))
    pids = _least(found.v1.get("pids") or found.v2, ("pids.max",))
    if memory_bytes < _MEMORY_AT_LEAST_BYTES:
        yield warn(
            f"all runs together may use {memory_bytes >> 20} MiB: that lies on a group above",
            _RAISE.format(setting="MemoryMax=infinity"),
        )
    if pids < _PIDS_AT_LEAST:
        yield warn(
            f"all runs together may have {pids} processes: that lies on a group above",
            _RAISE.format(setting="TasksMax=infinity"),
        )
    if memory_bytes >= _MEMORY_AT_LEAST_BYTES and pids >= _PIDS_AT_LEAST:
        yield ok("no group above bounds memory or processes of all runs too closely")


def _memory_files(tree: cgroups.Tree) -> tuple[str, ...]:
    return ("memory.limit_in_bytes",) if tree.version == "v1" else ("memory.max", "memory.high")


def _least(own: Path | None, names: tuple[str, ...]) -> int:
    """The smallest of these limits from our group up to the root of what is visible."""
    least = _NO_LIMIT
    while own is not None and (own / "cgroup.procs").exists():
        for name in names:
            try:
                least = min(least, groups.read_int(own / name))
            except (OSError, ValueError):
                continue  # the root has none, and "max" is no number
        own = own.parent
    return least


def _swap(tree: cgroups.Tree, found: mounts.Hierarchies) -> Finding:
    own = found.v1.get("memory")
    counted = (
        (own / "memory.memsw.limit_in_bytes").exists()
        if own is not None
        else (tree.lock_directory() / "memory.swap.max").exists()
    )
    in_use = len(Path("/proc/swaps").read_text(encoding="ascii").splitlines()) > 1
    if counted or not in_use:
        return ok(f"swap: {'counted' if counted else 'none'}")
    parameter = 'add swapaccount=1 to GRUB_CMDLINE_LINUX in /etc/default/grub, then "update-grub"'
    return warn(
        "swap is in use and not counted: a run may use more than its memory",
        f"swapoff -a; or {parameter} and boot again",
    )
