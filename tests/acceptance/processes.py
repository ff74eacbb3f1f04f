"""Processes and control groups of this machine, told apart by what they are, not by name."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from support.groups import control_groups as find_control_groups

Content = TypeVar("Content")


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it; what could not be read (it is gone) is empty."""

    pid: int
    parent: int
    state: str
    command: str
    environ: bytes
    cgroups: str
    folder: str


def all_processes() -> list[Process]:
    """Every process at this moment, zombies and kernel threads left out."""
    found = [_process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [process for process in found if process and process.state != "Z" and process.command]


def of_platform(mark: str, runner_name: str) -> list[Process]:
    """Those whose environment speaks of `mark`, who work in it as a folder (Redis overwrites its
    environment), or who are in a control group of the runner."""
    own = f"/sequence-{runner_name}"
    return [
        process
        for process in all_processes()
        if process.pid != os.getpid()
        and (
            mark.encode() in process.environ
            or process.folder.startswith(mark)
            or own in process.cgroups
        )
    ]


def of_strategy(strategy_id: str) -> list[Process]:
    """The programs that run as this strategy, seen from outside of their sandboxes."""
    mark = f"SEQUENCE_STRATEGY_ID={strategy_id}".encode()
    return [process for process in all_processes() if mark in process.environ]


def children(pid: int) -> list[Process]:
    """The processes that this one started."""
    return [process for process in all_processes() if process.parent == pid]


def control_groups(runner_name: str) -> list[Path]:
    """The control groups of a runner, in whatever hierarchy."""
    return find_control_groups(f"sequence-{runner_name}")


def _process(pid: int) -> Process | None:
    folder = Path("/proc") / str(pid)
    try:
        # The command in brackets may hold blanks and brackets itself.
        state, parent = (folder / "stat").read_text().rpartition(") ")[2].split()[:2]
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return Process(
            pid,
            int(parent),
            state,
            command.strip(),
            _sealed(folder / "environ", Path.read_bytes) or b"",
            (folder / "cgroup").read_text(),
            str(_sealed(folder / "cwd", Path.readlink) or ""),
        )
    except (FileNotFoundError, ProcessLookupError):
        return None


def _sealed(path: Path, read: Callable[[Path], Content]) -> Content | None:
    try:
        return read(path)
    except PermissionError:
        return None  # the machine's own first process may be closed even to root
